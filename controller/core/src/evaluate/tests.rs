use super::*;

const ANY_ACTION: &str = "ec2:DescribeInstances";

/// Whether a statement with this one condition on `key` denies a call in which `key` has `value`.
fn holds_of(key: Key, test: &Test, value: Option<&str>) -> bool {
    let request = Request::new(ANY_ACTION);
    let request = match value {
        Some(value) => request.with(key, value),
        None => request,
    };
    denies(key, test, &request)
}

fn denies(key: Key, test: &Test, request: &Request) -> bool {
    let statement = Statement::deny("A", Actions::Only(vec!["*".into()])).when(key, test.clone());
    statement_applies(&statement, request)
}

fn literals(values: &[&str]) -> Vec<Text> {
    values.iter().map(Text::literal).collect()
}

fn nets(values: &[&str]) -> Vec<IpNet> {
    values.iter().map(|value| value.parse().unwrap()).collect()
}

/// A table of one key: a test, values of the key (none: absent), and whether the test holds.
fn check(key: Key, table: &[(Test, &[(Option<&str>, bool)])]) {
    for (test, rows) in table {
        for (value, wanted) in *rows {
            assert_eq!(
                holds_of(key, test, *value),
                *wanted,
                "{test:?} of {value:?}"
            );
        }
    }
}

#[test]
fn null_asks_whether_the_key_is_absent() {
    check(
        Key::SourceVpc,
        &[
            (Test::Null(true), &[(None, true), (Some("vpc-0a"), false)]),
            (Test::Null(false), &[(None, false), (Some("vpc-0a"), true)]),
        ],
    );
}

#[test]
fn a_truth_value_has_no_case_and_may_be_absent() {
    check(
        Key::ViaAwsService,
        &[
            (
                Test::BoolIfExists(false),
                &[
                    (None, true),
                    (Some("false"), true),
                    (Some("False"), true),
                    (Some("true"), false),
                    (Some("no"), false),
                ],
            ),
            (
                Test::BoolIfExists(true),
                &[(None, true), (Some("false"), false), (Some("TRUE"), true)],
            ),
        ],
    );
}

#[test]
fn strings_are_compared_whole_and_with_case() {
    let rows = [
        (None, false),
        (Some("vpc-0a"), true),
        (Some("vpc-0b"), true),
        (Some("vpc-0A"), false),
        (Some("vpc-0"), false),
        (Some("vpc-0ab"), false),
        (Some("vpc-0*"), false),
    ];
    let negated = rows.map(|(value, holds)| (value, !holds));
    let values = literals(&["vpc-0a", "vpc-0b"]);
    check(
        Key::SourceVpc,
        &[
            (Test::StringEquals(values.clone()), &rows),
            (Test::StringNotEquals(values), &negated),
            (
                Test::StringEquals(literals(&["vpc-*"])),
                &[(Some("vpc-0a"), false), (Some("vpc-*"), true)],
            ),
        ],
    );
}

#[test]
fn like_knows_wildcards() {
    let like = |pattern: &str| Test::StringLike(literals(&[pattern]));
    check(
        Key::UserId,
        &[
            (
                like("*:i-*"),
                &[
                    (None, false),
                    (Some("AROAEXAMPLE:i-0abc"), true),
                    (Some("AROAEXAMPLE:i-"), true),
                    (Some("AROAEXAMPLE:session"), false),
                    (Some("AROAEXAMPLE:I-0abc"), false),
                ],
            ),
            (
                like("a?c"),
                &[
                    (Some("abc"), true),
                    (Some("aéc"), true),
                    (Some("ac"), false),
                    (Some("abbc"), false),
                ],
            ),
            (
                like("*"),
                &[(None, false), (Some(""), true), (Some("x"), true)],
            ),
            (
                like("a*b*c"),
                &[
                    (Some("abc"), true),
                    (Some("aXbXbXc"), true),
                    (Some("acb"), false),
                ],
            ),
            (
                like("*ab"),
                &[
                    (Some("aab"), true),
                    (Some("abab"), true),
                    (Some("aba"), false),
                ],
            ),
            (
                like("a**"),
                &[(Some("a"), true), (Some("ab"), true), (Some("b"), false)],
            ),
            (like("?*?"), &[(Some("ab"), true), (Some("a"), false)]),
            (
                Test::StringLike(literals(&["x", "y*"])),
                &[(Some("x"), true), (Some("yz"), true), (Some("xz"), false)],
            ),
        ],
    );
}

#[test]
fn an_address_lies_in_prefixes_of_its_own_family() {
    let rows = [
        (None, false),
        (Some("203.0.113.15"), false),
        (Some("203.0.113.16"), true),
        (Some("203.0.113.31"), true),
        (Some("203.0.113.32"), false),
        (Some("198.51.100.9"), true),
        (Some("2001:db8:0:1::"), true),
        (Some("2001:db8:0:1:ffff:ffff:ffff:ffff"), true),
        (Some("2001:DB8:0:1::1"), true),
        (Some("2001:db8:0:2::"), false),
        (Some("2001:db8::ffff:ffff:ffff:ffff"), false),
        // The same number in the other family, and IPv4 inside IPv6.
        (Some("::cb00:7110"), false),
        (Some("::ffff:203.0.113.16"), false),
        // No addresses: a negated test is true of them.
        (Some("203.0.113.016"), false),
        (Some("203.0.113.16/32"), false),
        (Some("AWS Internal"), false),
    ];
    let negated = rows.map(|(value, holds)| (value, !holds));
    let values = nets(&["203.0.113.16/28", "198.51.100.9/32", "2001:db8:0:1::/64"]);
    check(
        Key::SourceIp,
        &[
            (Test::IpAddress(values.clone()), &rows),
            (Test::NotIpAddress(values), &negated),
            (
                Test::IpAddress(nets(&["0.0.0.0/1", "128.0.0.0/1"])),
                &[
                    (Some("0.0.0.0"), true),
                    (Some("127.255.255.255"), true),
                    (Some("128.0.0.0"), true),
                    (Some("255.255.255.255"), true),
                    (Some("::1"), false),
                    (None, false),
                ],
            ),
            (
                Test::IpAddress(nets(&["0.0.0.0/0"])),
                &[(Some("203.0.113.1"), true), (Some("2001:db8::1"), false)],
            ),
            (
                Test::IpAddress(nets(&["::/0"])),
                &[
                    (Some("203.0.113.1"), false),
                    (Some("2001:db8::1"), true),
                    (Some("::ffff:203.0.113.16"), true),
                ],
            ),
            (
                Test::NotIpAddress(vec![]),
                &[(None, true), (Some("203.0.113.1"), true)],
            ),
        ],
    );
}

#[test]
fn arns_are_compared_part_by_part() {
    let arn = |pattern: &str| Test::ArnEquals(literals(&[pattern]));
    let instance = "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc";
    check(
        Key::SourceInstanceArn,
        &[
            (
                arn(instance),
                &[
                    (None, false),
                    (Some(instance), true),
                    (
                        Some("arn:aws:ec2:eu-west-1:111122223333:instance/i-0ABC"),
                        false,
                    ),
                    (
                        Some("arn:aws:ec2:eu-west-1:111122223333:instance/i-0abcd"),
                        false,
                    ),
                ],
            ),
            (arn("arn:aws:ec2:*:*:instance/*"), &[(Some(instance), true)]),
            (
                arn("arn:aws*:ec2:eu-????-?:1111*3333:*"),
                &[(Some(instance), true)],
            ),
            // A wildcard stays in its part, also where another follows it.
            (arn("arn:*"), &[(Some(instance), false)]),
            (arn("*"), &[(Some(instance), false)]),
            (arn("arn:aws:*:instance/*"), &[(Some(instance), false)]),
            (
                arn("arn:aws:ec2?eu-west-1:111122223333:*:*"),
                &[(Some(instance), false)],
            ),
            // The example of the User Guide, and a resource with colons of its own.
            (
                arn("arn:aws:someservice:*:111122223333:finance/*"),
                &[
                    (
                        Some(
                            "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt",
                        ),
                        false,
                    ),
                    (
                        Some("arn:aws:someservice:us-east-2:111122223333:finance/a:b:c"),
                        true,
                    ),
                ],
            ),
            (
                arn("arn:aws:sns:::a?b"),
                &[(Some("arn:aws:sns:::a:b"), true)],
            ),
            (arn("i-0abc"), &[(Some("i-0abc"), false)]),
            (
                Test::ArnEquals(literals(&["arn:aws:ec2:::x", instance])),
                &[
                    (Some(instance), true),
                    (Some("arn:aws:ec2:::x"), true),
                    (Some("arn:aws:ec2:::y"), false),
                ],
            ),
        ],
    );
}

#[test]
fn a_variable_is_the_requests_own_value() {
    let own = || {
        vec![
            Text::variable(Key::Ec2InstanceSourceVpc),
            Text::literal("vpc-0hub"),
        ]
    };
    let from = |vpc: &str, door: &str| {
        Request::new(ANY_ACTION)
            .with(Key::Ec2InstanceSourceVpc, vpc)
            .with(Key::SourceVpc, door)
    };
    for (request, own_or_hub) in [
        (from("vpc-0a", "vpc-0a"), true),
        (from("vpc-0a", "vpc-0hub"), true),
        (from("vpc-0a", "vpc-0b"), false),
        (from("vpc-0a", "vpc-0A"), false),
        (from("vpc-0a", "${aws:Ec2InstanceSourceVpc}"), false),
    ] {
        assert_eq!(
            denies(Key::SourceVpc, &Test::StringEquals(own()), &request),
            own_or_hub
        );
        assert_eq!(
            denies(Key::SourceVpc, &Test::StringLike(own()), &request),
            own_or_hub
        );
        assert_eq!(
            denies(Key::SourceVpc, &Test::StringNotEquals(own()), &request),
            !own_or_hub
        );
    }
}

#[test]
fn nothing_is_equal_to_a_variable_without_a_value() {
    let text = || vec![Text::variable(Key::Ec2InstanceSourceVpc)];
    for door in ["vpc-0a", "", "${aws:Ec2InstanceSourceVpc}"] {
        let request = Request::new(ANY_ACTION).with(Key::SourceVpc, door);
        assert!(!denies(
            Key::SourceVpc,
            &Test::StringEquals(text()),
            &request
        ));
        assert!(!denies(Key::SourceVpc, &Test::StringLike(text()), &request));
        assert!(!denies(Key::SourceVpc, &Test::ArnEquals(text()), &request));
        assert!(denies(
            Key::SourceVpc,
            &Test::StringNotEquals(text()),
            &request
        ));
    }
    // Another value of the list may still be equal.
    let or_hub = vec![
        Text::variable(Key::Ec2InstanceSourceVpc),
        Text::literal("vpc-0hub"),
    ];
    let hub = Request::new(ANY_ACTION).with(Key::SourceVpc, "vpc-0hub");
    assert!(!denies(
        Key::SourceVpc,
        &Test::StringNotEquals(or_hub),
        &hub
    ));
}

#[test]
fn text_around_variables_counts_and_their_values_are_no_patterns() {
    let text = || {
        vec![Text(vec![
            Piece::Literal("arn:aws:ec2:::a*".into()),
            Piece::Variable(Key::UserId),
            Piece::Literal("/".into()),
        ])]
    };
    let of = |user: &str, arn: &str| {
        Request::new(ANY_ACTION)
            .with(Key::UserId, user)
            .with(Key::SourceInstanceArn, arn)
    };
    for (user, arn, wanted) in [
        ("u", "arn:aws:ec2:::aXu/", true),
        ("u", "arn:aws:ec2:::aXu", false),
        ("*", "arn:aws:ec2:::aXu/", false),
        ("*", "arn:aws:ec2:::a*/", true),
        ("?", "arn:aws:ec2:::aXu/", false),
    ] {
        let request = of(user, arn);
        assert_eq!(
            denies(Key::SourceInstanceArn, &Test::StringLike(text()), &request),
            wanted
        );
        assert_eq!(
            denies(Key::SourceInstanceArn, &Test::ArnEquals(text()), &request),
            wanted
        );
    }
    let exact = of("u", "arn:aws:ec2:::a*u/");
    assert!(denies(
        Key::SourceInstanceArn,
        &Test::StringEquals(text()),
        &exact
    ));
    assert!(!denies(
        Key::SourceInstanceArn,
        &Test::StringNotEquals(text()),
        &exact
    ));
}

#[test]
fn actions_have_no_case() {
    let patterns = || vec!["es:ES*".into(), "dax:GetItem".into(), "s?s:Send*".into()];
    for (action, listed) in [
        ("es:ESHttpGet", true),
        ("ES:eshttpget", true),
        ("es:DescribeDomain", false),
        ("dax:GetItem", true),
        ("dax:GetItems", false),
        ("sqs:SendMessage", true),
        ("dynamodb:GetItem", false),
    ] {
        let request = Request::new(action);
        let only = Statement::deny("A", Actions::Only(patterns()));
        let all_but = Statement::deny("B", Actions::AllBut(patterns()));
        assert_eq!(statement_applies(&only, &request), listed, "{action}");
        assert_eq!(statement_applies(&all_but, &request), !listed, "{action}");
    }
    let everything = Statement::deny("A", Actions::Only(vec!["*".into()]));
    assert!(statement_applies(
        &everything,
        &Request::new("s3:GetObject")
    ));
}

#[test]
fn all_conditions_must_hold_and_one_statement_is_enough() {
    let statement = |sid: &str, vpc: &str| {
        Statement::deny(sid, Actions::Only(vec!["*".into()]))
            .when(Key::SourceInstanceArn, Test::Null(false))
            .when(Key::SourceVpc, Test::StringEquals(literals(&[vpc])))
    };
    let documents = [
        Document {
            statements: vec![statement("A", "vpc-0a"), statement("B", "vpc-0b")],
        },
        Document {
            statements: vec![statement("C", "vpc-0b"), statement("D", "vpc-0c")],
        },
    ];
    let denied_by = |request: &Request| denied_by(&documents, request).map(|s| s.sid.as_str());
    let from = |vpc: &str| Request::new(ANY_ACTION).with(Key::SourceVpc, vpc);
    let instance =
        |request: Request| request.with(Key::SourceInstanceArn, "arn:aws:ec2:::instance/i-0a");
    assert_eq!(denied_by(&instance(from("vpc-0b"))), Some("B"));
    assert_eq!(denied_by(&instance(from("vpc-0c"))), Some("D"));
    assert_eq!(denied_by(&instance(from("vpc-0d"))), None);
    assert_eq!(denied_by(&from("vpc-0b")), None);
}
