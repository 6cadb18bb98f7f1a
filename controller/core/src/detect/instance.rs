//! Rules about the tokens that EC2 delivers to instances, and about the keys made with them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use credpin_ledger::Record;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::{Detect, Facts, Finding, Report, RuleId, Sight, Token};
use crate::{
    cloudtrail::How,
    egress::is_private,
    lineage::{Homes, Origin, Place, Verdict},
};

/// How long a record may take until it is in the store, where the host is well.
const SHIPPED: SignedDuration = SignedDuration::from_hours(1);

/// Where a key was used that is not its home.
#[derive(Default)]
struct Away {
    /// Where the pin denied every call.
    denied: Sight,
    /// Everywhere else.
    allowed: Sight,
    /// Those of `allowed`, or else those of `denied`.
    places: Vec<String>,
    /// The first use at home, of those that were not told to be that at once.
    at_home: Option<Timestamp>,
}

/// What could not be told.
#[derive(Default)]
struct Open<'a> {
    /// Instances that are not there any more, or in another account.
    gone: BTreeSet<&'a str>,
    /// Calls from a private address by no endpoint.
    private: u64,
    /// Instances that recorded nothing.
    silent: BTreeSet<&'a str>,
}

/// What a host recorded.
struct Ledger<'a> {
    first: Timestamp,
    keys: HashSet<&'a str>,
}

pub(super) fn findings(
    detect: &Detect,
    origins: &[Origin<'_>],
    facts: &Facts<'_>,
    report: &mut Report,
) {
    let mut open = Open::default();
    let ledgers = facts.records.map(ledgers);
    for origin in origins {
        let (Some(instance), Some(token)) = (origin.instance, detect.tokens.get(&**origin.key))
        else {
            continue;
        };
        if let Some(homes) = detect.homes.as_deref() {
            let away = away(token, instance, homes, &mut open);
            report.findings.extend(of_away(&away, origin, facts));
            if is_first_used_away(&away, origin, token, detect) {
                let sight = away.any();
                let rule = RuleId::InstanceTokenFirstUsedAway;
                let finding = about(rule, origin, facts).shown_by(&sight);
                report.findings.push(finding.from(away.places));
            }
        }
        if let Some(ledgers) = &ledgers
            && origin.parent.is_none()
        {
            match ledgers.get(instance) {
                None => drop(open.silent.insert(instance)),
                Some(ledger) if is_missing(origin, token, ledger, facts) => {
                    let rule = RuleId::InstanceTokenNotRecorded;
                    let finding = about(rule, origin, facts).shown_by(&token.all);
                    let places = token.places.iter().map(|(place, _)| place.to_string());
                    report.findings.push(finding.from(places));
                }
                Some(_) => {}
            }
        }
    }
    for (what, count) in [
        (
            "instances whose tokens were used are not to be seen: gone, or in a region or account that was not looked at",
            open.gone.len() as u64,
        ),
        (
            "calls came from a private address and name no endpoint",
            open.private,
        ),
        (
            "instances whose tokens were used recorded nothing: no proxy there, or records that do not arrive",
            open.silent.len() as u64,
        ),
    ] {
        report.undecided_if(what, count);
    }
}

fn of_away(away: &Away, origin: &Origin<'_>, facts: &Facts<'_>) -> Option<Finding> {
    let rule = match away {
        Away {
            allowed, denied, ..
        } if allowed.uses.calls + denied.uses.calls == 0 => return None,
        _ if origin.parent.is_some() => RuleId::InstanceTokenChildAway,
        Away { allowed, .. } if allowed.uses.calls > 0 => RuleId::InstanceTokenAway,
        _ => RuleId::InstanceTokenDeniedAway,
    };
    let sight = match rule {
        RuleId::InstanceTokenAway => away.allowed.clone(),
        _ => away.any(),
    };
    let finding = about(rule, origin, facts).shown_by(&sight);
    Some(finding.from(away.places.iter().cloned()))
}

/// Where the trail begins after the token was made, its host may have used it before.
fn is_first_used_away(away: &Away, origin: &Origin<'_>, token: &Token, detect: &Detect) -> bool {
    let begins = origin.issued.zip(detect.first);
    let first = away.any().uses.first;
    let at_home = [token.at_home, away.at_home].into_iter().flatten().min();
    origin.parent.is_none()
        && begins.is_some_and(|(issued, first)| issued >= first)
        && first.is_some()
        && first == token.all.uses.first
        && at_home.is_none_or(|at_home| first < Some(at_home))
}

fn away<'a>(token: &Token, instance: &'a str, homes: &Homes, open: &mut Open<'a>) -> Away {
    let mut away = Away::default();
    let mut denied = Vec::new();
    for (place, sight) in token.places.iter() {
        if is_ambiguous(place) {
            open.private += sight.uses.calls;
            continue;
        }
        match homes.judge(instance, place) {
            Some(Verdict::Away) if sight.by_pin == sight.uses.calls => {
                away.denied.merge(sight);
                denied.push(place.to_string());
            }
            Some(Verdict::Away) => {
                away.allowed.merge(sight);
                away.places.push(place.to_string());
            }
            Some(Verdict::Home) => {
                away.at_home = [away.at_home, sight.uses.first].into_iter().flatten().min();
            }
            Some(Verdict::Service) => {}
            None => drop(open.gone.insert(instance)),
        }
    }
    if away.places.is_empty() {
        away.places = denied;
    }
    away
}

/// A private address says where a call came from only together with an endpoint.
fn is_ambiguous(place: &Place) -> bool {
    place.endpoint.is_none()
        && place
            .address
            .parse()
            .is_ok_and(|address: IpAddr| is_private(&IpNet::from(address)))
}

/// A token that a proxy would have recorded, had it seen it: made after it began to record, and long
/// enough ago for the record to be here.
fn is_missing(origin: &Origin<'_>, token: &Token, ledger: &Ledger<'_>, facts: &Facts<'_>) -> bool {
    let made = origin.issued.or(token.all.uses.first);
    let used = token.all.uses.first;
    origin.how == How::Ec2
        && !ledger.keys.contains(&**origin.key)
        && made.is_some_and(|made| made >= ledger.first)
        && used.is_some_and(|used| facts.now.duration_since(used) >= SHIPPED)
}

fn ledgers(records: &[Record]) -> HashMap<&str, Ledger<'_>> {
    let mut ledgers: HashMap<&str, Ledger<'_>> = HashMap::new();
    for record in records {
        let ledger = ledgers
            .entry(&record.host.instance_id)
            .or_insert_with(|| Ledger {
                first: record.time,
                keys: HashSet::new(),
            });
        ledger.first = ledger.first.min(record.time);
        ledger.keys.insert(&record.access_key_id);
    }
    ledgers
}

/// A finding about a key of an instance's line.
fn about(rule: RuleId, origin: &Origin<'_>, facts: &Facts<'_>) -> Finding {
    let instance = origin.instance.unwrap_or_default();
    let arn = origin.who.arn.as_deref();
    let of_role = role_name(origin).unwrap_or_default();
    let session = arn.and_then(|arn| arn.rsplit('/').next());
    let stolen = format!("role/{of_role}/{}", session.unwrap_or_default());
    let names = BTreeMap::from([
        ("key", origin.key.to_string()),
        ("trail", facts.trail.to_owned()),
        ("stolen", stolen),
        ("role", of_role.to_owned()),
        ("instance", instance.to_owned()),
    ]);
    let detail = if origin.parent.is_some() {
        format!("a session of role {of_role}, made with a token of {instance}")
    } else {
        format!("the token of role {of_role} on {instance}")
    };
    Finding::new(rule, arn.unwrap_or(instance), &[origin.key])
        .key(origin.key)
        .instance(instance)
        .detail(detail)
        .fill(&names)
}

/// The name of the role that a key is a session of.
pub(super) fn role_name<'a>(origin: &Origin<'a>) -> Option<&'a str> {
    let role = origin.who.role.as_deref();
    let of_role = role.and_then(|arn| arn.rsplit('/').next());
    let arn = origin.who.arn.as_deref();
    of_role.or_else(|| arn?.split(":assumed-role/").nth(1)?.split('/').next())
}

impl Away {
    fn any(&self) -> Sight {
        let mut all = self.allowed.clone();
        all.merge(&self.denied);
        all
    }
}
