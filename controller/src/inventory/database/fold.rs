//! What goes into the file, and out of it again.

use credpin_core::inventory::{Inventory, Sequence, Sighting, Sightings, Token};
use credpin_ledger::{Key, PREFIX};
use jiff::Timestamp;
use redb::{Key as TableKey, ReadableTable, Table, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};

use super::{BATCHES, BOOTS, Database, DatabaseError, FACTS, SIGHTINGS, TOKENS, decode, encode};

impl Database {
    /// Takes batches in, each with the number of its records that were left out: all that they told,
    /// and that they were read, or nothing.
    pub fn fold(&self, inventory: Inventory, batches: &[(&Key, u64)]) -> Result<(), DatabaseError> {
        self.write(|transaction| {
            let mut known = transaction.open_table(BATCHES)?;
            for (key, left_out) in batches {
                known.insert(&*key.to_string(), left_out)?;
            }
            let mut tokens = transaction.open_table(TOKENS)?;
            for (id, token) in inventory.tokens {
                let id: super::Four<'_> = (&id.access_key_id, &id.account, &id.instance, &id.role);
                put(&mut tokens, id, token, Token::merge)?;
            }
            let mut boots = transaction.open_table(BOOTS)?;
            for (boot, sequence) in inventory.sequences {
                let boot: super::Four<'_> =
                    (&boot.account, &boot.region, &boot.instance, &boot.boot);
                put(&mut boots, boot, sequence, Sequence::merge)?;
            }
            Ok(())
        })
    }

    /// Takes in what a trail shows, and how far it was read.
    pub fn sight(
        &self,
        sightings: Sightings,
        trail: &str,
        watermark: Option<Timestamp>,
    ) -> Result<(), DatabaseError> {
        self.write(|transaction| {
            let mut seen = transaction.open_table(SIGHTINGS)?;
            for (key, sighting) in sightings.0 {
                put(&mut seen, &*key, sighting, Sighting::merge)?;
            }
            if let Some(watermark) = watermark {
                let mut facts = transaction.open_table(FACTS)?;
                facts.insert(&*format!("trail {trail}"), &*watermark.to_string())?;
            }
            Ok(())
        })
    }

    /// Says how far the record store was folded, and whether that is all that there ever was; and
    /// forgets what ended before `horizon`.
    pub fn settle(
        &self,
        watermark: Option<Timestamp>,
        whole: Option<bool>,
        horizon: Timestamp,
    ) -> Result<(), DatabaseError> {
        self.write(|transaction| {
            let forgot = forget(transaction, horizon)?;
            // A boot that is forgotten may go on, and would seem to begin in the middle.
            let whole = if forgot { Some(false) } else { whole };
            let mut facts = transaction.open_table(FACTS)?;
            if let Some(whole) = whole {
                facts.insert("whole", if whole { "true" } else { "false" })?;
            }
            if let Some(watermark) = watermark {
                facts.insert("watermark", &*watermark.to_string())?;
            }
            Ok(())
        })
    }
}

/// Puts a value to what is known under its key.
fn put<'a, K, V>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: K::SelfType<'a>,
    mut value: V,
    merge: fn(&mut V, V),
) -> Result<(), redb::Error>
where
    K: TableKey + 'static,
    K::SelfType<'a>: Copy,
    V: Serialize + DeserializeOwned,
{
    let known = table.get(key)?.map(|json| decode(json.value()));
    if let Some(known) = known {
        merge(&mut value, known?);
    }
    table.insert(key, &*encode(&value))?;
    Ok(())
}

/// Takes out what ended before `horizon`; whether there was a boot among it. What cannot be read stays,
/// to be told when it is asked for.
fn forget(transaction: &WriteTransaction, horizon: Timestamp) -> Result<bool, redb::Error> {
    // Names of batches are in the order of their hours. Those that may be listed again stay.
    let hour = horizon.strftime("dt=%Y-%m-%d/hr=%H").to_string();
    let first = format!("{PREFIX}/{hour}");
    let mut batches = transaction.open_table(BATCHES)?;
    batches.retain_in(..&*first, |_, _| false)?;

    let is_over = |ends: Option<Timestamp>| ends.is_some_and(|ends| ends < horizon);
    let mut tokens = transaction.open_table(TOKENS)?;
    tokens.retain(|_, json| {
        let token = decode::<Token>(json);
        !is_over(token.ok().map(|token| token.ends()))
    })?;
    let mut boots = transaction.open_table(BOOTS)?;
    let mut forgot = false;
    boots.retain(|_, json| {
        let sequence = decode::<Sequence>(json);
        let over = is_over(sequence.ok().and_then(|sequence| sequence.until()));
        forgot |= over;
        !over
    })?;
    let mut sightings = transaction.open_table(SIGHTINGS)?;
    sightings.retain(|_, json| {
        let sighting = decode::<Sighting>(json);
        !is_over(sighting.ok().and_then(|sighting| sighting.ends()))
    })?;
    Ok(forgot)
}
