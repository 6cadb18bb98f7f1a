//! What was read of a trail, and what was not.

use std::{collections::BTreeSet, fmt};

use credpin_core::cloudtrail::{Broken, Event};
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use super::name::File;

/// How much was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files that were read, wholly or in part.
    pub files: u64,
    /// Files that are none of records: digests, and what lies beside.
    pub left_out: u64,
    /// Files that were delivered before the time from which on was read.
    pub earlier: u64,
    /// Bytes, before they were compressed.
    pub bytes: u64,
    /// Events, each once.
    pub events: u64,
    /// Further copies of events.
    pub duplicates: u64,
    /// Events that came too late, or in too great a number, for copies of them to be told.
    pub unchecked: u64,
    /// Events of a version that is not known, read as if it were.
    pub unknown_version: u64,
    /// Records that cannot be understood, and are missing.
    pub unreadable: u64,
    /// Files and folders that could not be read, or not to their end.
    #[serde(rename = "troubles_total")]
    pub troubles: u64,
    /// The first event.
    pub first: Option<Timestamp>,
    /// The last event.
    pub last: Option<Timestamp>,
    /// Accounts in whose trails the events are.
    pub accounts: BTreeSet<String>,
    /// Regions that they were in.
    pub regions: BTreeSet<String>,
}

/// What became of reading a trail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// How much was read.
    #[serde(flatten)]
    pub counts: Counts,
    /// What was not, by name; the first of them if there are many.
    pub troubles: Vec<Trouble>,
}

/// Something that could not be read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Trouble {
    /// Its name, below the trail's.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Why a file was not read, or not to its end.
#[derive(Debug, Error)]
pub enum What {
    /// It is not, or not to its end, a file of records.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It cannot be read, or not be decompressed.
    #[error("{0}")]
    Read(String),
    /// A record that no API call leaves.
    #[error("a record in it is larger than {} MiB", super::file::MOST >> 20)]
    Large,
}

/// Troubles that are told one by one.
const TOLD: usize = 100;
/// Names that a trail cannot have more of in earnest.
const NAMES: usize = 10_000;

impl Counts {
    pub(super) fn saw(&mut self, event: &Event<'_>) {
        self.events += 1;
        self.unknown_version += u64::from(!event.is_of_known_version());
        if let Some(time) = event.time() {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
            self.last = self.last.max(Some(time));
        }
        for (names, name) in [
            (&mut self.accounts, event.recipient_account_id.as_deref()),
            (&mut self.regions, event.aws_region.as_deref()),
        ] {
            if let Some(name) = name
                && !names.contains(name)
                && names.len() < NAMES
            {
                names.insert(name.to_owned());
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.files += other.files;
        self.left_out += other.left_out;
        self.earlier += other.earlier;
        self.bytes += other.bytes;
        self.events += other.events;
        self.duplicates += other.duplicates;
        self.unchecked += other.unchecked;
        self.unknown_version += other.unknown_version;
        self.unreadable += other.unreadable;
        self.troubles += other.troubles;
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        self.accounts.extend(other.accounts);
        self.regions.extend(other.regions);
    }
}

impl Reading {
    /// Whether all that is there was read and understood.
    pub fn is_whole(&self) -> bool {
        let Counts {
            troubles,
            unreadable,
            unknown_version,
            ..
        } = self.counts;
        troubles == 0 && unreadable == 0 && unknown_version == 0
    }

    pub(super) fn saw_file(&mut self, file: &File, read: Result<(), What>) {
        self.counts.files += 1;
        if let Err(what) = read {
            self.counts.troubles += 1;
            self.troubles.push(Trouble {
                name: file.name.clone(),
                why: what.to_string(),
            });
            self.shorten();
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.counts.merge(other.counts);
        self.troubles.extend(other.troubles);
        self.shorten();
    }

    pub(super) fn settle(&mut self) {
        self.troubles.sort();
        self.troubles.truncate(TOLD);
    }

    fn shorten(&mut self) {
        if self.troubles.len() >= 2 * TOLD {
            self.settle();
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}
