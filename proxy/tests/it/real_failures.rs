//! Invariant 1 where no lever is pulled: a disk that is full, and one that is read-only.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use credpin_ledger::OpenError;
use credpin_proxy::Config;
use credpin_proxy::OnLedgerFailure::{self, Refuse, Serve};

use crate::rig::{self, ROLE, Rig};
use crate::small_disk::SmallDisk;

async fn rig(disk: &SmallDisk, on_failure: OnLedgerFailure) -> Rig {
    Rig::with(|config| {
        config.ledger = disk.ledger();
        config.on_ledger_failure = on_failure;
        config.cache_recheck = Duration::from_millis(20);
        config.upstream_rate = 10_000;
    })
    .await
}

/// The access keys that are on record; every line is a whole record.
fn recorded(ledger: &Path) -> Vec<String> {
    let records = credpin_ledger::scan(ledger).unwrap();
    let segments = std::fs::read_dir(ledger).unwrap().map(|file| {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
        text.lines().count()
    });
    assert_eq!(segments.sum::<usize>(), records.len());
    let keys = records.into_iter().map(|record| record.access_key_id);
    keys.collect()
}

/// The access keys that the mock handed to the proxy.
fn issued(rig: &Rig) -> Vec<String> {
    let issued = rig.imds().issued().into_iter();
    issued.map(|issued| issued.access_key_id).collect()
}

#[tokio::test]
async fn a_full_disk_with_refuse_records_all_that_went_out_and_no_torn_line() {
    let disk = SmallDisk::mount();
    let rig = rig(&disk, Refuse).await;
    let token = rig.token().await;
    let mut released = Vec::new();
    let mut ask = async || {
        let reply = rig.rotated().await;
        if reply.status == 200 {
            released.push(issued(&rig).pop().unwrap());
        }
        (reply, released.clone())
    };
    assert_eq!(ask().await.0.status, 200);
    disk.fill();
    // The page that the ledger has begun is its own, until a record ends beyond it.
    let (refused, before) = loop {
        let (reply, released) = ask().await;
        if reply.status != 200 {
            break (reply, released);
        }
    };
    assert!(refused.is_imds_error(503), "{refused:?}");
    assert_eq!(rig.get("/latest/meta-data/mac", &token).await.status, 200);
    rig.metric("credpin_proxy_ledger_failures_total 1").await;
    let on_record = credpin_ledger::scan(&disk.ledger()).unwrap();
    assert_eq!(on_record.len(), before.len(), "and no more went out");

    disk.free();
    let (reply, released) = ask().await;
    assert_eq!((reply.status, released.len()), (200, before.len() + 1));
    // The one that was refused may have gone out before the next one took its place.
    let on_record = recorded(&disk.ledger());
    assert!(released.iter().all(|key| on_record.contains(key)));
}

#[tokio::test]
async fn a_full_disk_with_serve_holds_the_record_until_there_is_room() {
    let disk = SmallDisk::mount();
    let rig = rig(&disk, Serve).await;
    let token = rig.token().await;
    disk.fill();
    assert_eq!(rig.get(ROLE, &token).await.status, 200);
    rig.metric("credpin_proxy_records_held 1").await;
    assert!(recorded(&disk.ledger()).is_empty());
    disk.free();
    rig.metric("credpin_proxy_records_held 0").await;
    assert_eq!(recorded(&disk.ledger()), issued(&rig));
}

#[tokio::test]
async fn a_disk_that_becomes_read_only() {
    for on_failure in [Serve, Refuse] {
        let mut disk = SmallDisk::mount();
        let rig = rig(&disk, on_failure).await;
        let token = rig.token().await;
        disk.make_read_only();
        let reply = rig.get(ROLE, &token).await;
        match on_failure {
            Serve => assert_eq!(reply.status, 200),
            Refuse => assert!(reply.is_imds_error(503), "{reply:?}"),
        }
        assert!(recorded(&disk.ledger()).is_empty());
        disk.make_writable();
        assert_eq!(rig.get(ROLE, &token).await.status, 200);
        rig.metric("credpin_proxy_records_held 0").await;
        assert_eq!(recorded(&disk.ledger()), issued(&rig));
    }
}

#[tokio::test]
async fn a_start_on_a_read_only_disk() {
    let mut disk = SmallDisk::mount();
    disk.make_read_only();
    let rig = rig(&disk, Serve).await;
    assert_eq!(rig.credential().await.status, 200);
    rig.metric("credpin_proxy_records_held 1").await;

    let config = Config {
        upstream: rig.imds.endpoint().parse().unwrap(),
        ledger: disk.ledger(),
        on_ledger_failure: Refuse,
        ..Config::default()
    };
    let refused = rig::start(&config, &Arc::default()).await.err().unwrap();
    let OpenError::Io { source, .. } = rig::not_opened(&refused) else {
        panic!("{refused:?}");
    };
    assert_eq!(source.kind(), ErrorKind::ReadOnlyFilesystem);

    disk.make_writable();
    rig.metric("credpin_proxy_records_held 0").await;
    assert_eq!(recorded(&disk.ledger()), issued(&rig));
}
