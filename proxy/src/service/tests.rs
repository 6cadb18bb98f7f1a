//! What is recorded of whom: consumers that a test on the loopback cannot be.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use credpin_ledger::{Directory, Kind, Ledger, Record, Writer};
use credpin_mock_imds::{Fault, MockImds};
use http::header::HOST;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;

use std::net::SocketAddr;

use crate::clock::BootClock;
use crate::config::{Config, OnLedgerFailure};
use crate::describe::Describer;
use crate::headers::{TOKEN, TOKEN_TTL};
use crate::path::CanonicalPath;
use crate::session::SessionKey;
use credpin_wire::Ends;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/example-role";

struct Host {
    imds: MockImds,
    dir: TempDir,
    service: Arc<Service>,
    token: String,
}

impl Host {
    /// A proxy on a ledger that works, or on none at all.
    async fn start(works: bool) -> Self {
        let imds = MockImds::builder().start().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let open = move || {
            let disk = Directory::open(&path.join(if works { "ledger" } else { "file/ledger" }))?;
            let boot = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968".parse().unwrap();
            Ledger::open(Box::new(disk), boot)
        };
        std::fs::write(dir.path().join("file"), "").unwrap();
        let (clock, metrics) = (Clock::system(), Metrics::new());
        let second = Duration::from_secs(5);
        let config = Config {
            upstream: imds.endpoint().parse().unwrap(),
            upstream_rate: 10_000,
            // Nobody looks who is at the other end of these connections.
            hop_limit: 2,
            ..Config::default()
        };
        let upstream = Upstream::new(&config, metrics.clone());
        let recorder = Recorder::new(
            Writer::start(clock.now(), open).unwrap(),
            Describer::new(upstream.clone()),
            metrics.clone(),
            OnLedgerFailure::Serve,
            second,
        );
        let service = Service {
            cache: Cache::new(
                upstream.clone(),
                metrics.clone(),
                clock.clone(),
                config.cache_recheck,
            ),
            sessions: Sessions::new(
                &SessionKey::random(),
                config.session_binding,
                BootClock::system(),
            ),
            upstream,
            recorder: recorder.into(),
            launch_gate: None,
            gate: Gate::new(&config, metrics.clone()),
            metrics,
            clock,
        };
        let mut host = Self {
            imds,
            dir,
            service: Arc::new(service),
            token: String::new(),
        };
        let ttl = (TOKEN_TTL.clone(), "60".to_owned());
        let made = host.ask("127.0.0.1", "PUT", "/latest/api/token", ttl).await;
        let body = http_body_util::BodyExt::collect(made.into_body()).await;
        host.token = String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap();
        host
    }

    async fn ask(
        &self,
        from: &str,
        method: &str,
        path: &str,
        header: (http::HeaderName, String),
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "169.254.169.254")
            .header(header.0, header.1);
        let ends = Ends {
            peer: SocketAddr::new(from.parse().unwrap(), 40000),
            local: "127.0.0.1:9337".parse().unwrap(),
            original: None,
        };
        let connection = Connection::new(ends);
        let taken = self.service.take(request.body(()).unwrap(), &connection);
        let service = Arc::clone(&self.service);
        service.answer(taken, Arc::new(connection)).await
    }

    /// The status of a credential that `from` asks for.
    async fn credential(&self, from: &str) -> u16 {
        let token = (TOKEN.clone(), self.token.clone());
        self.ask(from, "GET", ROLE, token).await.status().as_u16()
    }

    /// IMDS has another credential, and the proxy has noticed.
    async fn rotate(&self) {
        self.imds.handle().rotate_credentials();
        let path = CanonicalPath::parse(ROLE).unwrap();
        self.service.cache.look_again(&path).await;
    }

    async fn crowd(&self, callers: u32) {
        for n in 0..callers {
            let from = Ipv4Addr::from(0x0a00_0000 + n).to_string();
            assert_eq!(self.credential(&from).await, 200, "{from}");
        }
    }

    fn records(&self) -> Vec<Record> {
        credpin_ledger::scan(&self.dir.path().join("ledger")).unwrap()
    }

    fn count(&self, metric: &str) -> Option<String> {
        let text = self.service.metrics.text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(metric));
        line.map(|value| value.trim().to_owned())
    }
}

#[tokio::test]
async fn each_consumer_is_one_record_and_this_host_is_one_consumer() {
    let host = Host::start(true).await;
    for from in [
        "127.0.0.1",
        "127.0.0.2",
        "127.9.9.9",
        "::ffff:127.0.0.3",
        "::1",
        "172.17.0.2",
        "::ffff:172.17.0.2",
    ] {
        assert_eq!(host.credential(from).await, 200);
    }
    let records = host.records();
    let short: Vec<_> = records
        .iter()
        .map(|record| (record.kind, record.consumer.peer.to_string()))
        .collect();
    assert_eq!(
        short,
        [
            (Kind::Issued, "127.0.0.1".to_owned()),
            (Kind::Consumer, "::1".to_owned()),
            (Kind::Consumer, "172.17.0.2".to_owned()),
        ]
    );
}

#[tokio::test]
async fn a_crowd_of_consumers_does_not_flood_the_ledger() {
    let host = Host::start(true).await;
    host.crowd(300).await;
    assert_eq!(host.records().len(), 256);
    let left_out = host.count("credpin_proxy_consumers_left_out_total");
    assert_eq!(left_out.as_deref(), Some("44"));
    // A credential that is new is recorded all the same.
    host.rotate().await;
    assert_eq!(host.credential("10.0.0.1").await, 200);
    assert_eq!(host.records().last().unwrap().kind, Kind::Issued);
}

#[tokio::test]
async fn a_crowd_does_not_take_the_room_of_new_credentials_while_the_disk_fails() {
    let host = Host::start(false).await;
    host.crowd(5100).await;
    assert_eq!(
        host.count("credpin_proxy_records_held").as_deref(),
        Some("5000")
    );
    host.rotate().await;
    assert_eq!(host.credential("10.0.0.1").await, 200);
    assert_eq!(
        host.count("credpin_proxy_records_held").as_deref(),
        Some("5001")
    );
}

#[tokio::test]
async fn a_thousand_that_ask_at_once_are_one_request_upstream() {
    for (fault, status) in [
        (None, 200),
        (Some(Fault::Status(StatusCode::SERVICE_UNAVAILABLE)), 503),
        (Some(Fault::Close), 503),
    ] {
        let host = Arc::new(Host::start(true).await);
        if let Some(fault) = fault {
            host.imds.handle().set_fault(ROLE, fault);
        }
        let mut asking = JoinSet::new();
        for _ in 0..1000 {
            let host = Arc::clone(&host);
            asking.spawn(async move { host.credential("127.0.0.1").await });
        }
        let statuses = asking.join_all().await;
        assert!(statuses.iter().all(|it| *it == status), "{fault:?}");
        let seen = host.imds.handle().requests();
        let asked = seen.iter().filter(|seen| seen.uri.path() == ROLE);
        assert_eq!(asked.count(), 1, "{fault:?}");
    }
}
