//! Who made a session, by the calls of a trail that handed out keys.

use std::collections::BTreeMap;

use crate::{
    cloudtrail::{Event, How},
    lineage::{Shared, pool::Pool, short},
};

/// Calls that handed out the keys of sessions, but for what EC2 delivered: those tell by themselves.
#[derive(Debug, Default)]
pub(super) struct Makers {
    by_key: BTreeMap<Shared, Maker>,
    more: bool,
}

/// Who made one call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Maker {
    /// Whoever it is.
    who: Shared,
    /// The instance whose token it was made with, where EC2 delivered that.
    instance: Option<Shared>,
    /// The key that it was made with.
    key: Option<Shared>,
}

/// Whom a session goes back to, as far as a trail tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An instance, be it by way of other roles.
    Instance(Shared),
    /// Somebody else.
    Other(Shared),
}

/// Keys that are remembered, the first in order.
const MOST: usize = 1 << 18;
/// Sessions of sessions that are gone back along.
const DEPTH: usize = 16;

impl Makers {
    /// Takes in a call, if it handed out a key.
    pub(super) fn event(&mut self, event: &Event<'_>, pool: &mut Pool) {
        let Some(issue) = event.issue().filter(|issue| issue.how != How::Ec2) else {
            return;
        };
        let identity = &event.user_identity;
        let is_delivered = identity.session_context.ec2_role_delivery.is_some();
        let instance = identity.instance().filter(|_| is_delivered);
        let account = identity.account_id.as_deref();
        let named = [
            identity.arn.as_deref(),
            identity.invoked_by.as_deref(),
            identity.principal_id.as_deref(),
            account,
        ];
        let who = named.into_iter().flatten().next().unwrap_or("nobody");
        let maker = Maker {
            who: pool.get(short(who)),
            instance: instance.map(|instance| pool.get(short(instance))),
            key: event.key().map(|key| Shared::from(short(key))),
        };
        self.keep(Shared::from(short(&issue.key)), maker);
    }

    /// The account of the role that was assumed may see less of who did: what tells more is kept.
    fn keep(&mut self, key: Shared, maker: Maker) {
        let kept = self.by_key.entry(key).or_insert_with(|| maker.clone());
        let rank = |it: &Maker| (it.instance.is_none(), it.key.is_none(), it.clone());
        if rank(&maker) < rank(kept) {
            *kept = maker;
        }
        if self.by_key.len() > MOST {
            self.by_key.pop_last();
            self.more = true;
        }
    }

    /// Whether there were more than are kept.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.more |= other.more;
        for (key, maker) in other.by_key {
            self.keep(key, maker);
        }
    }

    /// Whom the session with this key goes back to; none where the call that made it is not in the trail.
    pub(super) fn origin(&self, key: &str) -> Option<Origin> {
        let mut maker = self.by_key.get(key)?;
        for _ in 0..DEPTH {
            if let Some(instance) = &maker.instance {
                return Some(Origin::Instance(instance.clone()));
            }
            let before = maker.key.as_ref().and_then(|key| self.by_key.get(key));
            match before {
                Some(before) => maker = before,
                None => break,
            }
        }
        Some(Origin::Other(maker.who.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_not_all_are_kept_is_known_in_the_end() {
        let maker = Maker {
            who: "arn:aws:iam::111122223333:role/web".into(),
            instance: None,
            key: None,
        };
        let mut makers = Makers::default();
        for number in 0..MOST {
            makers.keep(format!("ASIA{number:012}").as_str().into(), maker.clone());
        }
        assert!(!makers.has_more());
        let mut other = Makers::default();
        other.keep("ASIB".into(), maker);
        makers.merge(other);
        assert!(makers.has_more() && makers.origin("ASIB").is_none());
        let mut whole = Makers::default();
        whole.merge(makers);
        assert!(whole.has_more());
    }
}
