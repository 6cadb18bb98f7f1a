//! After writing, IAM is read once more: what is in force there must be what the plan wanted.
//!
//! IAM shows its changes with a delay (IAM User Guide, "Changes that I make are not always
//! immediately visible": seconds, seldom more), so it is asked again for a while before a
//! difference counts as one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use credpin_core::{
    estate::{Estate, LivePolicy},
    id::{Arn, RoleName},
    plan::{Plan, RolePlan, Step},
    policy::Document,
};
use thiserror::Error;

use crate::{
    apply::Applied,
    cloud::{Observe, estate::estate},
};

/// How long to wait before each further look: half a minute in all.
const WAITS: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];

/// What was written and is not to be seen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "role {role}: IAM does not show what was written ({what}); run again, and look who else writes there"
)]
pub struct Unconfirmed {
    /// The role.
    pub role: RoleName,
    /// What IAM shows in its place.
    pub what: &'static str,
}

/// Compares IAM with what was `applied` of `plan`, for the roles that went through.
pub async fn read_back<C: Observe>(plan: &Plan, applied: &Applied, cloud: &C) -> Vec<Unconfirmed> {
    let stopped: BTreeSet<&RoleName> = applied
        .failed
        .iter()
        .map(|failure| &failure.role)
        .chain(&applied.released_meanwhile)
        .collect();
    let written: Vec<&RolePlan> = plan
        .roles
        .iter()
        .filter(|role| !role.steps.is_empty() && !stopped.contains(&role.role))
        .collect();
    if written.is_empty() {
        return Vec::new();
    }
    let mut waits = WAITS.iter();
    loop {
        let seen = estate(&cloud.observe_iam().await);
        let unconfirmed: Vec<Unconfirmed> = written
            .iter()
            .filter_map(|role| {
                difference(role, &seen).map(|what| Unconfirmed {
                    role: role.role.clone(),
                    what,
                })
            })
            .collect();
        match waits.next() {
            Some(wait) if !unconfirmed.is_empty() => tokio::time::sleep(*wait).await,
            _ => return unconfirmed,
        }
    }
}

/// What is not as the steps leave it.
fn difference(plan: &RolePlan, seen: &Estate) -> Option<&'static str> {
    if !seen.gaps.is_empty() {
        return Some("IAM did not answer in full");
    }
    let mut wanted: BTreeMap<&Arn, Wanted<'_>> = BTreeMap::new();
    for step in &plan.steps {
        match step {
            Step::CreatePolicy { arn, document, .. }
            | Step::CreateVersion { arn, document, .. } => {
                wanted.entry(arn).or_default().document = Some(document);
            }
            Step::Attach { arn, .. } => wanted.entry(arn).or_default().attached = Some(true),
            Step::Detach { arn, .. } => wanted.entry(arn).or_default().attached = Some(false),
            Step::DeleteVersion { .. } | Step::Wait { .. } => {}
        }
    }
    let attached = seen.roles.get(&plan.role).map(|role| &role.attached);
    wanted.into_iter().find_map(|(arn, wanted)| {
        let is_attached = attached.is_some_and(|attached| attached.contains(arn));
        match (seen.policy(arn), wanted.attached) {
            (_, Some(false)) => return is_attached.then_some("the policy is still attached"),
            (None, _) => return Some("there is no such policy"),
            (Some(_), Some(true)) if !is_attached => return Some("the policy is not attached"),
            (Some(_), _) => {}
        }
        let shown = seen.policy(arn).and_then(LivePolicy::in_force);
        let text = shown.and_then(|version| version.text.as_deref());
        let shown = text.and_then(|text| Document::parse(text).ok());
        let same = shown.as_ref() == wanted.document || wanted.document.is_none();
        (!same).then_some("another document is in force")
    })
}

/// How steps leave a policy.
#[derive(Default)]
struct Wanted<'a> {
    document: Option<&'a Document>,
    attached: Option<bool>,
}
