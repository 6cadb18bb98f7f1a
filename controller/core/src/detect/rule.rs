//! The rules, as the table `rules.json` has them: what each is called, how bad it is, what to do next.

use std::{fmt, str::FromStr, sync::LazyLock};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A rule of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// How bad a finding of it is.
    pub severity: Severity,
    /// What a finding of it says, in a sentence.
    pub title: String,
    /// What it cannot be decided without, beside the trail.
    pub needs: Needs,
    /// What to do: commands and words, with `{key}` and the like to be filled in.
    pub next: Vec<String>,
}

/// A rule's name. Users' scripts and configs hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the table's titles say what each is")]
pub enum RuleId {
    InstanceTokenAway,
    InstanceTokenFirstUsedAway,
    InstanceTokenDeniedAway,
    InstanceTokenChildAway,
    InstanceTokenNotRecorded,
    SessionTokenWithoutMfa,
    SessionTokenFirst,
    LongLivedKeyNewPlace,
    TrustAnyone,
    TrustWholeAccount,
    #[serde(rename = "role-served-by-imdsv1")]
    RoleServedByImdsV1,
    PinChanged,
    PinChangeDenied,
    AcceptanceEnded,
}

/// How bad. The first is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Somebody has a credential, and it works.
    Critical,
    /// Somebody has a credential, or a guard is off.
    High,
    /// It may be so: a person has to ask.
    Medium,
    /// It makes a theft easier, or is out of the ordinary.
    Low,
}

/// What a rule cannot be decided without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needs {
    /// Nothing more than the trail.
    Trail,
    /// The account: its hosts, its roles.
    Cloud,
    /// What hosts recorded.
    Records,
}

/// A text that names no rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no rule: `credpin detect --rules` lists them")]
pub struct RuleError(String);

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("rules.json")).expect("a test reads the table")
});

/// All rules, in the order in which the table has them.
pub fn rules() -> &'static [Rule] {
    &RULES
}

impl RuleId {
    /// The rule of that name.
    pub fn rule(self) -> &'static Rule {
        let rule = rules().iter().find(|rule| rule.id == self);
        rule.expect("a test finds every rule in the table")
    }
}

impl FromStr for RuleId {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let named = rules().iter().find(|rule| rule.id.to_string() == text);
        named
            .map(|rule| rule.id)
            .ok_or_else(|| RuleError(text.to_owned()))
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_rule_once_by_the_name_that_it_is_called_by() {
        for rule in rules() {
            assert_eq!(rule.id.to_string().parse(), Ok(rule.id));
            assert_eq!(rule.id.rule(), rule);
            assert!(!rule.next.is_empty(), "{}", rule.id);
        }
        // One that is new to the list must be new to the table.
        assert_eq!(rules().len(), RuleId::AcceptanceEnded as usize + 1);
        assert_eq!(
            "instance-token".parse::<RuleId>().unwrap_err().to_string(),
            "`instance-token` is no rule: `credpin detect --rules` lists them"
        );
    }
}
