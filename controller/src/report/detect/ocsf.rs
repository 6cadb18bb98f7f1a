//! Findings as Detection Findings of OCSF, which Security Lake and Security Hub take.
//!
//! Version 1.1.0 of the schema, class 2004, with the profile `cloud` where an account is known. What the
//! schema has no attribute for is in `unmapped`.

use std::fmt::Write as _;

use credpin_core::detect::{Finding, Report, Severity};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The version of the schema that this is written to.
const VERSION: &str = "1.1.0";
const CLASS: u64 = 2004;
const CATEGORY: u64 = 2;
/// `activity_id`: a finding is there that was not.
const CREATE: u64 = 1;
/// `status_id`: nobody has looked at it yet; somebody decided that it is not to be told.
const NEW: u64 = 1;
const SUPPRESSED: u64 = 3;

/// A line of JSON for each finding, those that are accepted too.
pub fn detect_ocsf(report: &Report, now: Timestamp) -> String {
    let findings = report.findings.iter();
    findings.fold(String::new(), |mut out, finding| {
        let _ = writeln!(out, "{}", event(finding, now));
        out
    })
}

fn event(finding: &Finding, now: Timestamp) -> Value {
    let (severity, severity_id) = severity(finding.severity);
    let (status, status_id) = match finding.accepted {
        Some(_) => ("Suppressed", SUPPRESSED),
        None => ("New", NEW),
    };
    let mut event = json!({
        "activity_id": CREATE,
        "activity_name": "Create",
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + CREATE,
        "type_name": "Detection Finding: Create",
        "time": now.as_millisecond(),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "message": message(finding),
        "metadata": {
            "version": VERSION,
            "product": {
                "name": "credpin",
                "vendor_name": "credpin",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "profiles": [],
        },
        "finding_info": info(finding, now),
        "remediation": {"desc": finding.next.join("\n")},
        "resources": resources(finding),
        "observables": observables(finding),
        "unmapped": {
            "subject": finding.subject,
            "places": finding.places,
            "other_places": finding.other_places,
            "denied": finding.denied,
            "accepted": finding.accepted,
        },
    });
    if finding.count > 0 {
        event["count"] = json!(finding.count);
    }
    for (field, time) in [("start_time", finding.first), ("end_time", finding.last)] {
        if let Some(time) = time {
            event[field] = json!(time.as_millisecond());
        }
    }
    if let Some(account) = &finding.account {
        event["metadata"]["profiles"] = json!(["cloud"]);
        event["cloud"] = json!({
            "provider": "AWS",
            "account": {"uid": account, "name": account, "type_id": 10, "type": "AWS Account"},
        });
    }
    event
}

fn message(finding: &Finding) -> String {
    match &*finding.detail {
        "" => finding.title.to_owned(),
        detail => format!("{}: {detail}", finding.title),
    }
}

fn info(finding: &Finding, now: Timestamp) -> Value {
    let events = finding.events.iter();
    let mut info = json!({
        "uid": finding.id,
        "title": finding.title,
        "desc": message(finding),
        "types": [finding.rule],
        "created_time": now.as_millisecond(),
        "analytic": {
            "uid": finding.rule,
            "name": finding.title,
            "type_id": 1,
            "type": "Rule",
        },
        "data_sources": ["CloudTrail"],
        // CloudTrail's events, by `eventID`. Their class is API Activity (6003).
        "related_events": events
            .map(|id| json!({"uid": id, "type_uid": 600_300, "type": "API Activity: Unknown"}))
            .collect::<Vec<_>>(),
    });
    for (field, time) in [
        ("first_seen_time", finding.first),
        ("last_seen_time", finding.last),
    ] {
        if let Some(time) = time {
            info[field] = json!(time.as_millisecond());
        }
    }
    info
}

fn resources(finding: &Finding) -> Value {
    let mut resources = vec![json!({"uid": finding.subject, "type": "AWS principal"})];
    if let Some(key) = &finding.key {
        resources.push(json!({"uid": key, "type": "AWS access key"}));
    }
    if let Some(instance) = &finding.instance {
        resources.push(json!({"uid": instance, "type": "AWS::EC2::Instance"}));
    }
    Value::Array(resources)
}

/// What other tools look for: addresses (2) and resources by id (10), with the path of each in here.
fn observables(finding: &Finding) -> Value {
    let addresses = finding
        .places
        .iter()
        .map(|place| place.rsplit_once('/').map_or(&**place, |(_, last)| last))
        .filter(|address| address.parse::<std::net::IpAddr>().is_ok())
        .map(|address| {
            json!({"name": "unmapped.places", "type_id": 2, "type": "IP Address", "value": address})
        });
    let resources = [
        finding.key.as_deref(),
        finding.instance.as_deref(),
        Some(&*finding.subject),
    ];
    let resources = resources.into_iter().flatten().map(|uid| {
        json!({"name": "resources[].uid", "type_id": 10, "type": "Resource UID", "value": uid})
    });
    addresses.chain(resources).collect()
}

fn severity(severity: Severity) -> (&'static str, u64) {
    match severity {
        Severity::Low => ("Low", 2),
        Severity::Medium => ("Medium", 3),
        Severity::High => ("High", 4),
        Severity::Critical => ("Critical", 5),
    }
}
