//! When an instance's token was seen in CloudTrail.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cloudtrail::{Event, Fold};
use crate::lineage::{LONGEST_ROLE_SESSION, short};

/// The tokens of instances that a trail shows, by key.
///
/// All of them, on record or not: the record of one may come later than its use, and one that has
/// none was issued around the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings(pub HashMap<String, Sighting>);

/// What CloudTrail tells of an instance's token. Of texts that differ the last in order is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Its account.
    pub account: Option<String>,
    /// Its role's name.
    pub role: Option<String>,
    /// The instance that it was delivered to.
    pub instance: Option<String>,
    /// The VPC that it was delivered in.
    pub vpc: Option<String>,
    /// When it was issued.
    pub issued: Option<Timestamp>,
    /// Whether it was delivered by IMDSv1.
    pub imds_v1: bool,
    /// Whether it was delivered by IMDSv2.
    pub imds_v2: bool,
    /// Its last use.
    pub last: Option<Use>,
}

/// A use of a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Use {
    /// When.
    pub time: Timestamp,
    /// From where: an address, or a service's name.
    pub from: Option<String>,
    /// By which VPC endpoint.
    pub endpoint: Option<String>,
    /// The service that was called, as `s3`.
    pub service: Option<String>,
    /// The record's id.
    pub event: Option<String>,
}

impl Fold for Sightings {
    fn event(&mut self, event: &Event<'_>) {
        let identity = &event.user_identity;
        let session = &identity.session_context;
        let delivery = session.ec2_role_delivery.as_deref();
        let is_instances = delivery.is_some() || identity.instance().is_some();
        let Some(key) = event.key().filter(|key| key.starts_with("ASIA")) else {
            return;
        };
        if !is_instances {
            return;
        }
        let own = |text: Option<&str>| text.map(|text| short(text).to_owned());
        let created = session.attributes.creation_date.as_deref();
        let sighting = Sighting {
            account: own(identity.account_id.as_deref()),
            role: own(session.session_issuer.user_name.as_deref()),
            instance: own(identity.instance()),
            vpc: own(session.ec2_issued_in_vpc.as_deref()),
            issued: created.and_then(|text| text.parse().ok()),
            imds_v1: delivery.is_some_and(|version| version.starts_with('1')),
            imds_v2: delivery.is_some_and(|version| version.starts_with('2')),
            last: event.time().map(|time| Use {
                time,
                from: own(event.source_ip_address.as_deref()),
                endpoint: own(event.vpc_endpoint_id.as_deref()),
                service: own(event.service()),
                event: own(event.event_id.as_deref()),
            }),
        };
        match self.0.get_mut(key) {
            Some(known) => known.merge(sighting),
            None => drop(self.0.insert(key.to_owned(), sighting)),
        }
    }

    fn merge(&mut self, other: Self) {
        for (key, sighting) in other.0 {
            self.0.entry(key).or_default().merge(sighting);
        }
    }
}

impl Sighting {
    /// Takes in what others tell of the same token.
    pub fn merge(&mut self, other: Self) {
        for (known, said) in [
            (&mut self.account, other.account),
            (&mut self.role, other.role),
            (&mut self.instance, other.instance),
            (&mut self.vpc, other.vpc),
        ] {
            if *known < said {
                *known = said;
            }
        }
        self.issued = [self.issued, other.issued].into_iter().flatten().min();
        self.imds_v1 |= other.imds_v1;
        self.imds_v2 |= other.imds_v2;
        self.last = self.last.take().max(other.last);
    }

    /// The latest that the token can last to; nothing where no time is known.
    pub fn ends(&self) -> Option<Timestamp> {
        let begin = self.issued.or(self.last.as_ref().map(|last| last.time))?;
        let ends = begin.checked_add(LONGEST_ROLE_SESSION);
        Some(ends.unwrap_or(Timestamp::MAX))
    }
}
