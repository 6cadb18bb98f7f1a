//! What an SSRF can send, and what it gets.

use credpin_proxy::config::GuardMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{PATIENCE, ROLE, Rig, logs, talk};

/// Waits until `rule` has refused so many, whoever they were.
pub(crate) async fn refused(rig: &Rig, rule: &str, times: usize) {
    counted(rig, "refusals", rule, times).await;
}

async fn counted(rig: &Rig, what: &str, rule: &str, times: usize) {
    let begin = format!("credpin_proxy_{what}_total{{rule=\"{rule}\",consumer=\"");
    let end = format!("\"}} {times}");
    rig.metric_where(|line| line.starts_with(&begin) && line.ends_with(&end))
        .await;
}

/// IMDS itself would answer these without a token: the mock allows IMDSv1.
#[tokio::test]
async fn no_spelling_of_the_path_gives_a_credential_without_a_session() {
    let rig = Rig::start().await;
    let role = ROLE.trim_start_matches("/latest/meta-data");
    for path in [
        ROLE.to_owned(),
        format!("{ROLE}/"),
        format!("/{ROLE}"),
        format!("//latest///meta-data/{role}"),
        format!("/1.0/meta-data{role}"),
        format!("/2021-03-23/meta-data{role}"),
        format!("/latest/meta-data/./{role}"),
        format!("/latest/dynamic/../meta-data{role}"),
        format!("/latest/dynamic/%2e%2e/meta-data{role}"),
        format!("/latest/meta-data{}", role.replace('s', "%73")),
        format!("/latest/meta-data{}", role.replace('/', "%2f")),
        format!("/latest/meta-data{}", role.replace('s', "%2573")),
        format!("/latest/meta-data{}", role.replace('-', "%2D")),
        format!("/latest/meta-data{}", role.replace("security", "Security")),
        format!("/latest\\meta-data{role}"),
        format!("{ROLE}?x=y"),
        format!("{ROLE}%3fx"),
        format!("{ROLE};x=y"),
        format!("{ROLE}#x"),
        format!("{ROLE}%00"),
        format!("http://169.254.169.254{ROLE}"),
        "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance".to_owned(),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT"] {
            let reply = rig.ask(method, &path, "").await;
            assert!(
                (400..=405).contains(&reply.status),
                "{method} {path}: {reply:?}"
            );
            assert!(!reply.text().contains("AccessKeyId"), "{path}");
        }
    }
    assert!(rig.imds().issued().is_empty());
    assert!(
        rig.imds().requests().is_empty(),
        "refused before anything was sent on"
    );
    assert!(rig.records().is_empty());
}

#[tokio::test]
async fn a_session_that_the_proxy_did_not_make_is_none() {
    let rig = Rig::start().await;
    for token in [
        "x",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    ] {
        let reply = rig.get(ROLE, token).await;
        assert_eq!(reply.status, 401, "{reply:?}");
    }
    let seen = rig.imds().requests();
    assert!(seen.is_empty(), "they are not sent on");
}

#[tokio::test]
async fn what_does_not_come_from_the_host_itself_is_refused() {
    let rig = Rig::start().await;
    let token = format!("X-aws-ec2-metadata-token: {}\r\n", rig.token().await);
    let seen = rig.imds().requests().len();
    for (headers, status) in [
        ("X-Forwarded-For: 203.0.113.9\r\n", 403),
        ("x-forwarded-for:\r\n", 403),
        ("Forwarded: for=203.0.113.9\r\n", 403),
        ("Via: 1.1 proxy\r\n", 403),
        (
            "X-Forwarded-For: 203.0.113.9\r\nConnection: X-Forwarded-For\r\n",
            403,
        ),
        ("Origin: http://evil.example\r\n", 403),
        ("Referer: http://evil.example/\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Access-Control-Request-Method: PUT\r\n", 403),
        ("Host: 169.254.169.254\r\n", 400),
        ("X-aws-ec2-metadata-token: other\r\n", 400),
        ("Content-Length: 1\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", 400),
        ("Connection: x-aws-ec2-metadata-token\r\n", 401),
    ] {
        let reply = rig.ask("GET", ROLE, &format!("{token}{headers}")).await;
        assert!(reply.is_imds_error(status), "{headers}: {reply:?}");
    }
    for host in [
        "evil.example",
        "localhost",
        "127.0.0.1",
        "169.254.169.254.nip.io",
        "[::1]",
        "2852039166",
    ] {
        let head =
            format!("GET {ROLE} HTTP/1.1\r\nHost: {host}\r\n{token}Connection: close\r\n\r\n");
        let reply = talk(rig.proxy.addr, head.as_bytes()).await;
        assert!(reply.is_imds_error(403), "{host}: {reply:?}");
    }
    assert_eq!(
        rig.imds().requests().len(),
        seen,
        "nothing of it was sent on"
    );
}

#[tokio::test]
async fn the_proxys_own_address_is_a_host_of_it_and_so_sdks_can_be_pointed_at_it() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    let addr = rig.proxy.addr;
    let head = format!(
        "GET {ROLE} HTTP/1.1\r\nHost: {addr}\r\nX-aws-ec2-metadata-token: {token}\r\nConnection: close\r\n\r\n"
    );
    let reply = talk(addr, head.as_bytes()).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("SecretAccessKey"));
}

#[tokio::test]
async fn a_method_that_imds_does_not_have_is_answered_as_imds_does() {
    let rig = Rig::start().await;
    let reply = rig.ask("POST", "/latest/api/token", "").await;
    assert!(reply.is_imds_error(405));
    assert_eq!(reply.header("allow"), Some("OPTIONS, PUT"));
    let reply = rig.ask("DELETE", "/latest/meta-data/", "").await;
    assert_eq!(reply.header("allow"), Some("OPTIONS, GET, HEAD"));
}

#[tokio::test]
async fn refusals_are_counted_by_rule() {
    let rig = Rig::start().await;
    rig.ask("GET", ROLE, "").await;
    rig.ask("GET", ROLE, "").await;
    rig.ask("GET", "/..", "").await;
    refused(&rig, "no-token", 2).await;
    refused(&rig, "path", 1).await;
    rig.metric("credpin_proxy_requests_total{outcome=\"refused\"} 3")
        .await;
}

#[tokio::test]
async fn only_user_agents_that_are_named_are_served_where_some_are() {
    let names = ["aws-cli/".to_owned(), "Boto3/".to_owned()];
    let rig = Rig::with(|config| config.user_agents = names.into()).await;
    for (agent, status) in [
        ("User-Agent: aws-cli/2.0\r\n", 200),
        ("user-agent: Boto3/1.0 Python\r\n", 200),
        ("User-Agent: boto3/1.0\r\n", 403),
        ("User-Agent: curl aws-cli/2.0\r\n", 403),
        ("User-Agent: aws-cli/2.0\r\nUser-Agent: x\r\n", 403),
        ("User-Agent:\r\n", 403),
        ("", 403),
    ] {
        let reply = rig.ask("GET", "/latest/", agent).await;
        assert_eq!(reply.status, status, "{agent}");
    }
    refused(&rig, "user-agent", 5).await;
}

/// A fleet that migrates: what would be refused goes on and is counted; what has two readings does not.
#[tokio::test]
async fn in_warn_mode_policy_is_counted_and_shape_is_refused() {
    let log = logs();
    let rig = Rig::with(|config| {
        config.guard_mode = GuardMode::Warn;
        config.user_agents = vec!["aws-cli/".to_owned()];
    })
    .await;
    let reply = rig.ask("GET", ROLE, "X-Forwarded-For: x\r\n").await;
    assert_eq!(reply.status, 200, "IMDS allows IMDSv1 here");
    for rule in ["no-token", "forwarded", "user-agent"] {
        counted(&rig, "warnings", rule, 1).await;
        // Which process still does so.
        let uid = rustix::process::getuid().as_raw();
        let who = format!("warned_consumers_total{{rule=\"{rule}\",consumer=\"uid={uid}");
        rig.metric_where(|line| line.contains(&who)).await;
    }
    let version = serde_json::to_value(&rig.records()[0]).unwrap()["imds_version"].clone();
    assert_eq!(version, serde_json::json!("1"), "on record as what it was");
    let head =
        b"GET /latest/ HTTP/1.1\r\nHost: evil.example\r\nOrigin: x\r\nConnection: close\r\n\r\n";
    assert_eq!(talk(rig.proxy.addr, head).await.status, 200);
    for rule in ["host", "browser"] {
        counted(&rig, "warnings", rule, 1).await;
    }
    let line = "would be refused, but for guard.mode = \"warn\": Host is not an address";
    assert!(String::from_utf8_lossy(&log.lock().unwrap()).contains(line));

    let forwarded = "X-Forwarded-For: x\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
    for (method, path, headers, status) in [
        ("GET", "/latest/%2e%2e/", "", 400),
        ("POST", "/latest/", "", 405),
        ("GET", "/latest/", "Content-Length: 1\r\n", 400),
        ("GET", "/latest/", "Host: 169.254.169.254\r\n", 400),
        // IMDS makes no session for it either.
        ("PUT", "/latest/api/token", forwarded, 403),
    ] {
        let reply = rig.ask(method, path, headers).await;
        assert!(reply.is_imds_error(status), "{path} {headers}: {reply:?}");
    }
}

/// By its user id, which is the same for every process of this test.
#[tokio::test]
async fn a_user_has_its_share_of_connections_and_no_more() {
    let rig = Rig::with(|config| config.consumer_connections = 2).await;
    let ask = b"HEAD /latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(rig.proxy.addr).await.unwrap();
        stream.write_all(ask).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'H');
        held.push(stream);
    }
    let mut third = TcpStream::connect(rig.proxy.addr).await.unwrap();
    let _ = third.write_all(ask).await;
    assert!(third.read_u8().await.is_err(), "it is closed");
    refused(&rig, "connections", 1).await;

    drop(held);
    let served = async {
        loop {
            let mut next = TcpStream::connect(rig.proxy.addr).await.unwrap();
            if next.write_all(ask).await.is_ok() && next.read_u8().await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, served)
        .await
        .expect("what was held is free");
}
