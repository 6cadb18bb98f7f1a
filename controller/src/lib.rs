//! The controller: makes IAM's policies say where each role's tokens may be used from, and keeps
//! that true. It runs as a job. What it keeps between runs, if it is told where ([`state`]), are a lock
//! and what people ask for; a plan comes of what is there.
//!
//! ```text
//!  cloud ──observe──▶ shapes ──▶ estate ──▶ credpin_core::plan ──▶ apply ──▶ read back ──▶ report
//!  (aws, dir)          (AWS's     (ours)     (decides, pure)      (no choices)
//!    ▲                  words)                                        │
//!    └───────────────────────── IAM only ─────────────────────────────┘
//! ```
//!
//! Start at [`flow`], which is this picture as code; [`run`] is all of it. [`cloud`] has the two
//! sides of a cloud, reading and writing, [`config`] what the operator decided, [`command`] what
//! the binary's subcommands do, [`report`] what people and machines get to read,
//! [`publish`] what hosts do, [`plan_file`] what is read before it is carried out. Beside it, [`inventory`] keeps what hosts recorded.

pub mod account;
pub mod apply;
pub mod cli;
pub mod cloud;
pub mod cloudtrail;
pub mod command;
pub mod config;
pub mod flow;
pub mod inventory;
pub mod organization;
pub mod plan_file;
pub mod publish;
pub mod read_back;
pub mod release;
pub mod report;
pub mod revoke;
pub mod state;

pub use flow::{Blind, Planned, Run, plan, run};
