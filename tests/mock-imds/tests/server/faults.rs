//! The faults that concern the socket.

use std::time::Duration;

use credpin_mock_imds::{Fault, MockImds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{CREDENTIALS, exchange, get};

const GET: &[u8] =
    b"GET /latest/meta-data/iam/security-credentials/example-role HTTP/1.1\r\nHost: imds\r\n\r\n";

#[tokio::test]
async fn cut_sends_half_of_what_it_announces() {
    let imds = MockImds::builder().seed(1).start().await.unwrap();
    let whole = get(imds.addr(), CREDENTIALS).await;
    imds.handle().set_fault("/latest/meta-data/iam", Fault::Cut);
    let cut = get(imds.addr(), CREDENTIALS).await;

    let (head, half) = cut.split_once("\r\n\r\n").unwrap();
    let (_, body) = whole.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())),
        "{head}"
    );
    assert_eq!(half, &body[..body.len() / 2]);
}

#[tokio::test]
async fn close_answers_nothing() {
    let imds = MockImds::builder().start().await.unwrap();
    imds.handle().set_fault("/", Fault::Close);
    assert!(exchange(imds.addr(), GET).await.unwrap().is_empty());
    assert_eq!(imds.handle().requests()[0].status, None);
    assert!(imds.handle().issued().is_empty());
}

#[tokio::test]
async fn reset_is_no_orderly_end() {
    let imds = MockImds::builder().start().await.unwrap();
    imds.handle().set_fault("/", Fault::Reset);
    let error = exchange(imds.addr(), GET).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(imds.handle().requests()[0].status, None);
    assert!(imds.handle().issued().is_empty());
}

#[tokio::test]
async fn a_fault_that_counts_is_counted_once_a_request() {
    let imds = MockImds::builder().start().await.unwrap();
    imds.handle().add_fault("/:503:count=2".parse().unwrap());
    for expected in ["HTTP/1.1 503", "HTTP/1.1 503", "HTTP/1.1 200"] {
        let answer = get(imds.addr(), "/latest/meta-data/mac").await;
        assert!(answer.starts_with(expected), "{answer}");
    }
}

/// tokio's clock stands still and jumps when all are idle: no time passes for the test.
#[tokio::test(start_paused = true)]
async fn delay_answers_late_and_right() {
    let imds = MockImds::builder().start().await.unwrap();
    imds.handle()
        .set_fault("/", Fault::Delay(Duration::from_secs(7)));
    let before = tokio::time::Instant::now();
    assert!(
        get(imds.addr(), "/latest/meta-data/mac")
            .await
            .ends_with("0e:00:00:00:00:0a")
    );
    assert!(before.elapsed() >= Duration::from_secs(7));
}

/// Dropping the mock cuts it at once: on tokio's paused clock, no time has passed.
#[tokio::test(start_paused = true)]
async fn hang_holds_the_connection_until_the_mock_ends() {
    let imds = MockImds::builder().start().await.unwrap();
    let handle = imds.handle();
    handle.set_fault("/latest/meta-data/iam", Fault::Hang);
    let mut hanging = TcpStream::connect(imds.addr()).await.unwrap();
    hanging.write_all(GET).await.unwrap();
    // Others are served meanwhile, and soon the request is on record as unanswered.
    while !handle.requests().iter().any(|seen| seen.status.is_none()) {
        get(imds.addr(), "/latest/meta-data/mac").await;
    }
    let before = tokio::time::Instant::now();
    drop(imds);
    let mut answer = Vec::new();
    // An end of file or a reset.
    let _ = hanging.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(handle.issued().is_empty());
}
