//! What a policy says between its old document and its new one.

use super::Way;
use crate::policy::{self, Both, Document, Statement};

/// The statements of a role, before and after.
pub(super) struct Unions<'a> {
    old: Vec<&'a Statement>,
    new: Vec<&'a Statement>,
}

impl<'a> Unions<'a> {
    pub(super) fn of(ways: &'a [Way<'a>]) -> Self {
        let attached = ways.iter().filter(|way| way.attached);
        let statements = |document: &'a Document| document.statements.iter();
        Self {
            old: attached
                .filter_map(|way| way.now)
                .flat_map(statements)
                .collect(),
            new: ways
                .iter()
                .filter_map(|way| way.then)
                .flat_map(statements)
                .collect(),
        }
    }

    /// Whether nothing is denied yet, so that there is nothing to go by way of.
    pub(super) fn is_first(&self) -> bool {
        self.old.is_empty()
    }

    /// What each statement that the policy has, or is to have, denies together with one of the other
    /// side's. Pairs that no statement of ours could say are left out: that opens and never shuts.
    pub(super) fn of_policy(&self, way: &Way<'_>) -> Document {
        let mut union = Union::default();
        for then in way.then.map_or(&[][..], |it| &it.statements) {
            union.add_all(then, &self.old, |old| old.both(then));
        }
        let now = way.now.filter(|_| way.attached);
        for now in now.map_or(&[][..], |it| &it.statements) {
            union.add_all(now, &self.new, |new| now.both(new));
        }
        union.document()
    }
}

/// Statements being gathered.
#[derive(Default)]
struct Union {
    /// That both sides have: most of them, as a rule.
    kept: Vec<Statement>,
    made: Vec<Statement>,
}

impl Union {
    fn add_all(
        &mut self,
        own: &Statement,
        others: &[&Statement],
        both: impl Fn(&Statement) -> Both,
    ) {
        if others.contains(&own) {
            if !self.kept.contains(own) {
                self.kept.push(own.clone());
            }
            return;
        }
        for other in others {
            if let Both::This(statement) = both(other)
                && !self.covers(&statement)
            {
                self.made.retain(|made| !made.is_within(&statement));
                self.made.push(statement);
            }
        }
    }

    fn covers(&self, statement: &Statement) -> bool {
        let mut all = self.kept.iter().chain(&self.made);
        all.any(|other| statement.is_within(other))
    }

    fn document(mut self) -> Document {
        let kept = &self.kept;
        self.made
            .retain(|made| !kept.iter().any(|other| made.is_within(other)));
        Document {
            statements: policy::distinct(self.kept.into_iter().chain(self.made)),
        }
    }
}
