//! Every token that hosts recorded, and those that CloudTrail shows beside.
//!
//! ```text
//!  records ──▶ Inventory ──┐
//!              tokens      ├──▶ rows ──▶ Filter ──▶ Summary
//!              sequences ──┼──▶ gaps
//!  Event ────▶ Sightings ──┘
//! ```
//!
//! Both folds take what they are given in any order and as often as it comes: the same records make
//! the same inventory, however they were shared out. So a batch that is read twice changes nothing,
//! and one that comes late changes what it would have changed in time.
//!
//! A host can write what it likes, under its own name. So a token belongs to the host that recorded
//! it: what another one says of the same key stands beside it, and takes nothing away from it.

use std::collections::{BTreeMap, btree_map};

use credpin_ledger::Record;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cloudtrail::is_key;

mod pins;
mod row;
mod sequence;
mod sighting;
mod token;

pub use pins::Pins;
pub use row::{Filter, Row, Summary, rows};
pub use sequence::{Gap, Sequence, gaps};
pub use sighting::{Sighting, Sightings, Use};
pub use token::{Asker, Token};

/// No token is taken for live longer than this after the last record of it, whatever the record says:
/// EC2 makes them for six hours ("Retrieve security credentials from instance metadata", EC2 User
/// Guide). So each record of a live token is younger than this, and a batch that holds one is found
/// however late it came, if batches of the last 36 hours are looked for.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(36);

/// Who recorded which token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenId {
    /// `ASIA…`
    pub access_key_id: String,
    /// The host's account.
    pub account: String,
    /// `i-…`
    pub instance: String,
    /// The role's name.
    pub role: String,
}

/// A boot of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Boot {
    /// The host's account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// `i-…`
    pub instance: String,
    /// The boot's id.
    pub boot: String,
}

/// What records tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Tokens, by key and by who recorded them.
    pub tokens: BTreeMap<TokenId, Token>,
    /// The numbers of the records that are there, by boot.
    pub sequences: BTreeMap<Boot, Sequence>,
}

impl Inventory {
    /// Takes a record in; whether it names a key. One that does not counts for the sequence only.
    pub fn add(&mut self, record: &Record) -> bool {
        let host = &record.host;
        let boot = Boot {
            account: host.account.clone(),
            region: host.region.clone(),
            instance: host.instance_id.clone(),
            boot: record.boot_id.clone(),
        };
        let sequence = self.sequences.entry(boot).or_default();
        sequence.add(record.seq, record.time);
        if !is_key(&record.access_key_id) {
            return false;
        }
        let id = TokenId {
            access_key_id: record.access_key_id.clone(),
            account: host.account.clone(),
            instance: host.instance_id.clone(),
            role: token::text(&record.role),
        };
        put(&mut self.tokens, id, Token::of(record), Token::merge);
        true
    }

    /// Takes in what another one was made of.
    pub fn merge(&mut self, other: Self) {
        for (id, token) in other.tokens {
            put(&mut self.tokens, id, token, Token::merge);
        }
        for (boot, sequence) in other.sequences {
            put(&mut self.sequences, boot, sequence, Sequence::merge);
        }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V, merge: impl FnOnce(&mut V, V)) {
    match map.entry(key) {
        btree_map::Entry::Vacant(entry) => drop(entry.insert(value)),
        btree_map::Entry::Occupied(mut entry) => merge(entry.get_mut(), value),
    }
}

/// From when on batches are looked for, those that are known already left out.
///
/// `watermark` is when they were last looked for, by our own clock: a host could name its batches
/// after any hour. `gap` is the time after which the oldest record is missing that may still come.
/// What is older than `keep` is gone.
pub fn since(
    watermark: Option<Timestamp>,
    gap: Option<Timestamp>,
    keep: SignedDuration,
    now: Timestamp,
) -> Timestamp {
    let kept = before(now, keep);
    let Some(watermark) = watermark else {
        return kept;
    };
    let live = before(watermark.min(now), LONGEST);
    gap.map_or(live, |gap| gap.min(live)).max(kept)
}

/// `time`, less `span`.
pub fn before(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.checked_sub(span).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
