//! The harness of the end-to-end tests: real parts, nobody's own, around the crates of this workspace.
//!
//! ```text
//!  mock IMDS -> credpin-proxy -> client (boto3) --signed call--> gate --policies?--> account (moto)
//!                                                                 |                     ^
//!                                                                 +--may it?--> judge   |
//!                                                                               credpin --+
//! ```
//!
//! Start at [`tools`] (what `make tools` installed), [`moto`] and [`estate`] (the account and what stands
//! in it), [`gate`] (the AWS endpoint that denies the thief), [`client`] (honest or thief) and [`judge`]
//! (the second opinion on policies, asked about random ones of [`arbitrary`] and, by calls that are [`bearing`] on
//! each, about all that tests make). Every process starts in
//! [`process`], where the environment is scrubbed and addresses must be loopback; the metadata service's
//! own address is asked in a [`namespace`] only, where something else has it. [`trail`] writes what CloudTrail
//! would have written, [`fleet`] accounts of any size.
//!
//! This is a test crate: its functions return [`anyhow::Error`], which a failing test prints.

pub mod account;
pub mod arbitrary;
pub mod bearing;
pub mod client;
pub mod controller;
pub mod credentials;
pub mod demo;
pub mod estate;
pub mod fleet;
pub mod gate;
pub mod guarded;
mod http;
pub mod imds_client;
pub mod judge;
pub mod moto;
pub mod namespace;
mod peer;
pub mod process;
pub mod reader;
pub mod relay;
mod serve;
pub mod tools;
pub mod trail;
