//! Taking pins off, by hand and at once: the way out that must work when all else does not.
//!
//! A release needs IAM alone. It marks the policy first, so that the next run does not put it back,
//! and detaches it then. Going back to the previous document, too, is checked against a fresh view.

use std::collections::BTreeSet;

use credpin_core::{
    estate::{Estate, Gap, LivePolicy, LiveVersion},
    id::{Arn, PolicyName, RoleName, VersionId},
    pin::is_chained,
    plan::{POLICY_PATH, Plan, RELEASED_TAG, policy_name, policy_names, role_of},
    policy::{Document, ParseError},
    settings::Settings,
    verify::{self, Counterexample},
};
use jiff::Timestamp;
use thiserror::Error;

use crate::{
    apply::{ApplyError, check_ours, done_already},
    cloud::{CallError, Observation, Observe, WriteIam, estate::estate},
    flow::{Blind, Planned},
};

/// Whose pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Every role's.
    All,
    /// These roles'.
    Roles(Vec<RoleName>),
}

/// What became of each role.
#[derive(Debug, Default)]
pub struct Released {
    /// Roles, each with what was done, as "detached".
    pub done: Vec<(RoleName, String)>,
    /// Roles that it failed for.
    pub failed: Vec<(RoleName, ReleaseError)>,
    /// Roles whose pin was not seen, with the reason; they were gone about by their names.
    pub unseen: Vec<(RoleName, Gap)>,
    /// Where every role was meant, what could not be seen: there may be pins that were not released.
    pub gaps: Vec<Gap>,
}

/// Why a role's pin is as it was.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// It has none.
    #[error("there is no policy {0} under /credpin/")]
    NoPin(PolicyName),
    /// Whether it has one was not seen, and so not what is needed here.
    #[error("was not seen: {0}")]
    NotSeen(Gap),
    /// It is not ours, or a call failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// There is no version to go back to.
    #[error("there is no version before the one in force")]
    NoPrevious,
    /// The version to go back to cannot be read.
    #[error("{version} is no document of ours")]
    Unreadable {
        /// The version.
        version: VersionId,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The version to go back to would lock out a host or admit an outsider.
    #[error(
        "{version} is not safe to go back to: {found}; `credpin release ROLE` takes the pin off"
    )]
    Unproven {
        /// The version.
        version: VersionId,
        /// Why not.
        found: Counterexample,
    },
    /// What the version would be proven against was not seen whole.
    #[error("{version} cannot be proven safe: {why}; `credpin release ROLE` takes the pin off")]
    Incomplete {
        /// The version.
        version: VersionId,
        /// What is not known.
        why: String,
    },
}

impl From<CallError> for ReleaseError {
    fn from(error: CallError) -> Self {
        Self::Apply(error.into())
    }
}

/// Takes pins off and marks them, so that they stay off until [`undo`].
pub async fn release<C: Observe + WriteIam>(cloud: &C, whose: &Whose, now: Timestamp) -> Released {
    let observed = cloud.observe_iam().await;
    let seen = estate(&observed);
    let mut released = Released::of(whose, &seen);
    for role in whose.roles(&seen) {
        let arns = match pin_of(&seen, &role) {
            Ok(live) => {
                let mut arns: BTreeSet<Arn> = live.iter().map(|live| live.arn.clone()).collect();
                // Some were seen, and what was not may hide another.
                if seen.gaps.iter().any(|gap| gap.region.is_none()) {
                    arns.extend(arns_by_name(&observed, &role).into_iter().flatten());
                }
                Ok(arns.into_iter().collect())
            }
            // A listing that is not whole must not stop this: the role's name says enough.
            Err(ReleaseError::NotSeen(gap)) => {
                let arns = arns_by_name(&observed, &role);
                released.unseen.push((role.clone(), gap.clone()));
                arns.ok_or(ReleaseError::NotSeen(gap))
            }
            Err(error) => Err(error),
        };
        let result = match arns {
            Ok(arns) => release_all(cloud, &arns, &role, now).await,
            Err(error) => Err(error),
        };
        released.note(role, result);
    }
    released
}

/// Releases the policies of a role. Each is gone about, whatever becomes of the others.
async fn release_all<C: WriteIam>(
    cloud: &C,
    policies: &[Arn],
    role: &RoleName,
    now: Timestamp,
) -> Result<String, ReleaseError> {
    let mut done = false;
    let mut failure = None;
    for policy in policies {
        match release_one(cloud, policy, role, now).await {
            Ok(()) => done = true,
            Err(ReleaseError::NoPin(_)) => {}
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) => Err(error),
        None if done => {
            Ok("released: detached, and marked so that the next run leaves it off".to_owned())
        }
        None => Err(ReleaseError::NoPin(policy_name(role))),
    }
}

async fn release_one<C: WriteIam>(
    cloud: &C,
    pin: &Arn,
    role: &RoleName,
    now: Timestamp,
) -> Result<(), ReleaseError> {
    match check_ours(pin, role, cloud).await {
        Err(ApplyError::Call(error)) if error.not_found => {
            return Err(ReleaseError::NoPin(policy_name(role)));
        }
        ours => ours?,
    };
    cloud
        .tag_policy(pin, RELEASED_TAG, &now.to_string())
        .await?;
    // IAM may show an attachment late, so it is detached whether or not one was seen.
    done_already(cloud.detach(role, pin).await)?;
    Ok(())
}

/// Puts the previous version in force, where it holds against a fresh view of the account.
pub async fn previous<C: Observe + WriteIam>(
    cloud: &C,
    whose: &Whose,
    settings: &Settings,
    now: Timestamp,
) -> Result<Released, Blind> {
    let Planned { estate: seen, plan } = crate::flow::plan(cloud, settings, &[], now).await?;
    let mut released = Released::of(whose, &seen);
    for role in whose.roles(&seen) {
        let result = previous_one(cloud, &seen, &plan, settings, &role).await;
        released.note(role, result);
    }
    Ok(released)
}

async fn previous_one<C: WriteIam>(
    cloud: &C,
    seen: &Estate,
    plan: &Plan,
    settings: &Settings,
    role: &RoleName,
) -> Result<String, ReleaseError> {
    let pin = pin_of(seen, role)?;
    // The one right before may be what a run was on its way by, and admit what is gone since.
    let mut refused = ReleaseError::NoPrevious;
    let mut found = None;
    for back in 0.. {
        let older = earlier(&pin, back);
        if older.is_empty() {
            break;
        }
        // Each statement stands alone, so what matters is all of them together.
        let goes = |live: &LivePolicy| older.iter().find(|(older, _)| older.arn == live.arn);
        let then: Vec<&LiveVersion> = pin
            .iter()
            .filter_map(|live| goes(live).map_or_else(|| live.in_force(), |(_, it)| Some(*it)))
            .collect();
        match prove(&older[0].1.id, &then, seen, plan, settings, role) {
            Ok(()) => {
                found = Some(older);
                break;
            }
            Err(error) if back == 0 => refused = error,
            Err(_) => {}
        }
    }
    let older = found.ok_or(refused)?;
    let mut went = Vec::new();
    for (live, version) in older {
        check_ours(&live.arn, role, cloud).await?;
        cloud.set_default_version(&live.arn, &version.id).await?;
        let from = live
            .in_force()
            .map_or_else(|| "none".to_owned(), |version| version.id.to_string());
        went.push(format!("{from} -> {}", version.id));
    }
    let went = format!("went back a version, {}", went.join(" and "));
    Ok(if pin.iter().any(|live| is_attached(seen, live, role)) {
        format!("{went}; runs leave it in force until `credpin release --undo {role}`")
    } else {
        format!("{went}; the policy is not attached, so nothing is in force")
    })
}

/// The policies of a pin that have a version so far back, each with it.
fn earlier<'a>(pin: &[&'a LivePolicy], back: usize) -> Vec<(&'a LivePolicy, &'a LiveVersion)> {
    pin.iter()
        .filter_map(|live| Some((*live, live.earlier().get(back).copied()?)))
        .collect()
}

/// That `versions` together admit every live host of the role and deny outsiders (invariant 5).
/// `version` stands for them in errors.
fn prove(
    version: &VersionId,
    versions: &[&LiveVersion],
    seen: &Estate,
    plan: &Plan,
    settings: &Settings,
    role: &RoleName,
) -> Result<(), ReleaseError> {
    let incomplete = |why: String| {
        let version = version.clone();
        Err(ReleaseError::Incomplete { version, why })
    };
    let mut documents = Vec::with_capacity(versions.len());
    for version in versions {
        let document = Document::parse(version.text.as_deref().unwrap_or_default());
        documents.push(document.map_err(|source| ReleaseError::Unreadable {
            version: version.id.clone(),
            source,
        })?);
    }
    if let Some(gap) = seen.gaps.first() {
        return incomplete(gap.to_string());
    }
    let (Some(planned), Some(known)) = (plan.role(role), seen.roles.get(role)) else {
        return incomplete("the role was not seen".into());
    };
    if let Some(unknown) = planned.footprint.unknown.first() {
        return incomplete(unknown.to_string());
    }
    let documents: Vec<&Document> = documents.iter().collect();
    let statements = documents.iter().flat_map(|document| &document.statements);
    let (chained, of_instances): (Vec<_>, Vec<_>) =
        statements.partition(|statement| is_chained(statement));
    // An earlier pin may not have kept hosts as far apart as today's would.
    let footprint = planned.footprint.undivided();
    let mut found = if of_instances.is_empty() {
        verify::locked_out(known, &footprint, settings, &documents)
    } else {
        verify::verify(known, &footprint, settings, &documents)
    };
    if !chained.is_empty() {
        let Some(part) = &planned.chained else {
            return incomplete("no [[chained]] of the config names it".into());
        };
        let strangers = part.callers.strangers.iter().map(ToString::to_string);
        let unknown = part.callers.unknown.iter().map(ToString::to_string);
        if let Some(why) = strangers.chain(unknown).next() {
            return incomplete(why);
        }
        found.extend(verify::chained(known, &part.callers, settings, &documents));
    }
    match found.into_iter().next() {
        Some(found) => Err(ReleaseError::Unproven {
            version: version.clone(),
            found,
        }),
        None => Ok(()),
    }
}

/// Lets runs have the pin back: takes the mark off, and forgets versions newer than the one in
/// force. It puts nothing in force itself: the next run does, proven against what it sees then.
pub async fn undo<C: Observe + WriteIam>(
    cloud: &C,
    whose: &Whose,
    settings: &Settings,
) -> Released {
    let seen = estate(&cloud.observe_iam().await);
    let mut released = Released::of(whose, &seen);
    for role in whose.roles(&seen) {
        let result = undo_one(cloud, &seen, settings, &role).await;
        released.note(role, result);
    }
    released
}

async fn undo_one<C: WriteIam>(
    cloud: &C,
    seen: &Estate,
    settings: &Settings,
    role: &RoleName,
) -> Result<String, ReleaseError> {
    let pin = pin_of(seen, role)?;
    let mut undone = false;
    for live in &pin {
        let tags = check_ours(&live.arn, role, cloud).await?;
        let current = live
            .in_force()
            .map_or(u64::MAX, |version| version.id.number());
        let newer: Vec<&VersionId> = live
            .versions
            .iter()
            .map(|version| &version.id)
            .filter(|id| id.number() > current)
            .collect();
        for version in &newer {
            done_already(cloud.delete_version(&live.arn, version).await)?;
        }
        // IAM may show a tag late, so it is taken off whether or not it was seen.
        cloud.untag_policy(&live.arn, RELEASED_TAG).await?;
        undone |= tags.contains_key(RELEASED_TAG) || !newer.is_empty();
    }
    if !undone {
        return Ok("was not released: there is nothing to undo".to_owned());
    }
    let attached = pin.iter().any(|live| is_attached(seen, live, role));
    let next = next_run(seen, settings, attached, role);
    Ok(format!("given back to runs: {next}"))
}

/// What the next run makes of a pin that it was given back.
fn next_run(seen: &Estate, settings: &Settings, attached: bool, role: &RoleName) -> &'static str {
    let role = seen.roles.get(role);
    let is_named = |role| settings.names(role) || settings.chained_rule(role).is_some();
    let enforced = role.is_some_and(|role| settings.enforces(role));
    match (enforced, attached) {
        (true, true) => "the next one brings the pin up to date",
        (true, false) => "the next one puts the pin in force again",
        (false, false) => "the config says observe, so the next one leaves the pin off",
        (false, true) if role.is_some_and(is_named) => {
            "the config says observe, so the next one takes the pin off"
        }
        (false, true) => "no [[role]] of the config names it, so the next one holds it as it is",
    }
}

fn is_attached(seen: &Estate, live: &LivePolicy, role: &RoleName) -> bool {
    seen.roles
        .get(role)
        .is_some_and(|role| role.attached.contains(&live.arn))
}

/// The policies of a role's pin that are there.
fn pin_of<'a>(seen: &'a Estate, role: &RoleName) -> Result<Vec<&'a LivePolicy>, ReleaseError> {
    let pin: Vec<&LivePolicy> = policy_names(role)
        .filter_map(|name| seen.policies.get(&name))
        .collect();
    // What is not seen may hide one more.
    match seen.gaps.iter().find(|gap| gap.region.is_none()) {
        Some(gap) if pin.is_empty() => Err(ReleaseError::NotSeen(gap.clone())),
        None if pin.is_empty() => Err(ReleaseError::NoPin(policy_name(role))),
        _ => Ok(pin),
    }
}

/// The ARNs that the policies of the role's pin have in the account of whoever asks, where that is
/// known: of all that a pin can have, because any may be there.
fn arns_by_name(seen: &Observation, role: &RoleName) -> Option<Vec<Arn>> {
    let caller = seen.iam.caller.as_ref()?;
    let asking: Arn = caller.arn.parse().ok()?;
    let (partition, account) = (asking.partition(), &caller.account);
    policy_names(role)
        .map(|name| {
            format!("arn:{partition}:iam::{account}:policy{POLICY_PATH}{name}")
                .parse()
                .ok()
        })
        .collect()
}

impl Whose {
    /// The roles that are meant. Under our path only names that we give are ours.
    fn roles(&self, seen: &Estate) -> Vec<RoleName> {
        match self {
            Whose::Roles(roles) => roles.clone(),
            Whose::All => seen
                .policies
                .keys()
                .filter_map(role_of)
                .collect::<BTreeSet<RoleName>>()
                .into_iter()
                .collect(),
        }
    }
}

impl Released {
    /// Nothing yet. What was not seen matters where all are meant; a named role is looked at itself.
    fn of(whose: &Whose, seen: &Estate) -> Self {
        let gaps = match whose {
            Whose::All => seen.gaps.iter().cloned().collect(),
            Whose::Roles(_) => Vec::new(),
        };
        Self {
            gaps,
            ..Self::default()
        }
    }

    fn note(&mut self, role: RoleName, result: Result<String, ReleaseError>) {
        match result {
            Ok(done) => self.done.push((role, done)),
            Err(error) => self.failed.push((role, error)),
        }
    }
}
