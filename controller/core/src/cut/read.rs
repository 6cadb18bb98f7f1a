//! A cut, read back from its policy.

use std::collections::BTreeSet;

use super::{Cut, Principal, Reach};
use crate::{
    id::{AccessKeyId, SessionName},
    policy::{Document, Piece, Resources, Statement, Test, Text},
    request::Key,
};

impl Cut {
    /// The cut that a policy on `on` is; none where it is not exactly as we write one. A key that was made
    /// inactive with it is not in the policy.
    pub fn read(on: &Principal, document: &Document, key: Option<AccessKeyId>) -> Option<Self> {
        let mut statements = document.statements.iter();
        let statement = statements.find(|statement| statement.sid == "Cut");
        let reach = match (key, statement) {
            (Some(key), _) => Reach::Key { key },
            (None, statement) => denied(on, statement?)?,
        };
        let cut = Cut {
            on: on.clone(),
            reach,
        };
        (cut.document() == *document).then_some(cut)
    }

    /// Whether this denies all that `other` does.
    pub fn includes(&self, other: &Self) -> bool {
        let is_later = |before: Option<_>, other: Option<_>| match (before, other) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(before), Some(other)) => before >= other,
        };
        self.on == other.on
            && match (&self.reach, &other.reach) {
                (
                    Reach::Session { names, before },
                    Reach::Session {
                        names: other,
                        before: until,
                    },
                ) => names.is_superset(other) && is_later(*before, *until),
                (Reach::Temporary { before }, Reach::Temporary { before: until }) => {
                    before >= until
                }
                (one, other) => one == other,
            }
    }
}

fn denied(on: &Principal, statement: &Statement) -> Option<Reach> {
    let mut names = None;
    let mut before = None;
    for (key, test) in statement.conditions() {
        match (key, test) {
            (Key::UserId, Test::StringEquals(ids)) => names = Some(sessions(on, ids)?),
            (Key::TokenIssueTime, Test::DateLessThan(time)) => before = Some(*time),
            _ => return None,
        }
    }
    match (names, before, &statement.resources) {
        (Some(names), before, _) => Some(Reach::Session { names, before }),
        (None, Some(before), _) => Some(Reach::Temporary { before }),
        (None, None, Resources::Only(roles)) => match &roles[..] {
            [role] => Some(Reach::Assuming { role: role.clone() }),
            _ => None,
        },
        (None, None, Resources::Every) => None,
    }
}

fn sessions(on: &Principal, ids: &[Text]) -> Option<BTreeSet<SessionName>> {
    let Principal::Role(role) = on else {
        return None;
    };
    let names = ids.iter().map(|id| match &id.0[..] {
        [Piece::Literal(id)] => {
            let (of, name) = id.split_once(':')?;
            (of == role.id.as_str()).then(|| name.parse().ok())?
        }
        _ => None,
    });
    names.collect()
}
