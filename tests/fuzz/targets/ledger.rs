//! Whatever a crash or a broken disk left at the end of a ledger: each record that was acknowledged is
//! found again, a second look finds the same, and numbering goes on behind it.

#![no_main]

use std::fs;
use std::path::Path;

use credpin_ledger::{
    BootId, Consumer, Directory, History, Host, ImdsVersion, Kind, Ledger, Record, Recovered,
    SCHEMA,
};
use libfuzzer_sys::fuzz_target;

const BOOT: &str = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968";

// The first byte says how many records were acknowledged before what follows it came to the disk.
fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else {
        return;
    };
    let acknowledged: Vec<Record> = (1..=u64::from(count % 4)).map(record).collect();
    let mut bytes = Vec::new();
    for record in &acknowledged {
        serde_json::to_writer(&mut bytes, record).expect("a record is JSON");
        bytes.push(b'\n');
    }
    bytes.extend(rest);

    // In memory: a sync of each run would wait for a disk.
    let home = tempfile::tempdir_in("/dev/shm").expect("there is room in memory");
    let dir = home.path().join("ledger");
    drop(Directory::open(&dir).expect("a new ledger opens"));
    let segment = dir.join(format!("{BOOT}-{:020}.open", 1));
    fs::write(&segment, &bytes).expect("there is room in memory");

    let (ledger, first) = open(&dir);
    drop(ledger);
    assert_eq!(
        first.records[..acknowledged.len()],
        acknowledged,
        "nothing acknowledged is lost"
    );
    assert!(
        first.cut <= rest.len() as u64,
        "nothing acknowledged is cut off"
    );

    let sealed = fs::read(segment.with_extension("jsonl")).unwrap_or_default();
    assert!(
        sealed.is_empty() || sealed.ends_with(b"\n"),
        "nothing torn is left"
    );
    assert_eq!(sealed.len() as u64 + first.cut, bytes.len() as u64);

    let (mut ledger, second) = open(&dir);
    assert_eq!(
        second.records, first.records,
        "a second look finds the same"
    );
    assert_eq!(
        (second.cut, second.sealed),
        (0, 0),
        "and has nothing left to mend"
    );

    let written = ledger
        .append(&[record(0)])
        .expect("there is room in memory");
    drop(ledger);
    assert!(
        written[0].seq > acknowledged.len() as u64,
        "no number is given twice"
    );
    let found = History::read(&dir).expect("it is there").records;
    assert_eq!(found.len(), first.records.len() + 1);
    assert!(
        found.contains(&written[0]),
        "what is written next is found as well"
    );
});

fn open(dir: &Path) -> (Ledger, Recovered) {
    let disk = Directory::open(dir).expect("nobody else has it");
    let boot: BootId = BOOT.parse().expect("it is one");
    Ledger::open(Box::new(disk), boot).expect("no contents of a file stop a start")
}

fn record(seq: u64) -> Record {
    let time = "2026-05-04T09:00:00Z".parse().expect("it is one");
    Record {
        schema: SCHEMA,
        kind: Kind::Issued,
        time,
        boot_id: BOOT.into(),
        seq,
        host: Host::default(),
        role: "web".into(),
        access_key_id: "ASIAEXAMPLEEXAMPLE00".into(),
        issued: time,
        expires: time,
        consumer: Consumer::at([127, 0, 0, 1].into()),
        imds_version: ImdsVersion::V2,
        proxy_version: "0".into(),
    }
}
