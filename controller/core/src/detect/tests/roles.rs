//! Who may assume a role, who changes its pin, and which version of IMDS gives it out.

use super::*;

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
