use std::collections::{BTreeMap, BTreeSet};

use credpin_ledger::{Consumer, Host as Recorded, ImdsVersion, Kind};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::id::RoleName;
use crate::{cloudtrail::Reader, footprint::Host};

const TOKEN: &str = "ASIATOKEN22222222222";
const CHILD: &str = "ASIACHILD22222222222";
const USERS: &str = "AKIAUSERS22222222222";
const HOME: &str = "198.51.100.10";
const THIEF: &str = "203.0.113.66";
const WEB: &str = "arn:aws:sts::111122223333:assumed-role/web/i-0aa1";
const ANA: &str = "arn:aws:iam::111122223333:user/ana";
const BY_PIN: &str = "User is not authorized to perform: s3:ListAllMyBuckets with an explicit deny in \
                      an identity-based policy: arn:aws:iam::111122223333:policy/credpin/credpin-web";

fn at(minute: u32) -> String {
    format!("2026-05-01T{:02}:{:02}:00Z", 10 + minute / 60, minute % 60)
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn call(minute: u32, who: &Value, service: &str, name: &str, from: &str) -> Value {
    let key = who["accessKeyId"].as_str().unwrap_or_default();
    json!({
        "eventVersion": "1.11",
        "eventTime": at(minute),
        "eventID": format!("{minute}-{name}-{from}-{key}"),
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": name,
        "sourceIPAddress": from,
        "userIdentity": who,
    })
}

fn with(mut call: Value, field: &str, value: Value) -> Value {
    call[field] = value;
    call
}

fn denied(call: Value, message: &str) -> Value {
    let call = with(call, "errorCode", json!("AccessDenied"));
    with(call, "errorMessage", json!(message))
}

fn session(role: &str, name: &str, key: &str) -> Value {
    json!({
        "type": "AssumedRole",
        "principalId": format!("AROA{role}:{name}"),
        "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/{name}"),
        "accountId": "111122223333",
        "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "arn": format!("arn:aws:iam::111122223333:role/{role}"),
                "userName": role,
            },
            "attributes": {"creationDate": at(5), "mfaAuthenticated": "false"},
        },
    })
}

/// The token of role `web` on `i-0aa1`, by that version of IMDS.
fn delivered(by: &str) -> Value {
    let mut who = session("web", "i-0aa1", TOKEN);
    who["sessionContext"]["ec2RoleDelivery"] = json!(by);
    who["sessionContext"]["ec2IssuedInVpc"] = json!("vpc-0a1");
    who
}

fn user(key: &str) -> Value {
    json!({
        "type": "IAMUser",
        "principalId": "AIDAANA",
        "arn": ANA,
        "accountId": "111122223333",
        "userName": "ana",
        "accessKeyId": key,
    })
}

/// Something before all else, so that the trail begins before tokens are made.
fn begin() -> Value {
    call(0, &user("AKIAOTHER22222222222"), "s3", "ListBuckets", HOME)
}

fn homes() -> Arc<Homes> {
    let host = Host {
        instance: "i-0aa1".parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        vpc: "vpc-0a1".parse().unwrap(),
        primary_ipv4: Some("10.0.0.5".parse().unwrap()),
        public: ["198.51.100.0/28".parse().unwrap()].into(),
        more_private_ipv4: BTreeSet::new(),
        private_ipv6: BTreeSet::new(),
    };
    let endpoints = BTreeMap::from([("vpce-0a1".to_owned(), "vpc-0a1".parse().unwrap())]);
    Arc::new(Homes::new([host], endpoints, Vec::new()))
}

fn folded(records: &[Value]) -> Detect {
    let mut detect = Detect::new(Some(homes()));
    let file = json!({"Records": records}).to_string();
    let mut reader = Reader::default();
    // `Records` is the first word of a file that CloudTrail writes, and the only one here.
    let read = reader.read(file.as_bytes(), true, |event| detect.event(event));
    read.unwrap();
    detect
}

/// Nothing is known, nothing accepted; a day after.
fn facts(known: &Known) -> Facts<'_> {
    Facts {
        roles: None,
        records: None,
        controllers: &[],
        own_roles: &[],
        accept: &[],
        known,
        since: None,
        trail: "trail",
        now: time("2026-05-02T10:00:00Z"),
    }
}

fn found(records: &[Value]) -> Vec<Finding> {
    folded(records).report(&facts(&Known::default())).findings
}

fn names(findings: &[Finding]) -> Vec<String> {
    let names = findings.iter().map(|finding| finding.rule.to_string());
    names.collect()
}

fn accept(rule: &str, subject: &str) -> Accept {
    Accept {
        rule: rule.parse().unwrap(),
        subject: Glob::new(subject),
        owner: "ana".to_owned(),
        until: "2026-12-31".parse().unwrap(),
        why: "known".to_owned(),
    }
}

fn role(name: &str, trusted: &[&str]) -> (RoleName, Role) {
    let role = Role {
        name: name.parse().unwrap(),
        id: "AROA".to_owned(),
        arn: format!("arn:aws:iam::111122223333:role/{name}")
            .parse()
            .unwrap(),
        path: "/".to_owned(),
        tags: BTreeMap::new(),
        trusted: trusted.iter().map(|&who| who.to_owned()).collect(),
        trusted_services: BTreeSet::new(),
        trusted_providers: BTreeSet::new(),
        profiles: BTreeSet::new(),
        attached: BTreeSet::new(),
        last_used: None,
    };
    (role.name.clone(), role)
}

fn record(instance: &str, key: &str, minute: u32, imds: ImdsVersion) -> Record {
    Record {
        schema: 1,
        kind: Kind::Issued,
        time: time(&at(minute)),
        boot_id: "boot".to_owned(),
        seq: 1,
        host: Recorded {
            account: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            instance_id: instance.to_owned(),
            ..Recorded::default()
        },
        role: "web".to_owned(),
        access_key_id: key.to_owned(),
        issued: time(&at(minute)),
        expires: time("2026-05-01T18:00:00Z"),
        consumer: Consumer::at("127.0.0.1".parse().unwrap()),
        imds_version: imds,
        proxy_version: "0.1.0".to_owned(),
    }
}

/// The token at home, by both ways.
fn at_home() -> Vec<Value> {
    let token = delivered("2.0");
    let by_endpoint = call(12, &token, "s3", "ListBuckets", "10.0.0.5");
    vec![
        begin(),
        call(10, &token, "s3", "ListBuckets", HOME),
        with(by_endpoint, "vpcEndpointId", json!("vpce-0a1")),
    ]
}

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

/// `who` assumes the role `data`.
fn assume_role(minute: u32, who: &Value, key: &str) -> Value {
    let request = json!({
        "roleArn": "arn:aws:iam::111122223333:role/data",
        "roleSessionName": "s",
        "durationSeconds": 3600,
    });
    let response = json!({
        "credentials": {"accessKeyId": key, "expiration": "May 1, 2026, 11:30:00 AM"},
        "assumedRoleUser": {"arn": "arn:aws:sts::111122223333:assumed-role/data/s"},
    });
    let call = call(minute, who, "sts", "AssumeRole", HOME);
    with(
        with(call, "requestParameters", request),
        "responseElements",
        response,
    )
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

fn get_session_token(minute: u32, who: &Value, key: &str, mfa: bool) -> Value {
    let call = call(minute, who, "sts", "GetSessionToken", HOME);
    let request = if mfa {
        json!({"serialNumber": "arn:aws:iam::111122223333:mfa/ana", "durationSeconds": 3600})
    } else {
        json!({"durationSeconds": 3600})
    };
    let response =
        json!({"credentials": {"accessKeyId": key, "expiration": "May 1, 2026, 11:30:00 AM"}});
    let call = with(call, "requestParameters", request);
    with(call, "responseElements", response)
}

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

#[test]
fn a_role_that_whole_accounts_may_assume_is_told() {
    let roles: BTreeMap<_, _> = [
        role("all", &["*"]),
        role(
            "own",
            &[
                "arn:aws:iam::111122223333:root",
                "arn:aws:iam::111122223333:role/x",
            ],
        ),
        role("other", &["444455556666"]),
        role(
            "named",
            &["arn:aws:iam::111122223333:role/x", "AROAEXAMPLE"],
        ),
    ]
    .into();
    let roles: Vec<_> = roles.values().collect();
    let known = Known::default();
    let report = Detect::default().report(&Facts {
        roles: Some(&roles[..]),
        ..facts(&known)
    });
    let told: Vec<_> = report
        .findings
        .iter()
        .map(|finding| format!("{} {} {}", finding.rule, finding.subject, finding.detail))
        .collect();
    assert_eq!(
        told,
        [
            "trust-anyone arn:aws:iam::111122223333:role/all it trusts anyone",
            "trust-whole-account arn:aws:iam::111122223333:role/other it trusts account 444455556666",
            "trust-whole-account arn:aws:iam::111122223333:role/own it trusts its own account",
        ]
    );
}

/// Admin writes the trust policy of `role`, which then lets `principal` assume it.
fn trust(minute: u32, role: &str, principal: &str) -> Value {
    let document = json!({"Statement": [{
        "Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole",
    }]});
    let request = json!({"roleName": role, "policyDocument": document.to_string()});
    let admin = session("admin", "eve", "ASIAADMIN22222222222");
    let call = call(minute, &admin, "iam", "UpdateAssumeRolePolicy", HOME);
    with(call, "requestParameters", request)
}

#[test]
fn who_let_whole_accounts_assume_a_role_is_told_with_the_call() {
    let told = |records: &[Value], roles: Option<&BTreeMap<RoleName, Role>>| {
        let known = Known::default();
        let roles: Option<Vec<_>> = roles.map(|roles| roles.values().collect());
        let report = folded(records).report(&Facts {
            roles: roles.as_deref(),
            ..facts(&known)
        });
        let findings = report.findings.into_iter();
        findings
            .map(|one| {
                format!(
                    "{} {} {}",
                    one.subject,
                    one.detail,
                    one.events
                        .iter()
                        .map(ToString::to_string)
                        .collect::<String>()
                )
            })
            .collect::<Vec<_>>()
    };
    let opened = trust(2, "data", "*");
    let says = "arn:aws:iam::111122223333:role/data it trusts anyone, said by \
                arn:aws:iam::111122223333:role/admin 2-UpdateAssumeRolePolicy-198.51.100.10-ASIAADMIN22222222222";
    assert_eq!(told(std::slice::from_ref(&opened), None), [says]);
    // The last word counts, wherever it lies.
    let closed = trust(3, "data", "arn:aws:iam::111122223333:role/x");
    assert_eq!(told(&[closed.clone(), opened.clone()], None), [""; 0]);
    assert_eq!(
        told(
            &[trust(1, "data", "*"), closed, trust(4, "web", "AROAX")],
            None
        ),
        [""; 0]
    );
    let refused = denied(opened.clone(), "no");
    assert_eq!(told(&[refused], None), [""; 0]);
    // Where the account was looked at, what is there counts: a call only shows who let it in.
    let open = [role("data", &["*"])].into();
    assert_eq!(told(std::slice::from_ref(&opened), Some(&open)), [says]);
    let shut = [role("data", &["arn:aws:iam::111122223333:role/x"])].into();
    assert_eq!(told(std::slice::from_ref(&opened), Some(&shut)), [""; 0]);
    assert_eq!(
        told(&[trust(2, "data", "444455556666")], Some(&open)),
        ["arn:aws:iam::111122223333:role/data it trusts anyone ",]
    );
    // Another account's roles were not.
    let elsewhere = with(opened, "recipientAccountId", json!("444455556666"));
    let there = says.replacen("111122223333", "444455556666", 1);
    assert_eq!(told(&[elsewhere], Some(&shut)), [there]);
}

#[test]
fn a_role_whose_tokens_imdsv1_gives_out_is_told_by_the_trail_or_by_records() {
    let of = |imds: &str, ledger: &[Record]| {
        let detect = folded(&[
            begin(),
            call(10, &delivered(imds), "s3", "ListBuckets", HOME),
        ]);
        let known = Known::default();
        let facts = Facts {
            records: Some(ledger),
            ..facts(&known)
        };
        detect.report(&facts).findings
    };
    let v1 = |instance| record(instance, TOKEN, 5, ImdsVersion::V1);
    let v2 = record("i-0aa1", TOKEN, 5, ImdsVersion::V2);
    assert_eq!(of("2.0", &[v2]), []);
    let unsaid = session("web", "i-0aa1", TOKEN);
    let unsaid = [begin(), call(10, &unsaid, "s3", "ListBuckets", HOME)];
    assert_eq!(found(&unsaid), []);
    let by_trail = of("1.0", &[]);
    assert_eq!(names(&by_trail), ["role-served-by-imdsv1"]);
    assert_eq!(by_trail[0].detail, "on i-0aa1, as CloudTrail says");
    assert_eq!(by_trail[0].subject, "arn:aws:iam::111122223333:role/web");
    assert_eq!(by_trail[0].count, 1);
    let by_both = of("1.0", &[v1("i-0aa1"), v1("i-0bb2")]);
    assert_eq!(
        by_both[0].detail,
        "on i-0aa1, i-0bb2, as CloudTrail and hosts' records say"
    );
    let by_record = of("2.0", &[v1("i-0aa1")]);
    assert_eq!(by_record[0].detail, "on i-0aa1, as hosts recorded");
    assert_eq!((by_record[0].count, by_record[0].events.len()), (0, 0));
    assert_eq!(
        by_record[0].id, by_trail[0].id,
        "the same thing, however it is known"
    );
}

#[test]
fn who_changes_a_policy_of_ours_and_is_not_credpin_is_told() {
    let pin = "arn:aws:iam::111122223333:policy/credpin/credpin-web";
    let admin = session("admin", "eve", "ASIAADMIN22222222222");
    let change = |minute, who: &Value, name: &str, policy: &str| {
        let call = call(minute, who, "iam", name, HOME);
        with(
            call,
            "requestParameters",
            json!({"policyArn": policy, "roleName": "web"}),
        )
    };
    let records = [
        change(1, &admin, "DetachRolePolicy", pin),
        change(2, &admin, "DetachRolePolicy", pin),
        denied(change(3, &admin, "DeletePolicy", pin), "no"),
        // Another's policy, another call, and one that failed.
        change(
            4,
            &admin,
            "DetachRolePolicy",
            "arn:aws:iam::111122223333:policy/web",
        ),
        change(5, &admin, "GetPolicy", pin),
        with(
            change(6, &admin, "DeletePolicy", pin),
            "errorCode",
            json!("NoSuchEntity"),
        ),
        // The controller's own.
        change(
            7,
            &session("credpin-run", "x", "ASIACREDPIN222222222"),
            "CreatePolicyVersion",
            pin,
        ),
    ];
    let detect = folded(&records);
    let known = Known::default();
    let controllers = [Glob::new("credpin-*")];
    let with_name = Facts {
        controllers: &controllers,
        ..facts(&known)
    };
    let findings = detect.report(&with_name).findings;
    assert_eq!(names(&findings), ["pin-changed", "pin-change-denied"]);
    assert_eq!(findings[0].subject, "arn:aws:iam::111122223333:role/admin");
    assert_eq!(findings[0].detail, format!("DetachRolePolicy of {pin}"));
    assert_eq!(findings[0].count, 2);

    // The role that this runs as is the controller's too; without any name nobody is.
    let own = "arn:aws:iam::111122223333:role/credpin-run"
        .parse()
        .unwrap();
    let own_role = Facts {
        own_roles: std::slice::from_ref(&own),
        ..facts(&known)
    };
    assert_eq!(detect.report(&own_role).findings, findings);
    assert_eq!(detect.report(&facts(&known)).findings.len(), 3);
}

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
