//! Session tokens and keys that last.

use super::*;

#[test]
fn every_session_token_without_mfa_is_told_and_with_mfa_the_first_of_a_principal() {
    let ana = user(USERS);
    assert_eq!(
        names(&found(&[
            begin(),
            call(3, &user(USERS), "s3", "ListBuckets", HOME)
        ])),
        [""; 0]
    );
    let findings = found(&[
        begin(),
        get_session_token(3, &ana, TOKEN, false),
        get_session_token(9, &ana, CHILD, false),
    ]);
    let without = "session-token-without-mfa";
    assert_eq!(names(&findings), [without, without]);
    assert_eq!(findings[0].subject, ANA);
    assert!(findings[1].next[1].contains("credpin revoke user/ana"));

    let with_mfa = [
        begin(),
        get_session_token(3, &ana, TOKEN, true),
        get_session_token(9, &ana, CHILD, true),
    ];
    let detect = folded(&with_mfa);
    let mut known = Known::default();
    let report = detect.report(&facts(&known));
    assert_eq!(names(&report.findings), ["session-token-first"]);
    assert_eq!(report.findings[0].key.as_deref(), Some(TOKEN));
    assert!(
        report.findings[0]
            .detail
            .contains("from 2026-05-01T10:00:00Z")
    );
    // What was read before is known.
    known = known.after(&report, None, time("2026-05-02T10:00:00Z"));
    assert_eq!(names(&detect.report(&facts(&known)).findings), [""; 0]);
}

#[test]
fn a_long_lived_key_is_told_where_it_was_not_used_before() {
    let from = |minute, address| call(minute, &user(USERS), "s3", "ListBuckets", address);
    let at_one = [begin(), from(1, "198.51.100.10"), from(2, "198.51.100.99")];
    let report = folded(&at_one).report(&facts(&Known::default()));
    assert_eq!(names(&report.findings), [""; 0]);
    assert_eq!(report.new_keys, 2, "both keys are new");

    let records = [
        begin(),
        from(3, THIEF),
        from(1, "198.51.100.10"),
        from(4, "2001:db8:1:2::9"),
    ];
    let detect = folded(&records);
    let known = Known::default();
    let report = detect.report(&facts(&known));
    let place = "long-lived-key-new-place";
    assert_eq!(names(&report.findings), [place, place]);
    let subjects: Vec<_> = report
        .findings
        .iter()
        .map(|finding| &*finding.subject)
        .collect();
    let (v6, v4) = (
        format!("{ANA}@2001:db8:1::/48"),
        format!("{ANA}@203.0.113.0/24"),
    );
    assert_eq!(subjects, [v6, v4]);
    assert_eq!(
        report.findings[1].detail,
        "used before from 198.51.100.0/24"
    );

    // All of these are known to the next run, and a further one is told.
    let known = known.after(&report, None, time("2026-05-02T10:00:00Z"));
    let later = [begin(), from(5, "192.0.2.7"), from(6, THIEF)];
    let report = folded(&later).report(&facts(&known));
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].places, ["192.0.2.0/24"]);
    assert_eq!(report.new_keys, 0);

    // What was before `since` is known by that.
    let since = Facts {
        since: Some(time(&at(4))),
        ..facts(&known)
    };
    let report = detect.report(&Facts {
        known: &Known::default(),
        ..since
    });
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].places, ["2001:db8:1::/48"]);
    let still_used = [&records[..], &[from(5, THIEF)]].concat();
    let report = folded(&still_used).report(&Facts {
        known: &Known::default(),
        ..since
    });
    assert_eq!(report.findings.len(), 1, "the thief's is known by then");
}
