//! What somebody should look at, from CloudTrail and from what is known beside it.
//!
//! ```text
//!  Event ──▶ Detect ──▶ report(facts) ──▶ Report: findings, and what could not be decided
//!            (a Token per key,  │
//!             a Lineage, what   ├── the account's hosts and roles, hosts' records
//!             was changed)      └── what is accepted, what earlier runs told
//! ```
//!
//! What the rules are called and what they advise is a table, `rules.json`. Nothing is learnt that would
//! make a rule quiet: what is not to be told is written down, with an owner and an end ([`Accept`]); and
//! a place or a caller that is known ([`Known`]) was told when it was new. What is kept grows with the
//! number of keys and never with the number of events.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use credpin_ledger::Record;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cloudtrail::{Event, Fold},
    estate::Role,
    id::Arn,
    lineage::{Homes, Lineage, Origin, Place, Shared, Verdict, pool::Pool},
    plan::POLICY_PATH,
    settings::Glob,
};

mod accept;
mod change;
mod finding;
mod imds_v1;
mod instance;
mod known;
mod long_lived;
mod rule;
mod session_token;
mod sight;
#[cfg(test)]
mod tests;
mod trust;

pub use accept::Accept;
pub use finding::Finding;
pub use known::{Known, KnownError};
pub use rule::{Needs, Rule, RuleError, RuleId, Severity, rules};

use change::Changes;
use sight::{Sight, Sights};
use trust::Trusts;

/// Events, as far as rules ask about them.
#[derive(Debug, Default)]
pub struct Detect {
    homes: Option<Arc<Homes>>,
    lineage: Lineage,
    tokens: HashMap<Shared, Box<Token>>,
    changes: Changes,
    trusts: Trusts,
    /// The first event.
    first: Option<Timestamp>,
    pool: Pool,
}

/// The calls that a key's holder made. What services made on its behalf says nothing about where it is.
#[derive(Debug, Default)]
struct Token {
    all: Sight,
    /// The first use at the home of the instance that it was delivered to. Such uses are in `places`
    /// only where that could not be told at once.
    at_home: Option<Timestamp>,
    /// From where; of a long-lived key by network.
    places: Sights<Place>,
}

/// What rules ask about beside the trail.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The roles of the accounts that were looked at; none where no cloud was.
    pub roles: Option<&'a [&'a Role]>,
    /// What hosts recorded; none where no store is named.
    pub records: Option<&'a [Record]>,
    /// Names of the roles that credpin runs as.
    pub controllers: &'a [Glob],
    /// The roles that this runs as, one an account.
    pub own_roles: &'a [Arn],
    /// What is accepted.
    pub accept: &'a [Accept],
    /// What earlier runs told and saw.
    pub known: &'a Known,
    /// What was over before this is history: known, and not told.
    pub since: Option<Timestamp>,
    /// What the trail is called, for the commands that are advised.
    pub trail: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The worst first.
    pub findings: Vec<Finding>,
    /// What could not be decided, and how often.
    pub undecided: Vec<Undecided>,
    /// Long-lived keys of which nothing was known: where each was used first is taken for its place.
    pub new_keys: u64,
    networks: BTreeMap<String, BTreeMap<String, Timestamp>>,
    principals: BTreeMap<String, Timestamp>,
}

/// Something that could not be decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Undecided {
    /// What, and why.
    pub what: String,
    /// How many; 0 where that is not known.
    pub count: u64,
}

impl Detect {
    /// With the homes of hosts, if a cloud was looked at: without them no use is told to be away.
    pub fn new(homes: Option<Arc<Homes>>) -> Self {
        Self {
            homes,
            ..Self::default()
        }
    }

    /// What the rules make of it.
    pub fn report(&self, facts: &Facts<'_>) -> Report {
        let mut origins: Vec<Origin<'_>> = self.lineage.origins().collect();
        origins.sort_by_key(|origin| origin.key);
        let mut report = Report::default();
        instance::findings(self, &origins, facts, &mut report);
        session_token::findings(self, &origins, facts, &mut report);
        long_lived::findings(self, &origins, facts, &mut report);
        imds_v1::findings(self, &origins, facts, &mut report);
        report.findings.extend(self.changes.findings(facts));
        report.findings.extend(self.trusts.findings(facts));
        report
            .findings
            .retain(|finding| facts.is_to_be_told(finding));
        for finding in &mut report.findings {
            let by = facts.accept.iter();
            finding.accepted = by
                .clone()
                .find(|accept| accept.covers(finding, facts.now))
                .cloned();
        }
        report
            .findings
            .extend(accept::ended(facts.accept, facts.now));
        report.learn();
        self.say_what_is_missing(facts, &mut report);
        report.findings.sort_by(|a, b| a.order().cmp(&b.order()));
        report
    }

    fn say_what_is_missing(&self, facts: &Facts<'_>, report: &mut Report) {
        let missing = [
            (
                Needs::Cloud,
                facts.roles.is_none(),
                "no cloud was looked at",
            ),
            (
                Needs::Records,
                facts.records.is_none(),
                "no records were read",
            ),
        ];
        for (need, is_missing, why) in missing {
            let rules = rules().iter().filter(|rule| rule.needs == need);
            let names: Vec<_> = rules.map(|rule| rule.id.to_string()).collect();
            if is_missing {
                report.undecided(format!("{} ({why})", names.join(", ")), 0);
            }
        }
        let more = self.tokens.values().filter(|token| token.places.has_more());
        report.undecided_if(
            "keys were used from more places than are kept apart",
            more.count() as u64,
        );
        for (has_more, what) in [
            (self.changes.has_more(), "changes of policies"),
            (self.trusts.has_more(), "changes of trust policies"),
        ] {
            if has_more {
                report.undecided(format!("{what}: there are more than are kept"), 0);
            }
        }
        report.undecided.sort();
    }

    fn used(&mut self, key: &str, event: &Event<'_>, time: Option<Timestamp>) {
        let address = event.source_ip_address.as_deref().unwrap_or_default();
        let Ok(parsed) = address.parse::<IpAddr>() else {
            return;
        };
        let endpoint = event.vpc_endpoint_id.as_deref();
        let by_pin = is_by_pin(event);
        if !self.tokens.contains_key(key) {
            self.tokens.insert(key.into(), Box::default());
        }
        let token = self.tokens.get_mut(key).expect("it was just put there");
        token.all.add(event, time, by_pin);
        let place = if key.starts_with("AKIA") {
            Place::new(&mut self.pool, &network(parsed), endpoint)
        } else {
            Place::new(&mut self.pool, address, endpoint)
        };
        let identity = &event.user_identity;
        let is_delivered = identity.session_context.ec2_role_delivery.is_some();
        if let Some(instance) = identity.instance().filter(|_| is_delivered)
            && let Some(homes) = &self.homes
            && homes.judge(instance, &place) == Some(Verdict::Home)
        {
            token.at_home = [token.at_home, time].into_iter().flatten().min();
            return;
        }
        token.places.of(place).add(event, time, by_pin);
        token.places.shrink();
    }
}

impl Fold for Detect {
    fn event(&mut self, event: &Event<'_>) {
        let time = event.time();
        self.first = [self.first, time].into_iter().flatten().min();
        self.lineage.event(event);
        self.changes.event(event);
        self.trusts.event(event);
        if let Some(key) = event.key()
            && !event.is_by_service()
        {
            self.used(key, event, time);
        }
    }

    fn merge(&mut self, other: Self) {
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.lineage.merge(other.lineage);
        self.changes.merge(other.changes);
        self.trusts.merge(other.trusts);
        for (key, token) in other.tokens {
            let known = self.tokens.entry(key).or_default();
            known.all.merge(&token.all);
            known.at_home = [known.at_home, token.at_home].into_iter().flatten().min();
            known.places.merge(token.places);
        }
    }
}

impl Report {
    /// Findings that no acceptance covers.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.accepted.is_none())
    }

    /// The same without what earlier runs told.
    #[must_use]
    pub fn without_told(mut self, known: &Known) -> Self {
        self.findings.retain(|finding| !known.has_told(finding));
        self
    }

    /// What is told is known from now on. What is accepted is not: it is told when that ends.
    fn learn(&mut self) {
        for finding in self
            .findings
            .iter()
            .filter(|finding| finding.accepted.is_none())
        {
            let Some(last) = finding.last else { continue };
            match (finding.rule, &finding.key) {
                (RuleId::LongLivedKeyNewPlace, Some(key)) => {
                    let networks = self.networks.entry(key.to_string()).or_default();
                    networks.extend(finding.places.iter().map(|place| (place.clone(), last)));
                }
                (RuleId::SessionTokenFirst | RuleId::SessionTokenWithoutMfa, _) => {
                    self.principals.insert(finding.subject.clone(), last);
                }
                _ => {}
            }
        }
    }

    fn undecided(&mut self, what: String, count: u64) {
        self.undecided.push(Undecided { what, count });
    }

    fn undecided_if(&mut self, what: &str, count: u64) {
        if count > 0 {
            self.undecided(what.to_owned(), count);
        }
    }
}

impl Facts<'_> {
    /// Whether something of it is not history. What stands is told whenever it is seen.
    fn is_to_be_told(&self, finding: &Finding) -> bool {
        match (self.since, finding.last) {
            (Some(since), Some(last)) => last >= since,
            _ => true,
        }
    }

    fn is_history(&self, time: Option<Timestamp>) -> bool {
        self.since
            .is_some_and(|since| time.is_some_and(|time| time < since))
    }
}

/// Whether a policy of ours denied it: such a denial names it by ARN (IAM User Guide, "Troubleshoot
/// access denied error messages").
fn is_by_pin(event: &Event<'_>) -> bool {
    let message = event.error_message.as_deref().unwrap_or_default();
    event.is_denied()
        && message
            .split_once(":policy")
            .is_some_and(|(_, rest)| rest.starts_with(POLICY_PATH))
}

/// The network that an address is of, as far as providers give them out together.
fn network(address: IpAddr) -> String {
    let length = if address.is_ipv4() { 24 } else { 48 };
    match IpNet::new(address, length) {
        Ok(net) => net.trunc().to_string(),
        Err(_) => address.to_string(),
    }
}
