//! An IMDS that is away, slow, broken or lying.

use std::time::Duration;

use credpin_mock_imds::{CredentialError, Fault};
use credpin_proxy::{Config, StartError};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{self, ROLE, Reply, Rig};

#[tokio::test]
async fn whatever_goes_wrong_the_client_gets_imds_own_503() {
    let rig = Rig::with(|config| config.response_timeout = Duration::from_millis(300)).await;
    let token = rig.token().await;
    for fault in [Fault::Hang, Fault::Close, Fault::Cut] {
        for path in [ROLE, "/latest/meta-data/iam/info"] {
            rig.imds().set_fault(path, fault);
            let reply = rig.get(path, &token).await;
            assert!(reply.is_imds_error(503), "{fault:?} {path}: {reply:?}");
        }
    }
    rig.imds()
        .set_fault(ROLE, Fault::Delay(Duration::from_mins(1)));
    assert!(rig.get(ROLE, &token).await.is_imds_error(503));
    rig.imds().set_fault(ROLE, Fault::Garbage);
    assert!(
        rig.get(ROLE, &token).await.is_imds_error(503),
        "garbage is no credential"
    );
    assert!(rig.records().is_empty());
    rig.metric("credpin_proxy_credential_documents_unreadable_total 1")
        .await;
    rig.metric("credpin_proxy_upstream_failures_total{kind=\"timeout\"} 3")
        .await;

    rig.imds().clear_faults();
    assert_eq!(rig.get(ROLE, &token).await.status, 200);
    assert_eq!(rig.records().len(), 1);
}

#[tokio::test]
async fn no_upstream_at_all_is_a_503() {
    let closed = rig::listener().await.local_addr().unwrap();
    let rig =
        Rig::with(|config| config.upstream = format!("http://{closed}").parse().unwrap()).await;
    assert!(
        rig.ask("GET", "/latest/meta-data/", "")
            .await
            .is_imds_error(503)
    );
    rig.metric("credpin_proxy_upstream_failures_total{kind=\"connection\"} 1")
        .await;
}

#[tokio::test]
async fn what_is_no_credential_passes_and_is_not_recorded() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    rig.imds()
        .fail_credentials(Some(CredentialError::assume_role_unauthorized(
            "example-role",
        )));
    let reply = rig.get(ROLE, &token).await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.text().contains("AssumeRoleUnauthorizedAccess"),
        "{}",
        reply.text()
    );
    rig.imds().fail_credentials(None);
    rig.imds().set_role(None);
    assert!(rig.get(ROLE, &token).await.is_imds_error(404));
    rig.imds()
        .set_fault(ROLE, Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(rig.get(ROLE, &token).await.status, 503);
    assert!(rig.records().is_empty());
}

const DOCUMENT: &str = r#"{"Code":"Success","LastUpdated":"2026-05-04T09:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIAEXAMPLEEXAMPLE00","SecretAccessKey":"sssssss","Token":"ttttttt","Expiration":"2026-05-04T15:00:00Z"}"#;

/// What a client gets for a credential where IMDS answers with exactly these bytes.
async fn answered_with(bytes: String) -> (Reply, usize) {
    let listener = rig::listener().await;
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap() == 0 {
                    break;
                }
            }
            // A client may have gone away before it has all.
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
    });
    let rig = Rig::with(|config| config.upstream = format!("http://{addr}").parse().unwrap()).await;
    // Where IMDS gives no sessions, nor does the proxy; but one from before is still one.
    let token = Rig::start().await.token().await;
    let reply = rig.get(ROLE, &token).await;
    serving.abort();
    (reply, rig.records().len())
}

fn with_length(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_document_is_read_however_it_is_framed() {
    let (one, other) = DOCUMENT.split_at(100);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{other}\r\n0\r\n\r\n",
        one.len(),
        other.len()
    );
    let to_the_end = format!("HTTP/1.0 200 OK\r\n\r\n{DOCUMENT}");
    for bytes in [with_length("200 OK", "", DOCUMENT), chunked, to_the_end] {
        let (reply, records) = answered_with(bytes).await;
        assert_eq!(
            (reply.status, reply.text().as_str(), records),
            (200, DOCUMENT, 1)
        );
        assert_eq!(
            reply.header("content-length"),
            Some(DOCUMENT.len().to_string().as_str())
        );
    }
}

#[tokio::test]
async fn what_is_not_understood_is_not_passed_on() {
    let lower = DOCUMENT.replacen("AccessKeyId", "accesskeyid", 1);
    let large = format!("{DOCUMENT}{}", " ".repeat(64 << 10));
    for bytes in [
        with_length("206 Partial Content", "", DOCUMENT),
        with_length("203 OK", "", DOCUMENT),
        with_length("200 OK", "Content-Encoding: gzip\r\n", DOCUMENT),
        with_length("200 OK", "", ""),
        with_length("200 OK", "", &DOCUMENT[..120]),
        with_length("200 OK", "", &format!("{DOCUMENT}{DOCUMENT}")),
        with_length("200 OK", "", &DOCUMENT.replacen("Success", "Failed", 1)),
        with_length("200 OK", "", &lower),
        with_length("200 OK", "", &large),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{DOCUMENT}\r\n",
            DOCUMENT.len()
        ),
        format!("SSH-2.0-x\r\n{DOCUMENT}"),
        DOCUMENT.to_owned(),
    ] {
        let (reply, records) = answered_with(bytes.clone()).await;
        assert!(reply.is_imds_error(503), "{bytes}: {reply:?}");
        assert_eq!(records, 0);
    }
}

#[tokio::test]
async fn with_another_status_than_200_no_body_is_passed_on() {
    for status in [301, 400, 401, 403, 404, 405, 429, 500, 503] {
        let location = "Location: /latest/meta-data/\r\n";
        let bytes = with_length(&format!("{status} No"), location, DOCUMENT);
        let (reply, records) = answered_with(bytes).await;
        assert!(reply.is_imds_error(status), "{status}: {reply:?}");
        let moved = (status == 301).then_some("/latest/meta-data/");
        assert_eq!(reply.header("location"), moved);
        assert_eq!(records, 0);
    }
    for status in [201, 203, 302, 307, 402, 418, 502, 599] {
        let bytes = with_length(&format!("{status} No"), "", DOCUMENT);
        let (reply, _) = answered_with(bytes).await;
        assert!(reply.is_imds_error(503), "{status}: {reply:?}");
    }
}

#[tokio::test]
async fn a_document_that_is_no_credential_is_written_anew() {
    let body = r#"{"Code":"Failed","Message":"no","token":"ttttttt","Data":{"SecretAccessKey":"sssssss"}}"#;
    let (reply, records) = answered_with(with_length("200 OK", "", body)).await;
    assert_eq!((reply.status, records), (200, 0));
    assert_eq!(
        reply.text(),
        "{\n  \"Code\" : \"Failed\",\n  \"Message\" : \"no\"\n}"
    );
}

/// `hostname -I` has addresses that a wildcard takes in, and no config says so.
#[tokio::test]
async fn the_proxy_does_not_start_before_itself() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let ours = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Where there is no route to anywhere, the loopback has to do. Nothing is sent.
    let address = match ours.connect("198.51.100.1:9") {
        Ok(()) => ours.local_addr().unwrap().ip(),
        Err(_) => [127, 0, 0, 9].into(),
    };
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        upstream: format!("http://{address}:{port}").parse().unwrap(),
        ledger: dir.path().join("ledger"),
        ..Config::default()
    };
    let end = std::future::ready(());
    let error = credpin_proxy::run(listener.into(), config, end).await;
    assert!(matches!(error, Err(StartError::Itself(_))));
}
