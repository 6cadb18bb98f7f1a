//! Carries a plan out. It makes no choices: the steps of a role are done in order, and a role stops at
//! its first failure while the others go on. Running again picks up where it stopped,
//! because a plan starts from what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use credpin_core::{
    id::{Arn, RoleName},
    plan::{OWNER_TAG, Plan, RELEASED_TAG, ROLE_TAG, RolePlan, Step, role_tag},
    policy::Digest,
};
use serde::Serialize;
use thiserror::Error;
use tracing::info;

use crate::cloud::{CallError, NewPolicy, WriteIam};

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// Steps that were done.
    pub done: Vec<Step>,
    /// Roles that stopped.
    pub failed: Vec<Failure>,
    /// Roles that an operator released after the plan was made: they were left as they are.
    pub released_meanwhile: Vec<RoleName>,
}

/// A role that stopped on the way.
#[derive(Debug, Error)]
#[error("role {role}: {error}")]
pub struct Failure {
    /// The role.
    pub role: RoleName,
    /// Why; what was not done is in the next plan.
    pub error: ApplyError,
}

/// Why a role stopped.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The policy is not one of ours (invariant 6).
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
    /// What is in force is neither what the plan was made from nor what was written since.
    #[error("{0} was changed since the plan was made; the next run looks again")]
    Changed(Arn),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A policy that lacks our tags, or has another role's: it is left alone.
#[derive(Debug, PartialEq, Eq, Error, Serialize)]
#[error(
    "{policy} is not ours to change: it lacks the tags {}={} and {ROLE_TAG}={}; \
     delete it, or tag it if it is a pin that credpin wrote",
    OWNER_TAG.0, OWNER_TAG.1, role_tag(role)
)]
pub struct NotOurs {
    /// The policy.
    pub policy: Arn,
    /// The role that it would be the pin of.
    pub role: RoleName,
}

/// Does the steps of `plan`. All roles go to their next wait, and wait together.
pub async fn apply<W: WriteIam>(plan: &Plan, iam: &W) -> Applied {
    let mut applied = Applied::default();
    let changing = plan.roles.iter().filter(|role| !role.steps.is_empty());
    let mut on_their_way: Vec<(&RolePlan, &[Step])> =
        changing.map(|role| (role, &role.steps[..])).collect();
    while !on_their_way.is_empty() {
        let mut waiting = Vec::new();
        for (role, steps) in on_their_way {
            let until = steps
                .iter()
                .position(|step| matches!(step, Step::Wait { .. }));
            let (stretch, rest) = steps.split_at(until.unwrap_or(steps.len()));
            match apply_stretch(role, stretch, iam, &mut applied.done).await {
                Ok(Fate::CarriedOut) if rest.is_empty() => {}
                Ok(Fate::CarriedOut) => waiting.push((role, rest)),
                Ok(Fate::ReleasedMeanwhile) => applied.released_meanwhile.push(role.role.clone()),
                Err(error) => applied.failed.push(Failure {
                    role: role.role.clone(),
                    error,
                }),
            }
        }
        on_their_way = wait(waiting, iam, &mut applied.done).await;
    }
    applied
}

/// Waits as long as the longest of the waits that roles have come to; gives back what is behind them.
async fn wait<'a, W: WriteIam>(
    waiting: Vec<(&'a RolePlan, &'a [Step])>,
    iam: &W,
    done: &mut Vec<Step>,
) -> Vec<(&'a RolePlan, &'a [Step])> {
    let mut longest = 0;
    let mut behind = Vec::new();
    for (role, steps) in waiting {
        if let Some((step @ Step::Wait { seconds, .. }, rest)) = steps.split_first() {
            longest = longest.max(*seconds);
            done.push(step.clone());
            behind.push((role, rest));
        }
    }
    if longest > 0 {
        info!("waiting {longest} s, until all of IAM has what was written");
        iam.settle(Duration::from_secs(longest)).await;
    }
    behind
}

/// What became of a role that did not stop.
enum Fate {
    CarriedOut,
    ReleasedMeanwhile,
}

/// Does the steps of a role up to its next wait. What is there is looked at before: somebody may have
/// been there since the plan was made, or during the wait.
async fn apply_stretch<W: WriteIam>(
    plan: &RolePlan,
    stretch: &[Step],
    iam: &W,
    done: &mut Vec<Step>,
) -> Result<Fate, ApplyError> {
    if stretch.is_empty() {
        return Ok(Fate::CarriedOut);
    }
    // What was released stays off; taking it off is what the operator wants too.
    let only_detaches = plan
        .steps
        .iter()
        .all(|step| matches!(step, Step::Detach { .. }));
    for policy in existing(plan, stretch) {
        let tags = check_ours(policy, &plan.role, iam).await?;
        if tags.contains_key(RELEASED_TAG) && !only_detaches {
            return Ok(Fate::ReleasedMeanwhile);
        }
    }
    check_unchanged(plan, stretch, iam).await?;
    for step in stretch {
        execute(step, iam).await?;
        info!("{step}");
        done.push(step.clone());
    }
    Ok(Fate::CarriedOut)
}

/// That each policy which these steps write says what it said when the plan was made, or what the plan
/// made of it (IAM may show the write of an earlier stretch late).
async fn check_unchanged<W: WriteIam>(
    plan: &RolePlan,
    stretch: &[Step],
    iam: &W,
) -> Result<(), ApplyError> {
    let made_now = |arn: &Arn| {
        let mut creates = stretch
            .iter()
            .filter(|step| matches!(step, Step::CreatePolicy { .. }));
        creates.any(|step| step.arn() == Some(arn))
    };
    let expecting = stretch.iter().filter(|step| step.expects().is_some());
    let policies: BTreeSet<&Arn> = expecting.filter_map(Step::arn).collect();
    for policy in policies.into_iter().filter(|arn| !made_now(arn)) {
        let of_it = plan.steps.iter().filter(|step| step.arn() == Some(policy));
        let known: Vec<&Digest> = of_it.filter_map(Step::expects).collect();
        let shown = Digest::of_text(&iam.document_in_force(policy).await?);
        if !known.contains(&&shown) {
            return Err(ApplyError::Changed(policy.clone()));
        }
    }
    Ok(())
}

/// The role's policies that are there, those in force and those that these steps change. One that
/// does not exist yet is ours once it is made: by its tags, in the same call.
fn existing<'a>(plan: &'a RolePlan, steps: &'a [Step]) -> BTreeSet<&'a Arn> {
    let in_force = plan.in_force.iter().flat_map(|pin| &pin.policies);
    let changed = steps.iter().filter_map(Step::arn);
    let made_now: BTreeSet<&Arn> = steps
        .iter()
        .filter(|step| matches!(step, Step::CreatePolicy { .. }))
        .filter_map(Step::arn)
        .collect();
    let all = in_force.map(|policy| &policy.arn).chain(changed);
    all.filter(|arn| !made_now.contains(arn)).collect()
}

/// The tags of the policy, which are ours and name `role` (invariant 6).
pub(crate) async fn check_ours<W: WriteIam>(
    policy: &Arn,
    role: &RoleName,
    iam: &W,
) -> Result<BTreeMap<String, String>, ApplyError> {
    let tags = iam.policy_tags(policy).await?;
    let has = |(key, value): (&str, &str)| tags.get(key).is_some_and(|tag| tag == value);
    if has(OWNER_TAG) && has((ROLE_TAG, &role_tag(role))) {
        return Ok(tags);
    }
    Err(NotOurs {
        policy: policy.clone(),
        role: role.clone(),
    }
    .into())
}

async fn execute<W: WriteIam>(step: &Step, iam: &W) -> Result<(), CallError> {
    match step {
        Step::CreatePolicy {
            role,
            policy,
            arn,
            document,
        } => {
            iam.create_policy(&NewPolicy {
                role,
                name: policy,
                arn,
                document: &document.to_json(),
                tags: &[OWNER_TAG, (ROLE_TAG, &role_tag(role))],
            })
            .await
        }
        Step::DeleteVersion { arn, version, .. } => {
            done_already(iam.delete_version(arn, version).await)
        }
        Step::CreateVersion { arn, document, .. } => {
            iam.create_version(arn, &document.to_json()).await
        }
        // All roles wait together, in `apply`.
        Step::Wait { .. } => Ok(()),
        Step::Attach { role, arn, .. } => iam.attach(role, arn).await,
        Step::Detach { role, arn } => done_already(iam.detach(role, arn).await),
    }
}

/// To take away what is not there is no failure: a retry whose first try got through unheard.
pub(crate) fn done_already(result: Result<(), CallError>) -> Result<(), CallError> {
    match result {
        Err(error) if error.not_found => Ok(()),
        other => other,
    }
}
