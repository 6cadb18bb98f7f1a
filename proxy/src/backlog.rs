//! Records on their way to the disk: how many there are, and how long the oldest has waited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// All deliveries whose record is not durable yet. A clone is of the same.
#[derive(Clone, Default)]
pub(crate) struct Backlog(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    /// By number, and so by age too.
    since: BTreeMap<u64, Instant>,
}

/// One of them, until it is dropped: its record is durable then, or given up.
pub(crate) struct Waiting {
    backlog: Backlog,
    number: u64,
    since: Instant,
}

impl Backlog {
    /// A delivery at `now` that needs a record.
    pub(crate) fn enter(&self, now: Instant) -> Waiting {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.since.insert(number, now);
        Waiting {
            backlog: self.clone(),
            number,
            since: now,
        }
    }

    /// How many wait, and for how long the first of them has at `now`.
    pub(crate) fn look(&self, now: Instant) -> (usize, Duration) {
        let state = self.lock();
        let first = state.since.values().next();
        let longest = first.map_or(Duration::ZERO, |since| now.duration_since(*since));
        (state.since.len(), longest)
    }

    /// No panic can leave it half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// For how long it has waited at `now`.
    pub(crate) fn time(&self, now: Instant) -> Duration {
        now.duration_since(self.since)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.backlog.lock().since.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_still_waits_tells_the_time() {
        let (backlog, start) = (Backlog::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let look = |seconds| {
            let (waiting, longest) = backlog.look(at(seconds));
            (waiting, longest.as_secs())
        };
        assert_eq!(look(0), (0, 0));
        let (first, second) = (backlog.enter(at(1)), backlog.enter(at(4)));
        assert_eq!(look(10), (2, 9));
        assert_eq!(second.time(at(10)).as_secs(), 6);
        drop(first);
        assert_eq!(look(10), (1, 6));
        drop(second);
        assert_eq!(look(10), (0, 0));
    }
}
