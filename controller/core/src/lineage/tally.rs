//! How often a key was used from where, by what and for what.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{Shared, pool::Pool};

/// Uses: how many, how many denied, the first and the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Use {
    /// Calls.
    pub calls: u64,
    /// Of those, denied for want of permission.
    pub denied: u64,
    /// The first.
    pub first: Option<Timestamp>,
    /// The last.
    pub last: Option<Timestamp>,
}

/// Where a call came from, as CloudTrail tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `sourceIPAddress`: an address, or a service's name.
    pub address: Shared,
    /// `vpcEndpointId`, where it came by one.
    pub endpoint: Option<Shared>,
}

/// Uses by something. What callers can vary at will must not grow without end: of more than
/// [`Tally::MOST`] the first in order are kept, whose counts are exact however the events were
/// shared out, because what is dropped once can never be among them.
#[derive(Clone, Debug, Serialize)]
pub struct Tally<T> {
    uses: Vec<(T, Use)>,
    /// Whether there were more.
    more: bool,
}

impl Use {
    pub(crate) fn add(&mut self, time: Option<Timestamp>, denied: bool) {
        self.merge(&Self {
            calls: 1,
            denied: u64::from(denied),
            first: time,
            last: time,
        });
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.denied += other.denied;
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
    }
}

impl Place {
    pub(crate) fn new(pool: &mut Pool, address: &str, endpoint: Option<&str>) -> Self {
        Self {
            address: pool.get(super::short(address)),
            endpoint: endpoint.map(|endpoint| pool.get(super::short(endpoint))),
        }
    }

    pub(super) fn is(&self, address: &str, endpoint: Option<&str>) -> bool {
        *self.address == *address && self.endpoint.as_deref() == endpoint
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "{endpoint}/{}", self.address),
            None => f.write_str(&self.address),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self {
            uses: Vec::new(),
            more: false,
        }
    }
}

impl<T: Ord> Tally<T> {
    /// The most that one holds.
    pub const MOST: usize = 256;

    /// Most used first.
    pub fn by_calls(&self) -> Vec<&(T, Use)> {
        let mut uses: Vec<_> = self.uses.iter().collect();
        uses.sort_by(|(a, x), (b, y)| y.calls.cmp(&x.calls).then_with(|| a.cmp(b)));
        uses
    }

    /// Whether there were more than it holds.
    pub fn has_more(&self) -> bool {
        self.more
    }

    pub(super) fn add(
        &mut self,
        is: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
        time: Option<Timestamp>,
        denied: bool,
    ) {
        if let Some((_, known)) = self.uses.iter_mut().find(|(known, _)| is(known)) {
            known.add(time, denied);
            return;
        }
        let mut first = Use::default();
        first.add(time, denied);
        self.uses.push((make(), first));
        self.shrink();
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.more |= other.more;
        for (what, uses) in other.uses {
            match self.uses.iter_mut().find(|(known, _)| *known == what) {
                Some((_, known)) => known.merge(&uses),
                None => self.uses.push((what, uses)),
            }
        }
        while self.uses.len() > Self::MOST {
            self.shrink();
        }
    }

    pub(super) fn sort(&mut self) {
        self.uses.sort_by(|(a, _), (b, _)| a.cmp(b));
    }

    fn shrink(&mut self) {
        if self.uses.len() <= Self::MOST {
            return;
        }
        let last = (0..self.uses.len()).max_by(|a, b| self.uses[*a].0.cmp(&self.uses[*b].0));
        if let Some(last) = last {
            self.uses.swap_remove(last);
            self.more = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: impl Iterator<Item = u32>) -> Tally<u32> {
        let mut tally = Tally::default();
        for number in numbers {
            tally.add(|known| *known == number, || number, None, false);
        }
        tally
    }

    #[test]
    fn what_overflows_is_the_same_however_it_was_shared_out() {
        let all = || (0..1000_u32).map(|n| n.wrapping_mul(7919) % 400);
        let mut whole = tally(all());
        let mut halves = tally(all().rev().take(333));
        halves.merge(tally(all().take(667)));
        whole.sort();
        halves.sort();
        assert_eq!(whole.uses, halves.uses);
        assert_eq!(whole.uses.len(), Tally::<u32>::MOST);
        assert!(whole.has_more() && halves.has_more());
    }
}
