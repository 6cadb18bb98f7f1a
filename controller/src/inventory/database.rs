//! The file that the inventory is kept in.
//!
//! A redb database, of this user only: names and times, as records and CloudTrail have them, and
//! never a secret, because no type that goes in has a field for one. Each page has a checksum, which
//! is looked at before anything is believed: what disk or hand has changed is said, and made anew.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};

mod contents;
mod error;
mod fold;

pub use contents::Contents;
pub use error::DatabaseError;

use error::{failed, storage};

/// A reader takes no other.
const FORMAT: &str = "1";
/// Memory for pages, in bytes.
const CACHE: usize = 64 << 20;

/// `format`, `records`, `watermark`, `whole`, and `trail NAME`.
const FACTS: TableDefinition<&str, &str> = TableDefinition::new("facts");
/// Batches that were folded, each with how many of its records were left out.
const BATCHES: TableDefinition<&str, u64> = TableDefinition::new("batches");
/// By key, account, instance and role.
const TOKENS: TableDefinition<Four<'_>, &[u8]> = TableDefinition::new("tokens");
/// By account, region, instance and boot.
const BOOTS: TableDefinition<Four<'_>, &[u8]> = TableDefinition::new("boots");
const SIGHTINGS: TableDefinition<&str, &[u8]> = TableDefinition::new("sightings");

type Four<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The inventory's file, locked against other processes.
#[derive(Debug)]
pub struct Database {
    redb: redb::Database,
    path: PathBuf,
}

/// What the file knows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// When the record store was last folded.
    pub watermark: Option<Timestamp>,
    /// Whether it has the records of all times.
    pub whole: bool,
}

impl Database {
    /// Opens the file at `path`, which is made if it is not there. It holds the records of one store,
    /// `records`; with `rebuild` what is in it is thrown away first.
    pub fn open(path: &Path, records: Option<&str>, rebuild: bool) -> Result<Self, DatabaseError> {
        // Held until the new one is locked, so that nobody else gets in between.
        let mut old = None;
        if rebuild && path.exists() {
            old = match Self::locked(path) {
                Err(DatabaseError::Damaged { .. }) => None,
                other => Some(other?),
            };
            fs::remove_file(path).map_err(|error| storage(path, error))?;
        }
        let database = Self::locked(path)?;
        drop(old);
        database.begin(records)?;
        Ok(database)
    }

    fn locked(path: &Path) -> Result<Self, DatabaseError> {
        private(path).map_err(|error| storage(path, error))?;
        let mut builder = redb::Builder::new();
        builder.set_cache_size(CACHE);
        builder.set_check_integrity_on_open(true);
        let opened = builder.create(path);
        Ok(Self {
            redb: opened.map_err(|error| failed(path, error.into()))?,
            path: path.to_owned(),
        })
    }

    /// Makes the tables of a new file, and looks whose an old one is.
    fn begin(&self, records: Option<&str>) -> Result<(), DatabaseError> {
        let found = self.write(|transaction| {
            let mut facts = transaction.open_table(FACTS)?;
            let format = facts.get("format")?.map(|text| text.value().to_owned());
            if format.as_deref().unwrap_or(FORMAT) != FORMAT {
                return Err(redb::Error::Corrupted("of another version".into()));
            }
            facts.insert("format", FORMAT)?;
            let found = facts.get("records")?.map(|text| text.value().to_owned());
            if let (None, Some(records)) = (&found, records) {
                facts.insert("records", records)?;
            }
            transaction.open_table(BATCHES)?;
            transaction.open_table(TOKENS)?;
            transaction.open_table(BOOTS)?;
            transaction.open_table(SIGHTINGS)?;
            Ok(found)
        })?;
        match (found, records) {
            (Some(found), Some(records)) if found != records => Err(DatabaseError::OtherRecords {
                path: self.path.clone(),
                found,
            }),
            _ => Ok(()),
        }
    }

    /// What the file knows of itself.
    pub fn facts(&self) -> Result<Facts, DatabaseError> {
        self.read(|transaction| {
            Ok(Facts {
                watermark: time(fact(transaction, "watermark")?)?,
                whole: fact(transaction, "whole")?.as_deref() == Some("true"),
            })
        })
    }

    /// When the last call was that was folded of the trail of that name.
    pub fn trail_watermark(&self, name: &str) -> Result<Option<Timestamp>, DatabaseError> {
        self.read(|transaction| time(fact(transaction, &format!("trail {name}"))?))
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let begun = self.redb.begin_read().map_err(redb::Error::from);
        let done = begun.and_then(|transaction| read(&transaction));
        done.map_err(|error| failed(&self.path, error))
    }

    /// All that `write` does, or nothing.
    fn write<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let begun = self.redb.begin_write().map_err(redb::Error::from);
        let done = begun.and_then(|transaction| {
            let done = write(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        done.map_err(|error| failed(&self.path, error))
    }
}

/// Makes the file, if it is not there, and sees to it that nobody else can read it.
fn private(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if let Some(folder) = folder {
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700).create(folder)?;
    }
    let mut open = fs::OpenOptions::new();
    let open = open.read(true).write(true).create(true).truncate(false);
    let file = open.mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn fact(transaction: &ReadTransaction, name: &str) -> Result<Option<String>, redb::Error> {
    let facts = transaction.open_table(FACTS)?;
    Ok(facts.get(name)?.map(|text| text.value().to_owned()))
}

fn time(text: Option<String>) -> Result<Option<Timestamp>, redb::Error> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|error: jiff::Error| redb::Error::Corrupted(error.to_string()))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("names, numbers and times have a JSON form")
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(json).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

#[cfg(test)]
mod tests;
