//! Each event once, in bounded memory.
//!
//! CloudTrail delivers at least once, and an organisation's trail has what an account's own has too.
//! Copies share their `eventID`. A set of all ids would grow with the trail, so an id is kept only
//! while a copy is due: files are read in the order in which they were delivered, and an event is
//! looked up if it lies in a file that was delivered at most [`LATE`] hours after it. Once every
//! file that is still to be read was delivered later than that, the ids of its hour are forgotten.
//! So whether two copies are told does not depend on who read them when. What comes later than that
//! is taken in and counted as not looked up, and so is what exceeds [`MOST`].

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use credpin_core::cloudtrail::Event;

use super::{Counts, name::hour_of};

/// Hours between an event and its file. Most are there within minutes.
const LATE: i64 = 2;
/// Ids that are kept, at nine bytes each and as much again while a set grows.
const MOST: usize = 8 << 20;
const SHARDS: usize = 64;

/// The ids of recent events.
pub(super) struct Duplicates {
    shards: Vec<Mutex<HashMap<i64, HashSet<u64>>>>,
    kept: AtomicUsize,
    /// The hours of the files that are being read, each with their number.
    reading: Mutex<BTreeMap<i64, usize>>,
}

/// A file's turn to be read.
pub(super) struct Turn<'a> {
    of: &'a Duplicates,
    hour: i64,
}

impl Duplicates {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            kept: AtomicUsize::new(0),
            reading: Mutex::default(),
        }
    }

    /// Begins with the file that `take` takes: nobody else can meanwhile. `take` gives the files in
    /// the order of their hours.
    pub(super) fn next<N>(&self, take: impl FnOnce() -> (N, Option<i64>)) -> (N, Option<Turn<'_>>) {
        let mut reading = locked(&self.reading);
        let (number, hour) = take();
        let Some(hour) = hour else {
            return (number, None);
        };
        let before = first(&reading);
        *reading.entry(hour).or_default() += 1;
        let now = first(&reading);
        drop(reading);
        if before != now {
            self.forget(now);
        }
        (number, Some(Turn { of: self, hour }))
    }

    fn end(&self, hour: i64) {
        let mut reading = locked(&self.reading);
        if let Some(number) = reading.get_mut(&hour) {
            *number -= 1;
            if *number == 0 {
                reading.remove(&hour);
            }
        }
    }

    /// Forgets what no file that is read now or later can hold a copy of in time.
    fn forget(&self, first: i64) {
        for shard in &self.shards {
            locked(shard).retain(|hour, ids| {
                let is_due = first.saturating_sub(*hour) <= LATE;
                if !is_due {
                    self.kept.fetch_sub(ids.len(), Ordering::Relaxed);
                }
                is_due
            });
        }
    }
}

impl Turn<'_> {
    /// Whether this is the first copy of an event that is met; counts it.
    pub(super) fn is_first(&self, event: &Event<'_>, counts: &mut Counts) -> bool {
        let hour = event.time().map(hour_of);
        let id = event.event_id.as_deref();
        let is_first = match (hour, id) {
            (Some(hour), Some(id)) if self.hour.saturating_sub(hour) <= LATE => {
                self.is_new(hour, id, counts)
            }
            _ => {
                counts.unchecked += 1;
                true
            }
        };
        if is_first {
            counts.saw(event);
        } else {
            counts.duplicates += 1;
        }
        is_first
    }

    fn is_new(&self, hour: i64, id: &str, counts: &mut Counts) -> bool {
        // 64 of an id's 122 random bits: among as many as are kept, two that differ come out alike
        // once in 500,000 times.
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let id = hasher.finish();
        let shard = usize::try_from(id % SHARDS as u64).unwrap_or(0);
        let mut shard = locked(&self.of.shards[shard]);
        let ids = shard.entry(hour).or_default();
        if ids.contains(&id) {
            return false;
        }
        if self.of.kept.load(Ordering::Relaxed) >= MOST {
            counts.unchecked += 1;
        } else {
            ids.insert(id);
            self.of.kept.fetch_add(1, Ordering::Relaxed);
        }
        true
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.of.end(self.hour);
    }
}

fn first(reading: &BTreeMap<i64, usize>) -> i64 {
    reading.keys().next().copied().unwrap_or(i64::MIN)
}

/// A set of ids is whole after every step, so one who died amid leaves nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
