//! The last run over several accounts: one object a job, so that `status` need not read each account's.

use std::collections::BTreeMap;

use credpin_core::{id::AccountId, shard::Shard};
use credpin_ledger::{ObjectError, RecordStore};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::PREFIX;
use crate::{command::Exit, report::RunFigures};

const SCHEMA: u32 = 1;

/// What the last run came to, by account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// 1; a reader takes no other.
    pub schema: u32,
    /// The accounts, each once.
    pub accounts: BTreeMap<AccountId, OfAccount>,
}

/// What the last run in an account came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfAccount {
    /// When it began.
    pub began: Timestamp,
    /// What `credpin run` would have ended with, were there no other account.
    pub exit: u8,
    /// Why it came to nothing.
    pub error: Option<String>,
    /// What was done; none where it came to nothing.
    pub run: Option<RunFigures>,
}

/// What is kept cannot be read.
#[derive(Debug, Error)]
pub enum OverviewError {
    /// The store does not give it out.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// It is not what a run of this version writes.
    #[error("{0}: not written by a run of this version; the next run writes it anew")]
    Unreadable(String),
}

impl Overview {
    /// Of these accounts.
    pub fn new(accounts: BTreeMap<AccountId, OfAccount>) -> Self {
        Self {
            schema: SCHEMA,
            accounts,
        }
    }

    /// Keeps it as the last run of `shard`, which had all the accounts of it. What jobs of another number
    /// of shards kept is removed: the same accounts are in those of this number.
    pub async fn keep(&self, store: &RecordStore, shard: Shard) -> Result<(), ObjectError> {
        self.put(store, &file(shard)).await?;
        for other in store.names_in(&folder()).await? {
            if of(&other).is_some_and(|of| of != shard.of()) {
                store.delete_object(&name(&other)).await?;
            }
        }
        Ok(())
    }

    /// Keeps what became of some accounts, by hand, among what jobs kept of them. Where none has kept
    /// anything of an account, nothing is: the next job does.
    pub async fn amend(&self, store: &RecordStore) -> Result<(), OverviewError> {
        for (file, mut kept) in files(store).await? {
            let mut amended = false;
            for (account, now) in &self.accounts {
                if let Some(of) = kept.accounts.get_mut(account) {
                    of.clone_from(now);
                    amended = true;
                }
            }
            if amended {
                kept.put(store, &file).await?;
            }
        }
        Ok(())
    }

    /// What the last runs of all jobs kept; none where none has kept anything. Of an account that several
    /// have, the youngest counts.
    pub async fn read(store: &RecordStore) -> Result<Option<Self>, OverviewError> {
        let files = files(store).await?;
        if files.is_empty() {
            return Ok(None);
        }
        let mut accounts = BTreeMap::<AccountId, OfAccount>::new();
        for (account, of) in files.into_iter().flat_map(|(_, kept)| kept.accounts) {
            let is_older = |other: &OfAccount| other.began < of.began;
            if accounts.get(&account).is_none_or(is_older) {
                accounts.insert(account, of);
            }
        }
        Ok(Some(Self::new(accounts)))
    }

    async fn put(&self, store: &RecordStore, file: &str) -> Result<(), ObjectError> {
        let json =
            serde_json::to_vec_pretty(self).expect("ids, texts and numbers have a JSON form");
        store.put_object(&name(file), json).await
    }
}

impl OfAccount {
    /// Whether something failed.
    pub fn failed(&self) -> bool {
        self.exit == Exit::Failed as u8
    }

    /// How it ended, in a word.
    pub fn word(&self) -> &'static str {
        match self.exit {
            exit if exit == Exit::Done as u8 => "done",
            exit if exit == Exit::Changes as u8 => "to be changed",
            exit if exit == Exit::Held as u8 => "held",
            _ => "failed",
        }
    }

    /// What failed, in a line.
    pub fn why(&self) -> String {
        if let Some(error) = &self.error {
            return error.clone();
        }
        let stopped = self
            .run
            .iter()
            .flat_map(|run| run.stopped.iter().chain(&run.unconfirmed));
        let stopped: Vec<String> = stopped
            .map(|stopped| format!("role {}: {}", stopped.role, stopped.why))
            .collect();
        stopped.join("; ")
    }
}

/// Every file, with what it says.
async fn files(store: &RecordStore) -> Result<Vec<(String, Overview)>, OverviewError> {
    let files = store.names_in(&folder()).await?;
    let read = files.into_iter().map(async |file| {
        let name = name(&file);
        let Some(bytes) = store.get_object(&name).await? else {
            return Ok(None);
        };
        let read: Option<Overview> = serde_json::from_slice(&bytes).ok();
        match read.filter(|read| read.schema == SCHEMA) {
            Some(read) => Ok(Some((file, read))),
            None => Err(OverviewError::Unreadable(name)),
        }
    });
    // One that was removed meanwhile is none.
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}

fn folder() -> String {
    format!("{PREFIX}/accounts")
}

fn file(shard: Shard) -> String {
    format!("{}.json", shard.to_string().replace('/', "-of-"))
}

/// Of how many jobs a file is one's.
fn of(file: &str) -> Option<u32> {
    let (_, of) = file.strip_suffix(".json")?.split_once("-of-")?;
    of.parse().ok()
}

fn name(file: &str) -> String {
    format!("{}/{file}", folder())
}

#[cfg(test)]
mod tests {
    use credpin_ledger::{Access, StoreUrl};

    use super::*;

    fn store() -> (tempfile::TempDir, RecordStore) {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Directory(folder.path().to_owned());
        let store = RecordStore::open(&url, &Access::default()).unwrap();
        (folder, store)
    }

    /// Runs in these accounts, which began at that second.
    fn ran(accounts: &[&str], second: i64) -> Overview {
        let of = OfAccount {
            began: Timestamp::from_second(second).unwrap(),
            exit: 1,
            error: Some("no".into()),
            run: None,
        };
        let accounts = accounts.iter();
        Overview::new(
            accounts
                .map(|id| (id.parse().unwrap(), of.clone()))
                .collect(),
        )
    }

    fn shard(text: &str) -> Shard {
        text.parse().unwrap()
    }

    async fn kept(store: &RecordStore) -> Vec<(String, i64)> {
        let read = Overview::read(store).await.unwrap().unwrap();
        let accounts = read.accounts.into_iter();
        accounts
            .map(|(id, of)| (id.to_string(), of.began.as_second()))
            .collect()
    }

    #[tokio::test]
    async fn each_job_keeps_its_own_and_all_are_read() {
        let (_folder, store) = store();
        assert_eq!(Overview::read(&store).await.unwrap(), None);
        let (one, two) = ("111111111111", "222222222222");
        ran(&[one], 1).keep(&store, shard("0/2")).await.unwrap();
        ran(&[two], 2).keep(&store, shard("1/2")).await.unwrap();
        assert_eq!(kept(&store).await, [(one.into(), 1), (two.into(), 2)]);
        // Made anew, it loses what is no longer there.
        ran(&[], 3).keep(&store, shard("1/2")).await.unwrap();
        assert_eq!(kept(&store).await, [(one.into(), 1)]);
    }

    #[tokio::test]
    async fn another_number_of_jobs_takes_over_from_the_old_one() {
        let (_folder, store) = store();
        let (one, gone) = ("111111111111", "999999999999");
        ran(&[one, gone], 1)
            .keep(&store, Shard::default())
            .await
            .unwrap();
        ran(&[one], 2).keep(&store, shard("0/2")).await.unwrap();
        assert_eq!(kept(&store).await, [(one.into(), 2)]);
    }

    #[tokio::test]
    async fn a_run_in_one_account_is_told_among_the_others() {
        let (_folder, store) = store();
        let (one, two, new) = ("111111111111", "222222222222", "333333333333");
        ran(&[one, two], 1)
            .keep(&store, Shard::default())
            .await
            .unwrap();
        ran(&[two, new], 2).amend(&store).await.unwrap();
        assert_eq!(kept(&store).await, [(one.into(), 1), (two.into(), 2)]);
    }
}
