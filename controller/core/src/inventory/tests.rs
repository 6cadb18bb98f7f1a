use credpin_ledger::{Consumer, Host, ImdsVersion, Kind, SCHEMA};
use proptest::{prelude::*, sample::subsequence};

use super::*;
use crate::cloudtrail::{Fold, Reader};
use crate::settings::Glob;

/// A record of `instance`'s first boot, `minute` minutes after a certain hour.
pub(super) fn record(instance: &str, seq: u64, key: &str, minute: i64) -> Record {
    let time = at(minute);
    Record {
        schema: SCHEMA,
        kind: Kind::Issued,
        time,
        boot_id: "1b4e28ba-2fa1-41d2-883f-0016d3cca427".into(),
        seq,
        host: Host {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            instance_id: instance.into(),
            ..Host::default()
        },
        role: "web".into(),
        access_key_id: key.into(),
        issued: time,
        expires: time + SignedDuration::from_hours(6),
        consumer: Consumer::at([127, 0, 0, 1].into()),
        imds_version: ImdsVersion::V2,
        proxy_version: "0".into(),
    }
}

pub(super) fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_777_885_200 + 60 * minute).unwrap()
}

const KEYS: [&str; 3] = [
    "ASIAEXAMPLEKEYID0001",
    "ASIAEXAMPLEKEYID0002",
    "no key at all",
];

/// Records that meet each other: few hosts, boots and keys, and contradictions among them.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let record = (
        (0..2_usize, 0..2_usize, 0..30_u64, 0..3_usize),
        (-90..90_i64, -500..500_i64, 0..700_u32, any::<bool>()),
    );
    let record = record.prop_map(|((instance, boot, seq, key), (minute, life, uid, v1))| {
        let mut record = record_of(instance, seq, KEYS[key], minute);
        record.boot_id = ["a", "b"][boot].into();
        record.expires = record.issued + SignedDuration::from_hours(life);
        record.role = ["web", "db"][uid as usize % 2].into();
        record.consumer.uid = Some(uid);
        record.imds_version = if v1 { ImdsVersion::V1 } else { ImdsVersion::V2 };
        record
    });
    proptest::collection::vec(record, 0..60)
}

fn record_of(instance: usize, seq: u64, key: &str, minute: i64) -> Record {
    record(["i-0a", "i-0b"][instance], seq, key, minute)
}

fn rows(
    tokens: &BTreeMap<TokenId, Token>,
    sightings: &BTreeMap<String, Sighting>,
    pins: &Pins,
    now: Timestamp,
) -> Vec<Row> {
    let rows = super::rows(tokens.clone(), sightings, pins, now);
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(Row::in_order);
    rows
}

fn inventory<'a>(records: impl IntoIterator<Item = &'a Record>) -> Inventory {
    let mut inventory = Inventory::default();
    for record in records {
        inventory.add(record);
    }
    inventory
}

proptest! {
    #[test]
    fn neither_order_nor_repetition_nor_how_records_are_shared_out_matters(
        (records, again) in records().prop_flat_map(|records| {
            let again = subsequence(records.clone(), 0..=records.len());
            (Just(records), again)
        }),
        cuts in proptest::collection::vec(0..60_usize, 0..5),
    ) {
        let whole = inventory(&records);
        let backwards = inventory(records.iter().rev().chain(&again));
        prop_assert_eq!(&backwards, &whole);

        let mut parts = Inventory::default();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| *cut.min(&records.len())).collect();
        cuts.extend([0, records.len()]);
        cuts.sort_unstable();
        for part in cuts.windows(2).rev() {
            parts.merge(inventory(&records[part[0]..part[1]]));
        }
        parts.merge(inventory(&again));
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn what_is_there_and_what_is_missing_are_all_numbers_up_to_the_last(
        there in proptest::collection::btree_set(1..40_u64, 1..30)
    ) {
        let mut all = Inventory::default();
        for seq in &there {
            all.add(&record("i-0a", *seq, KEYS[0], 0));
        }
        let gaps = gaps(&all.sequences, true);
        let missing: Vec<u64> = gaps.iter().flat_map(|gap| gap.first..=gap.last).collect();
        let last = *there.last().unwrap();
        let wanted: Vec<u64> = (1..=last).filter(|seq| !there.contains(seq)).collect();
        prop_assert_eq!(missing, wanted);
    }

    #[test]
    fn a_live_tokens_batch_is_always_looked_for(
        recorded in 0..100_000_i64, expires in 0..100_000_i64, now in 0..100_000_i64,
        last_look in proptest::option::of(0..100_000_i64), gap in proptest::option::of(0..100_000_i64),
        keep in 36..1000_i64,
    ) {
        let mut token = Token::of(&record("i-0a", 1, KEYS[0], recorded));
        token.expires = at(expires);
        let keep = SignedDuration::from_hours(keep);
        let since = since(last_look.map(at), gap.map(at), keep, at(now));
        if token.ends() > at(now) {
            prop_assert!(token.recorded > since);
        }
        prop_assert!(since >= before(at(now), keep), "what is older than that is gone");
    }
}

#[test]
fn a_token_has_all_who_asked_for_it_and_the_versions_that_they_used() {
    let first = record("i-0a", 1, KEYS[0], 0);
    let mut second = record("i-0a", 2, KEYS[0], 5);
    second.imds_version = ImdsVersion::V1;
    second.consumer.user = Some("backup".into());
    let mut from_another_cgroup = second.clone();
    from_another_cgroup.seq = 3;
    from_another_cgroup.consumer.cgroup = Some("/new".into());
    let all = inventory([&first, &second, &from_another_cgroup]);
    let rows = rows(&all.tokens, &BTreeMap::new(), &Pins::default(), at(10));
    let [row] = &rows[..] else {
        panic!("{rows:?}");
    };
    assert_eq!(row.consumers.len(), 2);
    assert!(row.live && row.recorded && row.pinned.is_none());
    assert_eq!(row.expires, Some(at(365)), "the latest that a record says");
    let versions: Vec<_> = row.imds_versions.iter().copied().collect();
    assert_eq!(versions, [ImdsVersion::V1, ImdsVersion::V2]);
}

#[test]
fn another_host_that_claims_a_token_takes_nothing_away_from_whose_it_is() {
    let own = record("i-0a", 1, KEYS[0], 0);
    let mut forged = record("i-0b", 1, KEYS[0], 1);
    forged.role = "harmless".into();
    forged.expires = at(0);
    let all = inventory([&own, &forged]);
    let rows = rows(&all.tokens, &BTreeMap::new(), &Pins::default(), at(10));
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.role.as_deref(), row.live, &*row.also_recorded_by))
        .collect();
    assert_eq!(
        told,
        [
            (Some("harmless"), false, &["i-0a".to_owned()][..]),
            (Some("web"), true, &["i-0b".to_owned()][..]),
        ]
    );
    assert_eq!(Summary::of(&rows).contested, 2);
}

#[test]
fn no_token_lives_for_ever_because_a_host_says_so() {
    let mut forged = record("i-0a", 1, KEYS[0], 0);
    forged.expires = Timestamp::MAX;
    let token = Token::of(&forged);
    assert_eq!(token.ends(), at(36 * 60));
}

#[test]
fn consumers_beyond_what_is_kept_are_told() {
    let mut all = Inventory::default();
    for uid in 0..600 {
        let mut record = record("i-0a", 1 + u64::from(uid), KEYS[0], 0);
        record.consumer.uid = Some(uid);
        all.add(&record);
    }
    let token = all.tokens.values().next().unwrap();
    assert!(token.more && token.consumers.len() == 512);
}

#[test]
fn first_numbers_of_a_boot_are_missing_for_sure_only_where_they_cannot_be_older() {
    let of = |boot: &str, seq: u64, minute: i64| {
        let mut record = record("i-0a", seq, KEYS[0], minute);
        record.boot_id = boot.into();
        record
    };
    let alone = inventory([&of("b", 3, 60)]);
    let told = |all: &Inventory, whole| {
        let gaps = gaps(&all.sequences, whole);
        let told = gaps
            .iter()
            .map(|gap| (gap.first, gap.last, gap.after, gap.certain));
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&alone, false), [(1, 2, None, false)]);
    assert_eq!(told(&alone, true), [(1, 2, None, true)]);
    // The host was up before, so this boot began after that.
    let after = inventory([&of("a", 1, 0), &of("b", 3, 60)]);
    assert_eq!(told(&after, false), [(1, 2, Some(at(0)), true)]);
    let between = inventory([&of("a", 1, 0), &of("a", 5, 60)]);
    assert_eq!(told(&between, false), [(2, 4, Some(at(0)), true)]);
}

#[test]
fn batches_are_looked_for_as_far_back_as_one_may_still_come() {
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let now = at(0);
    let ago = |hours: i64| before(now, SignedDuration::from_hours(hours));
    assert_eq!(
        since(None, None, days(7), now),
        ago(168),
        "all that is kept"
    );
    assert_eq!(since(Some(now), None, days(7), now), ago(36));
    assert_eq!(since(Some(ago(24)), None, days(7), now), ago(60));
    // A record is missing that may have been made after this.
    assert_eq!(since(Some(now), Some(ago(100)), days(7), now), ago(100));
    assert_eq!(since(Some(now), Some(ago(200)), days(7), now), ago(168));
    // A clock that was ahead hides nothing.
    assert_eq!(since(Some(at(9000)), None, days(7), now), ago(36));
}

#[test]
fn filters_show_what_they_name_and_never_hide_what_is_not_known() {
    let web = record("i-0a", 1, KEYS[0], 0);
    let mut db = record("i-0b", 1, KEYS[1], -900);
    db.role = "db".into();
    db.imds_version = ImdsVersion::V1;
    let all = inventory([&web, &db]);
    let mut pins = Pins::default();
    pins.say("111122223333", "web", true);
    let rows = rows(&all.tokens, &BTreeMap::new(), &pins, at(0));
    let shown = |filter: Filter| {
        let shown = rows.iter().filter(|row| filter.shows(row));
        shown
            .map(|row| row.role.clone().unwrap())
            .collect::<Vec<_>>()
    };
    let any = Filter::default;
    assert_eq!(shown(any()), ["db", "web"]);
    for (filter, wanted) in [
        (
            Filter {
                live: true,
                ..any()
            },
            "web",
        ),
        (
            Filter {
                unpinned: true,
                ..any()
            },
            "db",
        ),
        (
            Filter {
                imdsv1: true,
                ..any()
            },
            "db",
        ),
        (
            Filter {
                roles: vec![Glob::new("w*")],
                ..any()
            },
            "web",
        ),
        (
            Filter {
                instances: vec![Glob::new("i-?b")],
                ..any()
            },
            "db",
        ),
    ] {
        assert_eq!(shown(filter.clone()), [wanted], "{filter:?}");
    }
    let summary = Summary::of(&rows);
    assert_eq!(
        (
            summary.live,
            summary.unpinned,
            summary.pin_unknown,
            summary.imdsv1
        ),
        (1, 0, 1, 1)
    );
}

/// A call of an instance's token, as CloudTrail has it.
fn call(key: &str, session: &str, delivery: &str, minute: i64, from: &str) -> String {
    serde_json::json!({
        "eventVersion": "1.11",
        "eventTime": at(minute).to_string(),
        "eventSource": "s3.amazonaws.com",
        "eventID": format!("event-{minute}"),
        "sourceIPAddress": from,
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": format!("AROAEXAMPLE:{session}"),
            "accountId": "111122223333",
            "accessKeyId": key,
            "sessionContext": {
                "sessionIssuer": {"type": "Role", "userName": "web"},
                "attributes": {"creationDate": at(0).to_string()},
                "ec2RoleDelivery": delivery,
            },
        },
    })
    .to_string()
}

fn sightings(calls: &[String]) -> Sightings {
    let mut sightings = Sightings::default();
    let text = format!("{{\"Records\":[{}]}}", calls.join(","));
    let mut reader = Reader::default();
    let read = reader.read(text.as_bytes(), true, |event| sightings.event(event));
    assert!(read.is_ok());
    sightings
}

#[test]
fn a_token_was_last_seen_where_cloudtrail_has_its_last_use_in_whatever_order_it_is_read() {
    let calls = [
        call(KEYS[0], "i-0a", "2.0", 5, "198.51.100.7"),
        call(KEYS[0], "i-0a", "2.0", 50, "203.0.113.66"),
        call(KEYS[0], "i-0a", "2.0", 20, "198.51.100.7"),
    ];
    let whole = sightings(&calls);
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1]] {
        let mut parts = Sightings::default();
        for part in order {
            parts.merge(sightings(&calls[part..=part]));
            parts.merge(sightings(&calls[part..]));
        }
        assert_eq!(parts, whole);
    }
    let all = inventory([&record("i-0a", 1, KEYS[0], 0)]);
    let seen: BTreeMap<_, _> = whole.0.into_iter().collect();
    let rows = rows(&all.tokens, &seen, &Pins::default(), at(60));
    let last = rows[0].last_seen.as_ref().unwrap();
    assert_eq!(last.time, at(50));
    assert_eq!(last.from.as_deref(), Some("203.0.113.66"));
}

#[test]
fn a_token_that_cloudtrail_shows_and_no_host_recorded_is_listed_as_such() {
    let seen = sightings(&[
        call(KEYS[1], "i-0b", "1.0", 5, "198.51.100.7"),
        call("AKIAEXAMPLEKEYID0009", "i-0b", "2.0", 5, "198.51.100.7"),
    ]);
    let seen: BTreeMap<_, _> = seen.0.into_iter().collect();
    let at_time = |minute| rows(&BTreeMap::new(), &seen, &Pins::default(), at(minute));
    let rows = at_time(60);
    assert_eq!(rows.len(), 1, "a long-lived key is no token");
    assert_eq!(
        (rows[0].recorded, rows[0].live, rows[0].expires),
        (false, true, Some(at(12 * 60)))
    );
    assert!(rows[0].imds_versions.contains(&ImdsVersion::V1));
    assert!(!at_time(12 * 60)[0].live, "no role's session lasts longer");
}
