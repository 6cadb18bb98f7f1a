//! Descriptions: what files say, and what is said of files that are wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use credpin_mock_imds::describe::{Described, EXAMPLE, Tokens, parse, read};
use credpin_mock_imds::{Host, Schedule, Settings, UserData};
use proptest::prelude::*;
use serde_json::Value;

fn described(text: &str) -> Vec<Described> {
    parse(Path::new("fleet.toml"), text).unwrap()
}

fn one(text: &str) -> Described {
    let [host] = <[Described; 1]>::try_from(described(text)).unwrap();
    host
}

fn complaint(text: &str) -> String {
    parse(Path::new("fleet.toml"), text)
        .unwrap_err()
        .to_string()
}

/// The example with all that it only shows. Its lines of one key, which is there already, are left out.
fn whole_example() -> String {
    let mut seen = BTreeSet::new();
    let lines = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line));
    let once = lines.filter(|line| !line.starts_with("user-data") || seen.insert("user-data"));
    once.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_example_is_the_default_host() {
    assert_eq!(one(EXAMPLE), Described::default());
    assert_eq!(one(""), Described::default());
    assert_eq!(one("{}"), Described::default());
}

#[test]
fn the_example_shows_every_key_and_all_of_it_can_be_read() {
    let whole = whole_example();
    let fleet = described(&whole);
    assert_eq!(fleet.len(), 2);
    let [first, second] = &fleet[..] else {
        panic!("two hosts");
    };
    assert_eq!(first.imds.listen, Some("127.0.0.1:1338".parse().unwrap()));
    assert_eq!(first.imds.tokens, Some(Tokens::Required));
    assert_eq!(second.host.instance_id, "i-0000000000000000b");
    assert_eq!(
        second.host.interface.private_ipv4s[0].to_string(),
        "10.0.0.12"
    );
    assert_eq!(
        second.imds.faults.len(),
        2,
        "what stands above is every host's"
    );

    let Value::Object(keys) = serde_json::to_value(&first.host).unwrap() else {
        panic!("a host is an object");
    };
    for (key, value) in &keys {
        assert!(whole.contains(key.as_str()), "{key} is not in the example");
        let empty = ["other-roles", "ancestor-ami-ids", "product-codes"];
        assert!(
            *value != Value::Null
                && (*value != Value::Array(vec![]) || empty.contains(&key.as_str())),
            "{key} is not shown with a value"
        );
    }
    let Value::Object(keys) = keys["interface"].clone() else {
        panic!("an interface is an object");
    };
    for key in keys.keys() {
        assert!(
            whole.contains(&format!("\n{key} = ")),
            "{key} is not in the example"
        );
    }
    for form in [
        "user-data = \"",
        "user-data = { base64",
        "user-data = { file",
    ] {
        assert!(EXAMPLE.contains(form), "{form}");
    }
}

#[test]
fn toml_and_json_say_the_same() {
    let toml = "region = 'eu-west-1'\nrole = ''\n[tags]\nName = 'a'\n[[host]]\ninstance-id = 'i-1'\n\
                imds.tokens = 'required'\n[[host]]\ninstance-id = 'i-2'\n";
    let json = r#"{"region": "eu-west-1", "role": null, "tags": {"Name": "a"},
        "host": [{"instance-id": "i-1", "imds": {"tokens": "required"}}, {"instance-id": "i-2"}]}"#;
    let fleet = described(toml);
    assert_eq!(fleet, described(json));
    assert_eq!(
        (fleet[0].host.role.as_ref(), fleet[1].host.region.as_str()),
        (None, "eu-west-1")
    );
    assert_eq!(
        (fleet[0].imds.tokens, fleet[1].imds.tokens),
        (Some(Tokens::Required), None)
    );
}

#[test]
fn mistakes_are_told_with_file_line_and_key() {
    for (text, expected) in [
        ("a = 1\nb = \n", "fleet.toml:2: this is no description: "),
        ("{\n \"a\": 1,\n}", "fleet.toml:3: this is no description: "),
        (
            "region = 'x'\nregoin = 'y'\n",
            "fleet.toml:2: regoin: unknown field `regoin`, expected one of",
        ),
        (
            "\nregion = 7\n",
            "fleet.toml:2: region: invalid type: integer `7`, expected a string",
        ),
        (
            "{\n\"region\":\n 7}",
            "fleet.toml:3: region: invalid type: integer `7`, expected a string",
        ),
        (
            "[interface]\n\nmacs = ''\n",
            "fleet.toml:3: interface.macs: unknown field `macs`",
        ),
        (
            "[interface]\nprivate-ipv4s = [\n'10.0.0.1',\n'10.0.0']\n",
            "fleet.toml:4: interface.private-ipv4s[1]: invalid IPv4 address syntax",
        ),
        (
            "[imds]\nhop-limit = 65\n",
            "fleet.toml:2: imds.hop-limit: `65` is no hop limit: it is a number from 1 to 64",
        ),
        (
            "[imds]\ntokens = 'on'\n",
            "fleet.toml:2: imds.tokens: unknown variant `on`, expected `optional` or `required`",
        ),
        (
            "imds.faults = ['/:hangs']\n",
            "fleet.toml:1: imds.faults: `hangs` is no fault; there are: ",
        ),
        (
            "[imds]\n\nrotate-every = '7h'\n",
            "fleet.toml:3: imds.rotate-every: a rotation every 7h is too seldom",
        ),
        (
            "imds.credential-lifetime = '0s'\n",
            "fleet.toml:1: imds.credential-lifetime: a lifetime of 0s",
        ),
        (
            "user-data = { file = 'is/not/there' }\n",
            "fleet.toml:1: user-data.file: cannot read is/not/there: ",
        ),
        (
            "user-data = { base64 = '!' }\n",
            "fleet.toml:1: user-data: the user data is not base64: ",
        ),
        (
            "\nhost = []\n",
            "fleet.toml:2: host: hosts are tables, one [[host]] each",
        ),
        (
            "[host]\nregion = 'x'\n",
            "fleet.toml:1: host: hosts are tables, one [[host]] each",
        ),
        (
            "[[host]]\ninstance-id = 'i-1'\n[[host]]\nregion = 1\n",
            "fleet.toml:4: host[1].region: invalid type: integer `1`",
        ),
        (
            "region = 1\n[[host]]\ninstance-id = 'i-1'\n",
            "fleet.toml:1: region: invalid type: integer `1`",
        ),
        (
            "[[host]]\n[[host]]\ninstance-id = 'i-2'\n[[host]]\n",
            "fleet.toml:4: host[2].instance-id: `i-0123456789abcdef0` is host[0] already: each host of a \
             fleet has an id of its own",
        ),
    ] {
        let said = complaint(text);
        assert!(said.starts_with(expected), "{text}: {said}");
        assert!(!said.contains('\n'), "{said}");
    }
    let missing = read(Path::new("not-there.toml")).unwrap_err().to_string();
    assert_eq!(
        missing,
        "cannot read not-there.toml, which should describe a host"
    );
}

#[test]
fn a_service_is_as_described_and_else_as_it_was() {
    let before = || Settings {
        imdsv2_only: true,
        seed: Some(1),
        faults: vec!["/:cut".parse().unwrap()],
        ..Settings::default()
    };
    let silent = one("").imds.over(before()).unwrap();
    assert!(silent.imdsv2_only && !silent.disabled && silent.hop_limit.is_none());
    assert_eq!(silent.schedule, Schedule::default());

    let text = "[imds]\ntokens = 'optional'\nenabled = false\nhop-limit = 2\nrotate-every = '1m'\n\
                credential-lifetime = '1h'\nfaults = ['/latest:503']\n";
    let said = one(text).imds.over(before()).unwrap();
    assert!(!said.imdsv2_only && said.disabled);
    assert_eq!(said.hop_limit.map(u32::from), Some(2));
    assert_eq!(said.seed, Some(1));
    let faults: Vec<String> = said.faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults, ["/:cut", "/latest:503"]);
    assert_eq!(said.schedule.lifetime, Duration::from_hours(1));
    assert_eq!(said.schedule.overlap, Duration::from_mins(59));
}

#[test]
fn user_data_lies_beside_the_description() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("host.toml");
    std::fs::write(&file, "user-data = { file = 'user-data.gz' }\n").unwrap();
    let data = folder.path().join("user-data.gz");
    std::fs::write(&data, [0x1f, 0x8b, 0xff]).unwrap();
    let host = read(&file).unwrap().remove(0).host;
    assert_eq!(
        host.user_data,
        Some(UserData::Bytes(vec![0x1f, 0x8b, 0xff]))
    );

    std::fs::write(&data, vec![0; 16_384]).unwrap();
    assert!(read(&file).is_ok());
    std::fs::write(&data, vec![0; 16_385]).unwrap();
    let said = read(&file).unwrap_err().to_string();
    assert!(
        said.contains(":1: user-data: the user data has 16385 bytes"),
        "{said}"
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop_oneof![
            prop::sample::select(vec![
                "host",
                "imds",
                "interface",
                "tags",
                "user-data",
                "base64",
                "region",
                "launched",
                "faults",
                "listen",
                "hop-limit",
                "rotate-every",
                "public-keys",
                "instance-id",
                "role",
            ])
            .prop_map(str::to_owned),
            "[a-z-]{0,8}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_panics_the_reader(text in prop_oneof!["\\PC{0,60}", "[\\[\\]{}=.\"'a-z0-9\n #,:-]{0,80}"]) {
        let _ = parse(Path::new("f"), &text);
    }

    /// Also a text that was one until somebody changed a few bytes of it.
    #[test]
    fn no_damage_to_a_description_panics_the_reader(
        at in 0..5_000_usize,
        cut in 0..40_usize,
        put in "[\\[\\]{}=.\"'a-z0-9\n #]{0,6}",
    ) {
        let mut whole = whole_example();
        let start = at % whole.len();
        let end = (start + cut).min(whole.len());
        whole.replace_range(start..end, &put);
        if let Err(error) = parse(Path::new("f"), &whole) {
            let said = error.to_string();
            prop_assert!(said.starts_with("f:"), "{said}");
        }
    }

    #[test]
    fn no_json_panics_the_reader(value in value()) {
        if let Ok(hosts) = parse(Path::new("f"), &value.to_string()) {
            prop_assert!(!hosts.is_empty());
        }
    }

    /// What a host says of itself describes it.
    #[test]
    fn a_host_that_is_read_is_written_and_read_the_same(value in value()) {
        if let Ok(hosts) = parse(Path::new("f"), &value.to_string()) {
            for described in hosts {
                let json = serde_json::to_string(&described.host).unwrap();
                prop_assert_eq!(serde_json::from_str::<Host>(&json).unwrap(), described.host);
            }
        }
    }
}
