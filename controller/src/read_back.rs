//! After writing, IAM is read once more: what is in force there must be what the plan wanted.
//!
//! IAM shows its changes with a delay (IAM User Guide, "Changes that I make are not always
//! immediately visible": seconds, seldom more), so it is asked again for a while before a
//! difference counts as one.

use std::{collections::BTreeSet, time::Duration};

use credpin_core::{
    estate::Estate,
    id::{PolicyName, RoleName},
    plan::{PinPolicy, Plan, RolePlan, policy_names},
    policy::Document,
    settings::Mode,
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

/// What is not as the plan wanted it.
fn difference(plan: &RolePlan, seen: &Estate) -> Option<&'static str> {
    if !seen.gaps.is_empty() {
        return Some("IAM did not answer in full");
    }
    let attached: BTreeSet<&PolicyName> = policy_names(&plan.role)
        .filter_map(|name| seen.policies.get(&name))
        .filter(|live| {
            let role = seen.roles.get(&plan.role);
            role.is_some_and(|role| role.attached.contains(&live.arn))
        })
        .map(|live| &live.name)
        .collect();
    // In observe a pin is worked out all the same, and what there is is taken off.
    let wanted: &[PinPolicy] = match &plan.pin {
        Some(pin) if plan.mode != Mode::Observe => &pin.policies,
        _ => &[],
    };
    let more = attached.iter().any(|name| {
        let is_wanted = |policy: &PinPolicy| policy.policy == **name;
        !wanted.iter().any(is_wanted)
    });
    if more {
        return Some("the policy is still attached");
    }
    wanted.iter().find_map(|policy| {
        let Some(live) = seen.policies.get(&policy.policy) else {
            return Some("there is no such policy");
        };
        if !attached.contains(&policy.policy) {
            return Some("the policy is not attached");
        }
        let text = live.in_force().and_then(|version| version.text.as_deref());
        let same = text
            .and_then(|text| Document::parse(text).ok())
            .is_some_and(|document| document.digest() == policy.document.digest());
        (!same).then_some("another document is in force")
    })
}
