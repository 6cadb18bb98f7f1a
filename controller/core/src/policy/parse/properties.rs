//! What holds for every document of ours, and for every text.

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof},
    proptest,
    sample::{Index, select, subsequence},
};

use super::*;

fn texts() -> impl Strategy<Value = Vec<Text>> {
    let literal = "[\\x01-ÿ]{1,12}".prop_map(Piece::Literal);
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
        (0..4_000_000_000_i64).prop_map(|second| {
            Test::DateLessThan(Timestamp::from_second(second).expect("a time before 2100"))
        }),
        texts().prop_map(Test::StringEquals),
        texts().prop_map(Test::StringNotEquals),
        texts().prop_map(Test::StringNotEqualsIfExists),
        texts().prop_map(Test::StringLike),
        texts().prop_map(Test::ArnEquals),
        nets().prop_map(Test::IpAddress),
        nets().prop_map(Test::NotIpAddress),
        nets().prop_map(Test::NotIpAddressIfExists),
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

fn resources() -> impl Strategy<Value = Resources> {
    let arn = "arn:[a-z-]{1,6}:[a-z0-9]{0,4}:[a-z0-9-]{0,6}:[0-9]{0,12}:[ -#%-~]{0,12}"
        .prop_map(|arn| arn.parse().expect("it has six parts"));
    prop_oneof![
        Just(Resources::Every),
        vec(arn, 1..4).prop_map(Resources::Only)
    ]
}

fn statement_of(sid: String) -> impl Strategy<Value = Statement> {
    let keys = subsequence(Key::all().collect::<Vec<_>>(), 0..=4);
    let conditions = keys.prop_flat_map(|keys| {
        let tests = vec(test(), keys.len());
        (Just(keys), tests)
    });
    (actions(), resources(), conditions).prop_map(move |(actions, resources, (keys, tests))| {
        let mut statement = Statement::deny(sid.clone(), actions);
        statement.resources = resources;
        keys.into_iter()
            .zip(tests)
            .fold(statement, |statement, (key, test)| {
                statement.when(key, test)
            })
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
    fn its_size_is_what_iam_counts_of_its_text(document in any_document()) {
        let counted = |text: String| text.chars().filter(|c| !c.is_whitespace()).count();
        prop_assert_eq!(document.size(), counted(document.to_json()));
        for statement in &document.statements {
            prop_assert_eq!(statement.size(), counted(serde_json::to_string(statement).unwrap()));
        }
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
