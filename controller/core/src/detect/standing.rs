//! Rules about what stands: whom roles trust, and how their tokens are given out.

use std::collections::{BTreeMap, BTreeSet};

use credpin_ledger::ImdsVersion;
use jiff::Timestamp;

use super::{Detect, Facts, Finding, Report, RuleId, Sight, instance::role_name};
use crate::{cloudtrail::How, estate::Role, lineage::Origin};

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
    for role in facts.roles.into_iter().flat_map(BTreeMap::values) {
        report.findings.extend(trust(role));
    }
    report.findings.extend(imds_v1(detect, origins, facts));
}

/// One for each principal that stands for more than itself.
fn trust(role: &Role) -> impl Iterator<Item = Finding> {
    role.trusted.iter().filter_map(|principal| {
        let (found, whom) = match account(principal) {
            _ if principal == "*" => (RuleId::TrustAnyone, "anyone".to_owned()),
            Some(account) if account == role.arn.account() => {
                (RuleId::TrustWholeAccount, "its own account".to_owned())
            }
            Some(account) => (RuleId::TrustWholeAccount, format!("account {account}")),
            None => return None,
        };
        let names = BTreeMap::from([("role", role.name.to_string())]);
        let finding = Finding::new(found, role.arn.as_str(), &[principal]);
        Some(finding.detail(format!("it trusts {whom}")).fill(&names))
    })
}

/// The account that a principal stands for as a whole: `111122223333`, or its root by ARN.
fn account(principal: &str) -> Option<&str> {
    let account = match principal.strip_prefix("arn:") {
        Some(arn) => arn.strip_suffix(":root")?.rsplit(':').next()?,
        None => principal,
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then_some(account)
}

fn imds_v1(detect: &Detect, origins: &[Origin<'_>], facts: &Facts<'_>) -> Vec<Finding> {
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
        let partition = match &host.region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let arn = arn_of(partition, &host.account, &record.role);
        let v1 = roles.entry(arn).or_default();
        v1.instances.insert(&host.instance_id);
        let (first, last) = v1.recorded.unwrap_or((record.time, record.time));
        v1.recorded = Some((first.min(record.time), last.max(record.time)));
    }
    roles
        .into_iter()
        .map(|(role, v1)| v1.finding(&role))
        .collect()
}

/// Without the role's path, which hosts do not know.
fn arn_of(partition: &str, account: &str, role: &str) -> String {
    format!("arn:{partition}:iam::{account}:role/{role}")
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
