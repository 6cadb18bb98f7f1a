//! The contract between a host and the controller.
//!
//! ```text
//! credpin-proxy ──append──▶ ledger on the host ──ship──▶ record store ──read──▶ credpin
//!                 [`Record`]                    (directory or S3)
//! ```
//!
//! By default this crate is types only: [`Record`] and what it is made of, and [`Key`], the name of
//! a batch of records in the store. The feature `store` adds the doing: the append-only ledger, its
//! recovery, shipping and reading back. `s3` adds S3 to the stores that can be reached.
//!
//! No type here has a field for a secret key or a session token (invariant 2): what cannot be
//! represented cannot be written.

mod key;
mod record;


pub use record::{Consumer, Host, ImdsVersion, Kind, Record, SCHEMA};
