//! Every token that hosts recorded, kept in one local file and brought up to date by each command.
//!
//! ```text
//!  record store ──batches that are not known──▶ Inventory ──┐
//!                                                           ├──▶ Database ──▶ rows, gaps
//!  CloudTrail ──files since the last time──▶ Sightings ─────┘
//! ```
//!
//! The records are the truth and the file is a copy, which can be made anew at any time. What a
//! batch told and that it was read go into the file in one transaction: one that is killed under way
//! has folded each batch wholly or not at all.

mod database;
mod pins;

pub use database::{Contents, Database, DatabaseError};
pub use pins::{PinsError, of_last_run, of_plan};

use credpin_core::inventory::{self, Inventory, Sightings};
use credpin_ledger::{Key, ReadError, RecordStore, Warning};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use thiserror::Error;

use crate::cloudtrail::{self, Reading, Source, Trail, TrailError};

/// Batches that are folded in one transaction.
const AT_ONCE: usize = 5000;
/// Batches that are asked for at the same time.
const CONCURRENT_GETS: usize = 16;
/// A host's clock may be ahead by that much.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// Files of a trail are delivered some minutes after the last call in them, and seldom much later.
const LATE_FILES: SignedDuration = SignedDuration::from_hours(2);
/// What was left out and is told one by one.
const TOLD: usize = 20;

/// What became of folding the record store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Folded {
    /// Batches of which hour and later were looked for.
    pub since: Option<Timestamp>,
    /// Batches that were new.
    pub new: usize,
    /// Those that had been folded before.
    pub known: usize,
    /// Those that the store did not give out: they are asked for again the next time.
    pub unreadable: usize,
    /// Those of hours that are still to come.
    pub ahead: usize,
    /// Objects that are no batches.
    pub no_batches: usize,
    /// The first of what was left out, in words.
    pub warnings: Vec<String>,
}

/// The inventory could not be brought up to date.
#[derive(Debug, Error)]
pub enum FoldError {
    /// The record store cannot be listed.
    #[error(transparent)]
    Records(#[from] ReadError),
    /// The trail cannot be read at all.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// The file.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Reads how long tokens are kept.
pub fn parse_keep(text: &str) -> Result<SignedDuration, String> {
    let seconds = crate::config::seconds(text)?;
    let keep = i64::try_from(seconds).map(SignedDuration::from_secs);
    let keep = keep.map_err(|_| format!("`{text}` is longer than time lasts"))?;
    if keep < inventory::LONGEST {
        return Err(format!(
            "{text} is too short: a batch that comes late could be of a token that is live, so at least \
             36h are kept"
        ));
    }
    Ok(keep)
}

/// Folds what is new in the record store.
pub async fn fold_records(
    database: &Database,
    store: &RecordStore,
    keep: SignedDuration,
    now: Timestamp,
) -> Result<Folded, FoldError> {
    let facts = database.facts()?;
    let gap = database.oldest_gap()?;
    let since = inventory::since(facts.watermark, gap, keep, now);
    let listing = store.batches(Some(since)).await?;
    let mut folded = Folded {
        since: Some(since),
        no_batches: listing.warnings.len(),
        ..Folded::default()
    };
    folded.tell(&listing.warnings);
    let latest = now.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
    let (keys, ahead): (Vec<_>, Vec<_>) = listing
        .keys
        .into_iter()
        .partition(|key| key.hour() <= latest);
    folded.ahead = ahead.len();
    let all = keys.len();
    let new = database.unknown(keys)?;
    folded.known = all - new.len();
    for keys in new.chunks(AT_ONCE) {
        folded.chunk(database, store, keys).await?;
        if new.len() > AT_ONCE {
            tracing::info!(target: "credpin::run", "folded {} of {} new batches", folded.new, new.len());
        }
    }
    // What the store did not give out has to be looked for again, however old it is by then.
    let watermark = (folded.unreadable == 0).then_some(now);
    let whole = facts.watermark.is_none().then_some(!listing.older);
    database.settle(watermark, whole, inventory::before(now, keep))?;
    Ok(folded)
}

/// Folds what is new in a trail.
pub async fn fold_trail(
    database: &Database,
    source: &Source,
    trail: Trail,
    keep: SignedDuration,
    now: Timestamp,
) -> Result<Reading, FoldError> {
    let name = source.to_string();
    let last = database.trail_watermark(&name)?;
    let again = last.map(|last| inventory::before(last.min(now), LATE_FILES));
    let since = again
        .unwrap_or(Timestamp::MIN)
        .max(inventory::before(now, keep));
    let (sightings, reading) =
        cloudtrail::read_since(trail, Some(since), Sightings::default).await?;
    // A file that could not be read is read the next time.
    let newest = reading.counts.last.filter(|_| reading.counts.troubles == 0);
    database.sight(sightings, &name, newest.max(last))?;
    Ok(reading)
}

impl Folded {
    /// Whether all that is there was read and understood.
    pub fn is_whole(&self) -> bool {
        self.unreadable == 0 && self.ahead == 0 && self.no_batches == 0
    }

    async fn chunk(
        &mut self,
        database: &Database,
        store: &RecordStore,
        keys: &[Key],
    ) -> Result<(), FoldError> {
        let mut inventory = Inventory::default();
        let mut read = Vec::new();
        let gets = keys.iter().map(async |key| (key, store.batch(key).await));
        let mut gets = stream::iter(gets).buffered(CONCURRENT_GETS);
        while let Some((key, batch)) = gets.next().await {
            self.tell(&batch.warnings);
            let is_unreadable = |warning: &Warning| matches!(warning, Warning::Unreadable { .. });
            if batch.warnings.iter().any(is_unreadable) {
                self.unreadable += 1;
                continue;
            }
            let mut left_out = batch.warnings.len();
            for record in &batch.records {
                left_out += usize::from(!inventory.add(record));
            }
            read.push((key, left_out as u64));
        }
        self.new += read.len();
        Ok(database.fold(inventory, &read)?)
    }

    fn tell(&mut self, warnings: &[Warning]) {
        let room = TOLD.saturating_sub(self.warnings.len());
        let told = warnings.iter().take(room).map(Warning::to_string);
        self.warnings.extend(told);
    }
}

#[cfg(test)]
mod tests;
