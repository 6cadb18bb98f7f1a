//! What somebody should look at.

use std::fmt::Write as _;

use credpin_core::detect::{Finding, Known, Report, Rule, RuleId, Severity, Undecided, rules};
use serde::Serialize;

use super::{
    Paint,
    reading::{minute, number, reading},
    text::plain,
};
use crate::cloudtrail::Reading;

mod ocsf;

pub use ocsf::detect_ocsf;

/// Findings of a rule that are told one by one.
const TOLD: usize = 20;

/// The findings for a person, the worst first. `known`, where only what is new is told.
pub fn detect(report: &Report, known: Option<&Known>, read: &Reading, paint: Paint) -> String {
    let mut out = String::new();
    let open: Vec<_> = report.open().collect();
    let _ = writeln!(out, "{}\n", paint.bold(&headline(&open, known)));
    for of_rule in open.chunk_by(|a, b| a.rule == b.rule) {
        let severity = of_rule[0].severity;
        let title = format!("{}  {}", word(severity), of_rule[0].title);
        let _ = writeln!(
            out,
            "{} ({})",
            coloured(severity, &title, paint),
            of_rule[0].rule
        );
        for finding in of_rule.iter().take(TOLD) {
            lines(&mut out, finding, paint);
        }
        if of_rule.len() > TOLD {
            let more = of_rule.len() - TOLD;
            let _ = writeln!(out, "    and {more} more (--json has them)");
        }
        out.push('\n');
    }
    accepted(&mut out, report);
    undecided(&mut out, &report.undecided, paint);
    if report.new_keys > 0 {
        let keys = number(report.new_keys, "long-lived key");
        let _ = writeln!(
            out,
            "Nothing was known of {keys}: where each was used first is taken for its place."
        );
    }
    reading(&mut out, read, paint);
    out
}

/// The same for a machine: a line for each finding, and one for the whole. `schema` changes when a
/// field's meaning does.
pub fn detect_json(report: &Report, read: &Reading) -> serde_json::Result<String> {
    #[derive(Serialize)]
    #[serde(tag = "kind", rename_all = "kebab-case")]
    enum Line<'a> {
        Finding {
            schema: u32,
            #[serde(flatten)]
            finding: &'a Finding,
        },
        Summary {
            schema: u32,
            findings: usize,
            accepted: usize,
            new_keys: u64,
            undecided: &'a [Undecided],
            reading: &'a Reading,
        },
    }
    let schema = 1;
    let findings = report.findings.iter();
    let open = report.open().count();
    let summary = Line::Summary {
        schema,
        findings: open,
        accepted: report.findings.len() - open,
        new_keys: report.new_keys,
        undecided: &report.undecided,
        reading: read,
    };
    findings
        .map(|finding| Line::Finding { schema, finding })
        .chain([summary])
        .map(|line| serde_json::to_string(&line).map(|line| line + "\n"))
        .collect()
}

/// The rules, for a person.
pub fn detect_rules(paint: Paint) -> String {
    let mut out = String::new();
    for Rule {
        id,
        severity,
        title,
        next,
        ..
    } in rules()
    {
        let _ = writeln!(out, "{}  {}", paint.bold(&id.to_string()), word(*severity));
        let _ = writeln!(out, "    {title}");
        for line in next {
            let _ = writeln!(out, "    > {line}");
        }
    }
    out
}

/// The same for a machine.
pub fn detect_rules_json() -> serde_json::Result<String> {
    serde_json::to_string_pretty(rules()).map(|json| json + "\n")
}

fn headline(open: &[&Finding], known: Option<&Known>) -> String {
    let new = if known.is_some() { "new " } else { "" };
    if open.is_empty() {
        return format!("Nothing {new}that somebody should look at.");
    }
    let mut counts = Vec::new();
    for of_one in open.chunk_by(|a, b| a.severity == b.severity) {
        let severity = of_one[0].severity;
        counts.push(format!("{} {severity}", of_one.len()));
    }
    let all = number(open.len() as u64, &format!("{new}finding"));
    format!("{all}: {}.", counts.join(", "))
}

fn lines(out: &mut String, finding: &Finding, paint: Paint) {
    let Finding {
        id,
        subject,
        detail,
        key,
        next,
        ..
    } = finding;
    let key = key.as_ref().map(|key| format!("  {}", plain(key)));
    let subject = paint.bold(&plain(subject));
    let _ = writeln!(out, "  {subject}{}", key.unwrap_or_default());
    let detail = (!detail.is_empty()).then(|| plain(detail));
    for line in [detail, seen(finding), events(finding)]
        .into_iter()
        .flatten()
    {
        let _ = writeln!(out, "    {line}");
    }
    for line in next {
        let _ = writeln!(out, "    > {}", plain(line));
    }
    let _ = writeln!(out, "    {}", paint.dim(&format!("id {id}")));
}

/// How often, when and from where.
fn seen(finding: &Finding) -> Option<String> {
    let mut text = number(finding.count, "event");
    if finding.count == 0 {
        text.clear();
    }
    if finding.denied > 0 {
        let _ = write!(text, ", {} denied", finding.denied);
    }
    match (finding.first, finding.last) {
        (Some(first), Some(last)) if minute(first) != minute(last) => {
            let _ = write!(text, ", {} to {}", minute(first), minute(last));
        }
        (Some(first), _) => {
            let _ = write!(text, ", {}", minute(first));
        }
        _ => {}
    }
    if !finding.places.is_empty() {
        let places: Vec<_> = finding.places.iter().map(|place| plain(place)).collect();
        let _ = write!(text, ", from {}", places.join(", "));
        if finding.other_places > 0 {
            let _ = write!(text, " and {} more", finding.other_places);
        }
    }
    let text = text.trim_start_matches(", ");
    (!text.is_empty()).then(|| text.to_owned())
}

fn events(finding: &Finding) -> Option<String> {
    let ids: Vec<_> = finding.events.iter().map(|id| plain(id)).collect();
    let more = finding.count.saturating_sub(ids.len() as u64);
    match (ids.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(format!("events {}", ids.join(" "))),
        (false, more) => Some(format!("events {} and {more} more", ids.join(" "))),
    }
}

/// What is accepted stays in sight.
fn accepted(out: &mut String, report: &Report) {
    let all = report.findings.iter();
    let mut accepted: Vec<_> = all
        .filter_map(|finding| Some((finding.accepted.as_ref()?, finding.rule)))
        .map(|(accept, rule): (_, RuleId)| {
            let (subject, owner) = (accept.subject.to_string(), &accept.owner);
            let (until, why) = (accept.until, &accept.why);
            format!(
                "{rule} of {}, until {until} ({}: {})",
                plain(&subject),
                plain(owner),
                plain(why)
            )
        })
        .collect();
    accepted.sort();
    if accepted.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "Accepted: {}",
        number(accepted.len() as u64, "finding")
    );
    for same in accepted.chunk_by(|a, b| a == b) {
        let _ = writeln!(out, "    {} by {}", same.len(), same[0]);
    }
    out.push('\n');
}

fn undecided(out: &mut String, undecided: &[Undecided], paint: Paint) {
    if undecided.is_empty() {
        return;
    }
    let _ = writeln!(out, "{}", paint.yellow("Not decided:"));
    for Undecided { what, count } in undecided {
        let count = match count {
            0 => String::new(),
            count => format!("{count} "),
        };
        let _ = writeln!(out, "    {count}{what}");
    }
    out.push('\n');
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "CRITICAL",
        Severity::High => "HIGH",
        Severity::Medium => "MEDIUM",
        Severity::Low => "LOW",
    }
}

fn coloured(severity: Severity, text: &str, paint: Paint) -> String {
    match severity {
        Severity::Critical | Severity::High => paint.red(text),
        Severity::Medium => paint.yellow(text),
        Severity::Low => paint.dim(text),
    }
}
