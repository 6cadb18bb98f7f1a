//! What was seen of something: how often, and which events show it.

use jiff::Timestamp;

use crate::{
    cloudtrail::Event,
    lineage::{Shared, Use, short},
};

/// Events that are named for each thing that was seen; the rest are counted.
pub(super) const EVENTS: usize = 5;
/// Things that are kept apart for one key; of more, the first in order, as a tally does.
const MOST: usize = 256;

/// Calls that show the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) uses: Use,
    /// Of those, denied by a policy of ours.
    pub(super) by_pin: u64,
    /// The first of them in time, by id: the same however they were shared out.
    events: Vec<(Option<Timestamp>, Shared)>,
}

/// What was seen of a key, by what it is told apart by.
#[derive(Clone, Debug)]
pub(super) struct Sights<T> {
    seen: Vec<(T, Sight)>,
    more: bool,
}

impl Sight {
    pub(super) fn add(&mut self, event: &Event<'_>, time: Option<Timestamp>, by_pin: bool) {
        self.uses.add(time, event.is_denied());
        self.by_pin += u64::from(by_pin);
        if let Some(id) = event.event_id.as_deref() {
            let id = short(id);
            let is_before = |(at, known): &(_, Shared)| (*at, &**known) < (time, id);
            if self.events.len() < EVENTS || !self.events.last().is_some_and(is_before) {
                self.keep((time, id.into()));
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.uses.merge(&other.uses);
        self.by_pin += other.by_pin;
        for event in &other.events {
            self.keep(event.clone());
        }
    }

    /// Ids of the first events.
    pub(super) fn events(&self) -> Vec<Shared> {
        self.events.iter().map(|(_, id)| id.clone()).collect()
    }

    fn keep(&mut self, event: (Option<Timestamp>, Shared)) {
        let place = self.events.partition_point(|known| *known < event);
        self.events.insert(place, event);
        self.events.truncate(EVENTS);
    }
}

impl<T> Default for Sights<T> {
    fn default() -> Self {
        Self {
            seen: Vec::new(),
            more: false,
        }
    }
}

impl<T: Ord> Sights<T> {
    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&T, &Sight)> {
        self.seen.iter().map(|(what, sight)| (what, sight))
    }

    /// Whether there were more than are kept.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// The sight of `what`, to be added to. What cannot be kept is forgotten by [`Self::shrink`].
    pub(super) fn of(&mut self, what: T) -> &mut Sight {
        let place = match self.seen.binary_search_by(|(known, _)| known.cmp(&what)) {
            Ok(place) => place,
            Err(place) => {
                self.seen.insert(place, (what, Sight::default()));
                place
            }
        };
        &mut self.seen[place].1
    }

    pub(super) fn shrink(&mut self) {
        self.more |= self.seen.len() > MOST;
        self.seen.truncate(MOST);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.more |= other.more;
        for (what, sight) in other.seen {
            self.of(what).merge(&sight);
        }
        self.shrink();
    }
}
