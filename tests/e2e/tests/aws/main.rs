//! `credpin --cloud aws` against moto's IAM and EC2, read back with boto3.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod accounts;
mod calls;
mod chained;
mod crash;
mod lineage;
mod release;
mod responder;
mod revoke;
mod run;
mod trail;
mod world;
