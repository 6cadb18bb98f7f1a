//! What instances are given, and what is made of it.

use super::*;

#[test]
fn a_token_at_home_is_nothing_to_look_at() {
    let report = folded(&at_home()).report(&facts(&Known::default()));
    assert_eq!(names(&report.findings), [""; 0]);
}

#[test]
fn a_token_away_from_home_is_told_and_worse_where_no_pin_denied_it() {
    let token = delivered("2.0");
    let steal = |minute| call(minute, &token, "s3", "ListBuckets", THIEF);
    let mut records = at_home();
    records.push(denied(steal(20), BY_PIN));
    let findings = found(&records);
    assert_eq!(names(&findings), ["instance-token-denied-away"]);
    assert_eq!(findings[0].subject, WEB);
    assert_eq!(findings[0].key.as_deref(), Some(TOKEN));
    assert_eq!(findings[0].places, [THIEF]);
    assert_eq!((findings[0].count, findings[0].denied), (1, 1));

    // Denied by something else is not denied by the pin.
    records.push(denied(steal(21), "is not authorized to perform"));
    let findings = found(&records);
    assert_eq!(names(&findings), ["instance-token-away"]);
    assert_eq!((findings[0].count, findings[0].denied), (2, 2));

    records.extend((22..60).map(steal));
    let findings = found(&records);
    assert_eq!(names(&findings), ["instance-token-away"]);
    let first: Vec<_> = findings[0].events.iter().map(ToString::to_string).collect();
    assert_eq!(findings[0].count, 40);
    assert_eq!(first.len(), 5);
    assert!(first[0].starts_with("20-ListBuckets"), "{first:?}");
    assert_eq!(
        findings[0].next[..2],
        [
            format!("credpin trace {TOKEN} --cloudtrail trail"),
            "credpin revoke role/web/i-0aa1, then the same with --apply".to_owned(),
        ]
    );
}

#[test]
fn an_endpoint_that_is_not_the_hosts_is_away() {
    let by_endpoint = call(12, &delivered("2.0"), "s3", "ListBuckets", "10.0.0.5");
    let mut records = at_home();
    records.push(with(by_endpoint, "vpcEndpointId", json!("vpce-0ff")));
    let findings = found(&records);
    assert_eq!(names(&findings), ["instance-token-away"]);
    assert_eq!(findings[0].places, ["vpce-0ff/10.0.0.5"]);
}

#[test]
fn a_token_that_was_first_used_away_is_told_as_such() {
    let token = delivered("2.0");
    let away = |minute| call(minute, &token, "s3", "ListBuckets", THIEF);
    let mut records = at_home();
    records.push(away(9));
    let both = ["instance-token-away", "instance-token-first-used-away"];
    assert_eq!(names(&found(&records)), both);
    // In the same second it is not known who was first, however much the host's own record says.
    for home in [delivered("2.0"), session("web", "i-0aa1", TOKEN)] {
        let records = [
            begin(),
            call(10, &home, "s3", "ListBuckets", HOME),
            away(10),
        ];
        assert_eq!(names(&found(&records)), ["instance-token-away"]);
    }
    // Nor where the trail begins after the token was made.
    assert_eq!(names(&found(&[away(9)])), ["instance-token-away"]);
}

#[test]
fn a_key_made_with_an_instances_token_is_told_where_it_is_used_away() {
    let child = session("data", "s", CHILD);
    let mut records = at_home();
    records.push(assume_role(15, &delivered("2.0"), CHILD));
    records.push(call(16, &child, "s3", "ListBuckets", HOME));
    assert_eq!(names(&found(&records)), [""; 0]);
    records.push(call(17, &child, "s3", "ListBuckets", THIEF));
    let findings = found(&records);
    assert_eq!(names(&findings), ["instance-token-child-away"]);
    assert_eq!(findings[0].key.as_deref(), Some(CHILD));
    assert_eq!(findings[0].instance.as_deref(), Some("i-0aa1"));
    assert_eq!(
        findings[0].next[1],
        "credpin revoke role/data/s, then the same with --apply"
    );
}

#[test]
fn a_token_that_its_host_did_not_record_is_told_once_the_record_is_due() {
    let records = at_home();
    let detect = folded(&records);
    let known = Known::default();
    let of = |ledger: &[Record], now: &str| {
        let report = detect.report(&Facts {
            records: Some(ledger),
            now: time(now),
            ..facts(&known)
        });
        (names(&report.findings), report.undecided)
    };
    let day_after = "2026-05-02T10:00:00Z";
    let other = record("i-0aa1", "ASIAOTHER22222222222", 1, ImdsVersion::V2);
    let same = record("i-0aa1", TOKEN, 5, ImdsVersion::V2);
    let missing = ["instance-token-not-recorded"];
    assert_eq!(of(std::slice::from_ref(&other), day_after).0, missing);
    assert_eq!(of(&[other.clone(), same], day_after).0, [""; 0]);
    // Not due yet.
    assert_eq!(of(&[other], "2026-05-01T10:30:00Z").0, [""; 0]);
    // The host began to record after it was made.
    let later = record("i-0aa1", "ASIAOTHER22222222222", 6, ImdsVersion::V2);
    assert_eq!(of(&[later], day_after).0, [""; 0]);
    // A host without any record is said, and no finding: nothing there records.
    let (names, undecided) = of(&[record("i-0bb2", CHILD, 1, ImdsVersion::V2)], day_after);
    assert_eq!(names, [""; 0]);
    assert!(
        undecided
            .iter()
            .any(|open| open.what.contains("recorded nothing"))
    );
}
