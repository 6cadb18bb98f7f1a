//! From the record store to the controller.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::key::hour_of;
use crate::{
    Contradiction, Key, KeyError, LineError, PREFIX, Record, RecordStore, StoreAnswer, line,
};

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The records, by key and within it by line.
    pub records: Vec<Record>,
    /// What was left out, in the same order.
    pub warnings: Vec<Warning>,
}

/// Which batches a store has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Their names, in order.
    pub keys: Vec<Key>,
    /// What is no batch, in order.
    pub warnings: Vec<Warning>,
    /// Whether there are older ones.
    pub older: bool,
}

/// Something in the store was left out.
///
/// Whoever has a host can write anything under that host's name. So nothing that lies in a store may
/// make reading it fail: it costs a warning, and the others' records are read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// An object whose name is no key.
    #[error("{path}: not a record key: {error}")]
    Key {
        /// The object's name.
        path: String,
        /// What is wrong with it.
        error: KeyError,
    },
    /// An object that is larger than any segment.
    #[error("{key}: {size} bytes, a segment has at most {MAX_BYTES}")]
    Size {
        /// The object's key.
        key: Key,
        /// Its size in bytes.
        size: u64,
    },
    /// An object that the store does not give out.
    #[error("{key}: cannot read it: {error}")]
    Unreadable {
        /// The object's key.
        key: Key,
        /// What the store said.
        error: StoreAnswer,
    },
    /// A line that is no record.
    #[error("{key}:{line}: {error}")]
    Line {
        /// The object's key.
        key: Key,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        error: LineError,
    },
    /// A record that its key belies: forged, or moved.
    #[error("{key}:{line}: {error}")]
    Contradiction {
        /// The object's key.
        key: Key,
        /// The line, from 1.
        line: usize,
        /// What it says and should not.
        error: Contradiction,
    },
}

/// The store could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the record store under {prefix}")]
pub struct ReadError {
    prefix: String,
    source: StoreAnswer,
}

/// Twice what a proxy seals at.
const MAX_BYTES: u64 = 2 << 20;
const CONCURRENT_GETS: usize = 16;

impl RecordStore {
    /// Every record of the hour of `since` and later (by the time at which it was made), or every
    /// one there is. A host that was cut off ships late: who follows a store reads back as far as
    /// that may have lasted.
    pub async fn read(&self, since: Option<Timestamp>) -> Result<Read, ReadError> {
        let Listing {
            keys, mut warnings, ..
        } = self.batches(since).await?;
        let gets = keys.iter().map(|key| self.batch(key));
        let mut objects = stream::iter(gets).buffered(CONCURRENT_GETS);
        let mut records = Vec::new();
        while let Some(mut object) = objects.next().await {
            records.append(&mut object.records);
            warnings.append(&mut object.warnings);
        }
        let records = once(records);
        Ok(Read { records, warnings })
    }

    /// The names of the batches of the hour of `since` and later, or of all. They never change, so who
    /// has read one need not do so again.
    pub async fn batches(&self, since: Option<Timestamp>) -> Result<Listing, ReadError> {
        let since = since.map_or(Timestamp::MIN, hour_of);
        let (objects, mut older) = self.list(since).await?;
        let mut warnings = Vec::new();
        let mut keys = Vec::new();
        for object in objects {
            let path = object.location.to_string();
            match path.parse::<Key>() {
                Ok(key) if key.hour() < since => older = true,
                Ok(key) if object.size > MAX_BYTES => {
                    let size = object.size;
                    warnings.push(Warning::Size { key, size });
                }
                Ok(key) => keys.push(key),
                Err(error) => warnings.push(Warning::Key { path, error }),
            }
        }
        keys.sort();
        Ok(Listing {
            keys,
            warnings,
            older,
        })
    }

    /// The objects of every day from `since` on, and what is no day; and whether there are older days.
    async fn list(&self, since: Timestamp) -> Result<(Vec<ObjectMeta>, bool), ReadError> {
        let root = Path::from(PREFIX);
        let failed = |prefix: &Path| {
            let prefix = prefix.to_string();
            move |error: object_store::Error| {
                let source = StoreAnswer::from(&error);
                ReadError { prefix, source }
            }
        };
        let days = self.objects.list_with_delimiter(Some(&root)).await;
        let days = days.map_err(failed(&root))?;
        let first = since.strftime("dt=%Y-%m-%d").to_string();
        let mut objects = days.objects;
        let mut older = false;
        for day in days.common_prefixes {
            let old = day
                .filename()
                .is_some_and(|day| is_day(day) && *day < *first);
            older |= old;
            if !old {
                let listed: Vec<_> = self
                    .objects
                    .list(Some(&day))
                    .try_collect()
                    .await
                    .map_err(failed(&day))?;
                objects.extend(listed);
            }
        }
        objects.sort_by(|a, b| a.location.cmp(&b.location));
        Ok((objects, older))
    }

    /// The records of a batch. It was not read if there is a [`Warning::Unreadable`].
    pub async fn batch(&self, key: &Key) -> Read {
        // A key has one spelling, which is the object's name.
        let path = Path::from(key.to_string());
        let get = async { self.objects.get(&path).await?.bytes().await };
        match get.await {
            Ok(bytes) => records_of(key, &bytes),
            Err(error) => Read {
                warnings: vec![Warning::Unreadable {
                    key: key.clone(),
                    error: StoreAnswer::from(&error),
                }],
                records: Vec::new(),
            },
        }
    }
}

/// The records in an object: what contradicts its key is left out, and what the host did not know
/// about itself is taken from it.
fn records_of(key: &Key, bytes: &[u8]) -> Read {
    let mut read = Read::default();
    for (line, record) in line::decode_all(bytes) {
        let key = key.clone();
        let record = match record {
            Err(error) => Err(Warning::Line { key, line, error }),
            Ok(record) => match key.contradicted_by(&record) {
                Some(error) => Err(Warning::Contradiction { key, line, error }),
                None => Ok(key.complete(record)),
            },
        };
        match record {
            Ok(record) => read.records.push(record),
            Err(warning) => read.warnings.push(warning),
        }
    }
    read
}

/// The same records can lie under two names: a host whose role is exchanged between a put and its
/// answer ships them again, under the new role's name. One that only has another's number is kept.
fn once(records: Vec<Record>) -> Vec<Record> {
    let mut first = HashMap::new();
    let mut once: Vec<Record> = Vec::with_capacity(records.len());
    for record in records {
        let instance = record.host.instance_id.clone();
        let at = first
            .entry((instance, record.boot_id.clone(), record.seq))
            .or_insert(once.len());
        if once.get(*at) != Some(&record) {
            once.push(record);
        }
    }
    once
}

/// Four-digit years compare as text; another name is looked into, and warned about there.
fn is_day(name: &str) -> bool {
    name.len() == "dt=2026-05-04".len() && name.starts_with("dt=")
}
