//! One spelling, and no panics.

use proptest::prelude::*;

use super::*;

const TEXT: &str = "records/v1/dt=2026-05-04/hr=09/account=111122223333/region=eu-west-1/\
    AROAEXAMPLEEXAMPLE:i-0abc/0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968-00000000000000000007.jsonl";

prop_compose! {
    fn keys()(
        second in -60_000_000_000i64..250_000_000_000,
        account in "[0-9]{12}",
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        role in proptest::option::of("AROA[A-Z0-9]{17}"),
        instance in "i-[0-9a-f]{17}",
        boot in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        seq: u64,
    ) -> Key {
        let user = match role {
            Some(role_id) => UserId::Session { role_id, instance },
            None => UserId::Instance(instance),
        };
        let hour = hour_of(Timestamp::from_second(second).unwrap());
        Key { hour, account, region, user, boot: BootId(boot), seq }
    }
}

proptest! {
    #[test]
    fn what_prints_parses(key in keys()) {
        prop_assert_eq!(key.to_string().parse(), Ok(key));
    }

    #[test]
    fn no_text_panics_and_what_parses_prints_as_it_was(
        text in prop_oneof![".*", "records/v1/dt=.*/hr=.*/.*", Just(TEXT.to_owned())],
        at: prop::sample::Index,
        with in "[-+:/=. 0-9a-zA-Z]{0,2}",
    ) {
        let mut cut = at.index(text.len() + 1);
        while !text.is_char_boundary(cut) { cut -= 1; }
        let text = format!("{}{with}{}", &text[..cut], &text[cut..]);
        if let Ok(key) = text.parse::<Key>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }
}

#[test]
fn there_is_one_spelling() {
    assert!(TEXT.parse::<Key>().is_ok());
    for (from, to, part) in [
        ("dt=2026-05-04", "dt=2026-02-30", "day"),
        ("dt=2026-05-04", "dt=20260504", "spelling"),
        ("hr=09", "hr=9", "spelling"),
        ("hr=09", "hr=24", "hour"),
        ("111122223333", "11112222333", "account"),
        ("eu-west-1", "EU-WEST-1", "region"),
        ("eu-west-1", "../../x", "region"),
        ("AROAEXAMPLEEXAMPLE:", "AIDAEXAMPLEEXAMPLE:", "role id"),
        ("i-0abc", "i-0abc:i-0abc", "instance id"),
        ("5968-0000", "5968-+000", "spelling"),
        ("0007.jsonl", "7.jsonl", "spelling"),
        ("0007.jsonl", "0007.open", "file name"),
        ("0007.jsonl", "0007.jsonl/x", "spelling"),
        ("records/v1", "records/v2", "prefix"),
    ] {
        let text = TEXT.replacen(from, to, 1);
        assert_eq!(text.parse::<Key>(), Err(KeyError { part }), "{text}");
    }
}
