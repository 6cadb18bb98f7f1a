//! One run at a time: two that write to the same policies would each undo the other's step.
//!
//! The lock is a row of objects `lock/NUMBER.json`: whoever adds one has it. A run that ends writes into
//! its own that it has; one that was killed holds the lock until its lease is over. A run stops before
//! that by itself.

use std::time::Duration;

use credpin_ledger::{ObjectError, RecordStore};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::row::Row;

const ROW: Row = Row("lock");

/// How long a run has the lock.
const LEASE: Duration = Duration::from_mins(30);
/// How long a run may take at most: it waits twice for IAM, and reads back. It is over before its lease.
pub const LONGEST_RUN: Duration = Duration::from_mins(27);

/// The lock, held.
#[derive(Debug)]
pub struct Lock {
    store: RecordStore,
    number: u64,
    says: Says,
}

/// Why the lock was not got.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another run has it.
    #[error(
        "another run is under way: {holder}, since {since}; if it was killed, its lock ends at {until}"
    )]
    Held {
        /// Who.
        holder: String,
        /// Since when.
        since: Timestamp,
        /// Until when at most.
        until: Timestamp,
    },
    /// Another run took it at the same moment.
    #[error("another run began at the same moment")]
    Lost,
    /// The store does not do as asked.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// An object of the lock is not one that a run writes.
    #[error("{0} is not the lock of a run of this version: remove it, if no run is under way")]
    Unreadable(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Says {
    schema: u32,
    holder: String,
    since: Timestamp,
    until: Timestamp,
    released: bool,
}

/// This process, for people: its number and its host.
pub fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("process {} on {}", std::process::id(), host.trim())
}

impl Lock {
    /// Takes the lock, if no other run has it. Whoever has it stops after [`LONGEST_RUN`].
    pub async fn take(
        store: &RecordStore,
        holder: &str,
        now: Timestamp,
    ) -> Result<Self, LockError> {
        let newest = ROW.numbers(store).await?.pop();
        if let Some(number) = newest
            && let Some(says) = read(store, number).await?
            && !says.released
            && says.until > now
        {
            return Err(LockError::Held {
                holder: says.holder,
                since: says.since,
                until: says.until,
            });
        }
        let lease = SignedDuration::try_from(LEASE).unwrap_or(SignedDuration::MAX);
        let says = Says {
            schema: 1,
            holder: holder.to_owned(),
            since: now,
            until: now.saturating_add(lease).unwrap_or(Timestamp::MAX),
            released: false,
        };
        let number = newest.unwrap_or(0) + 1;
        let lock = Self {
            store: store.clone(),
            number,
            says,
        };
        if ROW.add(store, number, lock.text()).await? {
            Ok(lock)
        } else {
            Err(LockError::Lost)
        }
    }

    /// Gives it back.
    pub async fn release(mut self) -> Result<(), ObjectError> {
        self.says.released = true;
        let name = ROW.name(self.number);
        self.store.put_object(&name, self.text()).await
    }

    fn text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.says).expect("names and times have a JSON form")
    }
}

/// What the lock of this number says; none where it was removed meanwhile.
async fn read(store: &RecordStore, number: u64) -> Result<Option<Says>, LockError> {
    let name = ROW.name(number);
    let Some(bytes) = store.get_object(&name).await? else {
        return Ok(None);
    };
    let says: Option<Says> = serde_json::from_slice(&bytes).ok();
    says.filter(|says| says.schema == 1)
        .map(Some)
        .ok_or(LockError::Unreadable(name))
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

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[tokio::test]
    async fn a_run_has_the_lock_until_it_gives_it_back() {
        let (_folder, store) = store();
        let first = Lock::take(&store, "one", at(0)).await.unwrap();
        let refused = Lock::take(&store, "two", at(1)).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "another run is under way: one, since 1970-01-01T00:00:00Z; if it was killed, its lock \
             ends at 1970-01-01T00:30:00Z"
        );
        first.release().await.unwrap();
        let second = Lock::take(&store, "two", at(1)).await.unwrap();
        assert!(Lock::take(&store, "three", at(2)).await.is_err());
        second.release().await.unwrap();
        assert_eq!(
            ROW.numbers(&store).await.unwrap(),
            [2],
            "what is over is removed"
        );
    }

    #[tokio::test]
    async fn the_lock_of_a_run_that_was_killed_ends_with_its_lease() {
        let (_folder, store) = store();
        let killed = Lock::take(&store, "killed", at(0)).await.unwrap();
        assert!(Lock::take(&store, "next", at(29)).await.is_err());
        let next = Lock::take(&store, "next", at(30)).await.unwrap();
        // Were it alive after all, it would not take the next one's lock with it.
        killed.release().await.unwrap();
        assert!(Lock::take(&store, "third", at(31)).await.is_err());
        next.release().await.unwrap();
    }

    #[tokio::test]
    async fn of_many_at_once_one_gets_it() {
        let (_folder, store) = store();
        let takers = (0..20).map(|number| {
            let store = store.clone();
            tokio::spawn(async move { Lock::take(&store, &number.to_string(), at(0)).await })
        });
        let takers: Vec<_> = takers.collect();
        let mut got = 0;
        for taker in takers {
            got += usize::from(taker.await.unwrap().is_ok());
        }
        assert_eq!(got, 1);
    }

    #[tokio::test]
    async fn what_is_no_lock_is_told_and_not_taken_over() {
        let (_folder, store) = store();
        store
            .put_object(&ROW.name(7), b"{}".to_vec())
            .await
            .unwrap();
        let refused = Lock::take(&store, "one", at(0)).await.unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("state/v1/lock/000000000007.json is not")
        );
    }
}
