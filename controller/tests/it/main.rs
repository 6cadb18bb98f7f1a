//! credpin on directory clouds: plans, faults on the way, releases, the command line.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail their test")]

mod accounts;
mod apply;
#[cfg(feature = "aws")]
mod aws;
mod chain;
mod cli;
mod dir;
mod every_account;
mod plan_file;
mod publish;
mod read_back;
mod release;
mod revoke;
mod rig;
mod scenarios;
mod tokens;
