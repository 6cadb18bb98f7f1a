//! From a client's request to the store that the controller reads.

use std::time::Duration;

use credpin_ledger::{Access, RecordStore, StoreUrl};
use credpin_proxy::OnLedgerFailure;
use jiff::SignedDuration;

use crate::disk::Mode;
use crate::rig::{self, Rig};
use crate::s3::S3;

#[tokio::test]
async fn what_was_handed_out_arrives_in_the_store() {
    let store = tempfile::tempdir().unwrap();
    let url = StoreUrl::Directory(store.path().join("records"));
    let mut rig = Rig::with(|config| {
        config.records = Some(url.clone());
        config.ship_interval = Duration::from_millis(10);
        config.cache_recheck = Duration::from_millis(20);
    })
    .await;
    assert_eq!(rig.credential().await.status, 200);
    rig.metric("credpin_proxy_segments_shipped_total 1").await;
    rig.metric("credpin_proxy_segments_pending 0").await;
    let store = RecordStore::open(&url, &Access::default()).unwrap();
    let read = store.read(None).await.unwrap();
    assert_eq!((read.records, read.warnings), (rig.records(), vec![]));

    // The last records go out when the proxy ends.
    assert_eq!(rig.rotated().await.status, 200);
    rig.proxy.stop().await;
    assert_eq!(store.read(None).await.unwrap().records.len(), 2);
}

#[tokio::test]
async fn a_store_that_is_away_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("records");
    std::fs::write(&blocked, "").unwrap();
    let url = StoreUrl::Directory(blocked.clone());
    let rig = Rig::with(|config| {
        config.records = Some(url.clone());
        config.ship_interval = Duration::from_millis(10);
    })
    .await;
    assert_eq!(rig.credential().await.status, 200);
    let failed = |line: &str| {
        line.starts_with("credpin_proxy_ship_failures_total ") && !line.ends_with(" 0")
    };
    rig.metric_where(failed).await;
    // How far it is behind grows by itself, however long the next try is off.
    *rig.lever.ahead.lock().unwrap() = SignedDuration::from_secs(5000);
    let behind = |line: &str| {
        let lag = line.strip_prefix("credpin_proxy_ship_lag_seconds ");
        lag.is_some_and(|lag| lag.parse::<i64>().unwrap() >= 5000)
    };
    rig.metric_where(behind).await;
    std::fs::remove_file(&blocked).unwrap();
    rig.metric("credpin_proxy_segments_shipped_total 1").await;
    rig.metric("credpin_proxy_ship_lag_seconds 0").await;
    let read = RecordStore::open(&url, &Access::default())
        .unwrap()
        .read(None)
        .await
        .unwrap();
    assert_eq!(read.records.len(), 1);
}

/// The proxy is a consumer of its role's credentials like any other: no record, no use.
#[tokio::test]
async fn what_is_not_on_record_signs_nothing() {
    let mut s3 = S3::start().await;
    let url = s3.url().parse().unwrap();
    let mut rig = Rig::with(|config| {
        config.records = Some(url);
        // Only the last round, when the proxy ends.
        config.ship_interval = Duration::from_hours(1);
        config.on_ledger_failure = OnLedgerFailure::Refuse;
    })
    .await;
    assert_eq!(rig.credential().await.status, 200);
    rig.imds().rotate_credentials();
    rig.lever.set(Mode::Full);
    rig.restart().await;
    assert!(s3.uploads.try_recv().is_err());

    rig.lever.set(Mode::Works);
    rig.proxy.stop().await;
    let upload = s3.uploads.try_recv().unwrap();
    let (own, issued) = (rig.records().pop().unwrap(), rig.imds().issued());
    let used = issued
        .iter()
        .find(|it| it.access_key_id == own.access_key_id);
    assert!(upload.contains(&used.unwrap().token), "{upload}");
    assert!(own.consumer.exe.is_some(), "{own:?}");
}

#[tokio::test]
async fn an_instance_without_a_role_is_told_what_it_needs() {
    let s3 = S3::start().await;
    let url = s3.url().parse().unwrap();
    let mut rig = Rig::with(|config| config.records = Some(url)).await;
    assert_eq!(rig.credential().await.status, 200);
    rig.imds().set_role(None);
    rig.restart().await;
    let logged = rig::logs().lock().unwrap().clone();
    let logged = String::from_utf8_lossy(&logged);
    assert!(logged.contains("give the instance an instance profile"));
}
