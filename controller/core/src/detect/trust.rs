//! Whom roles trust: as the account has it, and as the trail shows it being said.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use super::{Facts, Finding, RuleId, change::caller};
use crate::{
    cloudtrail::Event,
    estate::Role,
    lineage::{Shared, short},
    trust::trusted,
};

/// Roles whose last change is kept, the first in order.
const MOST: usize = 50_000;

/// The last word on each role, of those that the trail has.
#[derive(Debug, Default)]
pub(super) struct Trusts {
    last: BTreeMap<RoleKey, Said>,
    more: bool,
}

/// A role's account and name: the call that changes one says no more.
type RoleKey = (String, String);

/// A trust policy being written. The last in time counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    at: Option<Timestamp>,
    event: Option<Shared>,
    by: String,
    partition: &'static str,
    principals: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    role_name: String,
    /// Of `UpdateAssumeRolePolicy`.
    policy_document: Option<String>,
    /// Of `CreateRole`.
    assume_role_policy_document: Option<String>,
}

impl Trusts {
    pub(super) fn event(&mut self, event: &Event<'_>) {
        let is_one = matches!(
            event.event_name.as_deref(),
            Some("UpdateAssumeRolePolicy" | "CreateRole")
        );
        if !is_one
            || event.event_source.as_deref() != Some("iam.amazonaws.com")
            || event.error_code.is_some()
        {
            return;
        }
        let Some(parameters) = event
            .request_parameters
            .and_then(|raw| serde_json::from_str::<Parameters>(raw.get()).ok())
        else {
            return;
        };
        let document = parameters
            .policy_document
            .or(parameters.assume_role_policy_document);
        let account = event.recipient_account_id.as_deref();
        let account = account.or(event.user_identity.account_id.as_deref());
        let role = (
            account.unwrap_or_default().to_owned(),
            short(&parameters.role_name).to_owned(),
        );
        let whole = trusted(document.as_deref()).into_iter();
        let said = Said {
            at: event.time(),
            event: event.event_id.as_deref().map(|id| short(id).into()),
            by: short(caller(event)).to_owned(),
            partition: partition_of(event.aws_region.as_deref().unwrap_or_default()),
            // The others are of no interest, and there may be many.
            principals: whole.filter(|one| stands_for(one).is_some()).collect(),
        };
        self.keep(role, said);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.more |= other.more;
        for (role, said) in other.last {
            self.keep(role, said);
        }
    }

    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// Of the roles that were looked at what stands; of those of other accounts what was last said.
    pub(super) fn findings(&self, facts: &Facts<'_>) -> Vec<Finding> {
        let roles = facts.roles.unwrap_or_default();
        let mut findings = Vec::new();
        for role in roles {
            let key = (role.arn.account().to_owned(), role.name.to_string());
            let said = self.last.get(&key);
            findings.extend(standing(role, said));
        }
        let own: BTreeSet<_> = roles.iter().map(|role| role.arn.account()).collect();
        let elsewhere = self.last.iter();
        for ((account, name), said) in elsewhere.filter(|((of, _), _)| !own.contains(&**of)) {
            let partition = said.partition;
            let arn = arn_of(partition, account, name);
            for principal in &said.principals {
                let finding = about(&arn, account, name, principal);
                findings.extend(finding.map(|finding| said.shows(finding, said.at)));
            }
        }
        findings
    }

    fn keep(&mut self, role: RoleKey, said: Said) {
        match self.last.get_mut(&role) {
            Some(known) if *known >= said => {}
            Some(known) => *known = said,
            None => drop(self.last.insert(role, said)),
        }
        if self.last.len() > MOST {
            self.last.pop_last();
            self.more = true;
        }
    }
}

/// One for each principal that stands for more than itself, with the call that let it in.
fn standing(role: &Role, said: Option<&Said>) -> Vec<Finding> {
    let found = role.trusted.iter().filter_map(|principal| {
        let account = role.arn.account();
        let finding = about(role.arn.as_str(), account, role.name.as_str(), principal)?;
        Some(match said {
            // It stands for as long as it is seen, whenever it was said.
            Some(said) if said.principals.contains(principal) => said.shows(finding, None),
            _ => finding,
        })
    });
    found.collect()
}

fn about(arn: &str, account: &str, name: &str, principal: &str) -> Option<Finding> {
    let (rule, whom) = match stands_for(principal)? {
        Whom::Anyone => (RuleId::TrustAnyone, "anyone".to_owned()),
        Whom::Account(of) if of == account => {
            (RuleId::TrustWholeAccount, "its own account".to_owned())
        }
        Whom::Account(of) => (RuleId::TrustWholeAccount, format!("account {of}")),
    };
    let names = BTreeMap::from([("role", name.to_owned())]);
    let finding = Finding::new(rule, arn, &[principal]);
    Some(finding.detail(format!("it trusts {whom}")).fill(&names))
}

impl Said {
    fn shows(&self, mut finding: Finding, last: Option<Timestamp>) -> Finding {
        let detail = format!("{}, said by {}", finding.detail, self.by);
        finding.first = self.at;
        finding.last = last;
        finding.count = 1;
        finding.events = self.event.iter().cloned().collect();
        finding.detail(detail)
    }
}

/// Whom a principal stands for, where that is more than itself.
enum Whom<'a> {
    Anyone,
    /// `111122223333`, or its root by ARN.
    Account(&'a str),
}

fn stands_for(principal: &str) -> Option<Whom<'_>> {
    if principal == "*" {
        return Some(Whom::Anyone);
    }
    let account = match principal.strip_prefix("arn:") {
        Some(arn) => arn.strip_suffix(":root")?.rsplit(':').next()?,
        None => principal,
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then_some(Whom::Account(account))
}

/// Without the role's path, which neither hosts nor most calls say.
pub(super) fn arn_of(partition: &str, account: &str, role: &str) -> String {
    format!("arn:{partition}:iam::{account}:role/{role}")
}

/// The partition that a region is of.
pub(super) fn partition_of(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}
