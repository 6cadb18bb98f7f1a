//! Where long-lived keys are used from.

use std::collections::{BTreeMap, BTreeSet};

use super::{Detect, Facts, Finding, Report, RuleId};
use crate::{
    cloudtrail::How,
    lineage::{Origin, Place},
};

pub(super) fn findings(
    detect: &Detect,
    origins: &[Origin<'_>],
    facts: &Facts<'_>,
    report: &mut Report,
) {
    for origin in origins.iter().filter(|origin| origin.how == How::LongLived) {
        let Some(token) = detect.tokens.get(&**origin.key) else {
            continue;
        };
        let kept = facts.known.keys.get(&**origin.key);
        let mut known: BTreeSet<String> =
            kept.into_iter().flat_map(BTreeMap::keys).cloned().collect();
        let history = token
            .places
            .iter()
            .filter(|(_, sight)| facts.is_history(sight.uses.first));
        known.extend(history.map(|(place, _)| place.to_string()));
        if known.is_empty() {
            let places = token.places.iter();
            let first = places.min_by_key(|(place, sight)| (sight.uses.first, *place));
            known.extend(first.map(|(place, _)| place.to_string()));
            report.new_keys += 1;
        }
        for (place, sight) in token.places.iter() {
            let name = place.to_string();
            if !known.contains(&name) {
                let finding = about(origin, place, &known, facts).shown_by(sight);
                report.findings.push(finding);
            } else if let Some(last) = sight.uses.last {
                let networks = report.networks.entry(origin.key.to_string()).or_default();
                networks.insert(name, last);
            }
        }
    }
}

fn about(
    origin: &Origin<'_>,
    place: &Place,
    known: &BTreeSet<String>,
    facts: &Facts<'_>,
) -> Finding {
    let names = BTreeMap::from([
        ("key", origin.key.to_string()),
        ("trail", facts.trail.to_owned()),
    ]);
    let owner = origin.who.arn.as_deref().unwrap_or(origin.key);
    let mut before: Vec<_> = known.iter().take(3).cloned().collect();
    if known.len() > before.len() {
        before.push(format!("{} more", known.len() - before.len()));
    }
    Finding::new(
        RuleId::LongLivedKeyNewPlace,
        &format!("{owner}@{place}"),
        &[origin.key],
    )
    .key(origin.key)
    .from([place.to_string()])
    .detail(format!("used before from {}", before.join(", ")))
    .fill(&names)
}
