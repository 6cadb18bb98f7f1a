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
    id::{AccountId, Arn, PolicyName, RoleName},
    pin,
    policy::{Document, MANAGED_POLICY_QUOTA},
    settings::{Mode, Settings},
    verify,
};

mod difference;
mod hold;
mod step;

pub use difference::{Difference, difference};
pub use hold::Hold;
pub use step::Step;

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
    /// Characters it counts against the quota of [`MANAGED_POLICY_QUOTA`].
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

/// What is to be done, given what was seen, what hosts recorded and what the operator decided.
pub fn plan(estate: &Estate, records: &[Record], settings: &Settings, now: Timestamp) -> Plan {
    let mut footprints = footprint::of_roles(estate, settings);
    let hosts = footprint::hosts(estate, settings);
    let fleet = exposure::Hosts::new(&hosts);
    let evidence = Evidence::new(records, now);
    let roles = estate
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
                fleet: &fleet,
            };
            Some(planner.plan(footprint.unwrap_or_default(), evidence.of(&role.name)))
        })
        .collect();
    Plan {
        account: estate.account.clone(),
        gaps: estate.gaps.clone(),
        roles,
        warnings: evidence.strangers(&hosts),
    }
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

/// What the plan of one role is made from.
struct RolePlanner<'a> {
    estate: &'a Estate,
    settings: &'a Settings,
    role: &'a Role,
    live: Option<&'a LivePolicy>,
    fleet: &'a exposure::Hosts<'a>,
}

impl RolePlanner<'_> {
    fn plan(&self, footprint: Footprint, coverage: Coverage) -> RolePlan {
        let mode = self.settings.mode_of(self.role);
        let policy = policy_name(&self.role.name);
        let attached = self
            .live
            .filter(|live| self.role.attached.contains(&live.arn));
        let (in_force, edited) = match attached.map(readable) {
            Some(Ok(document)) => (Some(Pin::new(&policy, document)), None),
            Some(Err(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        let pin = (!footprint.hosts.is_empty())
            .then(|| Pin::new(&policy, pin::of(&footprint, self.settings)));
        let holds = self.holds(&footprint, pin.as_ref(), attached.is_some(), edited);
        let outcome = self.outcome(mode, &footprint, attached.is_some(), &holds);
        let steps = match (&outcome, &pin) {
            (Outcome::Change, Some(pin)) if mode == Mode::Enforce => self.enforce(pin),
            (Outcome::Change, _) => self.detach(),
            _ => Vec::new(),
        };
        let outcome = match outcome {
            Outcome::Change if steps.is_empty() => Outcome::Unchanged,
            other => other,
        };
        let measure =
            |pin: &Pin| exposure::of(&footprint, &pin.document, self.settings, self.fleet);
        let warnings = self.locked_out(in_force.as_ref(), &footprint);
        RolePlan {
            role: self.role.name.clone(),
            mode,
            outcome,
            exposure_now: in_force.as_ref().map_or(Exposure::Everything, measure),
            exposure_pinned: pin.as_ref().map(measure),
            holds,
            steps,
            pin,
            in_force,
            footprint,
            coverage,
            warnings,
        }
    }

    fn outcome(
        &self,
        mode: Mode,
        footprint: &Footprint,
        attached: bool,
        holds: &[Hold],
    ) -> Outcome {
        match self.live {
            Some(live) if live.released => Outcome::Released,
            Some(live) if live.is_rolled_back() => Outcome::RolledBack,
            // Taking a pin off needs no view of the fleet.
            _ if mode == Mode::Observe && attached => Outcome::Change,
            _ if mode == Mode::Observe => Outcome::Observed,
            _ if !holds.is_empty() => Outcome::Held,
            _ if footprint.hosts.is_empty() => Outcome::Idle,
            _ => Outcome::Change,
        }
    }

    /// What stands in the way of a pin.
    fn holds(
        &self,
        footprint: &Footprint,
        pin: Option<&Pin>,
        attached: bool,
        edited: Option<String>,
    ) -> Vec<Hold> {
        let mut holds: Vec<Hold> = self.estate.gaps.iter().cloned().map(Hold::Gap).collect();
        if self.settings.own_role.as_ref() == Some(&self.role.arn) {
            holds.push(Hold::OwnRole);
        }
        if ["/aws-service-role/", "/aws-reserved/"]
            .iter()
            .any(|path| self.role.path.starts_with(path))
        {
            holds.push(Hold::ReservedPath(self.role.path.clone()));
        }
        holds.extend(edited.map(Hold::Edited));
        holds.extend(footprint.unknown.iter().cloned().map(Hold::UnknownEgress));
        if !self.settings.allow_launch_gap {
            holds.extend(footprint.launch_gaps.iter().cloned().map(Hold::LaunchGap));
        }
        if !attached && self.role.attached.len() >= ATTACHED_POLICIES_QUOTA {
            holds.push(Hold::AttachmentQuota(self.role.attached.len()));
        }
        if let Some(pin) = pin {
            if pin.size > MANAGED_POLICY_QUOTA {
                holds.push(Hold::TooLarge(pin.size));
            }
            let found = verify::verify(self.role, footprint, self.settings, &[&pin.document]);
            holds.extend(found.into_iter().map(Hold::Unproven));
        }
        holds
    }

    /// The steps that put `pin` into force.
    fn enforce(&self, pin: &Pin) -> Vec<Step> {
        let role = || self.role.name.clone();
        let Some(live) = self.live else {
            let arn = policy_arn(self.role);
            return vec![
                Step::CreatePolicy {
                    role: role(),
                    policy: pin.policy.clone(),
                    arn: arn.clone(),
                    document: pin.document.clone(),
                },
                Step::Attach { role: role(), arn },
            ];
        };
        let mut steps = Vec::new();
        let right = readable(live).is_ok_and(|document| document.digest() == pin.document.digest());
        if !right {
            steps.extend(live.version_to_prune().map(|version| Step::DeleteVersion {
                role: role(),
                arn: live.arn.clone(),
                version,
            }));
            steps.push(Step::CreateVersion {
                role: role(),
                arn: live.arn.clone(),
                document: pin.document.clone(),
            });
        }
        if !self.role.attached.contains(&live.arn) {
            steps.push(Step::Attach {
                role: role(),
                arn: live.arn.clone(),
            });
        }
        steps
    }

    fn detach(&self) -> Vec<Step> {
        let ours = self.live.iter().map(|live| &live.arn);
        ours.filter(|arn| self.role.attached.contains(*arn))
            .map(|arn| Step::Detach {
                role: self.role.name.clone(),
                arn: arn.clone(),
            })
            .collect()
    }

    /// Live hosts that the pin in force denies: stale, and a reason to hurry.
    fn locked_out(&self, in_force: Option<&Pin>, footprint: &Footprint) -> Vec<String> {
        let Some(pin) = in_force else {
            return Vec::new();
        };
        verify::locked_out(self.role, footprint, self.settings, &[&pin.document])
            .iter()
            .map(|found| format!("the pin in force is stale: {found}"))
            .collect()
    }
}

/// The document that a live policy has in force, or why it is none of ours.
fn readable(live: &LivePolicy) -> Result<Document, String> {
    let text = live
        .in_force()
        .and_then(|version| version.text.as_deref())
        .ok_or_else(|| format!("{} has no version in force that could be read", live.arn))?;
    Document::parse(text).map_err(|error| format!("{}: {error}", live.arn))
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

/// Records, sorted by role.
struct Evidence<'a> {
    by_role: BTreeMap<&'a str, Seen<'a>>,
    instances: BTreeSet<&'a str>,
}

#[derive(Default)]
struct Seen<'a> {
    hosts: BTreeSet<&'a str>,
    live: BTreeSet<&'a str>,
}

impl<'a> Evidence<'a> {
    fn new(records: &'a [Record], now: Timestamp) -> Self {
        let mut by_role: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
        for record in records {
            let seen = by_role.entry(&record.role).or_default();
            seen.hosts.insert(&record.host.instance_id);
            if record.expires > now {
                seen.live.insert(&record.access_key_id);
            }
        }
        let instances = records
            .iter()
            .filter(|record| record.expires > now)
            .map(|record| record.host.instance_id.as_str())
            .collect();
        Self { by_role, instances }
    }

    fn of(&self, role: &RoleName) -> Coverage {
        self.by_role
            .get(role.as_str())
            .map_or_else(Coverage::default, |seen| Coverage {
                recorded_hosts: seen.hosts.len(),
                live_tokens: seen.live.len(),
            })
    }

    /// Instances with live tokens on record that EC2 does not show.
    fn strangers(&self, hosts: &[footprint::Host]) -> Vec<String> {
        let known: BTreeSet<&str> = hosts.iter().map(|host| host.instance.as_str()).collect();
        self.instances
            .difference(&known)
            .map(|id| format!("{id} has live tokens on record, and EC2 does not show it"))
            .collect()
    }
}
