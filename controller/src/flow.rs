//! The flow of a run, from looking to having looked again.

use std::{collections::BTreeSet, sync::Arc};

use credpin_core::{
    estate::{Estate, Gap},
    exposure::{Exposure, OfAccount},
    id::RoleName,
    plan::{self, Outcome, Pin, Plan},
    settings::Settings,
    verify,
};
use credpin_ledger::Record;
use jiff::Timestamp;
use thiserror::Error;

use crate::{
    apply::{self, Applied},
    cloud::{
        Calls, Observation, Observe, WriteIam,
        estate::{estate, own_role},
    },
    read_back::{self, Unconfirmed},
};

/// What was seen and what is to be done about it.
#[derive(Debug)]
pub struct Planned {
    /// What was seen.
    pub estate: Estate,
    /// What is to be done.
    pub plan: Plan,
}

/// What a run did.
#[derive(Debug)]
pub struct Run {
    /// What was to be done.
    pub plan: Plan,
    /// What was done.
    pub applied: Applied,
    /// What was done and is not to be seen in IAM.
    pub unconfirmed: Vec<Unconfirmed>,
    /// Calls that it took.
    pub calls: Calls,
}

impl Planned {
    /// Whether a pin in force denies a call of a live host from home.
    pub fn is_denying_a_host(&self, settings: &Settings) -> bool {
        self.plan.roles.iter().any(|plan| {
            let (Some(pin), Some(role)) = (&plan.in_force, self.estate.roles.get(&plan.role))
            else {
                return false;
            };
            let documents = pin.documents();
            let chained = plan.chained.iter().filter(|part| part.in_force);
            let mut of_callers = chained.flat_map(|part| {
                verify::chained_locked_out(role, &part.callers, settings, &documents)
            });
            let denied = verify::locked_out(role, &plan.footprint, settings, &documents);
            !denied.is_empty() || of_callers.next().is_some()
        })
    }
}

/// Nothing can be planned, because the account's roles were not seen.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("nothing can be planned without the account's roles: {0}")]
pub struct Blind(pub Gap);

/// Looks, and works out what is to be done.
pub async fn plan<C: Observe>(
    cloud: &C,
    settings: &Settings,
    records: &[Record],
    now: Timestamp,
) -> Result<Planned, Blind> {
    understand(&cloud.observe().await, settings, records, now)
}

/// The same, planned on a thread of its own: of many accounts the others can go on meanwhile.
pub async fn plan_aside<C: Observe>(
    cloud: &C,
    settings: &Settings,
    records: Arc<[Record]>,
    now: Timestamp,
) -> Result<Planned, Blind> {
    let seen = cloud.observe().await;
    let settings = settings.clone();
    let planned = tokio::task::spawn_blocking(move || understand(&seen, &settings, &records, now));
    match planned.await {
        Ok(planned) => planned,
        // A bug: it is told where the account is begun with.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Works out what is to be done about what was seen.
pub fn understand(
    seen: &Observation,
    settings: &Settings,
    records: &[Record],
    now: Timestamp,
) -> Result<Planned, Blind> {
    let estate = estate(seen);
    if estate.roles.is_empty()
        && let Some(gap) = estate.gaps.iter().find(|gap| gap.region.is_none())
    {
        return Err(Blind(gap.clone()));
    }
    let settings = Settings {
        own_role: own_role(seen, &estate),
        ..settings.clone()
    };
    let plan = plan::plan(&estate, records, &settings, now);
    Ok(Planned { estate, plan })
}

/// The scheduled job: observe, plan, apply, read back. It asks nobody.
pub async fn run<C: Observe + WriteIam>(
    cloud: &C,
    settings: &Settings,
    records: &[Record],
    now: Timestamp,
) -> Result<Run, Blind> {
    let Planned { plan, .. } = self::plan(cloud, settings, records, now).await?;
    Ok(carry_out(plan, cloud).await)
}

/// What somebody said of a plan.
#[derive(Debug)]
pub enum Answer {
    /// It is to be carried out, as it was seen last.
    Yes(Planned),
    /// It was not, or there was nothing to do.
    No(Planned),
}

/// Plans, and asks `agree` whether that is to be carried out.
///
/// People take their time to answer. So the account is looked at again after each yes, and where
/// other steps are called for by then, `agree` is asked about those.
pub async fn agreed<C: Observe, E: From<Blind>>(
    cloud: &C,
    settings: &Settings,
    records: &[Record],
    now: Timestamp,
    mut agree: impl FnMut(&Plan) -> Result<bool, E>,
) -> Result<Answer, E> {
    let mut planned = self::plan(cloud, settings, records, now).await?;
    loop {
        if !agree(&planned.plan)? || planned.plan.steps().next().is_none() {
            return Ok(Answer::No(planned));
        }
        let fresh = self::plan(cloud, settings, records, now).await?;
        if fresh.plan.steps().eq(planned.plan.steps()) {
            return Ok(Answer::Yes(fresh));
        }
        planned = fresh;
    }
}

/// Carries a plan out and looks whether it came true.
pub async fn carry_out<C: Observe + WriteIam>(plan: Plan, cloud: &C) -> Run {
    let applied = apply::apply(&plan, cloud).await;
    let unconfirmed = read_back::read_back(&plan, &applied, cloud).await;
    Run {
        plan,
        applied,
        unconfirmed,
        calls: cloud.calls(),
    }
}

impl Run {
    /// The plan as a look right after the run would find it: what went through is as it should be.
    pub fn after(&self) -> Plan {
        let mut plan = self.plan.clone();
        let failed = self.applied.failed.iter().map(|failure| &failure.role);
        let unconfirmed = self.unconfirmed.iter().map(|unconfirmed| &unconfirmed.role);
        let stopped: BTreeSet<&RoleName> = failed
            .chain(unconfirmed)
            .chain(&self.applied.released_meanwhile)
            .collect();
        for role in &mut plan.roles {
            if !role.reaches_its_goal() || stopped.contains(&role.role) {
                continue;
            }
            role.steps.clear();
            role.warnings.clear();
            if role.is_enforced {
                if role.outcome == Outcome::Change {
                    role.outcome = Outcome::Unchanged;
                }
                role.in_force = role.goal().cloned();
                // Where one part of it stays as it was, so does what is open to tokens.
                if let Some(pinned) = &role.exposure_pinned
                    && role.meanwhile.is_none()
                {
                    role.exposure_now = pinned.clone();
                }
            } else {
                if role.outcome == Outcome::Change {
                    role.outcome = Outcome::Observed;
                }
                role.in_force = None;
                role.exposure_now = Exposure::Everything;
            }
            if let Some(chained) = &mut role.chained {
                chained.in_force = role.in_force.as_ref().is_some_and(Pin::has_chained);
            }
        }
        let by_role = plan.roles.iter();
        plan.exposure_now =
            OfAccount::over(by_role.map(|role| (&role.exposure_now, role.footprint.hosts.len())));
        plan
    }

    /// Whether all that was to be done was done and seen.
    pub fn is_complete(&self) -> bool {
        self.applied.failed.is_empty() && self.unconfirmed.is_empty()
    }
}
