//! The proxy between raw sockets and the mock IMDS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod activation;
mod binary;
mod binding;
mod cache;
mod clock;
mod confined;
mod crash;
mod disk;
mod guards;
mod hardening;
mod identity;
mod launch_gate;
mod memory;
mod namespace;
mod original;
mod real_failures;
mod records;
mod reload;
mod rig;
mod rules;
mod s3;
mod secrets;
mod sessions;
mod shield;
mod shipping;
mod small_disk;
mod smuggling;
mod transparent;
mod upstream;
mod ways;
mod wire;
