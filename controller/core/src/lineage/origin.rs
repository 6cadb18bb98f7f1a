//! Where each key's line began, without its uses: what rules about keys start from.

use jiff::Timestamp;

use super::{Lineage, Parent, Seen, Shared, Who, trace::Links};
use crate::cloudtrail::How;

/// A key, and what it came of.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) key: &'a Shared,
    pub(crate) how: How,
    pub(crate) who: &'a Who,
    /// Whose key asked for it; none where the call is not in the trail, or no key made it.
    pub(crate) parent: Option<Shared>,
    /// The instance whose token its line began with: its own, or that of a key above it.
    pub(crate) instance: Option<&'a str>,
    /// When it was made.
    pub(crate) issued: Option<Timestamp>,
    /// `eventID` of the call that made it.
    pub(crate) made_by: Option<&'a Shared>,
    /// ARN of who asked for it.
    pub(crate) asked_by: Option<&'a Shared>,
}

impl Lineage {
    /// Every key, in no order.
    pub(crate) fn origins(&self) -> impl Iterator<Item = Origin<'_>> {
        let links = Links::of(self);
        self.keys.iter().map(move |(key, seen)| {
            let top = links.top(key);
            let began = self.keys.get(&top);
            Origin {
                key,
                how: seen.how(key),
                who: &seen.who,
                parent: links.parent(key).cloned(),
                instance: began
                    .filter(|began| began.how(&top) == How::Ec2)
                    .and_then(|began| began.instance()),
                issued: seen.issued(),
                made_by: seen.born.as_ref().and_then(|born| born.event.as_ref()),
                asked_by: self.asked_by(seen),
            }
        })
    }

    fn asked_by<'a>(&'a self, seen: &'a Seen) -> Option<&'a Shared> {
        match &seen.born.as_ref()?.parent {
            Parent::Key(parent) => self.keys.get(parent)?.who.arn.as_ref(),
            Parent::Caller(caller) => Some(caller),
            Parent::Provider(_) | Parent::Service(_) | Parent::Unknown => None,
        }
    }
}
