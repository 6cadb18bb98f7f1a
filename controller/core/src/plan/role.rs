//! What is to be done about one role.

use std::collections::BTreeSet;

use super::{
    ATTACHED_POLICIES_QUOTA, Coverage, Hold, Outcome, Pin, PinPolicy, RolePlan, Step, policy_arn,
    policy_names, read_policy,
};
use crate::{
    estate::{Estate, LivePolicy, Role},
    exposure::{self, Exposure},
    footprint::Footprint,
    id::Arn,
    pin::{self, Room},
    policy::{Document, MANAGED_POLICY_QUOTA},
    settings::{DEFAULT_MAX_POLICIES, Mode, Settings},
    verify,
};

/// What the plan of one role is made from.
pub(super) struct RolePlanner<'a> {
    pub(super) estate: &'a Estate,
    pub(super) settings: &'a Settings,
    pub(super) role: &'a Role,
    /// Its policies that are there, attached or not.
    pub(super) live: Vec<&'a LivePolicy>,
    /// What is attached, or why it cannot be read.
    pub(super) in_force: Option<&'a Result<Pin, String>>,
    pub(super) fleet: &'a exposure::Hosts<'a>,
    /// Policies that the account's quota still leaves room for.
    pub(super) spare_policies: usize,
}

impl RolePlanner<'_> {
    /// What is to be done about it.
    pub(super) fn plan(&self, mut footprint: Footprint, coverage: Coverage) -> RolePlan {
        let mode = self.settings.mode_of(self.role);
        let pin = (!footprint.hosts.is_empty()).then(|| self.fit(&mut footprint));
        let in_force = self.in_force.and_then(|read| read.as_ref().ok());
        let holds = self.holds(mode, &footprint, pin.as_ref());
        let outcome = self.outcome(mode, &footprint, &holds);
        let steps = match (outcome, &pin) {
            (Outcome::Change, Some(pin)) if mode == Mode::Enforce => self.enforce(pin, &footprint),
            (Outcome::Change, _) => self.detach(|_| true),
            _ => Vec::new(),
        };
        let outcome = match outcome {
            Outcome::Change if steps.is_empty() => Outcome::Unchanged,
            other => other,
        };
        let measure = |pin: &Pin| {
            if self.estate.gaps.is_empty() {
                exposure::of(&footprint, &pin.documents(), self.fleet)
            } else {
                Exposure::Unknown
            }
        };
        let mut warnings =
            in_force.map_or_else(Vec::new, |pin| self.stale(&pin.documents(), &footprint));
        if outcome == Outcome::Held && !warnings.is_empty() {
            warnings.push(format!(
                "that stays so while the role is held: see to what holds it, or take the pin off \
                 with `credpin release {}`",
                self.role.name
            ));
        }
        if self.attaches_later(&steps) {
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
        match () {
            () if self.live.iter().any(|live| live.released) => Outcome::Released,
            // Taking a pin off needs no view of the fleet, but somebody's word.
            () if mode == Mode::Observe && attached && self.settings.names(&self.role.name) => {
                Outcome::Change
            }
            () if self.live.iter().any(|live| live.is_rolled_back()) => Outcome::RolledBack,
            () if mode == Mode::Observe && !attached => Outcome::Observed,
            () if !holds.is_empty() => Outcome::Held,
            () if footprint.hosts.is_empty() => Outcome::Idle,
            () => Outcome::Change,
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
        if self.settings.pin_derived && self.role.may_assume_itself() {
            holds.push(Hold::SelfAssumable);
        }
        holds.extend(footprint.unknown.iter().cloned().map(Hold::UnknownEgress));
        if !self.settings.allow_launch_gap {
            holds.extend(footprint.launch_gaps.iter().cloned().map(Hold::LaunchGap));
        }
        if self.places() == 0 {
            holds.push(Hold::AttachmentQuota(self.attached_by_others()));
        }
        if self.live.is_empty() && self.spare_policies == 0 {
            holds.push(Hold::PolicyQuota(self.estate.customer_policies));
        }
        if let Some(pin) = pin {
            let sizes = pin.policies.iter().map(|policy| policy.size);
            holds.extend(
                sizes
                    .filter(|size| *size > MANAGED_POLICY_QUOTA)
                    .map(Hold::TooLarge),
            );
            let found = verify::verify(self.role, footprint, self.settings, &pin.documents());
            holds.extend(found.into_iter().map(Hold::Unproven));
        }
        holds
    }

    /// The pin of `footprint`, its hosts kept apart as finely as there is room for. What does not fit
    /// is one document that is too large.
    fn fit(&self, footprint: &mut Footprint) -> Pin {
        let most = self.settings.max_policies.unwrap_or(DEFAULT_MAX_POLICIES);
        let room = Room {
            // Where there is no place the role is held, and what it would have is shown.
            documents: most
                .min(self.places())
                .min(self.live.len() + self.spare_policies)
                .max(1),
            characters: MANAGED_POLICY_QUOTA,
        };
        let before: Vec<Option<Document>> = policy_names(&self.role.name)
            .map(|name| {
                let live = self.live.iter().find(|live| live.name == name)?;
                read_policy(live).ok().map(|policy| policy.document)
            })
            .collect();
        match pin::fit(footprint, self.settings, self.fleet, room, &before) {
            Ok(fitted) => self.named(fitted.documents),
            Err(too_large) => self.named(vec![too_large]),
        }
    }

    /// Policies that can be attached to the role as its pin: one place is kept free, so that a thief
    /// can be cut off at any time.
    fn places(&self) -> usize {
        ATTACHED_POLICIES_QUOTA.saturating_sub(self.attached_by_others() + 1)
    }

    fn attached_by_others(&self) -> usize {
        let ours: BTreeSet<&Arn> = self.live.iter().map(|live| &live.arn).collect();
        let attached = self.role.attached.iter();
        attached.filter(|arn| !ours.contains(arn)).count()
    }

    /// The pin of these documents, each under its name.
    fn named(&self, documents: Vec<Document>) -> Pin {
        let policies = policy_names(&self.role.name)
            .zip(documents)
            .filter(|(_, document)| !document.statements.is_empty())
            .map(|(name, document)| {
                let arn = policy_arn(self.role, &name);
                PinPolicy::new(name, arn, document)
            })
            .collect();
        Pin { policies }
    }

    /// The steps that put `pin` into force. Documents that gain a statement go before those that
    /// only lose some, so that a statement on its way from one to another is never in neither; what
    /// is no longer called for is taken off last.
    fn enforce(&self, pin: &Pin, footprint: &Footprint) -> Vec<Step> {
        let (gaining, others): (Vec<&PinPolicy>, Vec<&PinPolicy>) =
            pin.policies.iter().partition(|policy| self.gains(policy));
        let mut steps: Vec<Step> = gaining
            .into_iter()
            .chain(others)
            .flat_map(|policy| match self.live_policy(policy) {
                Some(live) => self.bring_up_to_date(live, policy, footprint),
                None => self.create(policy),
            })
            .collect();
        let called_for: BTreeSet<&Arn> = pin.policies.iter().map(|policy| &policy.arn).collect();
        steps.extend(self.detach(|arn| !called_for.contains(arn)));
        steps
    }

    /// The policy of this name that is there.
    fn live_policy(&self, policy: &PinPolicy) -> Option<&LivePolicy> {
        self.live
            .iter()
            .copied()
            .find(|live| live.name == policy.policy)
    }

    /// Whether `policy` will say something that the policy of its name does not say now.
    fn gains(&self, policy: &PinPolicy) -> bool {
        let now = self.live_policy(policy).map(read_policy);
        let Some(Ok(now)) = now else {
            return true;
        };
        let said = |sid: &str| now.document.statements.iter().any(|now| now.sid == sid);
        policy
            .document
            .statements
            .iter()
            .any(|statement| !said(&statement.sid))
    }

    fn create(&self, policy: &PinPolicy) -> Vec<Step> {
        let role = || self.role.name.clone();
        vec![
            Step::CreatePolicy {
                role: role(),
                policy: policy.policy.clone(),
                arn: policy.arn.clone(),
                document: policy.document.clone(),
            },
            Step::Attach {
                role: role(),
                arn: policy.arn.clone(),
            },
        ]
    }

    fn bring_up_to_date(
        &self,
        live: &LivePolicy,
        policy: &PinPolicy,
        footprint: &Footprint,
    ) -> Vec<Step> {
        let role = || self.role.name.clone();
        let now = read_policy(live).ok();
        let mut steps = Vec::new();
        if now.as_ref().map(|now| now.document.digest()) != Some(policy.document.digest()) {
            steps.extend(live.version_to_prune().map(|version| Step::DeleteVersion {
                role: role(),
                arn: live.arn.clone(),
                version,
            }));
            steps.push(Step::CreateVersion {
                role: role(),
                arn: live.arn.clone(),
                document: policy.document.clone(),
            });
        }
        // While IAM settles a part of it may see the attachment and still the version of before, so
        // that one has to hold too. Where it does not, a later run attaches.
        let may_attach = now.is_some_and(|now| self.stale(&[&now.document], footprint).is_empty());
        if !self.role.attached.contains(&live.arn) && may_attach {
            steps.push(Step::Attach {
                role: role(),
                arn: live.arn.clone(),
            });
        }
        steps
    }

    /// Whether a policy gets a document and is not attached by these steps, nor was before.
    fn attaches_later(&self, steps: &[Step]) -> bool {
        let attached_by = |arn: &Arn| {
            let attaches = |step: &Step| matches!(step, Step::Attach { .. }) && step.arn() == arn;
            self.role.attached.contains(arn) || steps.iter().any(attaches)
        };
        steps
            .iter()
            .any(|step| matches!(step, Step::CreateVersion { arn, .. } if !attached_by(arn)))
    }

    /// Takes off what is attached and `chosen`.
    fn detach(&self, chosen: impl Fn(&Arn) -> bool) -> Vec<Step> {
        let ours = self.live.iter().map(|live| &live.arn);
        ours.filter(|arn| self.role.attached.contains(*arn) && chosen(arn))
            .map(|arn| Step::Detach {
                role: self.role.name.clone(),
                arn: arn.clone(),
            })
            .collect()
    }

    /// Live hosts that documents of before deny: a reason to hurry.
    fn stale(&self, documents: &[&Document], footprint: &Footprint) -> Vec<String> {
        verify::locked_out(self.role, footprint, self.settings, documents)
            .iter()
            .map(|found| format!("the pin in force is stale: {found}"))
            .collect()
    }
}

/// Said where an attachment waits for a run to come.
const ATTACH_LATER: &str = "the policy's document is out of date: this run brings it up to date, and \
                            the next one attaches it, when all of IAM has it";
