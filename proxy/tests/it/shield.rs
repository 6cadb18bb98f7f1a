//! What upstream sees, whatever the processes of the host do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::rig::{self, Rig};

async fn ask_at_once(rig: &Arc<Rig>, clients: usize) -> Vec<rig::Reply> {
    let mut asking = JoinSet::new();
    for _ in 0..clients {
        let rig = Arc::clone(rig);
        asking.spawn(async move { rig.ask("GET", "/latest/user-data", "").await });
    }
    asking.join_all().await
}

#[tokio::test]
async fn what_would_wait_too_long_gets_imds_own_503() {
    let rig = Rig::with(|config| {
        config.upstream_rate = 5;
        config.upstream_wait = Duration::from_millis(50);
    });
    let rig = Arc::new(rig.await);
    let replies = ask_at_once(&rig, 40).await;
    let (shielded, passed): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.is_imds_error(503));
    assert!(passed.iter().all(|reply| reply.status == 404));
    assert!(
        passed.len() >= 4 && !shielded.is_empty(),
        "{}",
        passed.len()
    );
    assert_eq!(rig.imds().requests().len(), passed.len());
    let line = format!("credpin_proxy_upstream_shielded_total {}", shielded.len());
    rig.metric(&line).await;
}

/// Connections to a server that keeps them: how many there are, the most there were, and all.
#[derive(Default)]
struct Connections {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

#[tokio::test]
async fn connections_are_few_and_used_again() {
    let listener = rig::listener().await;
    let addr = listener.local_addr().unwrap();
    let seen = Arc::new(Connections::default());
    let count = Arc::clone(&seen);
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&count);
            count.all.fetch_add(1, Ordering::SeqCst);
            let now = count.now.fetch_add(1, Ordering::SeqCst) + 1;
            count.most.fetch_max(now, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
                count.now.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    let rig = Rig::with(|config| {
        config.upstream = format!("http://{addr}").parse().unwrap();
        config.upstream_connections = 3;
    });
    let rig = Arc::new(rig.await);
    for reply in ask_at_once(&rig, 60).await {
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
    }
    // The proxy's look at its start, whether anybody is there, is one of its own.
    assert!(seen.most.load(Ordering::SeqCst) <= 3 + 1);
    assert!(seen.all.load(Ordering::SeqCst) < 60);
    serving.abort();
}
