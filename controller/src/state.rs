//! What the controller keeps between runs, in a store that hosts cannot write: the lock of runs, what
//! the last run found, what replays said, and what `detect` told. Without it a run needs none of these.

use credpin_core::replayed::{ReplayError, Replays};
use credpin_ledger::{ObjectError, RecordStore};
use thiserror::Error;

mod findings;
mod last_run;
mod lock;
mod overview;
mod row;
mod within;

pub use findings::{Told, ToldError};
pub use last_run::{LastRun, LastRunError, SCHEMA};
pub use lock::{LONGEST_RUN, Lock, LockError, holder};
pub use overview::{OfAccount, Overview, OverviewError};
pub use within::within;

/// Where the controller's objects lie in its store.
const PREFIX: &str = "state/v1";

/// What replays said could not be read.
#[derive(Debug, Error)]
pub enum ReplaysError {
    /// The store does not give it out.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// It is not what a replay writes.
    #[error("{PREFIX}/replay.json")]
    Replay(#[from] ReplayError),
}

/// What replays said, by role.
pub async fn replays(store: &RecordStore) -> Result<Replays, ReplaysError> {
    let Some(bytes) = store.get_object(&format!("{PREFIX}/replay.json")).await? else {
        return Ok(Replays::default());
    };
    Ok(Replays::parse(&String::from_utf8_lossy(&bytes))?)
}

/// Writes what replays said.
pub async fn keep_replays(store: &RecordStore, replays: &Replays) -> Result<(), ObjectError> {
    let name = format!("{PREFIX}/replay.json");
    store
        .put_object(&name, replays.to_json().into_bytes())
        .await
}
