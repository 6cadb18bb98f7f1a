//! The admin API over its sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use credpin_mock_imds::admin::{self, Listen};
use credpin_mock_imds::{MockImds, SystemClock};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{body, exchange, get};

/// The admin API of `imds`, for as long as the test runs.
async fn serve(imds: &MockImds, listen: &str) -> Listen {
    let listener = listen.parse::<Listen>().unwrap().bind().await.unwrap();
    let at = listener.at().clone();
    let clock = Arc::new(SystemClock);
    tokio::spawn(admin::run(
        listener,
        imds.handle(),
        clock,
        std::future::pending(),
    ));
    at
}

async fn call(at: SocketAddr, method: &str, path: &str, sent: &str) -> String {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{sent}",
        sent.len()
    );
    String::from_utf8(exchange(at, request.as_bytes()).await.unwrap()).unwrap()
}

#[tokio::test]
async fn another_process_breaks_the_mock_and_sees_what_it_was_asked() {
    let imds = MockImds::builder().start().await.unwrap();
    let Listen::Tcp(at) = serve(&imds, "0").await else {
        panic!("asked for a port");
    };
    assert!(at.ip().is_loopback());
    let fault = r#"{"path": "/latest", "fault": "404", "count": 1}"#;
    let set = call(at, "POST", "/faults", fault).await;
    assert!(set.starts_with("HTTP/1.1 204 No Content"), "{set}");
    let path = "/latest/meta-data/instance-id";
    assert!(get(imds.addr(), path).await.starts_with("HTTP/1.1 404"));
    assert!(get(imds.addr(), path).await.starts_with("HTTP/1.1 200"));

    let log = call(at, "GET", "/requests?since=1", "").await;
    let log: Value = serde_json::from_str(body(&log)).unwrap();
    assert_eq!((&log["next"], &log["dropped"]), (&2.into(), &0.into()));
    assert_eq!(log["requests"].as_array().unwrap().len(), 1);
    let seen = &log["requests"][0];
    assert_eq!((&seen["uri"], &seen["status"]), (&path.into(), &200.into()));
    assert_eq!(seen["headers"]["host"][0], "imds");
    assert!(seen["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let imds = MockImds::builder().start().await.unwrap();
    let Listen::Tcp(at) = serve(&imds, "127.0.0.1:0").await else {
        panic!("asked for a port");
    };
    let long = format!("\"{}\"", "x".repeat(300_000));
    // The server may close while the client still writes, which can cost the answer.
    let request = format!(
        "PUT /host HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{long}",
        long.len()
    );
    let answer = exchange(at, request.as_bytes()).await.unwrap_or_default();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 413 "));
    assert_eq!(imds.handle().host().region, "us-east-1");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_replaces_a_dead_one_and_not_a_living_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let text = format!("unix:{}", path.display());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let imds = MockImds::builder().start().await.unwrap();
    let at = serve(&imds, &text).await;
    assert_eq!(at.to_string(), text);

    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");

    let error = text.parse::<Listen>().unwrap().bind().await.unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
    let file = folder.path().join("notes");
    std::fs::write(&file, "keep me").unwrap();
    let listen: Listen = format!("unix:{}", file.display()).parse().unwrap();
    listen.bind().await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "keep me");
}
