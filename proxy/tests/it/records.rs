//! Invariant 1: record before release.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use credpin_ledger::{Kind, OpenError};
use credpin_mock_imds::Fault;
use credpin_proxy::{Config, OnLedgerFailure};
use jiff::SignedDuration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::disk::Mode;
use crate::rig::{self, ROLE, Rig, talk_from};

#[tokio::test]
async fn a_record_says_which_credential_where_and_to_whom() {
    let rig = Rig::start().await;
    let reply = rig.credential().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let issued = rig.imds().issued().remove(0);
    assert!(reply.text().contains(&issued.secret_access_key));
    let [record] = &rig.records()[..] else {
        panic!("one record");
    };
    assert_eq!((record.kind, record.seq), (Kind::Issued, 1));
    assert_eq!(
        (&record.role, &record.access_key_id),
        (&issued.role, &issued.access_key_id)
    );
    assert_eq!(
        (record.issued, record.expires),
        (issued.issued, issued.expires)
    );
    assert_eq!(record.consumer.peer.to_string(), "127.0.0.1");
    let (host, imds) = (&record.host, rig.imds().host());
    assert_eq!(
        (&host.account, &host.region, &host.instance_id),
        (&imds.account, &imds.region, &imds.instance_id)
    );
    assert_eq!(host.zone, Some(imds.zone()));
    assert_eq!(host.vpc.as_ref(), Some(&imds.interface.vpc_id));
    assert_eq!(host.subnet.as_ref(), Some(&imds.interface.subnet_id));
    assert_eq!(host.mac.as_ref(), Some(&imds.interface.mac));
    assert_eq!(host.private_ipv4s, imds.interface.private_ipv4s);
    assert_eq!(host.public_ipv4s, imds.interface.public_ipv4s);
    assert_eq!(host.instance_profile, imds.instance_profile_arn());
}

#[tokio::test]
async fn record_before_release() {
    let rig = Rig::with(|config| config.ledger_timeout = Duration::from_mins(10)).await;
    let token = rig.token().await;
    rig.lever.set(Mode::Stops);
    let mut client = TcpStream::connect(rig.proxy.addr).await.unwrap();
    let head = format!(
        "GET {ROLE} HTTP/1.1\r\nHost: 169.254.169.254\r\nX-aws-ec2-metadata-token: {token}\r\nConnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let stopped = timeout(rig::PATIENCE, rig.lever.stopped.notified()).await;
    stopped.expect("the record is being written");
    assert_eq!(rig.imds().issued().len(), 1, "IMDS has given it out");
    // The proxy is not idle: others are served while this one waits for the disk.
    assert_eq!(rig.get("/latest/meta-data/mac", &token).await.status, 200);
    let early = client.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(
        early.kind(),
        ErrorKind::WouldBlock,
        "no byte before the record is durable"
    );
    rig.lever.set(Mode::Works);
    let reply = rig::read(&mut client).await;
    assert_eq!(reply.status, 200);
    assert_eq!(rig.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_one_record() {
    let rig = Arc::new(Rig::start().await);
    let token = rig.token().await;
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let (rig, token) = (Arc::clone(&rig), token.clone());
            tokio::spawn(async move { rig.get(ROLE, &token).await.status })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), 200);
    }
    // One more where the machine is so busy that the first could not be seen to be this program.
    let records = rig.records();
    let issued = records.iter().filter(|it| it.kind == Kind::Issued);
    assert_eq!(issued.count(), 1);
    let exes: BTreeSet<_> = records.iter().map(|it| &it.consumer.exe).collect();
    assert_eq!(exes.len(), records.len(), "{records:?}");
}

#[tokio::test]
async fn each_new_credential_is_one_record_wherever_on_the_host_it_is_asked_for() {
    let mut rig = Rig::with(|config| config.cache_recheck = Duration::from_millis(20)).await;
    let token = rig.token().await;
    let head = format!(
        "GET {ROLE} HTTP/1.1\r\nHost: 169.254.169.254\r\nX-aws-ec2-metadata-token: {token}\r\nConnection: close\r\n\r\n"
    );
    for from in ["127.0.0.2", "127.0.0.3", "127.0.0.2"] {
        assert_eq!(
            talk_from(from, rig.proxy.addr, head.as_bytes())
                .await
                .status,
            200
        );
    }
    rig.restart().await;
    assert_eq!(
        talk_from("127.0.0.3", rig.proxy.addr, head.as_bytes())
            .await
            .status,
        200
    );
    assert_eq!(rig.rotated().await.status, 200);
    assert_eq!(
        talk_from("127.0.0.3", rig.proxy.addr, head.as_bytes())
            .await
            .status,
        200
    );
    let records = rig.records();
    let short: Vec<_> = records
        .iter()
        .map(|r| (r.seq, r.kind, r.consumer.peer.to_string()))
        .collect();
    assert_eq!(
        short,
        [
            (1, Kind::Issued, "127.0.0.1".to_owned()),
            (2, Kind::Issued, "127.0.0.1".to_owned()),
        ]
    );
    assert_ne!(records[0].access_key_id, records[1].access_key_id);
}

#[tokio::test]
async fn a_full_disk_with_serve_holds_the_record_and_writes_it_later() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    rig.lever.set(Mode::Full);
    for _ in 0..3 {
        assert_eq!(rig.get(ROLE, &token).await.status, 200);
    }
    rig.metric("credpin_proxy_records_held 1").await;
    rig.metric("credpin_proxy_records_waiting 1").await;
    let lags = |line: &str| {
        let lag = line.strip_prefix("credpin_proxy_ledger_lag_seconds ");
        lag.is_some_and(|lag| lag.parse::<f64>().unwrap() > 0.0)
    };
    rig.metric_where(lags).await;
    let ready = rig.admin("/readyz").await;
    assert_eq!(
        (ready.status, ready.text().contains("1 record is")),
        (503, true)
    );
    assert_eq!(rig.admin("/healthz").await.status, 200);
    assert!(rig.records().iter().all(|record| record.seq == 1));
    rig.lever.set(Mode::Works);
    rig.metric("credpin_proxy_records_held 0").await;
    // It took until now, and so counts once.
    rig.metric("credpin_proxy_ledger_seconds_count 1").await;
    rig.metric("credpin_proxy_records_waiting 0").await;
    assert_eq!(rig.admin("/readyz").await.status, 200);
    assert_eq!(rig.records().len(), 1);
    assert_eq!(
        rig.records()[0].access_key_id,
        rig.imds().issued()[0].access_key_id
    );
}

#[tokio::test]
async fn a_full_disk_with_refuse_gives_out_nothing() {
    let rig = Rig::with(|config| config.on_ledger_failure = OnLedgerFailure::Refuse).await;
    let token = rig.token().await;
    rig.lever.set(Mode::Full);
    assert!(rig.get(ROLE, &token).await.is_imds_error(503));
    assert_eq!(rig.get("/latest/meta-data/mac", &token).await.status, 200);
    rig.metric("credpin_proxy_ledger_failures_total 1").await;
    rig.metric("credpin_proxy_requests_total{outcome=\"not-recorded\"} 1")
        .await;
    let ready = rig.admin("/readyz").await;
    assert_eq!(ready.status, 503, "nobody gets a credential: {ready:?}");
    rig.lever.set(Mode::Works);
    // Nobody has to ask for one first: it finds out by itself, and leaves nothing behind.
    rig.ready().await;
    assert!(!rig.dir.path().join("ledger/probe").exists());
    assert_eq!(rig.records(), []);
    assert_eq!(rig.get(ROLE, &token).await.status, 200);
    assert_eq!(rig.records().len(), 1);
    assert_eq!(rig.admin("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_disk_that_hangs_has_failed() {
    let rig = Rig::with(|config| {
        config.on_ledger_failure = OnLedgerFailure::Refuse;
        config.ledger_timeout = Duration::from_millis(50);
    })
    .await;
    let token = rig.token().await;
    rig.lever.set(Mode::Stops);
    assert!(rig.get(ROLE, &token).await.is_imds_error(503));
    assert_eq!(rig.admin("/readyz").await.status, 503);
    rig.lever.set(Mode::Works);
    rig.ready().await;
}

#[tokio::test]
async fn what_is_held_at_the_end_is_written() {
    let mut rig = Rig::start().await;
    rig.lever.set(Mode::Full);
    assert_eq!(rig.credential().await.status, 200);
    rig.lever.set(Mode::Works);
    rig.proxy.stop().await;
    assert_eq!(rig.records().len(), 1);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ledger");
    std::fs::write(&file, "").unwrap();
    let rig = Rig::start().await;
    let mut config = Config {
        upstream: rig.imds.endpoint().parse().unwrap(),
        ledger: file.clone(),
        on_ledger_failure: OnLedgerFailure::Refuse,
        ..Config::default()
    };
    let refused = rig::start(&config, &Arc::default()).await.err().unwrap();
    assert!(matches!(rig::not_opened(&refused), OpenError::Io { .. }));

    config.on_ledger_failure = OnLedgerFailure::Serve;
    let mut proxy = rig::start(&config, &Arc::default()).await.unwrap();
    let token = rig.token().await;
    let head = format!(
        "GET {ROLE} HTTP/1.1\r\nHost: {}\r\nX-aws-ec2-metadata-token: {token}\r\nConnection: close\r\n\r\n",
        proxy.addr
    );
    assert_eq!(rig::talk(proxy.addr, head.as_bytes()).await.status, 200);
    // The disk comes back: what was held is written, at the latest when the proxy ends.
    std::fs::remove_file(&file).unwrap();
    proxy.stop().await;
    assert_eq!(credpin_ledger::scan(&file).unwrap().len(), 1);
}

#[tokio::test]
async fn two_proxies_on_one_ledger_are_a_mistake_in_any_case() {
    let rig = Rig::start().await;
    let config = Config {
        ledger: rig.dir.path().join("ledger"),
        ..Config::default()
    };
    let refused = rig::start(&config, &Arc::default()).await.err().unwrap();
    assert!(matches!(
        rig::not_opened(&refused),
        OpenError::Locked { .. }
    ));
}

#[tokio::test]
async fn a_host_that_does_not_know_itself_still_records() {
    let rig = Rig::with(|config| config.response_timeout = Duration::from_millis(300)).await;
    let token = rig.token().await;
    rig.imds().set_fault(
        "/latest/dynamic",
        Fault::Status(http::StatusCode::NOT_FOUND),
    );
    assert_eq!(rig.get(ROLE, &token).await.status, 200);
    let known = rig.records().remove(0).host;
    let imds = rig.imds().host();
    assert_eq!(
        (known.account, known.region, known.instance_id),
        (imds.account, imds.region, imds.instance_id)
    );

    let rig = Rig::with(|config| {
        config.response_timeout = Duration::from_millis(300);
        config.cache_recheck = Duration::from_millis(20);
    })
    .await;
    let token = rig.token().await;
    rig.imds().set_fault("/latest/dynamic", Fault::Close);
    assert_eq!(rig.get(ROLE, &token).await.status, 200);
    assert_eq!(rig.records()[0].host, credpin_ledger::Host::default());
    // Not asked for again at once: each new consumer would wait for it.
    rig.imds().clear_faults();
    assert_eq!(rig.rotated().await.status, 200);
    assert_eq!(rig.records()[1].host, credpin_ledger::Host::default());
    // But soon, and once it can be had it is in the next record.
    *rig.lever.ahead.lock().unwrap() = SignedDuration::from_secs(10);
    assert_eq!(rig.rotated().await.status, 200);
    assert_eq!(
        rig.records()[2].host.instance_id,
        rig.imds().host().instance_id
    );
}
