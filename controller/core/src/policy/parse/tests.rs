use std::error::Error as _;

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof},
    proptest,
    sample::{Index, select, subsequence},
};

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

#[test]
fn anything_but_our_shape_is_refused_and_named() {
    let deny = r#""Effect":"Deny","Action":"*","Resource":"*""#;
    let key = |json: &str| when(&format!(r#"{{"Null":{{"aws:SourceVpc":{json}}}}}"#));
    for (text, wanted) in [
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
            with(r#""Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::b""#),
            "statement A, Resource: must be *, not `arn:aws:s3:::b`",
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
    ] {
        assert_eq!(error(&text), wanted, "{text}");
    }
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

fn texts() -> impl Strategy<Value = Vec<Text>> {
    let literal = "[ -ÿ]{1,12}".prop_map(Piece::Literal);
    let variable = select(Key::all().collect::<Vec<_>>()).prop_map(Piece::Variable);
    // Neighbouring literals would be read back as one.
    let text = (vec((literal.clone(), variable), 0..3), literal).prop_map(|(pairs, last)| {
        let pairs = pairs.into_iter().flat_map(|(a, b)| [a, b]);
        Text(pairs.chain([last]).collect())
    });
    vec(text, 1..4)
}

fn nets() -> impl Strategy<Value = Vec<IpNet>> {
    let net = (any::<IpAddr>(), any::<Index>()).prop_map(|(address, length)| {
        let bits = if address.is_ipv4() { 33 } else { 129 };
        let length = u8::try_from(length.index(bits)).expect("at most 128");
        IpNet::new(address, length)
            .expect("not longer than the address")
            .trunc()
    });
    vec(net, 1..4)
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        any::<bool>().prop_map(Test::Null),
        any::<bool>().prop_map(Test::BoolIfExists),
        texts().prop_map(Test::StringEquals),
        texts().prop_map(Test::StringNotEquals),
        texts().prop_map(Test::StringLike),
        texts().prop_map(Test::ArnEquals),
        nets().prop_map(Test::IpAddress),
        nets().prop_map(Test::NotIpAddress),
    ]
}

fn actions() -> impl Strategy<Value = Actions> {
    let pattern = || {
        prop_oneof![
            Just("*".to_owned()),
            "[a-z][a-z0-9-]{0,8}:[A-Za-z0-9*?]{1,8}"
        ]
    };
    prop_oneof![
        vec(pattern(), 1..4).prop_map(Actions::Only),
        vec(pattern(), 1..4).prop_map(Actions::AllBut),
    ]
}

fn statement_of(sid: String) -> impl Strategy<Value = Statement> {
    let keys = subsequence(Key::all().collect::<Vec<_>>(), 0..=4);
    let conditions = keys.prop_flat_map(|keys| {
        let tests = vec(test(), keys.len());
        (Just(keys), tests)
    });
    (actions(), conditions).prop_map(move |(actions, (keys, tests))| {
        keys.into_iter().zip(tests).fold(
            Statement::deny(sid.clone(), actions),
            |statement, (key, test)| statement.when(key, test),
        )
    })
}

fn any_document() -> impl Strategy<Value = Document> {
    (0..4_usize)
        .prop_flat_map(|count| {
            (0..count)
                .map(|n| statement_of(format!("S{n}")))
                .collect::<Vec<_>>()
        })
        .prop_map(|statements| Document { statements })
}

proptest! {
    #[test]
    fn every_document_of_ours_reads_back(document in any_document()) {
        let read = Document::parse(&document.to_json()).unwrap();
        prop_assert_eq!(&read, &document);
        prop_assert_eq!(read.digest(), document.digest());
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,200}") {
        let _ = Document::parse(&text);
    }

    #[test]
    fn no_damage_is_too_strange(document in any_document(), at in any::<Index>(), patch in "\\PC{0,3}", cut in 0..4_usize) {
        let mut text: Vec<char> = document.to_json().chars().collect();
        let at = at.index(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, patch.chars());
        // Damaged or not, what does read is a document that writes itself.
        if let Ok(read) = Document::parse(&text.iter().collect::<String>()) {
            prop_assert_eq!(Document::parse(&read.to_json()).unwrap().digest(), read.digest());
        }
    }
}
