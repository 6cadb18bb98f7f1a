//! Groups of calls that have the same fate, the first in order if there are too many.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Found, Group};

/// Groups that are kept, the first in order: what is dropped once can never be among them, so their
/// counts are exact however the events were shared out.
const MOST: usize = 50_000;

/// Groups, each at a place of its own, by which a further call is counted without a look-up.
#[derive(Debug, Default)]
pub(super) struct Groups {
    places: BTreeMap<Group, usize>,
    /// None of those that were dropped.
    found: Vec<Option<Found>>,
    more: bool,
}

impl Groups {
    /// Takes in calls of a group, and gives its place.
    pub(super) fn keep(&mut self, group: Group, found: Found) -> usize {
        if let Some(place) = self.places.get(&group) {
            if let Some(known) = &mut self.found[*place] {
                known.merge(&found);
            }
            return *place;
        }
        let place = self.found.len();
        self.found.push(Some(found));
        self.places.insert(group, place);
        if self.places.len() > MOST
            && let Some((_, last)) = self.places.pop_last()
        {
            self.found[last] = None;
            self.more = true;
        }
        place
    }

    /// Takes in one more call of the group at `place`.
    pub(super) fn again(&mut self, place: usize, time: Option<Timestamp>) {
        if let Some(known) = &mut self.found[place] {
            known.uses.add(time, false);
        }
    }

    /// Gives up the places of groups that were dropped, if they are many. All places change then.
    pub(super) fn renumbers(&mut self) -> bool {
        let is_sparse = self.found.len() > 2 * MOST;
        if is_sparse {
            let all = std::mem::take(self);
            self.more = all.more;
            self.merge(all);
        }
        is_sparse
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.more |= other.more;
        let mut found = other.found;
        for (group, place) in other.places {
            if let Some(found) = found[place].take() {
                self.keep(group, found);
            }
        }
    }

    /// In their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Group, &Found)> {
        let places = self.places.iter();
        places.filter_map(|(group, place)| Some((group, self.found[*place].as_ref()?)))
    }

    /// Whether there were more than are kept.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lineage::{Place, Use, pool::Pool},
        replay::Fate,
    };

    fn group(pool: &mut Pool, number: usize) -> Group {
        Group {
            role: "web".parse().unwrap(),
            fate: Fate::Denied,
            place: Place::new(pool, &format!("{number:06}"), None),
            service: pool.get("s3"),
            caller: pool.get("aws-cli"),
            reason: pool.get("PublicVpc0a"),
        }
    }

    #[test]
    fn of_too_many_the_first_are_kept_and_their_counts_are_exact() {
        let (mut pool, mut groups) = (Pool::default(), Groups::default());
        let mut call = Found {
            uses: Use::default(),
            instance: pool.get("i-0a"),
        };
        call.uses.add(None, false);
        let all = MOST * 5 / 2;
        let mut renumbered = 0;
        for number in 0..all {
            // Each once, in no order.
            let place = groups.keep(group(&mut pool, number * 7919 % all), call.clone());
            groups.again(place, None);
            renumbered += usize::from(groups.renumbers());
        }
        assert!(renumbered > 0 && groups.has_more());
        let kept: Vec<_> = groups.iter().collect();
        assert_eq!(kept.len(), MOST);
        for (number, (kept, found)) in kept.into_iter().enumerate() {
            assert_eq!(*kept, group(&mut pool, number));
            assert_eq!(found.uses.calls, 2);
        }
    }
}
