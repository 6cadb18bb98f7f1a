//! A log that forgets its oldest entries, so that a mock can run for weeks in flat memory.

use std::collections::VecDeque;

/// The last `N` of what was pushed, oldest first. Entries are numbered from 0, also those that are
/// gone.
pub(crate) struct Ring<T, const N: usize> {
    entries: VecDeque<T>,
    pushed: u64,
    dropped: u64,
}

impl<T, const N: usize> Ring<T, N> {
    pub(crate) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            pushed: 0,
            dropped: 0,
        }
    }

    pub(crate) fn push(&mut self, entry: T) {
        if self.entries.len() == N {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
        self.pushed += 1;
    }

    /// The entries from this number on, with their numbers.
    pub(crate) fn since(&self, number: u64) -> impl Iterator<Item = (u64, &T)> {
        let first = self.pushed - self.entries.len() as u64;
        (first..)
            .zip(&self.entries)
            .skip_while(move |(at, _)| *at < number)
    }

    /// The number that the next entry gets.
    pub(crate) fn next(&self) -> u64 {
        self.pushed
    }

    /// How many fell out at the old end; those that were cleared away did not.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn to_vec(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.entries.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_and_counts_what_fell_out() {
        let mut ring = Ring::<_, 2>::new();
        for entry in ["a", "b", "c"] {
            ring.push(entry);
        }
        assert_eq!(ring.to_vec(), ["b", "c"]);
        assert_eq!((ring.next(), ring.dropped()), (3, 1));
    }

    #[test]
    fn numbers_go_on_whatever_is_gone() {
        let mut ring = Ring::<_, 3>::new();
        for entry in ["a", "b", "c", "d"] {
            ring.push(entry);
        }
        let since = |ring: &Ring<_, 3>, number| -> Vec<(u64, &str)> {
            ring.since(number).map(|(at, entry)| (at, *entry)).collect()
        };
        assert_eq!(since(&ring, 0), [(1, "b"), (2, "c"), (3, "d")]);
        assert_eq!(since(&ring, 3), [(3, "d")]);
        assert_eq!(since(&ring, 4), []);
        ring.clear();
        ring.push("e");
        assert_eq!(since(&ring, 0), [(4, "e")]);
        assert_eq!(ring.dropped(), 1);
    }
}
