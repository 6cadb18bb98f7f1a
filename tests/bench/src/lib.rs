//! Measures the proxy, beside nginx and haproxy in the same run where they are installed; the mock; and
//! the controller, beside `jq` and `iprange`.
//!
//! ```text
//!   load.rs ──▶ Server: credpin-proxy | nginx | haproxy | bare.rs ──▶ Upstream
//!   message.rs  contender.rs writes their configs                      upstream.rs: a stand-in for
//!       │       server.rs starts and ends them,                          IMDS that costs next to nothing
//!       ▼       reads their CPU time and memory
//!   rows/*.rs ──▶ Row ──▶ Report: a table, or JSON
//!                 report.rs
//! ```
//!
//! What makes the numbers worth something: each server has the same one CPU to itself, the load and
//! the upstream have another; servers take turns, round by round, so that what the machine does
//! beside hits all of them; what is reported is the median over the rounds, and a ratio is the median
//! of the rounds' ratios. All is on loopback.

pub mod bare;
pub mod contender;
pub mod load;
pub mod machine;
pub mod message;
pub mod pairs;
pub mod report;
pub mod rows;
pub mod sample;
pub mod server;
pub mod upstream;
