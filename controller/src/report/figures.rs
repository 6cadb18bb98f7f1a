//! A run in figures: what `credpin run --json` prints, and what is kept of each run.

use credpin_core::id::RoleName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Summary;
use crate::{cloud::Calls, flow::Run};

/// What a run did. `schema` changes when a field's meaning does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFigures {
    /// 1.
    pub schema: u32,
    /// When it began.
    pub began: Timestamp,
    /// Whether all that was to be done was done and seen.
    pub complete: bool,
    /// Whether a role is held.
    pub held: bool,
    /// Roles, by what the plan has them come to.
    pub plan: Summary,
    /// Steps of the plan.
    pub steps: usize,
    /// Steps that were done.
    pub done: usize,
    /// Roles that an error stopped.
    pub stopped: Vec<Stopped>,
    /// Roles whose steps were done and are not to be seen in IAM.
    pub unconfirmed: Vec<Stopped>,
    /// Roles that somebody released while the run went on.
    pub released_meanwhile: Vec<RoleName>,
    /// Calls to AWS, by name.
    pub calls: Calls,
}

/// A role that is not as the plan has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The role.
    pub role: RoleName,
    /// Why.
    pub why: String,
}

impl RunFigures {
    /// The figures of `run`.
    pub fn of(run: &Run, began: Timestamp) -> Self {
        let stopped = run.applied.failed.iter().map(|failure| Stopped {
            role: failure.role.clone(),
            why: failure.error.to_string(),
        });
        let unconfirmed = run.unconfirmed.iter().map(|unconfirmed| Stopped {
            role: unconfirmed.role.clone(),
            why: unconfirmed.what.to_owned(),
        });
        Self {
            schema: 1,
            began,
            complete: run.is_complete(),
            held: run.plan.is_held(),
            plan: Summary::of(&run.plan),
            steps: run.plan.steps().count(),
            done: run.applied.done.len(),
            stopped: stopped.collect(),
            unconfirmed: unconfirmed.collect(),
            released_meanwhile: run.applied.released_meanwhile.clone(),
            calls: run.calls.clone(),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}
