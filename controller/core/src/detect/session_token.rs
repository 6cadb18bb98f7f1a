//! Rules about `GetSessionToken`, whose tokens outlive the key that made them.

use std::collections::BTreeMap;

use super::{Detect, Facts, Finding, Report, RuleId};
use crate::{
    cloudtrail::How,
    lineage::{Origin, Shared},
};

pub(super) fn findings(
    detect: &Detect,
    origins: &[Origin<'_>],
    facts: &Facts<'_>,
    report: &mut Report,
) {
    let mut firsts: BTreeMap<&str, &Origin<'_>> = BTreeMap::new();
    for origin in origins {
        let is_one = matches!(origin.how, How::SessionToken | How::SessionTokenWithMfa);
        let (true, Some(principal)) = (is_one, principal(origin)) else {
            continue;
        };
        if origin.how == How::SessionToken {
            let rule = RuleId::SessionTokenWithoutMfa;
            let finding = about(rule, principal, &[origin.key], origin, detect, facts);
            report.findings.push(finding);
        }
        if origin.made_by.is_some() {
            let first = firsts.entry(principal).or_insert(origin);
            if (origin.issued, origin.key) < (first.issued, first.key) {
                *first = origin;
            }
        }
    }
    for (principal, first) in firsts {
        let is_known = facts.known.principals.contains_key(principal);
        // Without MFA it is told as such.
        if is_known || first.how == How::SessionToken || facts.is_history(first.issued) {
            if let Some(at) = first.issued {
                report.principals.insert(principal.to_owned(), at);
            }
            continue;
        }
        let rule = RuleId::SessionTokenFirst;
        let finding = about(rule, principal, &[], first, detect, facts);
        let since = detect.first.map_or_else(String::new, |at| at.to_string());
        let detail = format!(
            "{}; none earlier in what was read, from {since}",
            finding.detail
        );
        report.findings.push(finding.detail(detail));
    }
}

/// Whose token it is: the ARN of who asked for it.
fn principal<'a>(origin: &Origin<'a>) -> Option<&'a str> {
    let asked = origin.asked_by.or(origin.who.arn.as_ref());
    asked.map(|arn| &**arn)
}

fn about(
    rule: RuleId,
    principal: &str,
    about: &[&str],
    origin: &Origin<'_>,
    detect: &Detect,
    facts: &Facts<'_>,
) -> Finding {
    let user = principal.rsplit('/').next().unwrap_or_default();
    let names = BTreeMap::from([
        ("key", origin.key.to_string()),
        ("trail", facts.trail.to_owned()),
        ("stolen", format!("user/{user}")),
    ]);
    let mut finding = Finding::new(rule, principal, about)
        .key(origin.key)
        .fill(&names);
    if let Some(token) = detect.tokens.get(&**origin.key) {
        let places = token.places.iter().map(|(place, _)| place.to_string());
        finding = finding.shown_by(&token.all).from(places);
    }
    made_by(&mut finding, origin.made_by, origin);
    finding.detail(match origin.made_by {
        Some(_) => "made by a call in the trail",
        None => "the call that made it is not in the trail; its uses show no MFA",
    })
}

/// The call that made the key comes before its uses.
fn made_by(finding: &mut Finding, event: Option<&Shared>, origin: &Origin<'_>) {
    let Some(event) = event else { return };
    finding.events.insert(0, event.clone());
    finding.events.truncate(super::sight::EVENTS);
    finding.count += 1;
    finding.first = [finding.first, origin.issued].into_iter().flatten().min();
    finding.last = finding.last.max(origin.issued);
}
