use super::*;

mod operators;

const ANY_ACTION: &str = "ec2:DescribeInstances";

/// Whether a statement with this one condition on `key` denies `request`.
fn denies(key: Key, test: &Test, request: &Request) -> bool {
    let statement = Statement::deny("A", Actions::Only(vec!["*".into()])).when(key, test.clone());
    statement_applies(&statement, request)
}

fn literals(values: &[&str]) -> Vec<Text> {
    values.iter().map(Text::literal).collect()
}

#[test]
fn a_statement_on_resources_denies_what_is_done_to_them() {
    let statement = Statement::deny("A", Actions::Only(vec!["iam:*".into()])).on(vec![
        "arn:aws:iam::111122223333:policy/credpin/*"
            .parse()
            .unwrap(),
        "arn:aws:iam::111122223333:role/we?".parse().unwrap(),
    ]);
    let done_to =
        |arn| statement_applies(&statement, &Request::new("iam:DetachRolePolicy").on(arn));
    assert!(done_to("arn:aws:iam::111122223333:role/web"));
    assert!(done_to("arn:aws:iam::111122223333:policy/credpin/a:b/c"));
    assert!(!done_to("arn:aws:iam::111122223333:role/batch"));
    assert!(!done_to("arn:aws:iam::111122223333:policy/other"));
    assert!(!done_to("arn:aws:iam::444455556666:role/web"));
    assert!(!done_to("*"));
    assert!(!statement_applies(
        &statement,
        &Request::new("iam:ListRoles")
    ));
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
    // It is not empty text either.
    let arn = "arn:aws:ec2:::a";
    let half = vec![Text(vec![
        Piece::Literal(arn.into()),
        Piece::Variable(Key::UserId),
    ])];
    let request = Request::new(ANY_ACTION).with(Key::SourceInstanceArn, arn);
    for test in [Test::StringEquals, Test::StringLike, Test::ArnEquals] {
        assert!(!denies(
            Key::SourceInstanceArn,
            &test(half.clone()),
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
