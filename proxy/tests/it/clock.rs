//! The host's clock steps: after a boot without a network, or set by somebody.

use jiff::SignedDuration;

use crate::rig::{ROLE, Rig};

const SPOT: &str = "/latest/meta-data/spot/instance-action";
const DAYS: i64 = 10 * 24;

fn step(rig: &Rig, hours: i64) {
    *rig.lever.ahead.lock().unwrap() = SignedDuration::from_hours(hours);
}

#[tokio::test]
async fn a_step_of_the_clock_ends_no_session() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    for hours in [DAYS, -DAYS, 0] {
        step(&rig, hours);
        // Never cached: whether the session is good is all that counts.
        let spot = rig.get(SPOT, &token).await;
        assert_eq!(spot.status, 404, "{hours}: {spot:?}");
        let left: u32 = spot
            .header("x-aws-ec2-metadata-token-ttl-seconds")
            .and_then(|left| left.parse().ok())
            .unwrap();
        assert!((1..=60).contains(&left), "{hours}: {left}");
    }
}

/// It looks expired, and IMDS has no better one. It is served with its own expiry, and IMDS is not asked
/// for it by each client.
#[tokio::test]
async fn by_a_clock_that_is_ahead_credentials_are_served_and_seldom_asked_for() {
    let rig = Rig::start().await;
    let first = rig.credential().await;
    step(&rig, DAYS);
    let before = rig.asked(ROLE);
    for _ in 0..50 {
        let again = rig.credential().await;
        assert_eq!((again.status, &again.body), (200, &first.body));
    }
    let asked = rig.asked(ROLE) - before;
    assert!((1..5).contains(&asked), "{asked}");
    assert_eq!(rig.records().len(), 1, "it is the one on record");
    let expired = |line: &str| {
        let seconds =
            line.strip_prefix("credpin_proxy_credential_seconds_to_expiry{role=\"example-role\"} ");
        seconds.is_some_and(|seconds| seconds.parse::<i64>().unwrap() < 0)
    };
    rig.metric_where(expired).await;
}

#[tokio::test]
async fn by_a_clock_that_is_behind_credentials_are_cached_and_each_is_recorded_once() {
    let mut rig =
        Rig::with(|config| config.cache_recheck = std::time::Duration::from_millis(20)).await;
    let first = rig.credential().await;
    step(&rig, -DAYS);
    assert_eq!(rig.credential().await.body, first.body);
    // A start reads what is from its future too, and forgets none of it.
    rig.restart().await;
    assert_eq!(rig.credential().await.body, first.body);
    assert_eq!(rig.records().len(), 1);
    assert_eq!(rig.rotated().await.status, 200);
    step(&rig, 0);
    assert_eq!(rig.credential().await.status, 200);
    let mut records = rig.records();
    records.sort_by_key(|record| record.seq);
    assert_eq!(records.len(), 2);
    assert!(
        records[1].time < records[0].time,
        "each has the time that it was"
    );
}

/// What a host knows of itself is looked at again by a clock that can be behind what it was.
#[tokio::test]
async fn a_clock_that_goes_back_keeps_no_old_description_of_the_host() {
    let rig = Rig::with(|config| config.cache_recheck = std::time::Duration::from_millis(20)).await;
    assert_eq!(rig.credential().await.status, 200);
    let (before, document) = (rig.records(), "/latest/dynamic/instance-identity/document");
    let asked = rig.asked(document);
    step(&rig, -DAYS);
    assert_eq!(rig.rotated().await.status, 200);
    assert_eq!(rig.records().len(), before.len() + 1);
    assert_eq!(rig.asked(document), asked + 1);
}
