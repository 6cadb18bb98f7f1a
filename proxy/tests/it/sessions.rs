//! Sessions between clients and the proxy, and the one between the proxy and IMDS.

use std::time::{Duration, Instant};

use credpin_mock_imds::Fault;
use http::{Method, StatusCode};
use tokio::time::timeout;

use crate::rig::{PATIENCE, ROLE, Reply, Rig};

const TOKEN: &str = "/latest/api/token";

impl Rig {
    async fn session(&self, ttl: &str) -> Reply {
        let ttl = format!("X-aws-ec2-metadata-token-ttl-seconds: {ttl}\r\n");
        self.ask("PUT", TOKEN, &ttl).await
    }
}

#[tokio::test]
async fn however_many_clients_there_are_imds_has_one_session() {
    let rig = Rig::start().await;
    let mut tokens = Vec::new();
    for _ in 0..20 {
        let token = rig.token().await;
        assert_eq!(token.len(), 56, "as long as IMDS's own");
        assert_eq!(rig.get("/latest/user-data", &token).await.status, 404);
        tokens.push(token);
    }
    let seen = rig.imds().requests();
    let puts = seen.iter().filter(|seen| seen.method == Method::PUT);
    assert_eq!(puts.count(), 1);
    for token in &tokens {
        let mut upstream = seen.iter().flat_map(|seen| seen.headers.values());
        assert!(upstream.all(|value| value != token.as_str()));
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 20);
    rig.metric("credpin_proxy_sessions_issued_total 20").await;
}

#[tokio::test]
async fn a_session_is_asked_for_and_answered_as_with_imds() {
    let rig = Rig::start().await;
    for ttl in ["1", "21600"] {
        let reply = rig.session(ttl).await;
        assert_eq!(reply.status, 200);
        let header = reply.header("x-aws-ec2-metadata-token-ttl-seconds");
        assert_eq!(header, Some(ttl));
        assert_eq!(reply.header("content-type"), Some("text/plain"));
        assert_eq!(reply.header("server"), Some("EC2ws"));
    }
    for ttl in ["0", "21601", "-1", "x", ""] {
        assert!(rig.session(ttl).await.is_imds_error(400), "{ttl:?}");
    }
    assert!(rig.ask("PUT", TOKEN, "").await.is_imds_error(400));
    rig.metric("credpin_proxy_sessions_refused_total{reason=\"ttl\"} 6")
        .await;
}

#[tokio::test]
async fn answers_say_how_long_the_clients_own_session_lasts() {
    let rig = Rig::start().await;
    let token = rig.session("60").await.text();
    // Forwarded, and cached.
    for path in ["/latest/meta-data/", ROLE, ROLE] {
        let reply = rig.get(path, &token).await;
        let left = reply.header("x-aws-ec2-metadata-token-ttl-seconds");
        let left: u32 = left.unwrap().parse().unwrap();
        assert!((1..=60).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn a_session_that_imds_has_forgotten_is_renewed_and_no_client_notices() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    for path in ["/latest/meta-data/", ROLE] {
        rig.imds().forget_tokens();
        assert_eq!(rig.get(path, &token).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn where_imds_gives_no_sessions_nor_does_the_proxy() {
    for status in [403, 404, 405] {
        let rig = Rig::start().await;
        let refusal = StatusCode::from_u16(status).unwrap();
        rig.imds().set_fault(TOKEN, Fault::Status(refusal));
        assert!(rig.session("60").await.is_imds_error(status));
        rig.imds().clear_faults();
        // It is asked again, if not at once.
        let again = async {
            while rig.session("60").await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, again).await.unwrap();
    }
}

#[tokio::test]
async fn where_imds_does_not_answer_a_session_is_there_before_an_sdk_gives_up() {
    for fault in [
        Fault::Hang,
        Fault::Close,
        Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
    ] {
        // Who waits for an answer waits longer than this test does.
        let rig = Rig::with(|config| config.response_timeout = Duration::from_hours(1)).await;
        rig.imds().set_fault("/", fault);
        assert_eq!(rig.session("60").await.status, 200, "{fault:?}");
    }
}

#[tokio::test]
async fn where_imds_fails_clients_that_want_sessions_do_not_make_it_busy() {
    let rig = Rig::start().await;
    let failing = Fault::Status(StatusCode::SERVICE_UNAVAILABLE);
    rig.imds().set_fault(TOKEN, failing);
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(rig.session("60").await.status, 200);
    }
    let asked = rig.asked(TOKEN);
    assert!(asked < most_since(begun), "{asked}");
}

#[tokio::test]
async fn where_imds_refuses_clients_do_not_make_it_busy() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    rig.imds().forget_tokens();
    rig.imds()
        .set_fault(TOKEN, Fault::Status(StatusCode::FORBIDDEN));
    let (before, begun) = (rig.asked(TOKEN), Instant::now());
    for _ in 0..100 {
        // Of what is never cached, in a session that has come from the proxy.
        rig.get("/latest/meta-data/spot/instance-action", &token)
            .await;
        assert!(rig.session("60").await.is_imds_error(403));
    }
    let asked = rig.asked(TOKEN) - before;
    assert!(asked < most_since(begun), "{asked}");
}

/// It is asked once a second at the most, or a little more often: however slow the machine is, far
/// less than a hundred clients would.
fn most_since(begun: Instant) -> usize {
    let seconds = begun.elapsed().as_secs();
    10 + 2 * usize::try_from(seconds).unwrap()
}
