//! What is accepted, what was told, what cannot be decided; and that order is nothing.

use super::*;

/// Something for every rule to find, but for the end of an acceptance.
fn everything() -> Vec<Value> {
    let of = |who: &Value, key: &str| with(who.clone(), "accessKeyId", json!(key));
    let bob = json!({"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/bob", "accountId": "111122223333"});
    let bob = of(&bob, "AKIABOB2222222222222");
    let first_away = delivered("1.0");
    let kept_home = of(&delivered("2.0"), "ASIAPINNED2222222222");
    let child = session("data", "s", CHILD);
    let list = |minute, who: &Value, from: &str| call(minute, who, "s3", "ListBuckets", from);
    let pin = json!({"policyArn": "arn:aws:iam::111122223333:policy/credpin/credpin-web"});
    let detach = |minute| {
        let admin = session("admin", "eve", "ASIAADMIN22222222222");
        with(
            call(minute, &admin, "iam", "DetachRolePolicy", HOME),
            "requestParameters",
            pin.clone(),
        )
    };
    vec![
        begin(),
        list(9, &first_away, THIEF),
        list(10, &first_away, HOME),
        list(20, &kept_home, HOME),
        denied(list(21, &kept_home, THIEF), BY_PIN),
        assume_role(22, &kept_home, CHILD),
        list(23, &child, THIEF),
        get_session_token(30, &user(USERS), "ASIAWITHOUT222222222", false),
        get_session_token(31, &bob, "ASIAWITHMFA222222222", true),
        list(32, &user(USERS), THIEF),
        detach(33),
        denied(detach(34), "no"),
        trust(35, "all", "*"),
        trust(36, "elsewhere", "444455556666"),
    ]
}

#[test]
fn what_is_accepted_is_marked_and_told_again_when_that_ends() {
    let detect = folded(&everything());
    let roles: BTreeMap<_, _> = [role("all", &["*"]), role("some", &["444455556666"])].into();
    let roles: Vec<_> = roles.values().collect();
    let ledger = [record("i-0aa1", "ASIAOTHER22222222222", 1, ImdsVersion::V2)];
    let known = Known::default();
    let all = Facts {
        roles: Some(&roles[..]),
        records: Some(&ledger),
        ..facts(&known)
    };
    let findings = detect.report(&all).findings;
    let found: BTreeSet<RuleId> = findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(found.len(), rules().len() - 1, "{:?}", names(&findings));
    for finding in &findings {
        let mut accepted = [accept(&finding.rule.to_string(), &finding.subject)];
        let report = detect.report(&Facts {
            accept: &accepted,
            ..all
        });
        let (covered, open): (Vec<_>, Vec<_>) = report
            .findings
            .iter()
            .partition(|one| one.accepted.is_some());
        assert_eq!(covered.len() + open.len(), findings.len());
        assert!(covered.iter().any(|one| one.id == finding.id));
        assert!(covered.iter().all(|one| one.rule == finding.rule));
        // It was not told, and is when the acceptance ends; so is that end.
        let known = Known::default().after(&report, None, all.now);
        accepted[0].until = "2026-05-01".parse().unwrap();
        let report = detect.report(&Facts {
            accept: &accepted,
            known: &known,
            ..all
        });
        let report = report.without_told(&known);
        let told: BTreeSet<RuleId> = report.open().map(|one| one.rule).collect();
        assert_eq!(told, [finding.rule, RuleId::AcceptanceEnded].into());
    }
}

#[test]
fn what_was_told_is_not_told_again_until_long_after_it_was_last_seen() {
    let mut records = at_home();
    records.push(call(20, &delivered("2.0"), "s3", "ListBuckets", THIEF));
    let detect = folded(&records);
    let known = Known::default();
    let report = detect.report(&facts(&known));
    assert_eq!(report.clone().without_told(&known).findings.len(), 1);
    let (last, now) = (Some(time(&at(20))), time("2026-05-02T10:00:00Z"));
    let known = known.after(&report, last, now);
    assert_eq!(report.clone().without_told(&known).findings, []);
    let read = Known::parse(&known.to_json()).unwrap();
    assert_eq!(read, known, "it is kept as it is");
    assert_eq!(known.read_from(None), Some(time("2026-04-29T18:20:00Z")));
    let of_future = known
        .clone()
        .after(&report, Some(time("2999-01-01T00:00:00Z")), now);
    assert_eq!(
        of_future.read_from(None),
        Some(time("2026-04-30T18:00:00Z"))
    );
    let later = time("2026-06-30T10:00:00Z");
    let of_old_trail = known.clone().after(&report, last, later);
    assert_eq!(report.clone().without_told(&of_old_trail).findings, []);
    let of_live_trail = known.after(&Report::default(), Some(later), later);
    assert_eq!(report.without_told(&of_live_trail).findings.len(), 1);
}

#[test]
fn what_two_runs_kept_at_the_same_time_is_kept_of_both() {
    let away = |address| {
        let mut records = at_home();
        records.push(call(20, &delivered("2.0"), "s3", "ListBuckets", address));
        records.push(call(21, &user(USERS), "s3", "ListBuckets", address));
        folded(&records).report(&facts(&Known::default()))
    };
    let now = time("2026-05-02T10:00:00Z");
    let (one, two) = (away(THIEF), away("192.0.2.9"));
    let of =
        |report: &Report, last: u32| Known::default().after(report, Some(time(&at(last))), now);
    let both = of(&one, 20).and(of(&two, 30));
    assert_eq!(both, of(&two, 30).and(of(&one, 20)));
    for report in [one, two] {
        assert_eq!(report.without_told(&both).findings, []);
    }
    assert_eq!(both.keys[USERS].len(), 2);
    assert_eq!(
        both.read_from(None),
        of(&Report::default(), 30).read_from(None)
    );
}

#[test]
fn what_cannot_be_decided_is_said() {
    let gone = session("web", "i-0cc3", TOKEN);
    let mut delivered_there = gone;
    delivered_there["sessionContext"]["ec2RoleDelivery"] = json!("2.0");
    let records = [
        call(10, &delivered_there, "s3", "ListBuckets", THIEF),
        call(11, &delivered("2.0"), "s3", "ListBuckets", "10.0.0.5"),
    ];
    let report = folded(&records).report(&facts(&Known::default()));
    assert_eq!(report.findings, []);
    let open = |what: &str| report.undecided.iter().any(|open| open.what.contains(what));
    for what in [
        "not to be seen",
        "private address",
        "no cloud",
        "no records",
    ] {
        assert!(open(what), "{what}: {:?}", report.undecided);
    }
}

/// Something for every rule, and more of it than is kept.
fn mixed() -> Vec<Value> {
    let token = delivered("1.0");
    let mut records = everything();
    for minute in 40..60 {
        let from = format!("203.0.113.{minute}");
        let call = call(minute, &token, "s3", "ListBuckets", &from);
        records.push(if minute % 3 == 0 {
            denied(call, BY_PIN)
        } else {
            call
        });
        let from = format!("192.0.{minute}.1");
        records.push(self::call(minute, &user(USERS), "s3", "ListBuckets", &from));
    }
    for number in 0..300 {
        let from = format!("2001:db8::{number:x}");
        records.push(call(70, &token, "s3", "ListBuckets", &from));
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn neither_order_nor_files_change_what_is_found(
        order in Just(mixed()).prop_shuffle(),
        cuts in prop::collection::vec(0..350_usize, 0..4),
    ) {
        let known = Known::default();
        let whole = folded(&mixed()).report(&facts(&known));
        prop_assert!(whole.findings.len() > 5);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(order.len())).collect();
        cuts.extend([0, order.len()]);
        cuts.sort_unstable();
        let mut parts = Detect::new(Some(homes()));
        for cut in cuts.windows(2) {
            parts.merge(folded(&order[cut[0]..cut[1]]));
        }
        prop_assert_eq!(parts.report(&facts(&known)), whole);
    }
}
