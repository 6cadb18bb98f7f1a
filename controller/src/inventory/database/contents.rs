//! What comes out of the file.

use std::collections::BTreeMap;

use credpin_core::inventory::{Boot, Sequence, Sighting, Token, TokenId, gaps};
use credpin_ledger::Key;
use jiff::Timestamp;
use redb::{ReadTransaction, ReadableTable};

use super::{BATCHES, BOOTS, Database, DatabaseError, SIGHTINGS, TOKENS, decode};

/// All that the inventory is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Tokens, by who recorded them.
    pub tokens: BTreeMap<TokenId, Token>,
    /// The numbers of records, by boot.
    pub sequences: BTreeMap<Boot, Sequence>,
    /// What CloudTrail shows, by key.
    pub sightings: BTreeMap<String, Sighting>,
    /// Records that could not be taken in, of the batches that are kept.
    pub left_out: u64,
}

impl Database {
    /// All that is in the file.
    pub fn contents(&self) -> Result<Contents, DatabaseError> {
        self.read(|transaction| {
            Ok(Contents {
                tokens: tokens(transaction)?,
                sequences: sequences(transaction)?,
                sightings: sightings(transaction)?,
                left_out: left_out(transaction)?,
            })
        })
    }

    /// After when the oldest record was made that is missing and may still come.
    pub fn oldest_gap(&self) -> Result<Option<Timestamp>, DatabaseError> {
        let gaps = gaps(&self.read(sequences)?, false);
        Ok(gaps.into_iter().filter_map(|gap| gap.after).min())
    }

    /// Those of the batches that have not been folded.
    pub fn unknown(&self, keys: Vec<Key>) -> Result<Vec<Key>, DatabaseError> {
        self.read(|transaction| {
            let batches = transaction.open_table(BATCHES)?;
            let mut unknown = Vec::new();
            for key in keys {
                if batches.get(&*key.to_string())?.is_none() {
                    unknown.push(key);
                }
            }
            Ok(unknown)
        })
    }
}

fn tokens(transaction: &ReadTransaction) -> Result<BTreeMap<TokenId, Token>, redb::Error> {
    let mut tokens = BTreeMap::new();
    for row in transaction.open_table(TOKENS)?.iter()? {
        let (id, json) = row?;
        let (access_key_id, account, instance, role) = id.value();
        let id = TokenId {
            access_key_id: access_key_id.to_owned(),
            account: account.to_owned(),
            instance: instance.to_owned(),
            role: role.to_owned(),
        };
        tokens.insert(id, decode(json.value())?);
    }
    Ok(tokens)
}

fn sequences(transaction: &ReadTransaction) -> Result<BTreeMap<Boot, Sequence>, redb::Error> {
    let mut sequences = BTreeMap::new();
    for row in transaction.open_table(BOOTS)?.iter()? {
        let (boot, json) = row?;
        let (account, region, instance, boot) = boot.value();
        let boot = Boot {
            account: account.to_owned(),
            region: region.to_owned(),
            instance: instance.to_owned(),
            boot: boot.to_owned(),
        };
        sequences.insert(boot, decode(json.value())?);
    }
    Ok(sequences)
}

fn sightings(transaction: &ReadTransaction) -> Result<BTreeMap<String, Sighting>, redb::Error> {
    let mut sightings = BTreeMap::new();
    for row in transaction.open_table(SIGHTINGS)?.iter()? {
        let (key, json) = row?;
        sightings.insert(key.value().to_owned(), decode(json.value())?);
    }
    Ok(sightings)
}

fn left_out(transaction: &ReadTransaction) -> Result<u64, redb::Error> {
    let mut left_out = 0;
    for row in transaction.open_table(BATCHES)?.iter()? {
        left_out += row?.1.value();
    }
    Ok(left_out)
}
