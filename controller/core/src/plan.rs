//! From what was seen to the steps that make it true. Pure and deterministic (invariant 8): carrying
//! a plan out makes no choices.
//!
//! A role's pin is one managed policy whose statements stand or fall alone: each admits every live
//! host that it selects (invariant 7; [`crate::verify`] proves it), and a new version takes the
//! place of the old in one call. So whichever of the two a part of IAM still sees, no host is out.

use std::collections::{BTreeMap, BTreeSet};

use credpin_ledger::Record;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    estate::{Estate, Gap, LivePolicy, Role},
    exposure::{self, Exposure},
    footprint::{self, Footprint},
    id::{AccountId, Arn, PolicyName, RoleName, VpcId},
    pin::Admitted,
    policy::Document,
    settings::{Mode, Settings},
};

mod difference;
mod doubts;
mod evidence;
mod hold;
mod role;
mod step;

pub use difference::{Difference, difference};
pub use hold::Hold;
pub use step::Step;

use self::{evidence::Evidence, role::RolePlanner};

/// The IAM path that our policies live under. Nothing outside of it is ever changed (invariant 6).
pub const POLICY_PATH: &str = "/credpin/";
/// The tag, key and value, that marks a policy as a pin of ours.
pub const OWNER_TAG: (&str, &str) = ("credpin:managed", "pin");
/// The tag that names a pin's role.
pub const ROLE_TAG: &str = "credpin:role";
/// The tag that an operator's release leaves, so that the next run does not put the pin back.
pub const RELEASED_TAG: &str = "credpin:released";
/// Managed policies that can be attached to a role, by default (IAM User Guide, "IAM and STS quotas").
pub const ATTACHED_POLICIES_QUOTA: usize = 20;

/// What is to be done about an account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The account.
    pub account: Option<AccountId>,
    /// What could not be seen.
    pub gaps: BTreeSet<Gap>,
    /// Every role that has instances or a pin, by name.
    pub roles: Vec<RolePlan>,
    /// What records say that EC2 does not. Never acted upon (invariant 3).
    pub warnings: Vec<String>,
}

/// What is to be done about a role, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolePlan {
    /// The role.
    pub role: RoleName,
    /// What the operator wants done about it.
    pub mode: Mode,
    /// What comes of it.
    pub outcome: Outcome,
    /// What stands in the way of enforcing; told in `observe` too.
    pub holds: Vec<Hold>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Where its tokens may be used from.
    pub footprint: Footprint,
    /// The pin that the footprint calls for; none where there is no host.
    pub pin: Option<Pin>,
    /// The pin that is attached now.
    pub in_force: Option<Pin>,
    /// What is open now.
    pub exposure_now: Exposure,
    /// What the pin would leave open.
    pub exposure_pinned: Option<Exposure>,
    /// What records tell.
    pub coverage: Coverage,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A role's policy document under its name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pin {
    /// The policy's name.
    pub policy: PolicyName,
    /// Characters it counts against the quota of [`crate::policy::MANAGED_POLICY_QUOTA`].
    pub size: usize,
    /// The document.
    pub document: Document,
}

/// What comes of a role in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Mode `observe`: nothing is written.
    Observed,
    /// The pin in force is the right one.
    Unchanged,
    /// There are steps.
    Change,
    /// Something stands in the way; what is in force stays as it is.
    Held,
    /// An operator released it: the pin stays off until `release --undo`.
    Released,
    /// An operator went back to an earlier version: it stays until `release --undo`.
    RolledBack,
    /// No live instance: what is in force stays as it is.
    Idle,
}

/// What records tell of a role: evidence for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Hosts of the role that have written a record, and so run the proxy.
    pub recorded_hosts: usize,
    /// Tokens on record that have not expired.
    pub live_tokens: usize,
}

/// The name of a role's pin.
pub fn policy_name(role: &RoleName) -> PolicyName {
    format!("credpin-{role}")
        .parse()
        .expect("a role's name with a prefix is a policy's name: same letters, at most 72 of 128")
}

/// The ARN of a role's pin.
pub fn policy_arn(role: &Role) -> Arn {
    let account = role.arn.account();
    let (partition, name) = (role.arn.partition(), policy_name(&role.name));
    format!("arn:{partition}:iam::{account}:policy{POLICY_PATH}{name}")
        .parse()
        .expect("it has the parts of an ARN")
}

/// The value of [`ROLE_TAG`]: the role's name, with `/` for the comma that tag values cannot hold and
/// names of roles cannot have.
pub fn role_tag(role: &RoleName) -> String {
    role.as_str().replace(',', "/")
}

/// What is to be done, given what was seen, what hosts recorded and what the operator decided.
pub fn plan(estate: &Estate, records: &[Record], settings: &Settings, now: Timestamp) -> Plan {
    let in_force: BTreeMap<&RoleName, Result<Pin, String>> = estate
        .roles
        .values()
        .filter_map(|role| Some((&role.name, read_pin(attached_policy(estate, role)?))))
        .collect();
    let kept = in_force
        .iter()
        .filter_map(|(role, pin)| Some((*role, vpcs_of(&pin.as_ref().ok()?.document))))
        .collect();
    let mut footprints = footprint::of_roles(estate, settings, &kept);
    let hosts = footprint::hosts(estate, settings);
    let fleet = exposure::Hosts::new(estate, &hosts);
    let evidence = Evidence::new(records, now);
    let roles: Vec<RolePlan> = estate
        .roles
        .values()
        .filter_map(|role| {
            let footprint = footprints.remove(&role.name);
            let live = estate.policies.get(&policy_name(&role.name));
            if footprint.is_none() && live.is_none() {
                return None;
            }
            let planner = RolePlanner {
                estate,
                settings,
                role,
                live,
                in_force: in_force.get(&role.name),
                fleet: &fleet,
            };
            Some(planner.plan(footprint.unwrap_or_default(), evidence.of(&role.name)))
        })
        .collect();
    let warnings = doubts::unheld_profiles(estate)
        .chain(doubts::idle_settings(estate, settings, &roles))
        .chain(evidence.contradictions(&hosts, &roles))
        .collect();
    Plan {
        account: estate.account.clone(),
        gaps: estate.gaps.clone(),
        roles,
        warnings,
    }
}

/// The pin that is attached to a role.
fn attached_policy<'a>(estate: &'a Estate, role: &Role) -> Option<&'a LivePolicy> {
    let live = estate.policies.get(&policy_name(&role.name))?;
    role.attached.contains(&live.arn).then_some(live)
}

/// The pin that a live policy has in force, or why it is none of ours.
fn read_pin(live: &LivePolicy) -> Result<Pin, String> {
    let text = live
        .in_force()
        .and_then(|version| version.text.as_deref())
        .ok_or_else(|| format!("{} has no version in force that could be read", live.arn))?;
    let document = Document::parse(text).map_err(|error| format!("{}: {error}", live.arn))?;
    Ok(Pin::new(&live.name, document))
}

/// The VPCs that a pin has groups for.
fn vpcs_of(document: &Document) -> BTreeSet<VpcId> {
    Admitted::by(document).public.into_keys().collect()
}

impl Plan {
    /// Every step, role by role.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.roles.iter().flat_map(|role| &role.steps)
    }

    /// The plan of one role.
    pub fn role(&self, name: &RoleName) -> Option<&RolePlan> {
        self.roles.iter().find(|role| role.role == *name)
    }

    /// Whether any role is held.
    pub fn is_held(&self) -> bool {
        self.roles.iter().any(|role| role.outcome == Outcome::Held)
    }
}

impl Pin {
    fn new(policy: &PolicyName, document: Document) -> Self {
        Self {
            policy: policy.clone(),
            size: document.size(),
            document,
        }
    }
}
