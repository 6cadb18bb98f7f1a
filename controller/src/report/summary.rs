//! A plan in figures.

use std::fmt;

use credpin_core::plan::{Outcome, Plan, RolePlan, Step};
use serde::{Deserialize, Serialize};

/// How many roles come to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Get a pin.
    pub create: usize,
    /// Get a new document.
    pub update: usize,
    /// Get their pin attached again.
    pub attach: usize,
    /// Lose their pin.
    pub detach: usize,
    /// Something stands in the way.
    pub held: usize,
    /// Are as they should be.
    pub unchanged: usize,
    /// Are only looked at.
    pub observed: usize,
    /// Were released by an operator.
    pub released: usize,
    /// Were put back to an earlier document by an operator.
    pub rolled_back: usize,
    /// Have no host.
    pub idle: usize,
}

/// What the steps of a role come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Create,
    Update,
    Attach,
    Detach,
}

impl Change {
    pub(super) fn of(role: &RolePlan) -> Option<Self> {
        let changes = role.steps.iter().filter_map(|step| match step {
            Step::CreatePolicy { .. } => Some(Change::Create),
            Step::CreateVersion { .. } => Some(Change::Update),
            Step::Attach { .. } => Some(Change::Attach),
            Step::Detach { .. } => Some(Change::Detach),
            Step::DeleteVersion { .. } | Step::Wait { .. } => None,
        });
        // A new document is put down before it is attached: the first change names the whole.
        let first = changes.into_iter().next()?;
        // A pin of several documents can gain one, or lose one, and stay.
        let stays = role.in_force.is_some() && role.is_enforced;
        Some(match first {
            Change::Create | Change::Detach if stays => Change::Update,
            other => other,
        })
    }
}

impl Summary {
    /// Roles that have a pin as it should be, or are to get one: what is pinned once all is done.
    pub fn pinned(&self) -> usize {
        self.create + self.update + self.attach + self.unchanged
    }

    /// The figures of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let mut summary = Self::default();
        for role in &plan.roles {
            let figure = match (Change::of(role), role.outcome) {
                (_, Outcome::Held) => &mut summary.held,
                (Some(Change::Create), _) => &mut summary.create,
                (Some(Change::Update), _) => &mut summary.update,
                (Some(Change::Attach), _) => &mut summary.attach,
                (Some(Change::Detach), _) => &mut summary.detach,
                (None, Outcome::Observed) => &mut summary.observed,
                (None, Outcome::Released) => &mut summary.released,
                (None, Outcome::RolledBack) => &mut summary.rolled_back,
                (None, Outcome::Idle) => &mut summary.idle,
                (None, Outcome::Unchanged | Outcome::Change) => &mut summary.unchanged,
            };
            *figure += 1;
        }
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to create, {} to update", self.create, self.update)?;
        if self.attach > 0 {
            write!(f, ", {} to attach", self.attach)?;
        }
        write!(f, ", {} to detach; ", self.detach)?;
        write!(
            f,
            "{} held, {} unchanged, {} observed",
            self.held, self.unchanged, self.observed
        )?;
        for (number, what) in [
            (self.released, "released"),
            (self.rolled_back, "rolled back"),
            (self.idle, "without a host"),
        ] {
            if number > 0 {
                write!(f, ", {number} {what}")?;
            }
        }
        Ok(())
    }
}
