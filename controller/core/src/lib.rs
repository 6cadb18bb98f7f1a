//! Everything in credpin that decides. Pure: no I/O, no clock, no async; what goes in decides what
//! comes out, byte for byte (invariant 8).
//!
//! ```text
//!  estate ──▶ footprint ──▶ pin ──▶ verify ──▶ plan ──▶ steps
//!  (seen)     (per role:    (Deny   (proof:     (diff against
//!     │        egress,      only)   home in,     the live policies)
//!     ▼        groups)       │      out out)
//!   egress                   ▼
//!  (route tables)         policy ◀── evaluate (IAM's semantics)
//! ```
//!
//! Start at [`plan::plan`], which calls the rest in this order. [`exposure`] measures what a pin
//! leaves open; [`admission`] tells hosts that are launched whether it admits them; [`explain`] answers "what if a token were used from there?".
//!
//! [`chain`] finds the roles that no pin follows a token to.
//!
//! Beside that, from [`cloudtrail`]: [`lineage`] tells which key came of which, [`replay`] which real
//! calls a pin would have denied, [`detect`] what somebody should look at, and [`containment`] what ends a
//! lineage: its keys' [`cut`]s, in order.
//! [`inventory`] is made of records, and lists every token.

pub mod admission;
pub mod chain;
pub mod cloudtrail;
pub mod containment;
pub mod credential;
pub mod cut;
pub mod detect;
pub mod egress;
pub mod estate;
pub mod evaluate;
pub mod explain;
pub mod exposure;
pub mod footprint;
mod hashed;
pub mod id;
pub mod inventory;
pub mod lineage;
pub mod pin;
pub mod plan;
pub mod policy;
pub mod position;
mod prefix;
pub mod replay;
pub mod replayed;
pub mod request;
pub mod settings;
pub mod shard;
mod spread;
pub mod trust;
pub mod verify;
mod wildcard;
