use std::error::Error as _;

use super::*;

/// A document with one statement, which is `fields` and a Sid.
fn with(fields: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"A",{fields}}}]}}"#)
}

/// The same with `condition`.
fn when(condition: &str) -> String {
    with(&format!(
        r#""Effect":"Deny","Action":"*","Resource":"*","Condition":{condition}"#
    ))
}

fn tests_of(condition: &str) -> Vec<(Key, Test)> {
    let document = document(&when(condition)).unwrap_or_else(|e| panic!("{condition}: {e}"));
    document.statements[0]
        .conditions()
        .map(|(key, test)| (key, test.clone()))
        .collect()
}

/// What is said of `text`, with its sources.
fn error(text: &str) -> String {
    let error = document(text).expect_err(text);
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn a_document_reads_as_it_was_written() {
    let statement = Statement::deny("A", Actions::AllBut(vec!["es:ES*".into()]))
        .when(Key::SourceInstanceArn, Test::Null(false))
        .when(Key::ViaAwsService, Test::BoolIfExists(false))
        .when(
            Key::SourceIp,
            Test::NotIpAddress(vec!["203.0.113.0/28".parse().unwrap()]),
        )
        .when(
            Key::SourceVpc,
            Test::StringNotEquals(vec![
                Text::variable(Key::Ec2InstanceSourceVpc),
                Text::literal("vpc-0hub"),
            ]),
        );
    let document = Document {
        statements: vec![statement],
    };
    assert_eq!(Document::parse(&document.to_json()).unwrap(), document);
    assert_eq!(
        Document::parse(&document.to_json_pretty()).unwrap(),
        document
    );
}

#[test]
fn what_iam_takes_for_the_same_is_the_same() {
    let plain = document(&when(r#"{"Null":{"aws:SourceVpc":"true"}}"#)).unwrap();
    for same in [
        when(r#"{"Null":{"aws:SourceVpc":true}}"#),
        when(r#"{"Null":{"AWS:sourcevpc":["true"]}}"#),
        r#"{"Statement":{"Condition":{"Null":{"aws:SourceVpc":"true"}},"Resource":["*"],
            "Action":["*"],"Effect":"Deny","Sid":"A"},"Version":"2012-10-17"}"#
            .into(),
    ] {
        assert_eq!(document(&same).unwrap().digest(), plain.digest(), "{same}");
    }
}

#[test]
fn an_address_is_a_prefix_with_nothing_below_its_length() {
    let nets =
        |values: &str| match &tests_of(&format!(r#"{{"IpAddress":{{"aws:SourceIp":{values}}}}}"#))
            [0]
        .1
        {
            Test::IpAddress(nets) => nets.iter().map(IpNet::to_string).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
    assert_eq!(nets(r#""198.51.100.9""#), ["198.51.100.9/32"]);
    assert_eq!(
        nets(r#"["198.51.100.9/24","2001:DB8::1/32"]"#),
        ["198.51.100.0/24", "2001:db8::/32"]
    );
    for wrong in [
        "2001:db8::1", // IAM would read /32
        "198.51.100.9/33",
        "2001:db8::/129",
        "198.51.100.9/",
        "198.51.100.9/+8",
        "198.51.100.9/8/8",
        "198.51.100.010/8",
        "198.51.100/24",
        " 198.51.100.9",
        "${aws:SourceIp}",
        "",
    ] {
        let condition = format!(r#"{{"IpAddress":{{"aws:SourceIp":"{wrong}"}}}}"#);
        assert_eq!(
            error(&when(&condition)),
            format!(
                "statement A, Condition, IpAddress, aws:SourceIp: must be a CIDR block, not `{wrong}`"
            )
        );
    }
}

#[test]
fn a_variable_is_a_key_that_is_known() {
    let text =
        |value: &str| match &tests_of(&format!(r#"{{"StringEquals":{{"aws:userid":"{value}"}}}}"#))
            [0]
        .1
        {
            Test::StringEquals(texts) => texts[0].clone(),
            other => panic!("{other:?}"),
        };
    let literal = |text: &str| Piece::Literal(text.into());
    assert_eq!(text("${aws:SourceVpc}"), Text::variable(Key::SourceVpc));
    assert_eq!(
        text("a${AWS:SOURCEVPC}${aws:userid}$b*"),
        Text(vec![
            literal("a"),
            Piece::Variable(Key::SourceVpc),
            Piece::Variable(Key::UserId),
            literal("$b*"),
        ])
    );
    assert_eq!(text("${$}{aws:userid}"), Text::literal("${aws:userid}"));
    assert_eq!(text(""), Text::literal(""));
    for wrong in [
        "${aws:Via}",
        "${aws:SourceVpc, 'vpc-0abc'}",
        "${ aws:SourceVpc }",
        "${aws:SourceVpc",
        "${}",
        "${*}",
        "${?}",
    ] {
        let condition = format!(r#"{{"StringEquals":{{"aws:userid":"x{wrong}"}}}}"#);
        assert_eq!(
            error(&when(&condition)),
            format!(
                "statement A, Condition, StringEquals, aws:userid: holds a variable that credpin does \
                 not use: `{wrong}`"
            )
        );
    }
}

#[test]
fn a_literal_cannot_become_a_variable() {
    for text in ["${aws:SourceIp}", "$", "a$", "$${", "${$}", "{$}"] {
        let texts = vec![Text(vec![
            Piece::Literal(text.into()),
            Piece::Variable(Key::UserId),
        ])];
        let statement = Statement::deny("A", Actions::Only(vec!["*".into()]))
            .when(Key::UserId, Test::StringEquals(texts));
        let document = Document {
            statements: vec![statement],
        };
        assert_eq!(Document::parse(&document.to_json()).unwrap(), document);
    }
}

/// Texts that are refused, with what is said of each.
fn check_refused<const N: usize>(table: [(String, &str); N]) {
    for (text, wanted) in table {
        assert_eq!(error(&text), wanted, "{text}");
    }
}

#[test]
fn a_document_has_a_version_and_statements_with_names() {
    let deny = r#""Effect":"Deny","Action":"*","Resource":"*""#;
    check_refused([
        (
            "[]".into(),
            "policy document: must be an object that is not empty",
        ),
        (
            "{}".into(),
            "policy document: must be an object that is not empty",
        ),
        (r#"{"Statement":[]}"#.into(), "Version: is missing"),
        (
            r#"{"Version":"2008-10-17","Statement":[]}"#.into(),
            "Version: must be 2012-10-17, not `2008-10-17`",
        ),
        (
            r#"{"Version":"2012-10-17"}"#.into(),
            "Statement: is missing",
        ),
        (
            r#"{"Version":"2012-10-17","Statement":[],"Id":"x"}"#.into(),
            "Id: is nothing that credpin writes",
        ),
        (
            r#"{"Version":"2012-10-17","Statement":["Deny"]}"#.into(),
            "statement 1: must be an object that is not empty",
        ),
        (
            format!(r#"{{"Version":"2012-10-17","Statement":[{{{deny}}}]}}"#),
            "statement 1, Sid: is missing",
        ),
        (
            format!(r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"a b",{deny}}}]}}"#),
            "statement a b, Sid: must be letters and digits, not `a b`",
        ),
        (
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"A",{deny}}},{{"Sid":"A",{deny}}}]}}"#
            ),
            "statement A, Sid: is there twice",
        ),
    ]);
}

#[test]
fn a_statement_denies_actions_on_everything_or_on_what_it_names() {
    check_refused([
        (
            with(r#""Effect":"Allow","Action":"*","Resource":"*""#),
            "statement A, Effect: must be Deny, not `Allow`",
        ),
        (
            with(r#""Effect":"deny","Action":"*","Resource":"*""#),
            "statement A, Effect: must be Deny, not `deny`",
        ),
        (
            with(r#""Effect":["Deny","Allow"],"Action":"*","Resource":"*""#),
            "statement A, Effect: must be text",
        ),
        (
            with(r#""Action":"*","Resource":"*""#),
            "statement A, Effect: is missing",
        ),
        (
            with(r#""Effect":"Deny","Action":"*""#),
            "statement A, Resource: is missing",
        ),
        (
            with(r#""Effect":"Deny","Action":"*","Resource":"arn:aws:*:::b""#),
            "statement A, Resource: must be * or ARNs that are wild in their last part only, not `arn:aws:*:::b`",
        ),
        (
            with(r#""Effect":"Deny","Action":"*","Resource":["*","arn:aws:s3:::b"]"#),
            "statement A, Resource: must be * or ARNs that are wild in their last part only, not `*`",
        ),
        (
            with(r#""Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::${aws:userid}""#),
            "statement A, Resource: must be * or ARNs that are wild in their last part only, not `arn:aws:s3:::${aws:userid}`",
        ),
        (
            with(r#""Effect":"Deny","Action":"*","Resource":[]"#),
            "statement A, Resource: must be a list that is not empty",
        ),
        (
            with(r#""Effect":"Deny","Action":"*","NotResource":"*""#),
            "statement A, NotResource: is nothing that credpin writes",
        ),
        (
            with(r#""Effect":"Deny","Principal":"*","Action":"*","Resource":"*""#),
            "statement A, Principal: is nothing that credpin writes",
        ),
        (
            with(r#""Effect":"Deny","Resource":"*""#),
            "statement A, Action or NotAction: is missing",
        ),
        (
            with(r#""Effect":"Deny","Action":"*","NotAction":"s3:*","Resource":"*""#),
            "statement A, Action or NotAction: is there twice",
        ),
        (
            with(r#""Effect":"Deny","NotAction":[],"Resource":"*""#),
            "statement A, NotAction: must be a list that is not empty",
        ),
        (
            with(r#""Effect":"Deny","Action":["s3:Get*","s3"],"Resource":"*""#),
            "statement A, Action: must be an action as service:Name, not `s3`",
        ),
        (
            with(r#""Effect":"Deny","Action":"*:Get","Resource":"*""#),
            "statement A, Action: must be an action as service:Name, not `*:Get`",
        ),
    ]);
}

#[test]
fn a_condition_is_an_operator_a_key_and_values() {
    let key = |json: &str| when(&format!(r#"{{"Null":{{"aws:SourceVpc":{json}}}}}"#));
    check_refused([
        (
            when("{}"),
            "statement A, Condition: must be an object that is not empty",
        ),
        (
            when(r#"{"null":{"aws:SourceVpc":"true"}}"#),
            "statement A, Condition, null: is nothing that credpin writes",
        ),
        (
            when(r#"{"ForAllValues:StringEquals":{"aws:SourceVpc":"a"}}"#),
            "statement A, Condition, ForAllValues:StringEquals: is nothing that credpin writes",
        ),
        (
            when(r#"{"Null":{}}"#),
            "statement A, Condition, Null: must be an object that is not empty",
        ),
        (
            when(r#"{"Null":{"aws:Via":"true"}}"#),
            "statement A, Condition, Null, aws:Via: is nothing that credpin writes",
        ),
        (
            when(r#"{"Null":{"aws:SourceVpc":"true","AWS:SOURCEVPC":"false"}}"#),
            "statement A, Condition, Null, AWS:SOURCEVPC: is there twice",
        ),
        (
            key(r#""yes""#),
            "statement A, Condition, Null, aws:SourceVpc: must be true or false, not `yes`",
        ),
        (
            key(r#"["true","false"]"#),
            "statement A, Condition, Null, aws:SourceVpc: must be one value",
        ),
        (
            key("null"),
            "statement A, Condition, Null, aws:SourceVpc: must be text",
        ),
        (
            key("1"),
            "statement A, Condition, Null, aws:SourceVpc: must be text",
        ),
        (
            when(r#"{"StringEquals":{"aws:SourceVpc":[]}}"#),
            "statement A, Condition, StringEquals, aws:SourceVpc: must be a list that is not empty",
        ),
        (
            when(r#"{"StringEquals":{"aws:SourceVpc":["a",true]}}"#),
            "statement A, Condition, StringEquals, aws:SourceVpc: must be text",
        ),
    ]);
}

#[test]
fn nothing_hides_behind_a_second_of_the_same_name() {
    let deny = r#""Effect":"Deny","Action":"*","Resource":"*""#;
    for text in [
        format!(r#"{{"Version":"2012-10-17","Statement":[],"Statement":[{{"Sid":"A",{deny}}}]}}"#),
        with(&format!(r#""Effect":"Allow",{deny}"#)),
        when(r#"{"Null":{"aws:SourceVpc":"true"},"Null":{"aws:SourceIp":"true"}}"#),
        when(r#"{"Null":{"aws:SourceVpc":"true","aws:SourceVpc":"false"}}"#),
    ] {
        assert!(error(&text).contains("is written twice"), "{text}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_not_the_end() {
    let text = "[".repeat(1_000_000);
    assert!(matches!(document(&text), Err(ParseError::Json(_))));
}
