//! Something that somebody should look at.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Accept, Rule, RuleId, Severity, sight::Sight};
use crate::lineage::Shared;

/// Places that are named in a finding; the rest are counted.
const PLACES: usize = 5;

/// A finding: what it is about, what shows it, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Made of the rule and of what it is about, and so the same in every run.
    pub id: String,
    /// The rule.
    pub rule: RuleId,
    /// How bad.
    pub severity: Severity,
    /// What it says, in a sentence.
    pub title: &'static str,
    /// Whom it is about: an ARN, or what an `[[accept]]` names.
    pub subject: String,
    /// The rest of what it says.
    pub detail: String,
    /// The account.
    pub account: Option<String>,
    /// The key.
    pub key: Option<Shared>,
    /// The instance.
    pub instance: Option<String>,
    /// From where, the first in order.
    pub places: Vec<String>,
    /// Places beside those, as far as they are kept apart.
    pub other_places: usize,
    /// The first event that shows it.
    pub first: Option<Timestamp>,
    /// The last one.
    pub last: Option<Timestamp>,
    /// Events that show it.
    pub count: u64,
    /// Of those, calls that were denied.
    pub denied: u64,
    /// `eventID` of the first of them.
    pub events: Vec<Shared>,
    /// What to do next.
    pub next: Vec<String>,
    /// The acceptance that covers it.
    pub accepted: Option<Accept>,
}

impl Finding {
    /// What `rule` has to say about `subject`. `about` tells it from other findings about the same.
    pub(super) fn new(rule: RuleId, subject: &str, about: &[&str]) -> Self {
        let Rule {
            severity,
            title,
            next,
            ..
        } = rule.rule();
        Self {
            id: id(rule, subject, about),
            rule,
            severity: *severity,
            title,
            subject: subject.to_owned(),
            detail: String::new(),
            account: account_of(subject),
            key: None,
            instance: None,
            places: Vec::new(),
            other_places: 0,
            first: None,
            last: None,
            count: 0,
            denied: 0,
            events: Vec::new(),
            next: next.clone(),
            accepted: None,
        }
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    pub(super) fn key(mut self, key: &Shared) -> Self {
        self.key = Some(key.clone());
        self
    }

    pub(super) fn instance(mut self, instance: &str) -> Self {
        self.instance = Some(instance.to_owned());
        self
    }

    /// With the calls that show it.
    pub(super) fn shown_by(mut self, sight: &Sight) -> Self {
        self.first = sight.uses.first;
        self.last = sight.uses.last;
        self.count = sight.uses.calls;
        self.denied = sight.uses.denied;
        self.events = sight.events();
        self
    }

    pub(super) fn from(mut self, places: impl IntoIterator<Item = String>) -> Self {
        let mut places = places.into_iter();
        self.places = places.by_ref().take(PLACES).collect();
        self.other_places = places.count();
        self
    }

    /// Fills the commands in. What could mean something to a shell stays out of them: names come from
    /// the trail, and these lines are there to be pasted.
    pub(super) fn fill(mut self, names: &BTreeMap<&str, String>) -> Self {
        for line in &mut self.next {
            for (name, value) in names {
                let value = if is_plain(value) {
                    value.clone()
                } else {
                    name.to_uppercase()
                };
                *line = line.replace(&format!("{{{name}}}"), &value);
            }
        }
        self
    }
}

impl Finding {
    /// The worst first; then such that those about the same stand together.
    pub(super) fn order(&self) -> (Severity, RuleId, &str, &str) {
        (self.severity, self.rule, &self.subject, &self.id)
    }
}

/// Whether a shell takes it for what it says.
fn is_plain(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_/.:@+=,".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain)
}

/// The account that an ARN is of.
fn account_of(arn: &str) -> Option<String> {
    let account = arn.strip_prefix("arn:")?.split(':').nth(3)?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then(|| account.to_owned())
}

fn id(rule: RuleId, subject: &str, about: &[&str]) -> String {
    let mut hash = Sha256::new();
    let name = rule.to_string();
    for part in [&*name, subject].iter().chain(about) {
        // With their lengths, so that no two lists of parts read the same.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    hash[..16].iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_obey_does_not_get_into_a_command() {
        let filled = |key: &str| {
            let names = BTreeMap::from([("key", key.to_owned()), ("trail", "s3://b/p".into())]);
            let finding = Finding::new(RuleId::SessionTokenWithoutMfa, "x", &[]).fill(&names);
            finding.next[0].clone()
        };
        assert_eq!(
            filled("ASIAEXAMPLE"),
            "credpin trace ASIAEXAMPLE --cloudtrail s3://b/p"
        );
        for hostile in [
            "$(reboot)",
            "a b",
            "a;b",
            "`b`",
            "--help",
            "",
            "a\nb",
            "a'b",
        ] {
            assert_eq!(
                filled(hostile),
                "credpin trace KEY --cloudtrail s3://b/p",
                "{hostile}"
            );
        }
    }

    #[test]
    fn an_id_is_of_the_rule_and_of_what_it_is_about() {
        let id = |rule, subject, about: &[&str]| Finding::new(rule, subject, about).id;
        let (a, b) = (RuleId::PinChanged, RuleId::PinChangeDenied);
        assert_eq!(id(a, "x", &["y"]), id(a, "x", &["y"]));
        assert_ne!(id(a, "x", &["y"]), id(b, "x", &["y"]));
        assert_ne!(id(a, "xy", &[""]), id(a, "x", &["y"]));
        assert_ne!(id(a, "x", &["y", ""]), id(a, "x", &["y"]));
        // Kept by those who were told: it must not change from version to version.
        assert_eq!(id(a, "x", &["y"]), "42d1c575738bb4de3b74e57ecf8113a8");
    }
}
