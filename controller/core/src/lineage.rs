//! Which key came of which, and what was done with each: from CloudTrail alone.
//!
//! ```text
//!  Event ──▶ Lineage ──▶ trace(target) ──▶ Trace: the keys above it, and all that they spawned
//!            (a Seen per key, merged         (Node per key: how, from whom, where, what,
//!             across threads)                  until when)
//! ```
//!
//! What is kept grows with the number of keys and never with the number of events: of each key the
//! call that handed it out, and bounded tallies of where and for what it was used. Names follow the
//! IAM User Guide, "Log IAM and AWS STS API calls with AWS CloudTrail".

use std::collections::{HashMap, hash_map};

use jiff::Timestamp;
use serde::Serialize;

use crate::cloudtrail::{Event, Fold, How, is_eks};

mod home;
mod kind;
mod origin;
pub(crate) mod pool;
mod tally;
#[cfg(test)]
mod tests;
mod trace;

pub use home::{Homes, Verdict};
pub use tally::{Place, Tally, Use};
pub use trace::{Above, Ends, Node, Target, TargetError, Trace, trace};

pub(crate) use origin::Origin;
use pool::Pool;
pub use pool::Shared;

/// All keys that a trail shows.
#[derive(Debug, Default)]
pub struct Lineage {
    keys: HashMap<Shared, Box<Seen>>,
    /// Roles assumed across accounts leave a record in both, and only one names the caller's key.
    across: HashMap<Shared, Across>,
    pool: Pool,
}

/// What was seen of a key.
#[derive(Debug, Default)]
struct Seen {
    who: Who,
    born: Option<Born>,
    hints: Hints,
    /// `creationDate`, the earliest.
    created: Option<Timestamp>,
    total: Use,
    by_service: u64,
    places: Tally<Place>,
    agents: Tally<Shared>,
    services: Tally<Shared>,
    /// When it was first exchanged for a sign-in to the console (`GetSigninToken`).
    signed_in: Option<Timestamp>,
}

/// Whose a key is. Records that a service causes say less than others: the most is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Who {
    /// `userIdentity.arn`: of the user, or of the session.
    pub arn: Option<Shared>,
    /// `userIdentity.type`.
    #[serde(rename = "type")]
    pub kind: Option<Shared>,
    /// `principalId`.
    pub principal_id: Option<Shared>,
    /// The account.
    pub account: Option<Shared>,
    /// ARN of the role that it is a session of.
    pub role: Option<Shared>,
    /// ARN of the user that it is a federated session of.
    pub user: Option<Shared>,
    /// `sourceIdentity`.
    pub source_identity: Option<Shared>,
    /// The Lambda function or ECS task that it was issued to.
    pub issued_to: Option<Shared>,
    /// `ec2RoleDelivery`: the version of IMDS that delivered it.
    pub delivered_by: Option<Shared>,
    /// `ec2IssuedInVpc`.
    pub delivered_in: Option<Shared>,
}

/// What a key's use tells of how it was made, where the call that made it is not in the trail.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of the records"
)]
struct Hints {
    ec2: bool,
    console: bool,
    mfa: bool,
    web_identity: bool,
    eks: bool,
    lambda: bool,
    ecs: bool,
}

/// The call that handed a key out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Born {
    /// A record that names the caller's key is worth more than one that does not.
    parent: Parent,
    how: How,
    at: Option<Timestamp>,
    expires: Option<Timestamp>,
    role: Option<Shared>,
    session: Option<Shared>,
    source_identity: Option<Shared>,
    mfa: Option<Shared>,
    from: Option<Place>,
    event: Option<Shared>,
}

/// Who asked for a key; in the order of how much that tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Parent {
    Unknown,
    /// Of another account, whose own record names the key.
    Caller(Shared),
    Provider(Shared),
    Service(Shared),
    Key(Shared),
}

/// The two halves of a role assumed across accounts.
#[derive(Clone, Debug, Default)]
struct Across {
    caller: Option<Shared>,
    child: Option<Shared>,
}

impl Lineage {
    /// Keys that were seen.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key was seen.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn seen(&mut self, key: &str) -> &mut Seen {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.into(), Box::default());
        }
        self.keys.get_mut(key).expect("it was just put there")
    }

    fn used(&mut self, key: &str, event: &Event<'_>, time: Option<Timestamp>) {
        let Self { keys, pool, .. } = self;
        if !keys.contains_key(key) {
            keys.insert(key.into(), Box::default());
        }
        let seen = keys.get_mut(key).expect("it was just put there");
        let denied = event.is_denied();
        seen.total.add(time, denied);
        seen.by_service += u64::from(event.user_identity.invoked_by.is_some());
        if let Some(address) = event.source_ip_address.as_deref() {
            let endpoint = event.vpc_endpoint_id.as_deref();
            seen.places.add(
                |place| place.is(address, endpoint),
                || Place::new(pool, address, endpoint),
                time,
                denied,
            );
        }
        for (tally, text) in [
            (&mut seen.agents, event.user_agent.as_deref()),
            (&mut seen.services, event.service()),
        ] {
            if let Some(text) = text.map(short) {
                tally.add(|known| **known == *text, || pool.get(text), time, denied);
            }
        }
        seen.who.learn(event, pool);
        seen.hints.learn(event);
        let attributes = &event.user_identity.session_context.attributes;
        let created = attributes.creation_date.as_deref();
        earliest(
            &mut seen.created,
            created.and_then(|text| text.parse().ok()),
        );
        if event.event_name.as_deref() == Some("GetSigninToken") && event.error_code.is_none() {
            earliest(&mut seen.signed_in, time);
        }
    }

    fn handed_out(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
        let caller = event.key();
        let issue = event.issue();
        if let (Some(shared), Some("AssumeRole")) = (
            event.shared_event_id.as_deref(),
            event.event_name.as_deref(),
        ) {
            let across = self.across.entry(shared.into()).or_default();
            let keep = |half: &mut Option<Shared>, key: Option<&str>| {
                if let Some(key) = key
                    && half.as_deref().is_none_or(|known| known < key)
                {
                    *half = Some(key.into());
                }
            };
            keep(&mut across.caller, caller);
            keep(&mut across.child, issue.as_ref().map(|issue| &*issue.key));
        }
        let Some(issue) = issue else { return };
        let pool = &mut self.pool;
        let identity = &event.user_identity;
        let parent = if let Some(key) = caller {
            Parent::Key(key.into())
        } else if identity.kind.as_deref() == Some("AWSService") {
            Parent::Service(pool.get(identity.invoked_by.as_deref().unwrap_or("a service")))
        } else if matches!(
            identity.kind.as_deref(),
            Some("SAMLUser" | "WebIdentityUser")
        ) {
            let provider = identity.identity_provider.as_deref();
            let user = identity.user_name.as_deref();
            let text = [provider, user].map(Option::unwrap_or_default).join(" ");
            Parent::Provider(pool.get(short(text.trim())))
        } else if let Some(caller) = identity.arn.as_deref().or(identity.account_id.as_deref()) {
            Parent::Caller(pool.get(caller))
        } else {
            Parent::Unknown
        };
        let address = event.source_ip_address.as_deref();
        let mut keep = |text: Option<&str>| text.map(|text| pool.get(short(text)));
        let mut born = Born {
            parent,
            how: issue.how,
            at: time,
            expires: issue.expires,
            role: keep(issue.role.as_deref()),
            session: keep(issue.session.as_deref()),
            source_identity: keep(issue.source_identity.as_deref()),
            mfa: keep(issue.mfa.as_deref()),
            event: event.event_id.as_deref().map(Into::into),
            from: None,
        };
        born.from =
            address.map(|address| Place::new(pool, address, event.vpc_endpoint_id.as_deref()));
        let seen = self.seen(&issue.key);
        if seen.born.as_ref().is_none_or(|known| *known < born) {
            seen.born = Some(born);
        }
    }
}

impl Fold for Lineage {
    fn event(&mut self, event: &Event<'_>) {
        let time = event.time();
        if let Some(key) = event.key() {
            self.used(key, event, time);
        }
        self.handed_out(event, time);
    }

    fn merge(&mut self, other: Self) {
        for (key, seen) in other.keys {
            match self.keys.entry(key) {
                hash_map::Entry::Vacant(entry) => drop(entry.insert(seen)),
                hash_map::Entry::Occupied(mut entry) => entry.get_mut().merge(*seen),
            }
        }
        for (shared, halves) in other.across {
            let across = self.across.entry(shared).or_default();
            across.caller = across.caller.take().max(halves.caller);
            across.child = across.child.take().max(halves.child);
        }
    }
}

impl Seen {
    fn merge(&mut self, other: Self) {
        let who = std::mem::take(&mut self.who);
        self.who = who.most(other.who);
        self.born = self.born.take().max(other.born);
        self.hints = self.hints.or(other.hints);
        earliest(&mut self.created, other.created);
        earliest(&mut self.signed_in, other.signed_in);
        self.total.merge(&other.total);
        self.by_service += other.by_service;
        self.places.merge(other.places);
        self.agents.merge(other.agents);
        self.services.merge(other.services);
    }
}

impl Who {
    fn learn(&mut self, event: &Event<'_>, pool: &mut Pool) {
        let identity = &event.user_identity;
        let session = &identity.session_context;
        let issuer = &session.session_issuer;
        let is = |kind| issuer.kind.as_deref() == Some(kind);
        for (known, said) in [
            (&mut self.arn, identity.arn.as_deref()),
            (&mut self.kind, identity.kind.as_deref()),
            (&mut self.principal_id, identity.principal_id.as_deref()),
            (&mut self.account, identity.account_id.as_deref()),
            (&mut self.role, issuer.arn.as_deref().filter(|_| is("Role"))),
            (
                &mut self.user,
                issuer.arn.as_deref().filter(|_| is("IAMUser")),
            ),
            (
                &mut self.source_identity,
                session.source_identity.as_deref(),
            ),
            (
                &mut self.issued_to,
                identity.in_scope_of.credentials_issued_to.as_deref(),
            ),
            (&mut self.delivered_by, session.ec2_role_delivery.as_deref()),
            (&mut self.delivered_in, session.ec2_issued_in_vpc.as_deref()),
        ] {
            if let Some(said) = said.map(short)
                && known.as_deref().is_none_or(|known| known < said)
            {
                *known = Some(pool.get(said));
            }
        }
    }

    fn most(self, other: Self) -> Self {
        Self {
            arn: self.arn.max(other.arn),
            kind: self.kind.max(other.kind),
            principal_id: self.principal_id.max(other.principal_id),
            account: self.account.max(other.account),
            role: self.role.max(other.role),
            user: self.user.max(other.user),
            source_identity: self.source_identity.max(other.source_identity),
            issued_to: self.issued_to.max(other.issued_to),
            delivered_by: self.delivered_by.max(other.delivered_by),
            delivered_in: self.delivered_in.max(other.delivered_in),
        }
    }
}

impl Hints {
    fn learn(&mut self, event: &Event<'_>) {
        let identity = &event.user_identity;
        let session = &identity.session_context;
        let is = |text: Option<&str>, wanted: &str| text == Some(wanted);
        self.ec2 |= session.ec2_role_delivery.is_some() || identity.instance().is_some();
        self.console |= is(event.session_credential_from_console.as_deref(), "true");
        self.mfa |= is(session.attributes.mfa_authenticated.as_deref(), "true");
        let provider = session.web_id_federation_data.federated_provider.as_deref();
        self.web_identity |= provider.is_some();
        self.eks |= provider.is_some_and(is_eks);
        let scope = identity.in_scope_of.issuer_type.as_deref().unwrap_or("");
        self.lambda |= scope.contains("Lambda");
        self.ecs |= scope.contains("ECS");
    }

    fn or(self, other: Self) -> Self {
        Self {
            ec2: self.ec2 || other.ec2,
            console: self.console || other.console,
            mfa: self.mfa || other.mfa,
            web_identity: self.web_identity || other.web_identity,
            eks: self.eks || other.eks,
            lambda: self.lambda || other.lambda,
            ecs: self.ecs || other.ecs,
        }
    }
}

fn earliest(known: &mut Option<Timestamp>, seen: Option<Timestamp>) {
    *known = [*known, seen].into_iter().flatten().min();
}

/// Callers choose some of these texts: what they can make us keep is bounded.
pub(crate) fn short(text: &str) -> &str {
    const MOST: usize = 512;
    if text.len() <= MOST {
        return text;
    }
    let mut end = MOST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
