//! What the proxy answers without asking IMDS, and what it never does.

use std::time::Duration;

use credpin_mock_imds::{CredentialError, Fault};
use jiff::SignedDuration;

use crate::rig::{ROLE, Rig};

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const MAC: &str = "/latest/meta-data/mac";

/// A proxy that looks again all the time.
async fn watchful() -> Rig {
    Rig::with(|config| config.cache_recheck = Duration::from_millis(20)).await
}

impl Rig {
    /// Waits until IMDS was asked for the credential so many more times.
    async fn rechecked(&self, times: usize) {
        let enough = self.asked(ROLE) + times;
        while self.asked(ROLE) < enough {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_stays_is_asked_for_once_and_what_may_change_each_time() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    for (path, upstream) in [
        (ROLE, 1),
        (ROLES, 1),
        ("/latest/meta-data/iam/info", 1),
        (MAC, 1),
        ("/latest/dynamic/instance-identity/document", 1),
        ("/latest/meta-data/spot/instance-action", 3),
        ("/latest/meta-data/public-ipv4", 3),
        ("/latest/user-data", 3),
        ("/latest/meta-data/nothing", 3),
    ] {
        // The record of the first credential has asked for some of these.
        let before = rig.asked(path);
        let first = rig.get(path, &token).await;
        for _ in 0..2 {
            let again = rig.get(path, &token).await;
            assert_eq!(
                (again.status, again.body),
                (first.status, first.body.clone())
            );
        }
        assert_eq!(rig.asked(path) - before, upstream, "{path}");
    }
    rig.metric("credpin_proxy_cache_requests_total{class=\"credential\",result=\"hit\"} 2")
        .await;
    rig.metric("credpin_proxy_cache_requests_total{class=\"credential\",result=\"miss\"} 1")
        .await;
    let expiry = "credpin_proxy_credential_seconds_to_expiry{role=\"example-role\"} 21";
    rig.metric_where(|line| line.starts_with(expiry)).await;
}

#[tokio::test]
async fn without_a_session_nothing_comes_from_the_cache() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    assert_eq!(rig.get(MAC, &token).await.status, 200);
    assert_eq!(rig.ask("GET", MAC, "").await.status, 200);
    assert_eq!(rig.asked(MAC), 2);
    rig.imds().require_tokens(true);
    assert_eq!(rig.ask("GET", MAC, "").await.status, 401);
    assert_eq!(rig.get(MAC, &token).await.status, 200);
}

#[tokio::test]
async fn a_rotation_another_role_and_the_end_of_one_are_noticed() {
    let rig = watchful().await;
    let token = rig.token().await;
    assert_eq!(rig.get(ROLES, &token).await.text(), "example-role");
    assert_eq!(rig.get(ROLE, &token).await.status, 200);
    assert_eq!(rig.rotated().await.status, 200);

    rig.imds().set_role(Some("other"));
    while rig.get(ROLE, &token).await.status != 404 {}
    while rig.get(ROLES, &token).await.text() != "other" {}
    let other = rig.get(&format!("{ROLES}other"), &token).await;
    assert_eq!(other.status, 200);
    assert_eq!(rig.records().last().unwrap().role, "other");

    rig.imds().set_role(None);
    for path in [ROLES, &format!("{ROLES}other")] {
        while rig.get(path, &token).await.status != 404 {}
    }
}

#[tokio::test]
async fn while_imds_is_away_what_is_known_is_served() {
    let rig = watchful().await;
    let token = rig.token().await;
    let mut known = Vec::new();
    for path in [ROLE, ROLES, MAC] {
        known.push((path, rig.get(path, &token).await.text()));
    }
    for fault in [
        Fault::Close,
        Fault::Garbage,
        Fault::Cut,
        Fault::Status(http::StatusCode::SERVICE_UNAVAILABLE),
    ] {
        rig.imds().set_fault("/latest/meta-data", fault);
        rig.rechecked(3).await;
        // A client that comes anew has its session, too.
        let token = rig.token().await;
        for (path, text) in &known {
            // Garbage is no credential, but it is what IMDS says elsewhere.
            if fault != Fault::Garbage || *path != ROLES {
                let reply = rig.get(path, &token).await;
                assert_eq!(
                    (reply.status, &reply.text()),
                    (200, text),
                    "{fault:?} {path}"
                );
            }
        }
    }
    rig.imds().clear_faults();
    let excuse = CredentialError::assume_role_unauthorized("example-role");
    rig.imds().fail_credentials(Some(excuse));
    rig.rechecked(3).await;
    assert_eq!(
        rig.get(ROLE, &token).await.text(),
        known[0].1,
        "it has not expired"
    );
    let first = &rig.records()[0].access_key_id;
    let records = rig.records();
    assert!(records.iter().all(|record| record.access_key_id == *first));
}

#[tokio::test]
async fn what_goes_wrong_is_not_kept() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    for path in [ROLE, ROLES, MAC] {
        rig.imds().set_fault(path, Fault::Close);
        assert!(rig.get(path, &token).await.is_imds_error(503), "{path}");
        rig.imds().clear_faults();
        assert_eq!(rig.get(path, &token).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn where_imds_hangs_nobody_waits_long_for_what_is_kept() {
    // Who waits for an answer waits longer than this test does.
    let rig = Rig::with(|config| {
        config.cache_recheck = Duration::from_millis(20);
        config.response_timeout = Duration::from_hours(1);
    })
    .await;
    let token = rig.token().await;
    let mut known = Vec::new();
    for path in [ROLE, ROLES, "/latest/meta-data/iam/info", MAC] {
        known.push((path, rig.get(path, &token).await.text()));
    }
    rig.imds().set_fault("/", Fault::Hang);
    // As after hibernation: the credential has expired, and nobody has looked for the next one.
    *rig.lever.ahead.lock().unwrap() = SignedDuration::from_hours(7);
    for _ in 0..2 {
        let token = rig.token().await;
        for (path, text) in &known {
            let reply = rig.get(path, &token).await;
            assert_eq!((reply.status, &reply.text()), (200, text), "{path}");
        }
    }
}

#[tokio::test]
async fn a_credential_that_expired_unseen_is_asked_for_first() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    let old = rig.get(ROLE, &token).await;
    *rig.lever.ahead.lock().unwrap() = SignedDuration::from_hours(7);
    rig.imds().rotate_credentials();
    let new = rig.get(ROLE, &token).await;
    assert!(new.status == 200 && new.body != old.body);
    // By the host's clock, which the mock does not share, the new one has expired, too.
    let asked = rig.asked(ROLE);
    assert_eq!(rig.get(ROLE, &token).await.body, new.body);
    assert_eq!(rig.asked(ROLE), asked);
}
