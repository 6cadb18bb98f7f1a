//! What is to be done about one role.

use super::{
    ATTACHED_POLICIES_QUOTA, Coverage, Hold, Outcome, Pin, RolePlan, Step, policy_arn, policy_name,
    read_pin,
};
use crate::{
    estate::{Estate, LivePolicy, Role},
    exposure::{self, Exposure},
    footprint::Footprint,
    pin,
    policy::MANAGED_POLICY_QUOTA,
    settings::{Mode, Settings},
    verify,
};

/// What the plan of one role is made from.
pub(super) struct RolePlanner<'a> {
    pub(super) estate: &'a Estate,
    pub(super) settings: &'a Settings,
    pub(super) role: &'a Role,
    pub(super) live: Option<&'a LivePolicy>,
    /// What is attached, or why it cannot be read.
    pub(super) in_force: Option<&'a Result<Pin, String>>,
    pub(super) fleet: &'a exposure::Hosts<'a>,
}

impl RolePlanner<'_> {
    /// What is to be done about it.
    pub(super) fn plan(&self, footprint: Footprint, coverage: Coverage) -> RolePlan {
        let mode = self.settings.mode_of(self.role);
        let policy = policy_name(&self.role.name);
        let pin = (!footprint.hosts.is_empty())
            .then(|| Pin::new(&policy, pin::of(&footprint, self.settings)));
        let in_force = self.in_force.and_then(|read| read.as_ref().ok());
        let holds = self.holds(mode, &footprint, pin.as_ref());
        let outcome = self.outcome(mode, &footprint, &holds);
        let steps = match (outcome, &pin) {
            (Outcome::Change, Some(pin)) if mode == Mode::Enforce => self.enforce(pin, &footprint),
            (Outcome::Change, _) => self.detach(),
            _ => Vec::new(),
        };
        let outcome = match outcome {
            Outcome::Change if steps.is_empty() => Outcome::Unchanged,
            other => other,
        };
        let measure = |pin: &Pin| {
            if self.estate.gaps.is_empty() {
                exposure::of(&footprint, &pin.document, self.fleet)
            } else {
                Exposure::Unknown
            }
        };
        let mut warnings = in_force.map_or_else(Vec::new, |pin| self.stale(pin, &footprint));
        if outcome == Outcome::Held && !warnings.is_empty() {
            warnings.push(format!(
                "that stays so while the role is held: see to what holds it, or take the pin off \
                 with `credpin release {}`",
                self.role.name
            ));
        }
        if self.in_force.is_none() && matches!(steps.last(), Some(Step::CreateVersion { .. })) {
            warnings.push(ATTACH_LATER.to_owned());
        }
        RolePlan {
            role: self.role.name.clone(),
            mode,
            outcome,
            exposure_now: in_force.map_or(Exposure::Everything, measure),
            exposure_pinned: pin.as_ref().map(measure),
            holds,
            steps,
            pin,
            in_force: in_force.cloned(),
            footprint,
            coverage,
            warnings,
        }
    }

    fn outcome(&self, mode: Mode, footprint: &Footprint, holds: &[Hold]) -> Outcome {
        let attached = self.in_force.is_some();
        match self.live {
            Some(live) if live.released => Outcome::Released,
            // Taking a pin off needs no view of the fleet, but somebody's word.
            _ if mode == Mode::Observe && attached && self.settings.names(&self.role.name) => {
                Outcome::Change
            }
            Some(live) if live.is_rolled_back() => Outcome::RolledBack,
            _ if mode == Mode::Observe && !attached => Outcome::Observed,
            _ if !holds.is_empty() => Outcome::Held,
            _ if footprint.hosts.is_empty() => Outcome::Idle,
            _ => Outcome::Change,
        }
    }

    /// What stands in the way of a pin.
    fn holds(&self, mode: Mode, footprint: &Footprint, pin: Option<&Pin>) -> Vec<Hold> {
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
        if let Some(Err(reason)) = self.in_force {
            holds.push(Hold::Edited(reason.clone()));
        }
        if mode == Mode::Observe && self.in_force.is_some() && !self.settings.names(&self.role.name)
        {
            holds.push(Hold::Unsaid);
        }
        holds.extend(footprint.unknown.iter().cloned().map(Hold::UnknownEgress));
        if !self.settings.allow_launch_gap {
            holds.extend(footprint.launch_gaps.iter().cloned().map(Hold::LaunchGap));
        }
        if self.in_force.is_none() && self.role.attached.len() >= ATTACHED_POLICIES_QUOTA {
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
    fn enforce(&self, pin: &Pin, footprint: &Footprint) -> Vec<Step> {
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
        let now = read_pin(live).ok();
        let mut steps = Vec::new();
        if now.as_ref().map(|now| now.document.digest()) != Some(pin.document.digest()) {
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
        // While IAM settles a part of it may see the attachment and still the version of before, so
        // that one has to hold too. Where it does not, a later run attaches.
        let may_attach = now.is_some_and(|now| self.stale(&now, footprint).is_empty());
        if self.in_force.is_none() && may_attach {
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

    /// Live hosts that a pin of before denies: a reason to hurry.
    fn stale(&self, pin: &Pin, footprint: &Footprint) -> Vec<String> {
        verify::locked_out(self.role, footprint, self.settings, &[&pin.document])
            .iter()
            .map(|found| format!("the pin in force is stale: {found}"))
            .collect()
    }
}

/// Said where an attachment waits for a run to come.
const ATTACH_LATER: &str = "the policy's document is out of date: this run brings it up to date, and \
                            the next one attaches it, when all of IAM has it";
