//! What is to be done about one role.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    ATTACHED_POLICIES_QUOTA, Absence, Coverage, Edit, Hold, Live, Outcome, Pin, PinPolicy,
    RolePlan, Step,
    chained::Part,
    course::Course,
    narrowing, policy_arn, policy_names,
    scope::Scope,
    transition::{self, Rules, Transition, Way},
    wants_replay,
};
use crate::{
    chain::Callers,
    estate::{Estate, LivePolicy, Role},
    exposure::{self, Exposure},
    footprint::Footprint,
    id::Arn,
    pin::{self, Room},
    policy::{Document, MANAGED_POLICY_QUOTA, SEAL_LENGTH, Statement},
    settings::{Mode, Settings},
    verify::{self, Counterexample},
};

/// What the plan of one role is made from.
pub(super) struct RolePlanner<'a> {
    pub(super) estate: &'a Estate,
    pub(super) settings: &'a Settings,
    pub(super) role: &'a Role,
    /// Its policies that are there, attached or not.
    pub(super) live: Vec<Live<'a>>,
    /// What is attached, or why it cannot be read.
    pub(super) in_force: Option<Result<Pin, Edit>>,
    /// Who may assume it, where sessions that they make are to be pinned or are.
    pub(super) callers: Option<&'a Callers>,
    pub(super) fleet: &'a exposure::Hosts,
    /// Policies that the account's quota still leaves room for.
    pub(super) spare_policies: usize,
    pub(super) now: Timestamp,
}

impl RolePlanner<'_> {
    /// What is to be done about it.
    pub(super) fn plan(&self, mut footprint: Footprint, coverage: Coverage) -> RolePlan {
        let has_hosts = !footprint.hosts.is_empty();
        let part = self.callers.map(|callers| self.part(callers, has_hosts));
        let (part, scope, pin) = self.sized(&mut footprint, part);
        let in_force = self.in_force.as_ref().and_then(|read| read.as_ref().ok());
        // Nothing is written then, so there is nothing to prove.
        let is_in_force = pin.is_some() && pin.as_ref() == in_force;
        let stays = self.denied_callers_of_held(part.as_ref(), &scope);
        let mut holds = self.holds(
            &scope,
            &footprint,
            part.as_ref(),
            pin.as_ref().filter(|_| !is_in_force),
            &stays,
        );
        let transition = match &pin {
            Some(pin) if scope.is_written => self.transition(pin, &footprint, &scope),
            _ => Transition::default(),
        };
        let unions = transition.unions.iter();
        let unsafe_unions = unions
            .flat_map(|union| self.locked_out(&[union], &footprint, &scope))
            .filter(|found| !stays.iter().any(|it| it.is_of_same_call(found)));
        holds.extend(unsafe_unions.map(Hold::Unproven));
        let outcome = self.outcome(&scope, part.as_ref(), &footprint, &holds);
        let course = match outcome {
            Outcome::Change if scope.is_written && pin.is_some() => transition.into(),
            Outcome::Change => self.detach().into(),
            Outcome::Held => {
                self.course_of_held(transition, &scope, part.as_ref(), &footprint, &holds)
            }
            _ => Course::default(),
        };
        let outcome = match outcome {
            Outcome::Change if course.steps.is_empty() => Outcome::Unchanged,
            other => other,
        };
        let before = in_force.filter(|_| !is_in_force);
        let is_held = outcome == Outcome::Held;
        let warnings = self.warnings(before, &footprint, &scope, part.as_ref(), is_held, &course);
        let Course {
            steps, meanwhile, ..
        } = course;
        let exposure_now = self.exposure(in_force, &footprint);
        let exposure_pinned = match &pin {
            Some(_) if is_in_force => Some(exposure_now.clone()),
            pin => pin.as_ref().map(|pin| self.exposure(Some(pin), &footprint)),
        };
        let (stage, mode) = match &part {
            Some(part) if !has_hosts => (part.stage, part.mode),
            _ => (self.settings.stage_of(self.role), scope.mode),
        };
        if let Some(part) = &part {
            let of_part = part.holds.iter().cloned().map(Box::new);
            holds.extend(of_part.map(Hold::Chained));
        }
        let chained = self.callers.zip(part);
        let chained = chained.map(|(callers, part)| part.told(callers, pin.as_ref()));
        RolePlan {
            role: self.role.name.clone(),
            stage,
            mode,
            is_enforced: meanwhile
                .as_ref()
                .map_or(scope.is_written, |pin| !pin.policies.is_empty()),
            outcome,
            exposure_now,
            exposure_pinned,
            holds,
            steps,
            pin,
            meanwhile,
            in_force: in_force.cloned(),
            footprint,
            chained,
            coverage,
            warnings,
        }
    }

    /// What a person should know. `before` is the pin in force, where that is not to stay.
    fn warnings(
        &self,
        before: Option<&Pin>,
        footprint: &Footprint,
        scope: &Scope,
        part: Option<&Part>,
        is_held: bool,
        course: &Course,
    ) -> Vec<String> {
        let mut warnings = before.map_or_else(Vec::new, |pin| {
            self.stale(&pin.documents(), footprint, scope)
        });
        warnings.extend(self.denied_strangers(part));
        let is_stale = |pin: &Pin| {
            !self
                .locked_out(&pin.documents(), footprint, scope)
                .is_empty()
        };
        let stays = course.steps.is_empty() || course.meanwhile.as_ref().is_some_and(is_stale);
        if is_held && stays && !warnings.is_empty() {
            warnings.push(format!(
                "that stays so while the role is held: see to what holds it, or take the pin off \
                 with `credpin release {}`",
                self.role.name
            ));
        }
        warnings.extend(self.strangers_elsewhere(part));
        warnings.extend(self.denied_by_name(scope));
        warnings.extend(part.and_then(Part::taken_in));
        if !course.steps.is_empty() {
            warnings.extend(course.dropped.iter().map(|sid| {
                format!(
                    "a policy has no room for what it denies now and will deny then: until the last \
                     step nothing is denied by {sid}"
                )
            }));
        }
        warnings
    }

    /// What `pin` leaves open; none leaves everything.
    fn exposure(&self, pin: Option<&Pin>, footprint: &Footprint) -> Exposure {
        let Some(pin) = pin else {
            return Exposure::Everything;
        };
        if !self.estate.gaps.is_empty() {
            return Exposure::Unknown;
        }
        let is_chained = |pin: &Pin| {
            let mut documents = pin.documents().into_iter();
            documents.all(|document| document.statements.iter().all(pin::is_chained))
        };
        if self.callers.is_some() && is_chained(pin) {
            return if footprint.hosts.is_empty() {
                Exposure::ByEgress
            } else {
                Exposure::Everything
            };
        }
        exposure::of(footprint, &pin.documents(), self.fleet)
    }

    fn outcome(
        &self,
        scope: &Scope,
        part: Option<&Part>,
        footprint: &Footprint,
        holds: &[Hold],
    ) -> Outcome {
        let attached = self.in_force.is_some();
        let observes_instances = scope.mode == Mode::Observe;
        let observes_part = part.is_none_or(|part| part.mode == Mode::Observe);
        let has_one_part = part.is_some() && footprint.hosts.is_empty();
        let observes_all = observes_part && (observes_instances || has_one_part);
        // All that is attached goes by somebody's word.
        let goes = || {
            let instances =
                !scope.instances_in_force || (observes_instances && self.settings.names(self.role));
            let chained = part.is_none_or(|part| {
                !part.is_in_force || (part.mode == Mode::Observe && part.is_said)
            });
            instances && chained
        };
        match () {
            () if self.live.iter().any(|live| live.policy.released) => Outcome::Released,
            // Taking a pin off needs no view of the fleet.
            () if !scope.is_written && attached && goes() => Outcome::Change,
            () if self.live.iter().any(|live| live.policy.is_rolled_back()) => Outcome::RolledBack,
            () if observes_all && !attached => Outcome::Observed,
            () if holds
                .iter()
                .any(|hold| !matches!(hold, Hold::NoInstance(_))) =>
            {
                Outcome::Held
            }
            () if part.is_some_and(Part::is_held) => Outcome::Held,
            () if footprint.hosts.is_empty() && part.is_none_or(Part::is_idle) => Outcome::Idle,
            // What is in force of a role that has no instance now stays: to look at another part takes nothing off.
            () if !scope.is_written && attached => Outcome::Idle,
            () => Outcome::Change,
        }
    }

    /// What stands in the way of a pin, where that is another one than is in force.
    fn holds(
        &self,
        scope: &Scope,
        footprint: &Footprint,
        part: Option<&Part>,
        pin: Option<&Pin>,
        stays: &[Counterexample],
    ) -> Vec<Hold> {
        let mode = scope.mode;
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
        if let Some(Err(edit)) = &self.in_force
            && !self.settings.take_over
        {
            holds.push(Hold::Edited(edit.clone()));
        }
        if self.in_force.is_some() && self.settings.excludes(&self.role.name) {
            holds.push(Hold::Excluded);
        } else if mode == Mode::Observe
            && scope.instances_in_force
            && !self.settings.names(self.role)
        {
            holds.push(Hold::Unsaid);
        }
        if footprint.hosts.is_empty() {
            // What was not seen whole may have instances.
            if mode == Mode::Enforce && self.estate.gaps.is_empty() && part.is_none() {
                let absence = Absence::of(self.role, self.settings, self.now);
                holds.push(Hold::NoInstance(absence));
            }
        } else if scope.instances {
            self.holds_of_instances(scope, footprint, &mut holds);
        }
        if footprint.hosts.is_empty() && !scope.chained {
            return holds;
        }
        if self.places() == 0 {
            holds.push(Hold::AttachmentQuota(self.attached_by_others()));
        }
        if self.live.is_empty() && self.spare_policies == 0 {
            holds.push(Hold::PolicyQuota(self.estate.customer_policies));
        }
        if let (Some(Ok(now)), Some(pin)) = (&self.in_force, pin)
            && scope.instances
        {
            let allowed = self.settings.max_narrowing;
            let beyond = narrowing::beyond(&now.documents(), &pin.documents(), false, allowed);
            holds.extend(beyond.map(Hold::Narrowing));
        }
        if let Some(pin) = pin {
            let sizes = pin.policies.iter().map(|policy| policy.size);
            holds.extend(
                sizes
                    .filter(|size| *size > MANAGED_POLICY_QUOTA)
                    .map(Hold::TooLarge),
            );
            let documents = pin.documents();
            let found = if scope.instances {
                verify::verify(self.role, footprint, self.settings, &documents)
            } else {
                verify::locked_out(self.role, footprint, self.settings, &documents)
            };
            holds.extend(found.into_iter().map(Hold::Unproven));
            let found = self.callers_locked_out(&documents, scope);
            let found = found
                .into_iter()
                .filter(|found| !stays.iter().any(|it| it.is_of_same_call(found)));
            holds.extend(found.map(Hold::Unproven));
        }
        holds
    }

    /// What stands in the way of pinning the tokens of instances.
    fn holds_of_instances(&self, scope: &Scope, footprint: &Footprint, holds: &mut Vec<Hold>) {
        if self.settings.pin_derived && self.role.may_assume_itself() {
            holds.push(Hold::SelfAssumable);
        }
        // What has a pin is kept true: that denies less, or what is gone.
        if scope.mode == Mode::Enforce && !scope.instances_in_force {
            let wants = wants_replay::of(&self.role.name, false, self.settings, self.now);
            holds.extend(wants.map(Hold::Replay));
        }
        holds.extend(footprint.unknown.iter().cloned().map(Hold::UnknownEgress));
        if !self.settings.allow_launch_gap {
            holds.extend(footprint.launch_gaps.iter().cloned().map(Hold::LaunchGap));
        }
    }

    /// The pin of `footprint`, its hosts kept apart as finely as there is room for, with the statements
    /// `beside`. What does not fit is one document that is too large.
    pub(super) fn fit(
        &self,
        footprint: &mut Footprint,
        scope: &Scope,
        beside: Vec<Statement>,
    ) -> Pin {
        let (room, before) = (self.room(), self.documents_before());
        let documents = if scope.instances {
            match pin::fit(footprint, self.settings, self.fleet, room, &before, beside) {
                Ok(fitted) => fitted.documents,
                Err(too_large) => vec![too_large],
            }
        } else {
            let whole = || Document {
                statements: beside.clone(),
            };
            pin::pack(beside.clone(), room, &before).unwrap_or_else(|| vec![whole()])
        };
        self.named(documents)
    }

    /// What its pin may take up.
    pub(super) fn room(&self) -> Room {
        Room {
            // Where there is no place the role is held, and what it would have is shown.
            documents: self
                .settings
                .most_policies()
                .min(self.places())
                .min(self.live.len() + self.spare_policies)
                .max(1),
            // A document is sealed before it is written.
            characters: MANAGED_POLICY_QUOTA - SEAL_LENGTH,
        }
    }

    /// What its policies say, by their number, attached or not.
    pub(super) fn documents_before(&self) -> Vec<Option<Document>> {
        policy_names(&self.role.name)
            .map(|name| {
                let live = self.live.iter().find(|live| live.policy.name == name)?;
                Some(live.read.as_ref().ok()?.document.clone())
            })
            .collect()
    }

    /// Policies that can be attached to the role as its pin: one place is kept free, so that a thief
    /// can be cut off at any time.
    fn places(&self) -> usize {
        ATTACHED_POLICIES_QUOTA.saturating_sub(self.attached_by_others() + 1)
    }

    fn attached_by_others(&self) -> usize {
        let ours: BTreeSet<&Arn> = self.live.iter().map(|live| &live.policy.arn).collect();
        let attached = self.role.attached.iter();
        attached.filter(|arn| !ours.contains(arn)).count()
    }

    /// The pin of these documents, each under its name.
    pub(super) fn named(&self, documents: Vec<Document>) -> Pin {
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

    /// The steps that put `pin` into force.
    pub(super) fn transition(&self, pin: &Pin, footprint: &Footprint, scope: &Scope) -> Transition {
        let called_for = |live: &LivePolicy| {
            let mut policies = pin.policies.iter();
            policies.find(|policy| policy.policy == live.name)
        };
        let there = self.live.iter().map(|Live { policy, read }| Way {
            policy: &policy.name,
            arn: &policy.arn,
            live: Some(policy),
            attached: self.role.attached.contains(&policy.arn),
            // What somebody else wrote counts as it stands, and is written over.
            now: match read {
                Ok(policy) => Some(&policy.document),
                Err(edit) => edit.document.as_ref(),
            },
            is_ours: read.is_ok(),
            then: called_for(policy).map(|policy| &policy.document),
        });
        let names: BTreeSet<_> = self.live.iter().map(|live| &live.policy.name).collect();
        let new = pin.policies.iter();
        let new = new.filter(|policy| !names.contains(&policy.policy));
        let new = new.map(|policy| Way {
            policy: &policy.policy,
            arn: &policy.arn,
            live: None,
            attached: false,
            now: None,
            is_ours: true,
            then: Some(&policy.document),
        });
        let ways: Vec<Way<'_>> = there.chain(new).collect();
        let locks_out =
            |document: &Document| !self.locked_out(&[document], footprint, scope).is_empty();
        transition::steps(
            &ways,
            &Rules {
                role: &self.role.name,
                propagation: self.settings.propagation,
                now: self.now,
                locks_out: &locks_out,
            },
        )
    }

    /// Takes off what is attached.
    pub(super) fn detach(&self) -> Vec<Step> {
        let ours = self.live.iter().map(|live| &live.policy.arn);
        ours.filter(|arn| self.role.attached.contains(*arn))
            .map(|arn| Step::Detach {
                role: self.role.name.clone(),
                arn: arn.clone(),
            })
            .collect()
    }

    /// Live hosts that documents of before deny: a reason to hurry.
    fn stale(&self, documents: &[&Document], footprint: &Footprint, scope: &Scope) -> Vec<String> {
        self.locked_out(documents, footprint, scope)
            .iter()
            .map(|found| format!("the pin in force is stale: {found}"))
            .collect()
    }

    /// Calls of live hosts that `documents` deny, and of sessions that callers made.
    pub(super) fn locked_out(
        &self,
        documents: &[&Document],
        footprint: &Footprint,
        scope: &Scope,
    ) -> Vec<Counterexample> {
        let mut found = verify::locked_out(self.role, footprint, self.settings, documents);
        found.extend(self.callers_locked_out(documents, scope));
        found
    }

    /// Calls of sessions that callers made and that the pin in force denies, where what is about these is held and so
    /// stays: no new pin of the role's instances is the worse for it. It is warned of.
    fn denied_callers_of_held(&self, part: Option<&Part>, scope: &Scope) -> Vec<Counterexample> {
        let is_held = part.is_some_and(|part| part.is_in_force && !part.holds.is_empty());
        match &self.in_force {
            Some(Ok(now)) if is_held => self.callers_locked_out(&now.documents(), scope),
            _ => Vec::new(),
        }
    }

    fn callers_locked_out(&self, documents: &[&Document], scope: &Scope) -> Vec<Counterexample> {
        let callers = self.callers.filter(|_| scope.watches_callers);
        callers.map_or_else(Vec::new, |callers| {
            verify::chained_locked_out(self.role, callers, self.settings, documents)
        })
    }
}
