//! From a client's request to the store that the controller reads.

use std::time::Duration;

use credpin_ledger::{Access, RecordStore, StoreUrl};

use crate::rig::Rig;

#[tokio::test]
async fn what_was_handed_out_arrives_in_the_store() {
    let store = tempfile::tempdir().unwrap();
    let url = StoreUrl::Directory(store.path().join("records"));
    let mut rig = Rig::with(|config| {
        config.records = Some(url.clone());
        config.ship_interval = Duration::from_millis(10);
    })
    .await;
    assert_eq!(rig.credential().await.status, 200);
    rig.metric("credpin_proxy_segments_shipped_total 1").await;
    rig.metric("credpin_proxy_segments_pending 0").await;
    let store = RecordStore::open(&url, &Access::default()).unwrap();
    let read = store.read(None).await.unwrap();
    assert_eq!((read.records, read.warnings), (rig.records(), vec![]));

    // The last records go out when the proxy ends.
    rig.imds().rotate_credentials();
    assert_eq!(rig.credential().await.status, 200);
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
    std::fs::remove_file(&blocked).unwrap();
    rig.metric("credpin_proxy_segments_shipped_total 1").await;
    let read = RecordStore::open(&url, &Access::default())
        .unwrap()
        .read(None)
        .await
        .unwrap();
    assert_eq!(read.records.len(), 1);
}
