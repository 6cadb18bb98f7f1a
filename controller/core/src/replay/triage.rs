//! Calls that a pin of ours did deny, sorted by what to do about them.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use super::{Found, is_on_behalf};
use crate::{
    cloudtrail::{Event, Fold},
    cut::CUT_PATH,
    id::InstanceId,
    lineage::{Homes, Place, Shared, Use, Verdict, pool::Pool, short},
    plan::POLICY_PATH,
};

/// Calls that were denied by a policy of ours, by role, instance, place and service.
#[derive(Debug, Default)]
pub struct Denials {
    calls: BTreeMap<(Shared, Shared, Place, Shared, Who), Found>,
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
    /// From where its own host is: the pin is out of date.
    Stale,
    /// From where a host of ours is, by a session that was made by assuming the role: the pin is out of date, or that
    /// host should not have it.
    Assumed(InstanceId),
    /// A service made the call.
    Service,
    /// Its host is not to be seen any more, or no host is.
    Unknown,
}

/// Who made a call that was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// An instance's session.
    Instance,
    /// One that was made by assuming the role.
    Assumed,
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

    /// Whether there were more kinds than are kept.
    pub fn has_more(&self) -> bool {
        self.more
    }

    fn keep(&mut self, key: (Shared, Shared, Place, Shared, Who), found: Found) {
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
        let is_delivered =
            identity.instance().is_some() || identity.session_context.ec2_role_delivery.is_some();
        let key = (
            pool.get(short(name.unwrap_or("nobody"))),
            instance.clone(),
            Place::new(pool, address, event.vpc_endpoint_id.as_deref()),
            pool.get(short(event.service().unwrap_or("no service"))),
            if is_on_behalf(event) {
                Who::Service
            } else if is_delivered || message.contains(CUT_PATH) {
                // Whom a cut denies is a thief of whatever session, and no caller of a role.
                Who::Instance
            } else {
                Who::Assumed
            },
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
        for (key, found) in other.calls {
            self.keep(key, found);
        }
    }
}

/// What was denied, the worst first. Without hosts to compare with, all is unknown.
pub fn triage(denials: &Denials, homes: &Homes) -> Vec<Denied> {
    let calls = denials.calls.iter();
    let mut sorted: Vec<_> = calls
        .map(|((role, instance, place, service, who), found)| Denied {
            cause: match who {
                Who::Service => Cause::Service,
                Who::Instance => cause(instance, place, homes),
                Who::Assumed => cause_of_assumed(place, homes),
            },
            role: role.clone(),
            instance: instance.clone(),
            place: place.clone(),
            service: service.clone(),
            uses: found.uses,
        })
        .collect();
    sorted.sort_by(|a, b| a.cause.cmp(&b.cause));
    sorted
}

/// Of a session that names no instance: who made it is not known, but whose place it is.
fn cause_of_assumed(place: &Place, homes: &Homes) -> Cause {
    match homes.owner(place) {
        Some(host) => Cause::Assumed(host.clone()),
        None if place.address.parse::<IpAddr>().is_err() => Cause::Service,
        None if homes.is_empty() => Cause::Unknown,
        None => Cause::Theft,
    }
}

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
