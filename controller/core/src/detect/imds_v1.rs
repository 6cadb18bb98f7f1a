//! Roles whose tokens IMDSv1 still gives out, by the trail or by what hosts recorded.

use std::collections::{BTreeMap, BTreeSet};

use credpin_ledger::ImdsVersion;
use jiff::Timestamp;

use super::{
    Detect, Facts, Finding, Report, RuleId, Sight,
    instance::role_name,
    trust::{arn_of, partition_of},
};
use crate::{cloudtrail::How, lineage::Origin};

/// Hosts that are named; the rest are counted.
const HOSTS: usize = 3;

/// How a role's tokens were given out without a session.
#[derive(Default)]
struct V1<'a> {
    instances: BTreeSet<&'a str>,
    sight: Sight,
    recorded: Option<(Timestamp, Timestamp)>,
}

pub(super) fn findings(
    detect: &Detect,
    origins: &[Origin<'_>],
    facts: &Facts<'_>,
    report: &mut Report,
) {
    let mut roles: BTreeMap<String, V1<'_>> = BTreeMap::new();
    for origin in origins {
        let is_v1 = origin.how == How::Ec2 && origin.who.delivered_by.as_deref() == Some("1.0");
        let (true, Some(instance), Some(role)) = (is_v1, origin.instance, role_name(origin)) else {
            continue;
        };
        let arn = origin.who.arn.as_deref().unwrap_or_default();
        let account = origin.who.account.as_deref().unwrap_or_default();
        let partition = arn.split(':').nth(1).unwrap_or("aws");
        let v1 = roles.entry(arn_of(partition, account, role)).or_default();
        v1.instances.insert(instance);
        if let Some(token) = detect.tokens.get(&**origin.key) {
            v1.sight.merge(&token.all);
        }
    }
    let records = facts.records.unwrap_or_default().iter();
    for record in records.filter(|record| record.imds_version == ImdsVersion::V1) {
        let host = &record.host;
        let partition = partition_of(&host.region);
        let arn = arn_of(partition, &host.account, &record.role);
        let v1 = roles.entry(arn).or_default();
        v1.instances.insert(&host.instance_id);
        let (first, last) = v1.recorded.unwrap_or((record.time, record.time));
        v1.recorded = Some((first.min(record.time), last.max(record.time)));
    }
    let found = roles.iter().map(|(role, v1)| v1.finding(role));
    report.findings.extend(found);
}

impl V1<'_> {
    fn finding(&self, role: &str) -> Finding {
        let mut told: Vec<_> = self.instances.iter().take(HOSTS).copied().collect();
        let one = told.first().copied().unwrap_or_default();
        let more = format!("{} more", self.instances.len() - told.len());
        if self.instances.len() > told.len() {
            told.push(&more);
        }
        let says = match (self.sight.uses.calls, self.recorded) {
            (0, _) => "as hosts recorded",
            (_, None) => "as CloudTrail says",
            _ => "as CloudTrail and hosts' records say",
        };
        let names = BTreeMap::from([("instance", one.to_owned())]);
        let mut finding = Finding::new(RuleId::RoleServedByImdsV1, role, &[])
            .shown_by(&self.sight)
            .instance(one)
            .detail(format!("on {}, {says}", told.join(", ")))
            .fill(&names);
        if let Some((first, last)) = self.recorded {
            finding.first = Some(finding.first.map_or(first, |known| known.min(first)));
            finding.last = finding.last.max(Some(last));
        }
        finding
    }
}
