//! What a person has accepted: written down, with an owner and an end.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{Finding, RuleId};
use crate::settings::Glob;

/// One `[[accept]]` of the config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accept {
    /// Findings of this rule.
    pub rule: RuleId,
    /// About these: a pattern.
    #[serde(serialize_with = "as_text")]
    pub subject: Glob,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it holds, in UTC.
    pub until: Date,
    /// Why.
    pub why: String,
}

impl Accept {
    /// Whether its last day is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        TimeZone::UTC.to_datetime(now).date() > self.until
    }

    pub(super) fn covers(&self, finding: &Finding, now: Timestamp) -> bool {
        self.rule == finding.rule && self.subject.matches(&finding.subject) && !self.is_over(now)
    }
}

/// The acceptances that have ended, each a finding: what they covered is told again from now on.
pub(super) fn ended(accept: &[Accept], now: Timestamp) -> Vec<Finding> {
    let over = accept.iter().filter(|accept| accept.is_over(now));
    over.map(|accept| {
        let Accept {
            rule,
            subject,
            owner,
            until,
            why,
        } = accept;
        let subject = subject.to_string();
        let (rule, until) = (rule.to_string(), until.to_string());
        let names = [("owner", owner.clone())].into();
        Finding::new(RuleId::AcceptanceEnded, &subject, &[&rule, &until])
            .detail(format!(
                "{rule} was accepted until {until} by {owner}: {why}"
            ))
            .fill(&names)
    })
    .collect()
}

fn as_text<S: serde::Serializer>(glob: &Glob, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(glob)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(until: &str) -> Accept {
        Accept {
            rule: RuleId::TrustAnyone,
            subject: Glob::new("arn:aws:iam::*:role/public-*"),
            owner: "ana".into(),
            until: until.parse().unwrap(),
            why: "partners".into(),
        }
    }

    #[test]
    fn an_acceptance_holds_for_its_rule_and_its_subjects_through_its_last_day() {
        let finding =
            |rule, role: &str| Finding::new(rule, &format!("arn:aws:iam::1:role/{role}"), &[]);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let accept = accept("2026-05-31");
        let of_public = finding(RuleId::TrustAnyone, "public-data");
        assert!(accept.covers(&of_public, at("2026-05-31T23:59:59Z")));
        assert!(!accept.covers(&of_public, at("2026-06-01T00:00:00Z")));
        let day = at("2026-05-01T00:00:00Z");
        assert!(!accept.covers(&finding(RuleId::TrustAnyone, "data"), day));
        assert!(!accept.covers(&finding(RuleId::TrustWholeAccount, "public-data"), day));
    }

    #[test]
    fn an_acceptance_that_ended_is_a_finding_and_one_that_holds_is_none() {
        let accept = [accept("2026-05-31"), accept("2026-06-30")];
        let ended = ended(&accept, "2026-06-01T00:00:00Z".parse().unwrap());
        assert_eq!(ended.len(), 1);
        assert_eq!(
            ended[0].detail,
            "trust-anyone was accepted until 2026-05-31 by ana: partners"
        );
        assert!(ended[0].next[0].starts_with("ask ana whether"));
    }
}
