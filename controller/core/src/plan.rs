//! From what was seen to the steps that make it true. Pure and deterministic (invariant 8): carrying
//! a plan out makes no choices.
//!
//! A role's pin is a managed policy, or several, whose statements stand or fall alone: each admits
//! every live host that it selects (invariant 7; [`crate::verify`] proves it). From one document to
//! another it goes by way of what both admit, with a wait between (`plan/transition.rs`), so whichever
//! of them a part of IAM still sees, no host is out.

use std::collections::{BTreeMap, BTreeSet};

use credpin_ledger::Record;
use jiff::Timestamp;
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    chain::{self, Callers, Chained, Chains, HostsOf},
    estate::{Estate, Gap, LivePolicy, Role},
    exposure::{self, Exposure, OfAccount},
    footprint::{self, Footprint},
    id::{AccountId, Arn, PolicyName, RoleName, VpcId},
    pin::{self, Admitted},
    policy::Document,
    settings::{DEFAULT_POLICY_QUOTA, Mode, Settings},
};

mod absence;
mod chained;
mod course;
mod difference;
mod doubts;
mod edit;
mod evidence;
mod hold;
mod name;
mod narrowing;
mod quota;
mod role;
mod scope;
mod step;
mod transition;
mod wants_replay;

pub use absence::Absence;
pub use chained::ChainedPlan;
pub use difference::{Difference, difference};
pub use doubts::{Decision, Idle};
pub use edit::Edit;
pub use hold::Hold;
pub use name::{MOST_POLICIES, policy_arn, policy_name, policy_names, role_of, role_tag};
pub use narrowing::Narrowing;
pub use step::Step;
pub use wants_replay::WantsReplay;

use self::{edit::read_policy, evidence::Evidence, role::RolePlanner};

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
    /// Every role that has instances or a pin, or is to have one, by name.
    pub roles: Vec<RolePlan>,
    /// Roles that can be assumed with the tokens of these. The pins of these do not follow there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chained: Vec<Chained>,
    /// What is open now, of all roles together.
    pub exposure_now: OfAccount,
    /// What records say that EC2 does not. Never acted upon (invariant 3).
    pub warnings: Vec<String>,
    /// Decisions that bear on nothing here; among the warnings, unless they are for several accounts.
    #[serde(skip)]
    pub idle: Vec<Idle>,
}

/// What is to be done about a role, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolePlan {
    /// The role.
    pub role: RoleName,
    /// What the operator wants done about it.
    pub stage: Mode,
    /// What comes of that: `canary` is `enforce` for some roles, and `observe` for the others.
    pub mode: Mode,
    /// Whether its pin is to be in force, all of it or a part.
    #[serde(skip)]
    pub is_enforced: bool,
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
    /// The pin that the steps end at, where one part of it is held and stays as it is in force, and the other goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meanwhile: Option<Pin>,
    /// The pin that is attached now.
    pub in_force: Option<Pin>,
    /// The part of its pin that is about sessions which others make by assuming it, where the config opts it in or
    /// that is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chained: Option<ChainedPlan>,
    /// What is open now.
    pub exposure_now: Exposure,
    /// What the pin would leave open.
    pub exposure_pinned: Option<Exposure>,
    /// What records tell.
    pub coverage: Coverage,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A role's pin: its policies, in the order of their names' numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pin {
    /// The policies. A call passes only if every statement of every one admits it.
    pub policies: Vec<PinPolicy>,
}

/// One policy of a pin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PinPolicy {
    /// Its name.
    pub policy: PolicyName,
    /// Its ARN.
    pub arn: Arn,
    /// Characters it counts, once sealed, against the quota of [`crate::policy::MANAGED_POLICY_QUOTA`].
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
    /// Something stands in the way; what is in force stays as it is, or is widened only. Where that is in the way of
    /// one part of the pin only, the other goes on.
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

/// What is to be done, given what was seen, what hosts recorded and what the operator decided.
pub fn plan(estate: &Estate, records: &[Record], settings: &Settings, now: Timestamp) -> Plan {
    let roles: Vec<&Role> = estate.roles.values().collect();
    let seen: Vec<_> = roles
        .into_par_iter()
        .map(|role| {
            let live = live_policies(estate, role);
            let in_force = read_pins(&live, role);
            (role, live, in_force)
        })
        .collect();
    let kept = seen
        .par_iter()
        .filter_map(|(role, _, pin)| Some((&role.name, vpcs_of(pin.as_ref()?.as_ref().ok()?))))
        .collect();
    let (mut footprints, others) = footprint::of_roles(estate, settings, &kept);
    let of_roles = footprints.values().flat_map(|footprint| &footprint.hosts);
    let fleet = exposure::Hosts::new(estate, of_roles.chain(&others));
    let callers = callers(estate, settings, &seen, &footprints);
    let evidence = Evidence::new(records, now);
    let seen: Vec<_> = seen
        .into_iter()
        .map(|(role, live, in_force)| (role, live, in_force, footprints.remove(&role.name)))
        .filter(|(role, live, _, footprint)| {
            // One that instances can have, and that should be pinned once they do, is shown too.
            let awaited = || {
                estate.gaps.is_empty()
                    && !role.profiles.is_empty()
                    && settings.mode_of(role) == Mode::Enforce
            };
            footprint.is_some() || !live.is_empty() || awaited() || callers.contains_key(&role.name)
        })
        .collect();
    let plan_role = |(role, live, in_force, footprint): Seen<'_>, spare_policies| {
        let planner = RolePlanner {
            estate,
            settings,
            role,
            live,
            in_force,
            callers: callers.get(&role.name),
            fleet: &fleet,
            spare_policies,
            now,
        };
        planner.plan(footprint.unwrap_or_default(), evidence.of(&role.name))
    };
    let quota = settings.policy_quota.unwrap_or(DEFAULT_POLICY_QUOTA);
    let spare = quota.saturating_sub(estate.customer_policies);
    let is_made = |step: &&Step| matches!(step, Step::CreatePolicy { .. });
    let made = |plan: &RolePlan| plan.steps.iter().filter(is_made).count();
    let roles = quota::in_turn(seen, spare, settings.most_policies(), plan_role, made);
    let idle = doubts::idle_settings(estate, settings, &roles);
    let told = idle.iter().filter(|_| !settings.shared);
    let warnings = doubts::unheld_profiles(estate, &others)
        .chain(told.filter_map(|idle| idle.why.clone()))
        .chain(evidence.contradictions(estate, &roles))
        .collect();
    let with_hosts = roles.iter().filter(|role| !role.footprint.hosts.is_empty());
    let chained = chain::chained(estate, with_hosts.map(|role| &role.role));
    Plan {
        chained,
        account: estate.account.clone(),
        gaps: estate.gaps.clone(),
        exposure_now: OfAccount::over(
            roles
                .iter()
                .map(|role| (&role.exposure_now, role.footprint.hosts.len())),
        ),
        roles,
        warnings,
        idle,
    }
}

/// A role with its policies and its pin in force.
type Pinned<'a> = (&'a Role, Vec<Live<'a>>, Option<Result<Pin, Edit>>);

/// Who may assume each role whose sessions are to be pinned that others make, or are.
fn callers<'a>(
    estate: &Estate,
    settings: &Settings,
    seen: &[Pinned<'a>],
    footprints: &BTreeMap<RoleName, Footprint>,
) -> BTreeMap<&'a RoleName, Callers> {
    let wanted = seen.iter().filter(|(role, live, _)| {
        let mut in_force = chained::attached(live, role);
        settings.chained_rule(role).is_some() || in_force.any(pin::is_chained)
    });
    let wanted: Vec<&Role> = wanted.map(|(role, ..)| *role).collect();
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    let chains = Chains::new(estate, settings, footprints);
    let mut hosts = HostsOf::new();
    let callers = wanted.into_iter();
    callers
        .map(|role| (&role.name, chains.callers(role, &mut hosts)))
        .collect()
}

/// A role with what is there of it: its policies, its pin in force, its footprint.
type Seen<'a> = (
    &'a Role,
    Vec<Live<'a>>,
    Option<Result<Pin, Edit>>,
    Option<Footprint>,
);

/// A policy of a role's pin as it is in IAM.
struct Live<'a> {
    policy: &'a LivePolicy,
    /// What it has in force, or what somebody else made of it.
    read: Result<PinPolicy, Edit>,
}

/// The policies of a role's pin that are there, attached or not.
fn live_policies<'a>(estate: &'a Estate, role: &Role) -> Vec<Live<'a>> {
    policy_names(&role.name)
        .filter_map(|name| estate.policies.get(&name))
        .map(|policy| Live {
            policy,
            read: read_policy(policy),
        })
        .collect()
}

/// The pin that is attached to a role, or why it is none of ours; none where nothing is attached.
fn read_pins(live: &[Live<'_>], role: &Role) -> Option<Result<Pin, Edit>> {
    let is_attached = |live: &&Live<'_>| role.attached.contains(&live.policy.arn);
    let attached = || live.iter().filter(is_attached);
    let policies: Result<Vec<PinPolicy>, Edit> = attached().map(|live| live.read.clone()).collect();
    attached().next()?;
    Some(policies.map(|policies| Pin { policies }))
}

/// The VPCs that a pin has groups for.
fn vpcs_of(pin: &Pin) -> BTreeSet<VpcId> {
    let documents = pin.documents();
    Admitted::by(&documents).vpcs().cloned().collect()
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

impl RolePlan {
    /// Whether its [`goal`](Self::goal) is in force, once the steps are done. What is held is widened only, but
    /// for a pin of which one part is held: that has all that it is to have.
    pub fn reaches_its_goal(&self) -> bool {
        let is_whole = |hold: &Hold| matches!(hold, Hold::Chained(_));
        match self.outcome {
            Outcome::Change => true,
            Outcome::Held => {
                let goes_on = self.meanwhile.is_some() || self.holds.iter().all(is_whole);
                !self.steps.is_empty() && goes_on
            }
            _ => false,
        }
    }

    /// The pin that the steps are to end at.
    pub fn goal(&self) -> Option<&Pin> {
        self.meanwhile.as_ref().or(self.pin.as_ref())
    }
}

impl Pin {
    /// Whether any of it is about sessions that others make by assuming the role.
    pub fn has_chained(&self) -> bool {
        let mut policies = self.policies.iter();
        policies.any(|policy| policy.document.statements.iter().any(pin::is_chained))
    }

    /// What its policies say.
    pub fn documents(&self) -> Vec<&Document> {
        self.policies
            .iter()
            .map(|policy| &policy.document)
            .collect()
    }
}

impl PinPolicy {
    fn new(policy: PolicyName, arn: Arn, document: Document) -> Self {
        Self {
            policy,
            arn,
            size: document.sealed_size(),
            document,
        }
    }
}
