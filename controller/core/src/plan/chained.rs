//! What is to be done about sessions of a role that others made by assuming it: a part of its pin, which is
//! opted in and held by itself.

use ipnet::IpNet;
use serde::Serialize;

use super::{Hold, Live, Pin, narrowing, role::RolePlanner, scope::Scope, wants_replay};
use crate::{
    chain::{self, Callers, Stranger},
    estate::Role,
    footprint::Footprint,
    id::Arn,
    pin::{self, Cover},
    policy::{self, Document, MANAGED_POLICY_QUOTA, SEAL_LENGTH, Statement},
    settings::Mode,
    verify,
};

/// The part of a role's pin that is about sessions which others made by assuming it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChainedPlan {
    /// What the operator wants done about it.
    pub stage: Mode,
    /// What comes of that.
    pub mode: Mode,
    /// Whether it is in force now.
    pub in_force: bool,
    /// Who makes such sessions, and where they call from.
    pub callers: Callers,
    /// What it would be, where the pin is without it: a replay looks at that too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Document>,
}

/// The same while it is planned.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) stage: Mode,
    pub(super) mode: Mode,
    /// Whether a rule of the config says so.
    pub(super) is_said: bool,
    pub(super) is_in_force: bool,
    /// What stands in the way.
    pub(super) holds: Vec<Hold>,
    /// What the pin is to have of it. Where it is held, this admits what is admitted now too.
    pub(super) statements: Vec<Statement>,
    /// The callers with a list that takes in addresses of others, and how many, where the exact one does not fit.
    pub(super) covered: Option<(Callers, u64)>,
}

impl Part {
    /// Whether a run writes it. What is held is not begun with, and what is in force is widened meanwhile: that
    /// locks nobody out, and leaves nobody out who came since.
    pub(super) fn is_written(&self) -> bool {
        if self.is_said {
            self.mode == Mode::Enforce && (self.holds.is_empty() || self.is_in_force)
        } else {
            self.is_in_force
        }
    }

    /// Whether it would be written, but for what stands in the way.
    pub(super) fn is_held(&self) -> bool {
        let is_wanted = self.mode == Mode::Enforce || (self.is_in_force && !self.is_said);
        is_wanted && !self.holds.is_empty() && !self.is_idle()
    }

    /// The same for who reads the plan. Where `pin` is without it, what it would be is told beside that.
    pub(super) fn told(self, callers: &Callers, pin: Option<&Pin>) -> ChainedPlan {
        let documents = pin.map(Pin::documents).unwrap_or_default();
        let mut statements = documents.iter().flat_map(|it| &it.statements);
        let is_there = statements.any(pin::is_chained);
        let pends = !is_there && !self.is_idle() && !self.statements.is_empty();
        ChainedPlan {
            stage: self.stage,
            mode: self.mode,
            in_force: self.is_in_force,
            callers: match self.covered {
                Some((covered, _)) => covered,
                None => callers.clone(),
            },
            pending: pends.then(|| document(self.statements)),
        }
    }

    /// That its list takes in addresses of others.
    pub(super) fn taken_in(&self) -> Option<String> {
        let (_, strangers) = self.covered.as_ref()?;
        Some(format!(
            "where sessions that others make come from does not fit a policy, so by allow-lossy its list takes in \
             {strangers} addresses (of IPv6, /64s) that are nobody's place"
        ))
    }

    /// Whether there is nobody whom it could admit.
    pub(super) fn is_idle(&self) -> bool {
        let mut holds = self.holds.iter().peekable();
        holds.peek().is_some() && holds.all(|hold| matches!(hold, Hold::NoCaller))
    }
}

impl Part {
    /// The same where the role's policies have no room for it beside the pin of its instances: it stays as it is `now`.
    fn without_room(&self, now: Vec<Statement>) -> Self {
        let mut held = self.clone();
        let size = document(self.statements.clone()).size();
        held.holds.push(Hold::NoRoom(size));
        if self.is_in_force {
            held.statements = now;
        }
        held
    }
}

/// How many of whoever may assume a role are named.
const SHOWN: usize = 3;

/// What a statement may take, which lies in one policy.
const MOST: usize = MANAGED_POLICY_QUOTA - SEAL_LENGTH;

/// Fewer characters than a prefix in a list takes fit so often.
const LONGEST: usize = MOST / 10;

/// What the largest of them would take as a policy of its own.
fn largest_of(statements: &[Statement]) -> usize {
    let sizes = statements
        .iter()
        .map(|one| document(vec![one.clone()]).size());
    sizes.max().unwrap_or_default()
}

impl RolePlanner<'_> {
    /// Whether something is attached that cannot be read.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(&self.in_force, Some(Err(edit)) if edit.document.is_none())
    }

    /// Whether a VPC is there, be there hosts in it or not.
    fn has_subnets(&self, vpc: &str) -> bool {
        let subnets = self
            .estate
            .regions
            .values()
            .flat_map(|region| region.subnets.values());
        subnets.into_iter().any(|subnet| subnet.vpc.as_str() == vpc)
            || self.settings.elsewhere.has_vpc(vpc)
    }

    /// What is to be done about sessions that `callers` make.
    pub(super) fn part(&self, callers: &Callers, has_hosts: bool) -> Part {
        let now = self.statements_in_force(true);
        // What cannot be read may be about them.
        let is_in_force = !now.is_empty() || self.is_unreadable();
        let is_said = self.settings.chained_rule(self.role).is_some();
        let stage = self.settings.chained_stage_of(self.role);
        let mode = self.settings.comes_of(stage, self.role, is_in_force);
        let exact = pin::chained(&self.role.arn, callers, self.settings);
        let covered = self.covered(callers, &exact);
        let (callers, then) = match &covered {
            Some((covered, then, _)) => (covered, then.clone()),
            None => (callers, exact),
        };
        let mut holds = self.holds_of_callers(callers, has_hosts);
        if !is_said {
            holds.push(Hold::Unsaid);
        } else if mode == Mode::Enforce && !is_in_force {
            let wants = wants_replay::of(&self.role.name, true, self.settings, self.now);
            holds.extend(wants.map(Hold::Replay));
        }
        let (old, new) = (document(now.clone()), document(then.clone()));
        let is_new = !old.says_what(&new);
        if is_in_force {
            let allowed = self.settings.max_narrowing;
            let beyond = narrowing::beyond(&[&old], &[&new], true, allowed);
            let beyond = beyond.or_else(|| {
                narrowing::beyond_in_vpcs(&old, &new, |vpc| self.has_subnets(vpc), allowed)
            });
            holds.extend(beyond.map(Hold::Narrowing));
        }
        let largest = largest_of(&then);
        if largest > MOST {
            holds.push(Hold::TooLarge(largest));
        }
        // What is in force already is not proven again.
        if is_new && !callers.is_empty() {
            let found = verify::chained(self.role, callers, self.settings, &[&new]);
            holds.extend(found.into_iter().map(Hold::Unproven));
        }
        let is_held = !holds.is_empty() && is_in_force;
        let statements = if is_held {
            // What has no room for those who came since stays as it is.
            let widened = pin::widened(then, &now);
            if largest_of(&widened) > MOST {
                now
            } else {
                widened
            }
        } else {
            then
        };
        Part {
            stage,
            mode,
            is_said,
            is_in_force,
            holds,
            statements,
            covered: covered.map(|(covered, _, strangers)| (covered, strangers)),
        }
    }

    /// Where `exact` is too large, and lists may take in addresses of others: callers with the fewest of these that fit,
    /// the statements, and how many addresses.
    fn covered(
        &self,
        callers: &Callers,
        exact: &[Statement],
    ) -> Option<(Callers, Vec<Statement>, u64)> {
        if !self.settings.allow_lossy || largest_of(exact) <= MOST {
            return None;
        }
        let stated = &callers.stated.prefixes;
        let found: Vec<IpNet> = callers.public.difference(stated).copied().collect();
        let cover = Cover::new(&found, LONGEST);
        let with = |most: usize| {
            let public = cover.list(most)?.into_iter().chain(stated.iter().copied());
            let mut callers = callers.clone();
            callers.public = public.collect();
            let then = pin::chained(&self.role.arn, &callers, self.settings);
            let fits = largest_of(&then) <= MOST;
            fits.then_some((callers, then, cover.strangers(most)?))
        };
        let (mut low, mut high, mut best) = (0, LONGEST, None);
        while low < high {
            let middle = usize::midpoint(low, high + 1);
            match with(middle) {
                Some(fits) => (low, best) = (middle, Some(fits)),
                None => high = middle - 1,
            }
        }
        // One that takes in a part of the internet is no list, and there is nothing to prove of it.
        let is_narrow = |net: &IpNet| found.contains(net) || !pin::is_too_wide(net);
        best.filter(|_| {
            cover
                .list(low)
                .is_some_and(|list| list.iter().all(is_narrow))
        })
    }

    /// The pin of both parts; where they do not fit together, that of the role's instances goes first.
    pub(super) fn sized(
        &self,
        footprint: &mut Footprint,
        part: Option<Part>,
    ) -> (Option<Part>, Scope, Option<Pin>) {
        let has_hosts = !footprint.hosts.is_empty();
        let size = |footprint: &mut Footprint, part: Option<&Part>| {
            let scope = self.scope(has_hosts, part);
            let beside = self.beside(&scope, part);
            let any = scope.instances || !beside.is_empty();
            let pin = any.then(|| self.fit(footprint, &scope, beside));
            (scope, pin)
        };
        let fits = |pin: &Option<Pin>| {
            let mut policies = pin.iter().flat_map(|pin| &pin.policies);
            policies.all(|policy| policy.size <= MANAGED_POLICY_QUOTA)
        };
        let (scope, pin) = size(footprint, part.as_ref());
        let is_in_the_way = scope.is_written && scope.instances && scope.chained && !fits(&pin);
        if let Some(part) = part.as_ref().filter(|_| is_in_the_way) {
            let held = part.without_room(self.statements_in_force(true));
            let (scope, without) = size(footprint, Some(&held));
            if fits(&without) {
                return (Some(held), scope, without);
            }
        }
        (part, scope, pin)
    }

    /// Why it is not known where all of them call from.
    fn holds_of_callers(&self, callers: &Callers, has_hosts: bool) -> Vec<Hold> {
        let mut holds: Vec<Hold> = callers
            .strangers
            .iter()
            .cloned()
            .map(Hold::Caller)
            .collect();
        if holds.is_empty() && callers.is_empty() {
            return vec![Hold::NoCaller];
        }
        holds.extend(callers.unknown.iter().cloned().map(Hold::UnknownEgress));
        if !self.settings.allow_launch_gap {
            let absent = callers.absent.iter().cloned();
            holds.extend(absent.map(Hold::AbsentCaller));
            let gaps = callers.launch_gaps.iter().cloned();
            holds.extend(gaps.map(Hold::LaunchGap));
        }
        if self.settings.pin_derived && has_hosts {
            holds.push(Hold::NamedAlike);
        }
        holds
    }

    /// Who has come to be trusted since: what is in force knows no place of theirs.
    pub(super) fn denied_strangers(&self, part: Option<&Part>) -> Vec<String> {
        let here = self.strangers_to_what_is_in_force(part, false);
        here.map(|stranger| {
            format!(
                "the pin in force denies sessions of {} wherever no other caller is; if it is to call, \
                 take the pin off with `credpin release {}`",
                stranger.principal, self.role.name
            )
        })
        .collect()
    }

    /// The same of other accounts. An earlier run may have looked at these.
    pub(super) fn strangers_elsewhere(&self, part: Option<&Part>) -> Vec<String> {
        let elsewhere = self.strangers_to_what_is_in_force(part, true);
        elsewhere
            .map(|stranger| {
                format!(
                    "where {} calls from was not looked at: of its sessions the pin in force admits what it did, \
                     and no place that is new",
                    stranger.principal
                )
            })
            .collect()
    }

    fn strangers_to_what_is_in_force(
        &self,
        part: Option<&Part>,
        of_other_accounts: bool,
    ) -> impl Iterator<Item = &Stranger> {
        let in_force = part.is_some_and(|part| part.is_in_force);
        let callers = self.callers.filter(|_| in_force);
        let strangers = callers.into_iter().flat_map(|callers| &callers.strangers);
        strangers.filter(move |stranger| {
            let arn: Option<Arn> = stranger.principal.parse().ok();
            let is_other = arn.is_some_and(|arn| arn.account() != self.role.arn.account());
            is_other == of_other_accounts
        })
    }

    /// Whom `pin-derived` denies that may assume the role, and of whom no rule speaks: a session that is named like an
    /// instance shows no key by which it could be told from what was made of an instance's token.
    pub(super) fn denied_by_name(&self, scope: &Scope) -> Option<String> {
        let role = self.role;
        let is_asked = self.settings.pin_derived && scope.instances;
        // Where a rule speaks of them, or it may assume itself, that holds.
        if !is_asked || self.callers.is_some() || role.may_assume_itself() {
            return None;
        }
        let services = role.trusted_services.iter();
        let services = services.filter(|service| !chain::is_ec2(service));
        let who = role.trusted.iter().chain(&role.trusted_providers);
        let who: Vec<&str> = who.chain(services).map(String::as_str).collect();
        let (some, more) = who.split_at(who.len().min(SHOWN));
        let some = some.join(", ");
        let more = if more.is_empty() { "" } else { ", …" };
        (!who.is_empty()).then(|| {
            format!(
                "pin-derived denies sessions that are named like an instance (i-…) wherever they are, and who \
                 may assume the role names his session as he likes ({some}{more}): have no session named so, leave \
                 pin-derived out, or give instances a role of their own"
            )
        })
    }

    /// Statements of the pin in force that are about such sessions, or those that are not. What somebody else wrote
    /// counts as it stands. On the way from one pin to another two policies may have statements of one name.
    pub(super) fn statements_in_force(&self, chained: bool) -> Vec<Statement> {
        let attached = attached(&self.live, self.role);
        let about = attached.filter(|statement| pin::is_chained(statement) == chained);
        policy::distinct(about.cloned())
    }
}

/// The statements of what is attached to a role, as far as they can be read.
pub(super) fn attached<'l>(
    live: &'l [Live<'_>],
    role: &Role,
) -> impl Iterator<Item = &'l Statement> {
    let attached = live
        .iter()
        .filter(|live| role.attached.contains(&live.policy.arn));
    let documents = attached.filter_map(|live| match &live.read {
        Ok(policy) => Some(&policy.document),
        Err(edit) => edit.document.as_ref(),
    });
    documents.flat_map(|document| &document.statements)
}

fn document(statements: Vec<Statement>) -> Document {
    Document { statements }
}
