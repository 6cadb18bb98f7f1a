//! Calls that a pin of ours did deny, sorted by what to do about them.
//!
//! A theft is what follows from the places of hosts: a token that EC2 delivered to one of them, or a session that it
//! made, was used where none is. Of a session that somebody else made, or nobody knows who, that does not follow: who
//! that was is told, where the trail has the call.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use super::{
    Found, is_on_behalf,
    makers::{Makers, Origin},
};
use crate::{
    cloudtrail::{Event, Fold},
    cut::CUT_PATH,
    id::InstanceId,
    lineage::{Homes, Place, Shared, Use, Verdict, pool::Pool, short},
    plan::POLICY_PATH,
};

/// Role, session, place, service, and who called.
type Key = (Shared, Shared, Place, Shared, Who);

/// Calls that were denied by a policy of ours, by role, instance, place and service.
#[derive(Debug, Default)]
pub struct Denials {
    calls: BTreeMap<Key, Found>,
    makers: Makers,
    /// All calls that were denied, by anybody.
    all: u64,
    more: bool,
    pool: Pool,
}

/// Denied calls that have the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// Why they were denied.
    pub cause: Cause,
    /// The role, or whatever the principal is.
    pub role: Shared,
    /// The session: the instance that the token was delivered to, or what who assumed the role called it.
    pub instance: Shared,
    /// Who made the session by assuming the role, or the session that it was made with in the end: an instance, or
    /// whoever it was by ARN. None where EC2 delivered the token, or the trail does not have the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Shared>,
    /// From where.
    pub place: Place,
    /// The service that was called.
    pub service: Shared,
    /// How often, and when.
    #[serde(rename = "use")]
    pub uses: Use,
}

/// What a denial means. The first is the worst.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "host", rename_all = "kebab-case")]
pub enum Cause {
    /// From an address that is none of ours: somebody has the token.
    Theft,
    /// From where another host of ours is: that one has the token.
    OtherHost(InstanceId),
    /// From an address that is none of ours, by a session that was made by assuming the role, and not by a host of
    /// ours as far as the trail tells: the pin does not know its maker's place, or somebody has it.
    UnknownCaller,
    /// From where its own host is, or the host that made the session: the pin is out of date.
    Stale,
    /// From where a host of ours is, by a session that was made by assuming the role, and not by that host as far as the
    /// trail tells: the pin is out of date, or that host should not have it.
    Assumed(InstanceId),
    /// A service made the call.
    Service,
    /// Its host is not to be seen any more, or no host is.
    Unknown,
}

/// Who made a call that was denied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// An instance's session.
    Instance,
    /// One that is called like an instance's, and does not say that EC2 delivered it: who assumes a role calls his
    /// session as he likes. Its key.
    Named(Shared),
    /// One that was made by assuming the role. Its key.
    Assumed(Shared),
    /// A service, on somebody's behalf.
    Service,
}

/// Kinds of denied calls that are kept, the first in order.
const MOST: usize = 50_000;

impl Denials {
    /// All calls that were denied, whatever denied them.
    pub fn all(&self) -> u64 {
        self.all
    }

    /// Whether there was more than is kept: kinds of denied calls, or who made sessions. What is told of the others
    /// may be a theft then.
    pub fn has_more(&self) -> bool {
        self.more || self.makers.has_more()
    }

    fn keep(&mut self, key: Key, found: Found) {
        match self.calls.get_mut(&key) {
            Some(known) => known.merge(&found),
            None => drop(self.calls.insert(key, found)),
        }
        if self.calls.len() > MOST {
            self.calls.pop_last();
            self.more = true;
        }
    }
}

impl Fold for Denials {
    fn event(&mut self, event: &Event<'_>) {
        if !event.is_denied() {
            self.makers.event(event, &mut self.pool);
            return;
        }
        self.all += 1;
        // A denial by a managed policy names it by ARN (IAM User Guide, "Troubleshoot access denied
        // error messages").
        let message = event.error_message.as_deref().unwrap_or_default();
        if !message.contains(&format!(":policy{POLICY_PATH}")) {
            return;
        }
        let identity = &event.user_identity;
        let issuer = &identity.session_context.session_issuer;
        let name = issuer.user_name.as_deref().or(identity.arn.as_deref());
        let pool = &mut self.pool;
        let instance = pool.get(short(identity.session_name().unwrap_or("no session")));
        let address = event.source_ip_address.as_deref().unwrap_or("no address");
        let is_delivered = identity.session_context.ec2_role_delivery.is_some();
        let session = pool.get(event.key().unwrap_or_default());
        let who = if is_on_behalf(event) {
            Who::Service
        } else if is_delivered || message.contains(CUT_PATH) {
            // Whom a cut denies is a thief of whatever session, and no caller of a role.
            Who::Instance
        } else if identity.instance().is_some() {
            Who::Named(session)
        } else {
            Who::Assumed(session)
        };
        let key = (
            pool.get(short(name.unwrap_or("nobody"))),
            instance.clone(),
            Place::new(pool, address, event.vpc_endpoint_id.as_deref()),
            pool.get(short(event.service().unwrap_or("no service"))),
            who,
        );
        let mut found = Found {
            uses: Use::default(),
            instance,
        };
        found.uses.add(event.time(), true);
        self.keep(key, found);
    }

    fn merge(&mut self, other: Self) {
        self.all += other.all;
        self.more |= other.more;
        self.makers.merge(other.makers);
        for (key, found) in other.calls {
            self.keep(key, found);
        }
    }
}

/// What was denied, the worst first. Without hosts to compare with, all is unknown.
pub fn triage(denials: &Denials, homes: &Homes) -> Vec<Denied> {
    let calls = denials.calls.iter();
    let mut sorted: Vec<_> = calls
        .map(|((role, instance, place, service, who), found)| {
            let key = match who {
                Who::Assumed(key) | Who::Named(key) => Some(key),
                Who::Instance | Who::Service => None,
            };
            let origin = key.and_then(|key| denials.makers.origin(key));
            let cause = match (who, &origin) {
                (Who::Service, _) => Cause::Service,
                (Who::Instance, _) | (Who::Named(_), None) => cause(instance, place, homes),
                (_, Some(Origin::Instance(maker))) => cause(maker, place, homes),
                _ => cause_of_assumed(place, homes),
            };
            Denied {
                cause,
                role: role.clone(),
                instance: instance.clone(),
                by: origin.map(|(Origin::Instance(maker) | Origin::Other(maker))| maker),
                place: place.clone(),
                service: service.clone(),
                uses: found.uses,
            }
        })
        .collect();
    sorted.sort_by(|a, b| a.cause.cmp(&b.cause));
    joined(sorted)
}

/// A session that the same maker made anew, under another key, is told once.
fn joined(denied: Vec<Denied>) -> Vec<Denied> {
    let mut joined: Vec<Denied> = Vec::new();
    let mut places: BTreeMap<_, usize> = BTreeMap::new();
    for one in denied {
        let what = (
            one.cause.clone(),
            one.role.clone(),
            one.instance.clone(),
            one.by.clone(),
            one.place.clone(),
            one.service.clone(),
        );
        if let Some(place) = places.get(&what) {
            joined[*place].uses.merge(&one.uses);
        } else {
            places.insert(what, joined.len());
            joined.push(one);
        }
    }
    joined
}

/// Of a session that no host of ours made, or nobody knows who: whose place it is.
fn cause_of_assumed(place: &Place, homes: &Homes) -> Cause {
    match homes.owner(place) {
        Some(host) => Cause::Assumed(host.clone()),
        None if place.address.parse::<IpAddr>().is_err() => Cause::Service,
        None if homes.is_empty() => Cause::Unknown,
        None => Cause::UnknownCaller,
    }
}

/// Of a token of `instance`, or of a session that it made.
fn cause(instance: &str, place: &Place, homes: &Homes) -> Cause {
    match homes.judge(instance, place) {
        Some(Verdict::Home) => Cause::Stale,
        Some(Verdict::Service) => Cause::Service,
        Some(Verdict::Away) => match homes.owner(place) {
            Some(host) => Cause::OtherHost(host.clone()),
            None => Cause::Theft,
        },
        // Its own host is not to be seen, but where another one is can be told.
        None => match homes.owner(place) {
            Some(host) => Cause::OtherHost(host.clone()),
            None => Cause::Unknown,
        },
    }
}
