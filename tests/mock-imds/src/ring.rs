//! A log that forgets its oldest entries, so that a mock can run for weeks in flat memory.

use std::collections::VecDeque;

/// The last `N` of what was pushed, oldest first.
pub(crate) struct Ring<T, const N: usize>(VecDeque<T>);

impl<T, const N: usize> Ring<T, N> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn push(&mut self, entry: T) {
        if self.0.len() == N {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }

    pub(crate) fn to_vec(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest() {
        let mut ring = Ring::<_, 2>::new();
        for entry in 1..=3 {
            ring.push(entry);
        }
        assert_eq!(ring.to_vec(), [2, 3]);
    }
}
