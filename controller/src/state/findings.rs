//! What `credpin detect --new` told, so that it tells it once.
//!
//! A row of objects `detect/NUMBER.json`. A run that ends adds one. One that was too late takes in what
//! the other wrote and tries again. A run that was killed before that wrote nothing: the next
//! one tells the same again.

use credpin_core::detect::{Known, KnownError};
use credpin_ledger::{ObjectError, RecordStore};
use thiserror::Error;

use super::row::Row;

const ROW: Row = Row("detect");

/// How often a run tries to write what it told, each time after another one did.
const TRIES: usize = 10;

/// What was told, as it was found.
#[derive(Clone, Debug, Default)]
pub struct Told {
    number: u64,
    /// What earlier runs told and saw.
    pub known: Known,
}

/// What was told cannot be read or written.
#[derive(Debug, Error)]
pub enum ToldError {
    /// The store does not do as asked.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// It is not what a run writes.
    #[error("{name}: remove it to begin anew")]
    Unreadable {
        /// The object.
        name: String,
        /// What is wrong with it.
        source: KnownError,
    },
    /// Others write all the time.
    #[error("other runs of `credpin detect --new` write what they told all the time")]
    Contended,
}

impl Told {
    /// What is kept; nothing where no run has told anything.
    pub async fn read(store: &RecordStore) -> Result<Self, ToldError> {
        for _ in 0..TRIES {
            let Some(number) = ROW.numbers(store).await?.pop() else {
                return Ok(Self::default());
            };
            let name = ROW.name(number);
            // A later one may have taken its place meanwhile.
            let Some(bytes) = store.get_object(&name).await? else {
                continue;
            };
            let known =
                Known::parse(&bytes).map_err(|source| ToldError::Unreadable { name, source })?;
            return Ok(Self { number, known });
        }
        Err(ToldError::Contended)
    }

    /// Keeps `known` in its place.
    pub async fn replace(self, store: &RecordStore, mut known: Known) -> Result<(), ToldError> {
        let mut last = self.number;
        for _ in 0..TRIES {
            if ROW.add(store, last + 1, known.to_json()).await? {
                return Ok(());
            }
            let other = Self::read(store).await?;
            last = other.number;
            known = known.and(other.known);
        }
        Err(ToldError::Contended)
    }
}

#[cfg(test)]
mod tests {
    use credpin_core::detect::{Detect, Facts, Report};
    use credpin_ledger::{Access, StoreUrl};
    use jiff::Timestamp;

    use super::*;

    fn store() -> (tempfile::TempDir, RecordStore) {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Directory(folder.path().to_owned());
        let store = RecordStore::open(&url, &Access::default()).unwrap();
        (folder, store)
    }

    /// Something that can be told: an acceptance that ended, of that owner.
    fn report(owner: usize) -> Report {
        let text = format!(
            "[[accept]]\nrule = \"trust-anyone\"\nsubject = \"{owner}\"\nowner = \"{owner}\"\n\
             until = \"2026-05-01\"\nwhy = \"x\""
        );
        let config = crate::config::parse("credpin.toml", &text).unwrap();
        let known = Known::default();
        Detect::default().report(&Facts {
            roles: None,
            records: None,
            controllers: &[],
            own_roles: &[],
            accept: &config.accept,
            known: &known,
            since: None,
            trail: "trail",
            now: now(),
        })
    }

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    #[tokio::test]
    async fn of_many_who_tell_at_once_each_keeps_what_it_told() {
        let (_folder, store) = store();
        let tellers = (0..8).map(|owner| {
            let store = store.clone();
            tokio::spawn(async move {
                let told = Told::read(&store).await.unwrap();
                let known = told.known.clone().after(&report(owner), Some(now()), now());
                told.replace(&store, known).await.unwrap();
            })
        });
        let tellers: Vec<_> = tellers.collect();
        for teller in tellers {
            teller.await.unwrap();
        }
        let told = Told::read(&store).await.unwrap();
        for owner in 0..8 {
            let left = report(owner).without_told(&told.known);
            assert_eq!(left.findings, [], "{owner}");
        }
        assert_eq!(report(9).without_told(&told.known).findings.len(), 1);
        assert_eq!(ROW.numbers(&store).await.unwrap().len(), 1, "old ones go");
    }

    #[tokio::test]
    async fn who_comes_late_takes_in_what_others_kept_meanwhile() {
        let (_folder, store) = store();
        let late = Told::read(&store).await.unwrap();
        for owner in 0..3 {
            let told = Told::read(&store).await.unwrap();
            let known = told.known.clone().after(&report(owner), Some(now()), now());
            told.replace(&store, known).await.unwrap();
        }
        // The number that it wants is free again.
        assert_eq!(ROW.numbers(&store).await.unwrap(), [3]);
        let known = late.known.clone().after(&report(7), Some(now()), now());
        late.replace(&store, known).await.unwrap();
        let told = Told::read(&store).await.unwrap();
        for owner in [0, 1, 2, 7] {
            let left = report(owner).without_told(&told.known);
            assert_eq!(left.findings, [], "{owner}");
        }
    }
}
