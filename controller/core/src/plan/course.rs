//! Which of its steps a role takes. What is held is widened at most, or of a pin of two parts the one goes on beside
//! the other, which stays word for word as it is in force.

use super::{
    Hold, Pin, Step, chained::Part, role::RolePlanner, scope::Scope, transition::Transition,
};
use crate::{
    footprint::Footprint,
    pin,
    policy::{Document, MANAGED_POLICY_QUOTA},
};

/// What is done, and where that leads.
#[derive(Default)]
pub(super) struct Course {
    pub(super) steps: Vec<Step>,
    /// Statements that have no room on the way.
    pub(super) dropped: Vec<String>,
    /// The pin that the steps end at, where that is not the one that is called for, nor only wider than what is in
    /// force.
    pub(super) meanwhile: Option<Pin>,
}

impl From<Transition> for Course {
    fn from(transition: Transition) -> Self {
        Self {
            steps: transition.steps,
            dropped: transition.dropped,
            meanwhile: None,
        }
    }
}

impl From<Vec<Step>> for Course {
    fn from(steps: Vec<Step>) -> Self {
        Self {
            steps,
            ..Self::default()
        }
    }
}

impl RolePlanner<'_> {
    /// What is done all the same where `holds` are in the way of the pin that `transition` leads to.
    pub(super) fn course_of_held(
        &self,
        mut transition: Transition,
        scope: &Scope,
        part: Option<&Part>,
        footprint: &Footprint,
        holds: &[Hold],
    ) -> Course {
        let is_narrowing = |hold: &Hold| matches!(hold, Hold::Narrowing(_));
        // What others make of the role is widened only, where it is held, and holds up nothing else.
        if holds.is_empty() {
            return transition.into();
        }
        // To admit more than before is safe, whatever becomes of the rest. But what has no room on the way would deny
        // nobody until the end, which does not come: and a run after this one would not know any more what it admitted.
        let opens_nothing = transition.dropped.is_empty();
        if holds.iter().all(is_narrowing) && transition.widening > 0 && opens_nothing {
            transition.steps.truncate(transition.widening);
            return transition.into();
        }
        let apart = part.and_then(|part| self.apart(scope, part, footprint, holds));
        apart.unwrap_or_default()
    }

    /// What is about sessions that others make goes on, and what is about the role's instances stays; none where that
    /// is not proven safe, or nothing is to be done.
    fn apart(
        &self,
        scope: &Scope,
        part: &Part,
        footprint: &Footprint,
        holds: &[Hold],
    ) -> Option<Course> {
        let in_force = match &self.in_force {
            None => None,
            Some(read) => Some(read.as_ref().ok()?),
        };
        if !holds.iter().all(Hold::is_of_instances) {
            return None;
        }
        let mut statements = self.statements_in_force(false);
        let stay = statements.len();
        if part.is_written() {
            statements.extend(part.statements.iter().cloned());
        }
        let documents = pin::pack(statements, self.room(), &self.documents_before())?;
        let pin = self.named(documents);
        if in_force.map_or(pin.policies.is_empty(), |now| *now == pin) {
            return None;
        }
        if pin.policies.is_empty() {
            return Some(Course {
                meanwhile: Some(pin),
                ..self.detach().into()
            });
        }
        let transition = self.transition(&pin, footprint, scope);
        // What stays is what is in force at every moment, be it right or not: that no more hosts are denied is what is
        // to be proven.
        let before = in_force.map(Pin::documents).unwrap_or_default();
        let before = self.locked_out(&before, footprint, scope);
        let is_proven = |documents: &[&Document]| {
            let found = self.locked_out(documents, footprint, scope);
            found.iter().all(|found| before.contains(found))
        };
        let unions_are = transition.unions.iter().all(|union| is_proven(&[union]));
        let stays = stay == 0
            || transition
                .dropped
                .iter()
                .all(|sid| pin::is_named_chained(sid));
        let fits = pin
            .policies
            .iter()
            .all(|it| it.size <= MANAGED_POLICY_QUOTA);
        (fits && stays && unions_are && is_proven(&pin.documents())).then(|| Course {
            meanwhile: Some(pin),
            ..transition.into()
        })
    }
}
