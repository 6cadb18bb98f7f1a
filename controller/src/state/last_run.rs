//! What the last run found and did, so that `status` needs no look at the account.

use credpin_ledger::{ObjectError, RecordStore};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::PREFIX;

/// What runs of this version write.
pub const SCHEMA: u32 = 2;

/// The last run, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// [`SCHEMA`]; a reader takes no other.
    pub schema: u32,
    /// When it began.
    pub made: Timestamp,
    /// Whether a role is held, or a host denied.
    pub held: bool,
    /// What `credpin status` says, for a person.
    pub text: String,
    /// The same for a machine.
    pub status: Value,
    /// The same for a collector of metrics, with what the run did.
    pub metrics: String,
    /// What the run did: what `credpin run --json` prints.
    pub run: Value,
}

/// What is kept cannot be read.
#[derive(Debug, Error)]
pub enum LastRunError {
    /// The store does not give it out.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// It is not what a run of this version writes.
    #[error(
        "{}: not written by a run of this version; the next run writes it anew",
        name()
    )]
    Unreadable(#[source] Option<serde_json::Error>),
}

impl LastRun {
    /// Keeps it.
    pub async fn keep(&self, store: &RecordStore) -> Result<(), ObjectError> {
        let json = serde_json::to_vec_pretty(self).expect("texts and values have a JSON form");
        store.put_object(&name(), json).await
    }

    /// The one that is kept; none where no run has kept one.
    pub async fn read(store: &RecordStore) -> Result<Option<Self>, LastRunError> {
        let Some(bytes) = store.get_object(&name()).await? else {
            return Ok(None);
        };
        let read: Self = serde_json::from_slice(&bytes)
            .map_err(|error| LastRunError::Unreadable(Some(error)))?;
        if read.schema == SCHEMA {
            Ok(Some(read))
        } else {
            Err(LastRunError::Unreadable(None))
        }
    }
}

fn name() -> String {
    format!("{PREFIX}/last-run.json")
}
