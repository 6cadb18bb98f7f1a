//! Invariant 1 against SIGKILL: whatever a client received, however the proxy ended, is on record.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use credpin_ledger::scan;
use credpin_mock_imds::MockImds;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::binary::{address, credpin_proxy, run_as};
use crate::rig::{PATIENCE, ROLE};

const KILLS: usize = 200;
const CLIENTS: usize = 4;
/// Replies until the proxy is killed: from none to so many, in turn.
const REPLIES: usize = 9;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_under_load_every_credential_received_is_on_record() {
    let imds = Arc::new(MockImds::builder().start().await.unwrap());
    let dir = TempDir::new().unwrap();
    let mut received = BTreeSet::new();
    for kill in 0..KILLS {
        let mut command = credpin_proxy(&[]);
        // So that a new credential upstream is a new one here, at once.
        command.env("CREDPIN_PROXY_CACHE_RECHECK", "1ms");
        let (mut process, ready) = run_as(command, &imds, dir.path()).await;
        let (told, mut answers) = mpsc::unbounded_channel();
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (imds, told, address) = (Arc::clone(&imds), told.clone(), address(&ready));
            clients.spawn(async move {
                // Until the proxy is gone.
                while let Ok(key) = credential(&address).await {
                    imds.handle().rotate_credentials();
                    told.send(key).unwrap();
                }
            });
        }
        drop(told);
        for _ in 0..kill % REPLIES {
            let reply = timeout(PATIENCE, answers.recv()).await;
            received.insert(reply.unwrap().expect("the proxy runs"));
        }
        // The others are anywhere in their requests now.
        process.0.kill().unwrap();
        process.0.wait().unwrap();
        while let Some(key) = answers.recv().await {
            received.insert(key);
        }
    }
    let recorded = scan(&dir.path().join("ledger")).unwrap();
    let recorded: BTreeSet<_> = recorded.into_iter().map(|it| it.access_key_id).collect();
    let lost: Vec<_> = received.difference(&recorded).collect();
    assert!(lost.is_empty(), "received, and not on record: {lost:?}");
    assert!(
        received.len() > KILLS,
        "new ones all the time: {}",
        received.len()
    );
}

/// Takes credentials as an SDK does, and returns their access key id.
async fn credential(address: &str) -> io::Result<String> {
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60";
    let token = ask(address, "PUT", "/latest/api/token", ttl).await?;
    let document = ask(
        address,
        "GET",
        ROLE,
        &format!("X-aws-ec2-metadata-token: {token}"),
    )
    .await?;
    let document: serde_json::Value = serde_json::from_str(&document)?;
    let key = document["AccessKeyId"].as_str();
    Ok(key.ok_or(io::ErrorKind::InvalidData)?.to_owned())
}

/// The body of a whole answer. The head says how long it is: one that breaks off is no answer.
async fn ask(address: &str, method: &str, path: &str, header: &str) -> io::Result<String> {
    let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\n{header}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    let whole = length.and_then(|length| length.parse().ok()) == Some(body.len());
    if whole && head.starts_with("HTTP/1.1 200 ") {
        Ok(body.to_owned())
    } else {
        Err(broken())
    }
}
