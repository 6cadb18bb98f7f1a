//! The contract between a host and the controller.
//!
//! ```text
//! credpin-proxy ──▶ Writer ──▶ Ledger ──▶ Shipper ──▶ RecordStore ──▶ read ──▶ credpin
//!          Record   a thread   segments   Key         a directory     Warning
//!                   and Index  on a Disk              or S3
//! ```
//!
//! By default this crate is types only: [`Record`] and what it is made of, and [`Key`], the name of
//! a batch of records in the store. The feature `store` adds the doing: the append-only ledger, its
//! recovery, shipping and reading back. `s3` adds S3 to the stores that can be reached.
//!
//! The other way goes one thing only: an [`Admission`] for each role, in which a host that was launched reads whether
//! its role's pin admits it yet.
//!
//! No type here has a field for a secret key or a session token (invariant 2): what cannot be
//! represented cannot be written.

mod admission;
mod key;
mod record;

#[cfg(feature = "s3")]
mod client;
#[cfg(feature = "store")]
mod disk;
#[cfg(feature = "store")]
mod group;
#[cfg(feature = "store")]
mod holder;
#[cfg(feature = "store")]
mod index;
#[cfg(feature = "store")]
mod ledger;
#[cfg(feature = "store")]
mod line;
#[cfg(feature = "store")]
mod look;
#[cfg(feature = "store")]
mod objects;
#[cfg(feature = "store")]
mod read;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "store")]
mod scan;
#[cfg(feature = "store")]
mod segment;
#[cfg(feature = "store")]
mod ship;
#[cfg(feature = "store")]
mod store;
#[cfg(feature = "store")]
mod store_answer;
#[cfg(feature = "store")]
mod store_url;
#[cfg(feature = "s3")]
mod sts;
#[cfg(feature = "store")]
mod writer;

pub use admission::{
    Admission, AdmittedInstance, AdmittedSubnet, Prefix, PrefixError, Reach, Unfit,
};
pub use key::{BootId, Contradiction, Key, KeyError, PREFIX, UserId};
pub use record::{Consumer, Host, ImdsVersion, Kind, Record, SCHEMA};

#[cfg(feature = "store")]
pub use {
    disk::{Directory, Disk, Entry, OpenError, Tail},
    holder::holder,
    index::{Index, Standing},
    ledger::{AppendError, Ledger, Recovered},
    line::LineError,
    look::{Found, look, writable},
    objects::ObjectError,
    read::{Read, ReadError, Warning},
    scan::{History, Unreadable, scan},
    segment::SegmentName,
    ship::{Round, ShipError, Shipper},
    store::{Access, ReachError, RecordStore, StoreError, WhoError},
    store_answer::StoreAnswer,
    store_url::{Bucket, Endpoint, StoreUrl, StoreUrlError, Sts, without_secrets},
    writer::{Receipt, WriteError, Writer},
};

#[cfg(feature = "s3")]
pub use s3::{AwsCredential, Credentials};
