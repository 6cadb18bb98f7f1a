//! Invariant 2: secrets are nowhere but in flight.

use std::fs;
use std::time::Duration;

use credpin_mock_imds::Fault;

use crate::disk::Mode;
use crate::rig::{ROLE, Rig, logs};

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn secrets_are_in_no_file_no_log_and_no_metric() {
    let rig = Rig::with(|config| {
        config.ship_interval = Duration::from_hours(1);
        config.cache_recheck = Duration::from_millis(20);
    })
    .await;
    let token = rig.token().await;
    // Every way through: served, held in memory, cut, unreadable, refused.
    assert_eq!(rig.get(ROLE, &token).await.status, 200);
    rig.lever.set(Mode::Full);
    assert_eq!(rig.rotated().await.status, 200);
    rig.lever.set(Mode::Works);
    rig.imds().set_fault(ROLE, Fault::Cut);
    rig.metric_where(|line| {
        line.starts_with("credpin_proxy_upstream_failures_total{kind=\"connection\"}")
    })
    .await;
    rig.imds().clear_faults();
    let forwarded = format!("X-Forwarded-For: x\r\nX-aws-ec2-metadata-token: {token}\r\n");
    rig.ask("GET", ROLE, &forwarded).await;
    rig.metric("credpin_proxy_records_held 0").await;

    let logged = logs().lock().unwrap().clone();
    let metrics = rig.admin("/metrics").await.body;
    let mut places = vec![("logs".to_owned(), logged), ("metrics".to_owned(), metrics)];
    for entry in fs::read_dir(rig.dir.path().join("ledger")).unwrap() {
        let path = entry.unwrap().path();
        places.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
    assert!(places.len() > 3 && rig.records().len() == 2);
    let issued = rig.imds().issued();
    assert_eq!(issued.len(), 2);
    assert!(
        contains(&places[0].1, &issued[0].access_key_id),
        "the log has the public id"
    );
    for (place, bytes) in &places {
        for secret in [
            &token,
            &issued[0].secret_access_key,
            &issued[0].token,
            &issued[1].secret_access_key,
            &issued[1].token,
        ] {
            assert!(!contains(bytes, secret), "a secret is in {place}");
            assert!(
                !contains(bytes, &secret[..20]),
                "a part of a secret is in {place}"
            );
        }
    }
}
