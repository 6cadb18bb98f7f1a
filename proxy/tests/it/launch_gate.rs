//! The first credential of a role waits until the role's pin admits the host.

use std::time::Duration;

use credpin_ledger::{Access, Admission, AdmittedInstance, AdmittedSubnet, RecordStore, StoreUrl};
use credpin_proxy::{AfterWait, Clock, Config};
use jiff::SignedDuration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::rig::{self, ROLE as CREDENTIAL, Reply, Rig};

/// The mock's, and the role that it has.
const ACCOUNT: &str = "123456789012";
const ROLE: &str = "example-role";
const MACS: &str = "/latest/meta-data/network/interfaces/macs/";
/// Longer than any test waits, and so short that it is over at once.
const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(50);

/// S3 that gives out one object: `None` while a pin denies the host's calls.
async fn s3(
    object: watch::Receiver<Option<Vec<u8>>>,
) -> (StoreUrl, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "s3://bucket?sts=off&endpoint=http://{}",
        listener.local_addr().unwrap()
    );
    let (asked, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut head, mut part) = (Vec::new(), [0; 4096]);
            while !head.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut part).await.unwrap();
                head.extend_from_slice(&part[..read]);
            }
            let denied = b"<Error><Code>AccessDenied</Code></Error>".to_vec();
            let (status, body) = match object.borrow().clone() {
                Some(object) => ("200 OK", object),
                None => ("403 Forbidden", denied),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nETag: \"1\"\r\nLast-Modified: Fri, 27 Nov 2026 12:00:00 GMT\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
            asked.send(String::from_utf8(head).unwrap()).unwrap();
        }
    });
    (url.parse().unwrap(), requests)
}

/// A store that hosts read, and a proxy with a gate.
struct Gated {
    rig: Rig,
    store: RecordStore,
    dir: TempDir,
}

impl Gated {
    async fn new(wait: Duration, then: AfterWait) -> Self {
        Self::rechecking(Config::default().cache_recheck, wait, then).await
    }

    /// With a cache that looks so often whether there is another credential.
    async fn rechecking(recheck: Duration, wait: Duration, then: AfterWait) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = StoreUrl::Directory(dir.path().to_owned());
        let store = RecordStore::create(&url, &Access::default()).unwrap();
        let rig = Rig::with(|config| {
            config.records = Some(url);
            config.ship_interval = LONG;
            config.launch_gate_wait = Some(wait);
            config.launch_gate_then = then;
            config.cache_recheck = recheck;
        })
        .await;
        Self { rig, store, dir }
    }

    async fn publish(&self, admission: &Admission) {
        let name = Admission::name(ACCOUNT, ROLE);
        let put = self.store.put_object(&name, admission.to_json());
        put.await.unwrap();
    }

    async fn decided(&self, outcome: &str) {
        let line = format!("credpin_proxy_launch_gate_total{{outcome=\"{outcome}\"}} ");
        let counted = |other: &str| other.starts_with(&line) && !other.ends_with(" 0");
        self.rig.metric_where(counted).await;
    }

    /// Asks, and does what `meanwhile` does once the gate is known to hold the request.
    async fn held(&self, meanwhile: impl Future<Output = ()>) -> Reply {
        let asked = self.rig.credential();
        tokio::pin!(asked);
        // Nobody else asks for this. The second look says that the first one found nothing.
        let held = async {
            while self.rig.asked(MACS) < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            reply = &mut asked => panic!("it was not held: {reply:?}"),
            () = held => {}
        }
        assert_eq!(self.rig.records(), [], "nothing went out");
        meanwhile.await;
        asked.await
    }
}

/// Of a moment ago.
fn admission(pinned: bool) -> Admission {
    Admission::new(ACCOUNT.into(), ROLE.into(), pinned, Clock::system().now())
}

/// One of the subnet that the mock's host is in.
async fn of_the_subnet(rig: &Rig) -> Admission {
    let token = rig.token().await;
    let mac = rig.get("/latest/meta-data/mac", &token).await.text();
    let subnet = rig.get(&format!("{MACS}{mac}/subnet-id"), &token).await;
    let mut admission = admission(true);
    admission.subnets.push(AdmittedSubnet {
        subnet: subnet.text(),
        public_ipv4: true,
        more: ["0.0.0.0/0", "::/0"].map(|all| all.parse().unwrap()).into(),
    });
    admission
}

#[tokio::test]
async fn the_first_credential_waits_until_the_pin_admits_the_host() {
    let gated = Gated::new(LONG, AfterWait::Refuse).await;
    let admission = of_the_subnet(&gated.rig).await;
    let reply = gated.held(gated.publish(&admission)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(gated.rig.records().len(), 1, "on record, as any");
    gated.decided("admitted").await;

    // Once open it stays so: what is published then is of no more interest.
    std::fs::remove_dir_all(gated.dir.path().join("pins")).unwrap();
    assert_eq!(gated.rig.credential().await.status, 200);
}

#[tokio::test]
async fn what_was_rotated_while_it_waited_is_not_what_goes_out() {
    let often = Duration::from_millis(20);
    let gated = Gated::rechecking(often, LONG, AfterWait::Refuse).await;
    let admission = of_the_subnet(&gated.rig).await;
    let rotated = async {
        let imds = gated.rig.imds();
        let before = imds.issued().len();
        imds.rotate_credentials();
        // Nobody waits for it: the proxy looks again by itself, and a second look says that the first is kept.
        let asked = gated.rig.asked(CREDENTIAL);
        while imds.issued().len() == before || gated.rig.asked(CREDENTIAL) < asked + 3 {
            tokio::task::yield_now().await;
        }
        gated.publish(&admission).await;
    };
    let reply = gated.held(rotated).await;
    let issued = gated.rig.imds().issued();
    let newest = issued.last().unwrap();
    assert!(reply.has(&newest.access_key_id), "{reply:?}");
    let records = gated.rig.records();
    assert_eq!(records.len(), 1, "the old one went to nobody");
    assert_eq!(records[0].access_key_id, newest.access_key_id);
}

#[tokio::test]
async fn a_role_without_a_pin_waits_for_nothing() {
    let gated = Gated::new(LONG, AfterWait::Refuse).await;
    gated.publish(&admission(false)).await;
    assert_eq!(gated.rig.credential().await.status, 200);
    gated.decided("admitted").await;
}

#[tokio::test]
async fn a_host_that_the_pin_does_not_admit_in_time_is_served_or_refused() {
    for (then, status, outcome) in [
        (AfterWait::Serve, 200, "served"),
        (AfterWait::Refuse, 503, "refused"),
    ] {
        let gated = Gated::new(SHORT, then).await;
        gated.publish(&admission(true)).await;
        let reply = gated.rig.credential().await;
        assert_eq!(reply.status, status, "{then:?}");
        gated.decided(outcome).await;
        if then == AfterWait::Refuse {
            assert!(reply.is_imds_error(503), "{reply:?}");
            assert_eq!(gated.rig.records(), [], "nothing went out");
        }
    }
}

#[tokio::test]
async fn who_was_refused_is_served_as_soon_as_the_pin_admits_the_host() {
    let gated = Gated::new(SHORT, AfterWait::Refuse).await;
    assert_eq!(
        gated.rig.credential().await.status,
        503,
        "nothing is published"
    );
    gated.publish(&of_the_subnet(&gated.rig).await).await;
    let served = async { while gated.rig.credential().await.status != 200 {} };
    tokio::time::timeout(rig::PATIENCE, served).await.unwrap();
    gated.decided("admitted").await;
}

#[tokio::test]
async fn what_is_taken_away_forged_or_of_another_time_admits_nobody() {
    let gated = Gated::new(SHORT, AfterWait::Refuse).await;
    let good = of_the_subnet(&gated.rig).await;
    let instance = |addresses: &[&str]| {
        let mut named = admission(true);
        named.instances.push(AdmittedInstance {
            instance: "i-1234567890abcdef0".into(),
            addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
        });
        named.to_json()
    };
    let text = |from: &str, to: &str| {
        let good = String::from_utf8(good.to_json()).unwrap();
        assert!(good.contains(from), "{good}");
        good.replacen(from, to, 1).into_bytes()
    };
    for (what, bytes) in [
        ("another role's", text(ROLE, "other-role")),
        ("another account's", text(ACCOUNT, "999988887777")),
        ("another version's", text("\"schema\":1", "\"schema\":9")),
        ("no JSON", b"pinned: false".to_vec()),
        ("empty", Vec::new()),
        ("cut", good.to_json()[..40].to_vec()),
        (
            "of addresses that the host had once",
            instance(&["192.0.2.9/32"]),
        ),
    ] {
        let name = Admission::name(ACCOUNT, ROLE);
        gated.store.put_object(&name, bytes).await.unwrap();
        assert_eq!(gated.rig.credential().await.status, 503, "{what}");
    }
    gated
        .store
        .delete_object(&Admission::name(ACCOUNT, ROLE))
        .await
        .unwrap();
    assert_eq!(gated.rig.credential().await.status, 503, "gone");
    assert_eq!(gated.rig.records(), []);
}

#[tokio::test]
async fn what_was_published_long_ago_is_as_if_it_were_not() {
    let age = SignedDuration::from_hours(7 * 24) + SignedDuration::from_secs(1);
    for is_pinned in [true, false] {
        let gated = Gated::new(LONG, AfterWait::Refuse).await;
        let mut published = if is_pinned {
            of_the_subnet(&gated.rig).await
        } else {
            admission(false)
        };
        published.made -= age;
        gated.publish(&published).await;
        // A controller that publishes again opens it, and a day is young enough.
        published.made += SignedDuration::from_hours(24);
        let reply = gated.held(gated.publish(&published)).await;
        assert_eq!(reply.status, 200, "pinned: {is_pinned}");
        gated.decided("admitted").await;
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_no_good_news() {
    let gated = Gated::new(SHORT, AfterWait::Refuse).await;
    gated.publish(&admission(false)).await;
    // As a directory whose place a file took: what is there cannot be had.
    std::fs::remove_dir_all(gated.dir.path().join("pins")).unwrap();
    std::fs::write(gated.dir.path().join("pins"), "").unwrap();
    assert_eq!(gated.rig.credential().await.status, 503);
}

#[tokio::test]
async fn a_host_that_has_handed_the_role_out_before_is_not_held() {
    let mut gated = Gated::new(LONG, AfterWait::Refuse).await;
    gated.publish(&admission(false)).await;
    assert_eq!(gated.rig.credential().await.status, 200);
    std::fs::remove_dir_all(gated.dir.path().join("pins")).unwrap();
    gated.rig.imds().rotate_credentials();
    gated.rig.restart().await;
    assert_eq!(gated.rig.credential().await.status, 200);
    gated.decided("before").await;
}

/// The host reads with its own role, and so the pin that it waits for may deny that too.
#[tokio::test]
async fn a_read_that_the_pin_denies_is_not_yet_and_one_that_it_lets_through_opens() {
    let (object, published) = watch::channel(None);
    let (url, mut requests) = s3(published).await;
    let rig = Rig::with(|config| {
        config.records = Some(url);
        config.ship_interval = LONG;
        config.launch_gate_wait = Some(SHORT);
        config.launch_gate_then = AfterWait::Refuse;
    })
    .await;
    assert_eq!(rig.credential().await.status, 503);
    let request = requests.recv().await.unwrap();
    assert!(
        request.starts_with("GET /bucket/pins/v1/account"),
        "{request}"
    );
    assert!(request.contains("x-amz-security-token"), "{request}");

    object.send_replace(Some(of_the_subnet(&rig).await.to_json()));
    let served = async { while rig.credential().await.status != 200 {} };
    tokio::time::timeout(rig::PATIENCE, served).await.unwrap();
    // The proxy's own use is on record as anybody's, and was no reason to let a client through.
    let consumers: Vec<_> = rig
        .records()
        .into_iter()
        .map(|record| record.consumer.exe)
        .collect();
    assert_eq!(consumers.len(), 2, "{consumers:?}");
}

#[tokio::test]
async fn what_is_no_credential_is_not_held() {
    let gated = Gated::new(LONG, AfterWait::Refuse).await;
    let token = gated.rig.token().await;
    let roles = "/latest/meta-data/iam/security-credentials/";
    assert_eq!(gated.rig.get(roles, &token).await.text(), ROLE);
}
