//! What hosts recorded, for whoever reads it.

use credpin_ledger::{Access, Record, RecordStore, StoreUrl};
use jiff::Timestamp;

use super::CommandError;
use crate::config::{self, Config};

/// What hosts recorded since then.
pub(super) async fn read_records(
    config: &Config,
    since: Option<Timestamp>,
) -> Result<Vec<Record>, CommandError> {
    let Some(url) = &config.records else {
        return Ok(Vec::new());
    };
    if let StoreUrl::Directory(path) = url
        && !path.exists()
    {
        return Err(CommandError::NoRecords(path.clone()));
    }
    let access = Access::Variables(config::variables());
    let read = RecordStore::open(url, &access)?.read(since).await?;
    for warning in &read.warnings {
        tracing::warn!("left out of the record store: {warning}");
    }
    Ok(read.records)
}
