//! The mock on a real socket, asked by the plainest of clients.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
#[cfg(unix)]
mod aemm;
mod binary;
mod faults;
mod fleet;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use credpin_mock_imds::{Host, ManualClock, MockImds, StartError};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/example-role";

/// Sends `bytes` and reads until the server closes the connection.
async fn exchange(addr: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

async fn ask(addr: SocketAddr, request: &str) -> String {
    let request = format!("{request}\r\n\r\n")
        .replace('\n', "\r\n")
        .replace("\r\r", "\r");
    String::from_utf8(exchange(addr, request.as_bytes()).await.unwrap()).unwrap()
}

async fn get(addr: SocketAddr, path: &str) -> String {
    ask(addr, &format!("GET {path} HTTP/1.1\nHost: imds")).await
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn a_session_as_curl_has_it() {
    let imds = MockImds::builder().imdsv2_only(true).start().await.unwrap();
    let put = "PUT /latest/api/token HTTP/1.1
Host: imds
X-aws-ec2-metadata-token-ttl-seconds: 60
Content-Length: 0";
    let answer = ask(imds.addr(), put).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60\r\n"),
        "{answer}"
    );
    assert!(answer.contains("Server: EC2ws\r\n") && answer.contains("Connection: close\r\n"));

    let token = body(&answer);
    let id = "/latest/meta-data/instance-id";
    let with_token = format!("GET {id} HTTP/1.1\nHost: imds\nX-aws-ec2-metadata-token: {token}");
    assert!(
        ask(imds.addr(), &with_token)
            .await
            .ends_with("\r\n\r\ni-0123456789abcdef0")
    );
    assert!(get(imds.addr(), id).await.starts_with("HTTP/1.1 401 "));

    let seen: Vec<_> = imds
        .handle()
        .requests()
        .iter()
        .map(|seen| seen.status.unwrap().as_u16())
        .collect();
    assert_eq!(seen, [200, 200, 401]);
}

#[tokio::test]
async fn a_connection_is_good_for_one_answer_unless_it_is_kept() {
    let both = b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: imds\r\n\r\n\
        GET /latest/meta-data/mac HTTP/1.1\r\nHost: imds\r\nConnection: close\r\n\r\n";
    for (keep, answers) in [(false, 1), (true, 2)] {
        let imds = MockImds::builder().keep_alive(keep).start().await.unwrap();
        let answer = exchange(imds.addr(), both).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(
            answer.matches("HTTP/1.1 200 OK").count(),
            answers,
            "{answer}"
        );
        assert_eq!(imds.handle().requests().len(), answers);
    }
}

#[tokio::test]
async fn head_and_http_1_0() {
    let imds = MockImds::builder().start().await.unwrap();
    let head = ask(
        imds.addr(),
        "HEAD /latest/meta-data/instance-id HTTP/1.1\nHost: imds",
    )
    .await;
    assert!(
        head.contains("Content-Length: 19\r\n") && body(&head).is_empty(),
        "{head}"
    );
    let old = ask(imds.addr(), "GET //latest/meta-data/instance-id/ HTTP/1.0").await;
    assert!(old.ends_with("i-0123456789abcdef0"), "{old}");
}

#[tokio::test]
async fn what_is_no_http_gets_an_error_and_the_server_goes_on() {
    let imds = MockImds::builder().start().await.unwrap();
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        &huge,
    ] {
        // The server may close while the client still writes.
        let answer = exchange(imds.addr(), garbage.as_bytes())
            .await
            .unwrap_or_default();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert!(get(imds.addr(), "/").await.ends_with("latest"));
    assert_eq!(imds.handle().requests().len(), 1);
}

#[tokio::test]
async fn a_test_moves_the_clock() {
    let clock = ManualClock::at("2027-01-15T08:00:00Z".parse::<Timestamp>().unwrap());
    let imds = MockImds::builder()
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let first = get(imds.addr(), CREDENTIALS).await;
    assert!(
        first.contains("Date: Fri, 15 Jan 2027 08:00:00 GMT\r\n"),
        "{first}"
    );
    assert!(
        first.contains(r#""Expiration" : "2027-01-15T14:00:00Z""#),
        "{first}"
    );
    clock.advance(Duration::from_hours(6));
    assert_ne!(body(&get(imds.addr(), CREDENTIALS).await), body(&first));
    assert_eq!(imds.handle().issued().len(), 2);
}

#[tokio::test]
async fn the_clock_can_be_set_off_under_way() {
    let clock = ManualClock::at("2027-01-15T08:00:00Z".parse::<Timestamp>().unwrap());
    let imds = MockImds::builder().clock(clock).start().await.unwrap();
    imds.handle()
        .set_clock_offset(jiff::SignedDuration::from_hours(-1));
    let answer = get(imds.addr(), CREDENTIALS).await;
    assert!(
        answer.contains("Date: Fri, 15 Jan 2027 07:00:00 GMT\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains(r#""LastUpdated" : "2027-01-15T07:00:00Z""#),
        "{answer}"
    );
}

#[tokio::test]
async fn the_log_knows_who_asked_and_numbers_on() {
    let imds = MockImds::builder().start().await.unwrap();
    let handle = imds.handle();
    let mut stream = TcpStream::connect(imds.addr()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: imds\r\n\r\n")
        .await
        .unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(
        handle.requests()[0].peer,
        Some(stream.local_addr().unwrap())
    );

    get(imds.addr(), "/latest/meta-data/mac").await;
    let [(1, seen)] = &handle.requests_since(1)[..] else {
        panic!("one request since the first");
    };
    assert_eq!(seen.uri, "/latest/meta-data/mac");
    handle.forget_requests();
    assert!(handle.requests().is_empty());
    assert_eq!(handle.dropped_requests(), 0);
}

#[tokio::test]
async fn hosts_run_side_by_side() {
    let host = |id: &str| Host {
        instance_id: id.into(),
        ..Host::default()
    };
    let one = MockImds::builder().host(host("i-1")).start().await.unwrap();
    let two = MockImds::builder().host(host("i-2")).start().await.unwrap();
    assert!(
        get(one.addr(), "/latest/meta-data/instance-id")
            .await
            .ends_with("i-1")
    );
    assert!(
        get(two.addr(), "/latest/meta-data/instance-id")
            .await
            .ends_with("i-2")
    );
    assert_eq!(one.endpoint(), format!("http://{}", one.addr()));
}

#[tokio::test]
async fn a_port_in_use_is_said() {
    let one = MockImds::builder().start().await.unwrap();
    let StartError::Listen { addr, source } = MockImds::builder()
        .listen(one.addr())
        .start()
        .await
        .unwrap_err();
    assert_eq!(addr, one.addr());
    assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
}

/// Nobody but this test holds the state any more, so whoever held it with the listener is gone. (To
/// connect again would prove less: a child that another test forks keeps a port open for a moment.)
#[tokio::test]
async fn once_stopped_the_server_is_gone_and_the_record_stays() {
    let imds = MockImds::builder().start().await.unwrap();
    let handle = imds.handle();
    get(imds.addr(), CREDENTIALS).await;
    imds.stop().await;
    assert_eq!(Arc::strong_count(&handle), 1);
    assert_eq!(handle.issued().len(), 1);
}

#[tokio::test]
async fn dropped_it_cuts_what_is_open() {
    let imds = MockImds::builder().start().await.unwrap();
    let mut idle = TcpStream::connect(imds.addr()).await.unwrap();
    // Accepted in turn: once this is answered, the idle connection is served too.
    get(imds.addr(), "/").await;
    drop(imds);
    assert_eq!(idle.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}
