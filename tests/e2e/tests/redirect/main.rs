//! The redirect with real packets: what `credpin-proxy redirect install` loads, in a network where
//! something else has the metadata service's addresses, and the clients that people use.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bridged;
mod cgroup;
mod down;
mod hops;
mod show;
mod through;
mod world;
