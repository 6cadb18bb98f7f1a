//! From one host's ledger to the controller, through a real directory.

#![cfg(feature = "store")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credpin_ledger::{
    Access, Consumer, Directory, Host, ImdsVersion, Key, Kind, Ledger, Receipt, Record,
    RecordStore, Round, SCHEMA, ShipError, Shipper, Standing, StoreUrl, Warning, Writer,
};
use jiff::Timestamp;
use object_store::memory::InMemory;
use tempfile::TempDir;

const OTHER_BOOT: &str = "1c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968";
const BOOT: &str = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968";

fn home() -> Host {
    Host {
        account: "111122223333".into(),
        region: "eu-west-1".into(),
        instance_id: "i-0abc".into(),
        ..Host::default()
    }
}

fn record(key: &str, peer: [u8; 4], time: &str) -> Record {
    let time: Timestamp = time.parse().unwrap();
    Record {
        schema: SCHEMA,
        kind: Kind::Issued,
        time,
        boot_id: String::new(),
        seq: 0,
        host: home(),
        role: "web".into(),
        access_key_id: key.into(),
        issued: time,
        expires: "2026-05-05T00:00:00Z".parse().unwrap(),
        consumer: Consumer::at(IpAddr::from(peer)),
        imds_version: ImdsVersion::V2,
        proxy_version: "0".into(),
    }
}

async fn ship(writer: &Writer, store: &RecordStore, home: &Host) -> Round {
    let open = || async { Ok(store.clone()) };
    Shipper::new(writer.clone()).round(home, open).await
}

struct Fixture {
    ledger: TempDir,
    records: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            ledger: tempfile::tempdir().unwrap(),
            records: tempfile::tempdir().unwrap(),
        }
    }

    fn writer(&self) -> Writer {
        let dir = self.ledger.path().to_owned();
        let now = "2026-05-04T09:00:00Z".parse().unwrap();
        let open = move || Ledger::open(Box::new(Directory::open(&dir)?), BOOT.parse().unwrap());
        Writer::start(now, open).unwrap()
    }

    fn store(&self) -> RecordStore {
        let url = StoreUrl::Directory(self.records.path().to_owned());
        RecordStore::create(&url, &Access::default()).unwrap()
    }

    fn objects(&self) -> Vec<PathBuf> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.records.path(), &mut found);
        found.sort();
        found
    }
}

#[tokio::test]
async fn one_credential_and_one_consumer_are_one_record() {
    let fixture = Fixture::new();
    let writer = fixture.writer();
    let one = record("ASIA1", [127, 0, 0, 1], "2026-05-04T09:00:00Z");
    let two = record("ASIA1", [127, 0, 0, 2], "2026-05-04T09:00:01Z");
    let kind = |receipt| match receipt {
        Receipt::Written(record) => Some(record.kind),
        Receipt::Known | Receipt::Crowded => None,
    };
    assert_eq!(writer.standing("ASIA1", &one.consumer), Standing::New);
    assert_eq!(
        kind(writer.record(one.clone()).await.unwrap()),
        Some(Kind::Issued)
    );
    assert_eq!(writer.standing("ASIA1", &one.consumer), Standing::Known);
    assert_eq!(kind(writer.record(one.clone()).await.unwrap()), None);
    assert_eq!(
        kind(writer.record(two).await.unwrap()),
        Some(Kind::Consumer)
    );
    writer.close().await;

    let writer = fixture.writer();
    writer.open().await.unwrap();
    assert_eq!(
        writer.standing("ASIA1", &one.consumer),
        Standing::Known,
        "remembered across a restart"
    );
}

#[tokio::test]
async fn what_one_host_ships_the_controller_reads_once() {
    let fixture = Fixture::new();
    let writer = fixture.writer();
    let store = fixture.store();
    let mut written = Vec::new();
    for (n, time) in ["09:00", "09:30", "10:00"].iter().enumerate() {
        let record = record(
            &format!("ASIA{n}"),
            [127, 0, 0, 1],
            &format!("2026-05-04T{time}:00Z"),
        );
        match writer.record(record).await.unwrap() {
            Receipt::Written(record) => written.push(*record),
            Receipt::Known | Receipt::Crowded => panic!("new credentials"),
        }
    }
    let round = ship(&writer, &store, &home()).await;
    assert_eq!(
        (round.shipped, round.pending, round.oldest),
        (2, 0, None),
        "{round:?}"
    );
    assert_eq!(ship(&writer, &store, &home()).await.shipped, 0);

    let read = fixture.store().read(None).await.unwrap();
    assert_eq!((read.records, read.warnings), (written.clone(), vec![]));
    let since = "2026-05-04T10:20:00Z".parse().unwrap();
    let late = fixture.store().read(Some(since)).await.unwrap();
    assert_eq!(late.records, written[2..]);
    let tomorrow = "2026-05-05T00:00:00Z".parse().unwrap();
    assert!(
        fixture
            .store()
            .read(Some(tomorrow))
            .await
            .unwrap()
            .records
            .is_empty()
    );
}

#[tokio::test]
async fn a_round_whose_answer_was_lost_is_done_again_without_a_duplicate() {
    let fixture = Fixture::new();
    let writer = fixture.writer();
    let store = fixture.store();
    let record = record("ASIA1", [127, 0, 0, 1], "2026-05-04T09:00:00Z");
    writer.record(record).await.unwrap();
    assert_eq!(ship(&writer, &store, &home()).await.shipped, 1);
    let objects = fixture.objects();
    for entry in fs::read_dir(fixture.ledger.path()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "shipped")
        {
            fs::rename(&path, path.with_extension("jsonl")).unwrap();
        }
    }
    let again = ship(&writer, &store, &home()).await;
    assert_eq!((again.shipped, again.errors.len()), (1, 0));
    assert_eq!(fixture.objects(), objects);
}

#[tokio::test]
async fn another_object_under_the_same_name_is_kept_and_so_is_ours() {
    let fixture = Fixture::new();
    let writer = fixture.writer();
    let store = fixture.store();
    let record = record("ASIA1", [127, 0, 0, 1], "2026-05-04T09:00:00Z");
    let Receipt::Written(record) = writer.record(record).await.unwrap() else {
        panic!("a new credential");
    };
    let key = Key::of(&record, None).unwrap();
    let path = fixture.records.path().join(key.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "another").unwrap();
    let round = ship(&writer, &store, &home()).await;
    assert_eq!(
        (round.shipped, round.pending, round.oldest),
        (0, 1, Some(record.time))
    );
    assert!(matches!(&round.errors[..], [ShipError::Conflict { .. }]));
    assert_eq!(fs::read_to_string(path).unwrap(), "another");
    assert_eq!(writer.seal().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_away_costs_nothing_but_time() {
    let fixture = Fixture::new();
    let writer = fixture.writer();
    let store = fixture.store();
    // A file where its directories should be.
    let blocked = fixture.records.path().join("records");
    fs::write(&blocked, "").unwrap();
    for time in ["09:00", "10:00", "11:00"] {
        let record = record(
            &format!("ASIA{time}"),
            [127, 0, 0, 1],
            &format!("2026-05-04T{time}:00Z"),
        );
        writer.record(record).await.unwrap();
    }
    let round = ship(&writer, &store, &home()).await;
    assert_eq!(
        (round.shipped, round.pending, round.errors.len()),
        (0, 2, 1),
        "{round:?}"
    );
    assert_eq!(round.oldest, Some("2026-05-04T09:00:00Z".parse().unwrap()));
    fs::remove_file(blocked).unwrap();
    assert_eq!(ship(&writer, &store, &home()).await.shipped, 3);
}

/// The ledger has room for so many files only.
#[tokio::test]
async fn rounds_to_a_store_that_is_away_make_no_file_each() {
    let fixture = Fixture::new();
    let writer = fixture.writer();
    let store = fixture.store();
    let blocked = fixture.records.path().join("records");
    fs::write(&blocked, "").unwrap();
    for n in 0..100 {
        let record = record(&format!("ASIA{n}"), [127, 0, 0, 1], "2026-05-04T09:00:00Z");
        writer.record(record).await.unwrap();
        assert_eq!(ship(&writer, &store, &home()).await.pending, 1);
    }
    // One sealed in the first round, one open since, and the lock.
    assert_eq!(fs::read_dir(fixture.ledger.path()).unwrap().count(), 3);
    fs::remove_file(blocked).unwrap();
    assert_eq!(ship(&writer, &store, &home()).await.shipped, 2);
    assert_eq!(store.read(None).await.unwrap().records.len(), 100);
}

#[tokio::test]
async fn segments_that_can_never_be_shipped_keep_no_other_from_it() {
    let fixture = Fixture::new();
    for n in 1..=20 {
        let name = format!("{OTHER_BOOT}-{n:020}.jsonl");
        fs::write(fixture.ledger.path().join(name), "damaged\n").unwrap();
    }
    let (writer, store) = (fixture.writer(), fixture.store());
    let one = record("ASIA1", [127, 0, 0, 1], "2026-05-04T09:00:00Z");
    writer.record(one).await.unwrap();
    let round = ship(&writer, &store, &home()).await;
    assert_eq!((round.shipped, round.pending, round.stuck), (1, 20, 20));
    assert_eq!(round.errors.len(), 20, "each is told");
}

/// While no segment has a name, none is made for each round.
#[tokio::test]
async fn what_a_host_that_does_not_know_itself_cannot_ship_is_not_stuck() {
    let fixture = Fixture::new();
    let (writer, store) = (fixture.writer(), fixture.store());
    for n in 0..30 {
        let mut early = record(&format!("ASIA{n}"), [127, 0, 0, 1], "2026-05-04T09:00:00Z");
        early.host = Host::default();
        writer.record(early).await.unwrap();
        assert_eq!(ship(&writer, &store, &Host::default()).await.stuck, 0);
    }
    let segments = fs::read_dir(fixture.ledger.path()).unwrap().count();
    assert!(segments < 20, "{segments}");
    let round = ship(&writer, &store, &home()).await;
    assert_eq!((round.pending, round.errors.len()), (0, 0));
}

#[tokio::test]
async fn records_made_before_the_host_knew_itself_take_their_name_from_the_key() {
    let fixture = Fixture::new();
    let writer = fixture.writer();
    let store = RecordStore::over(Arc::new(InMemory::new()));
    let mut early = record("ASIA1", [127, 0, 0, 1], "2026-05-04T09:00:00Z");
    early.host = Host::default();
    writer.record(early).await.unwrap();
    let round = ship(&writer, &store, &Host::default()).await;
    assert!(
        matches!(&round.errors[..], [ShipError::Key { .. }]),
        "{round:?}"
    );
    assert_eq!(ship(&writer, &store, &home()).await.shipped, 1);
    let read = store.read(None).await.unwrap();
    assert_eq!(read.records[0].host, home());
}

#[tokio::test]
async fn nothing_that_lies_in_a_store_stops_the_reader() {
    let fixture = Fixture::new();
    let writer = fixture.writer();
    let good = record("ASIA1", [127, 0, 0, 1], "2026-05-04T09:00:00Z");
    let Receipt::Written(good) = writer.record(good).await.unwrap() else {
        panic!("a new credential");
    };
    ship(&writer, &fixture.store(), &home()).await;

    // A host forges: what another host, account, hour and boot have, and worse.
    let forged = |change: &dyn Fn(&mut Record)| {
        let mut record = (*good).clone();
        change(&mut record);
        serde_json::to_string(&record).unwrap() + "\n"
    };
    let text = [
        forged(&|r| r.host.account = "444455556666".into()),
        forged(&|r| r.host.region = "eu-west-2".into()),
        forged(&|r| r.host.instance_id = "i-0def".into()),
        forged(&|r| r.boot_id = "another".into()),
        forged(&|r| r.time = "2026-05-04T10:00:00Z".parse().unwrap()),
        forged(&|r| r.seq = 1),
        forged(&|r| r.schema = 2),
        "{\"schema\":1,\"ro\n".to_owned(),
        forged(&|r| r.seq = 7),
    ];
    let mut first = (*good).clone();
    first.seq = 7;
    let key = Key::of(&first, None).unwrap();
    fs::write(fixture.records.path().join(key.to_string()), text.concat()).unwrap();
    fs::write(fixture.records.path().join("records/v1/README"), "hello").unwrap();
    first.seq = 100;
    let large = Key::of(&first, None).unwrap().to_string();
    let file = fs::File::create(fixture.records.path().join(large)).unwrap();
    file.set_len(1 << 30).unwrap();

    let read = fixture.store().read(None).await.unwrap();
    let seqs: Vec<_> = read.records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [1, 7]);
    let fields: Vec<_> = read
        .warnings
        .iter()
        .map(|warning| match warning {
            Warning::Key { .. } => "key",
            Warning::Size { .. } => "size",
            Warning::Unreadable { .. } => "unreadable",
            Warning::Line { .. } => "line",
            Warning::Contradiction { error, .. } => error.field,
        })
        .collect();
    let contradictions = ["account", "region", "instance_id", "boot_id", "time", "seq"];
    assert_eq!(fields[..2], ["key", "size"]);
    assert_eq!(fields[2..8], contradictions);
    assert_eq!(fields[8..], ["line", "line"]);
}

#[tokio::test]
async fn a_record_under_two_names_is_read_once() {
    let fixture = Fixture::new();
    let writer = fixture.writer();
    let record = record("ASIA1", [127, 0, 0, 1], "2026-05-04T09:00:00Z");
    let Receipt::Written(record) = writer.record(record).await.unwrap() else {
        panic!("a new credential");
    };
    let line = serde_json::to_string(&*record).unwrap() + "\n";
    let other = line.replace("ASIA1", "ASIA2");
    for (role_id, text) in [
        ("AROAONE", &line),
        ("AROATWO", &line),
        ("AROATHREE", &other),
    ] {
        let key = Key::of(&record, Some(role_id)).unwrap().to_string();
        let path = fixture.records.path().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let read = fixture.store().read(None).await.unwrap();
    let keys: Vec<_> = read.records.iter().map(|it| &*it.access_key_id).collect();
    assert_eq!(keys, ["ASIA1", "ASIA2"], "what contradicts is kept");
}
