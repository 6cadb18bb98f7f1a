//! Heads that two servers would read in two ways. Each is answered with IMDS's own 400, and nothing of
//! it, or after it, goes anywhere.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::guards::refused;
use crate::rig::{Rig, read, talk};

const HOST: &str = "Host: 169.254.169.254\r\n";

fn heads() -> Vec<(&'static str, String)> {
    let get = |headers: &str| format!("GET /latest/ HTTP/1.1\r\n{HOST}{headers}\r\n");
    let long = "x".repeat(8 << 10);
    vec![
        (
            "body",
            get("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
        ),
        ("body", get("Transfer-Encoding: chunked\r\n")),
        ("body", get("Transfer-Encoding: xchunked\r\n")),
        ("body", get("Content-Length: 3\r\n")),
        ("body", get("Content-Length: 00\r\n")),
        (
            "duplicate",
            get("Content-Length: 0\r\nContent-Length: 0\r\n"),
        ),
        ("duplicate", get("host: 169.254.169.254\r\n")),
        (
            "duplicate",
            get("X-aws-ec2-metadata-token: a\r\nX-aws-ec2-metadata-token: a\r\n"),
        ),
        ("line-end", get("A: b\n")),
        ("line-end", format!("GET /latest/ HTTP/1.1\n{HOST}\n\n")),
        (
            "target",
            format!("GET http://169.254.169.254/latest/ HTTP/1.1\r\n{HOST}\r\n"),
        ),
        (
            "target",
            format!("CONNECT 169.254.169.254:80 HTTP/1.1\r\n{HOST}\r\n"),
        ),
        ("target", format!("GET * HTTP/1.1\r\n{HOST}\r\n")),
        ("folded", get("A: b\r\n Transfer-Encoding: chunked\r\n")),
        ("header-name", get("Transfer-Encoding : chunked\r\n")),
        ("header-name", get(": b\r\n")),
        ("header-value", get("A: b\0c\r\n")),
        ("header-value", get("A: b\rTransfer-Encoding: chunked\r\n")),
        (
            "request-line",
            format!("GET  /latest/ HTTP/1.1\r\n{HOST}\r\n"),
        ),
        ("request-line", "GET /latest/\r\n\r\n".to_owned()),
        ("version", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("version", format!("GET /latest/ HTTP/1.9\r\n{HOST}\r\n")),
        ("large", get(&format!("A: {long}\r\n"))),
        ("large", get(&"A: b\r\n".repeat(64))),
        ("large", format!("GET /{long} HTTP/1.1\r\n{HOST}\r\n")),
    ]
}

#[tokio::test]
async fn what_has_two_readings_gets_imdss_400_and_goes_nowhere() {
    let rig = Rig::start().await;
    let seen = rig.imds().requests().len();
    let mut times = std::collections::BTreeMap::<_, usize>::new();
    for (rule, head) in heads() {
        let reply = talk(rig.proxy.addr, head.as_bytes()).await;
        assert!(reply.is_imds_error(400), "{head:?}: {reply:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{head:?}");
        *times.entry(rule).or_default() += 1;
    }
    for (rule, times) in times {
        refused(&rig, rule, times).await;
    }
    assert_eq!(rig.imds().requests().len(), seen, "nothing was sent on");
}

/// The answer is not lost to a reset although there are bytes that nobody reads.
#[tokio::test]
async fn what_came_before_is_answered_and_what_comes_after_is_not() {
    let rig = Rig::start().await;
    let good = format!("HEAD /latest/ HTTP/1.1\r\n{HOST}\r\n");
    for (_, bad) in heads() {
        let all = format!("{good}{good}{bad}{}", good.repeat(9));
        let mut stream = TcpStream::connect(rig.proxy.addr).await.unwrap();
        // In two pieces, with the cut in the bad head.
        let cut = 2 * good.len() + bad.len() / 2;
        stream.write_all(&all.as_bytes()[..cut]).await.unwrap();
        stream.write_all(&all.as_bytes()[cut..]).await.unwrap();
        let reply = read(&mut stream).await;
        let text = format!("{}\r\n\r\n{}", reply.head, reply.text());
        let answers = |status: &str| text.matches(&format!("HTTP/1.1 {status}")).count();
        assert_eq!((answers("200"), answers("400")), (2, 1), "{bad:?}: {text}");
        assert_eq!(answers(""), 3, "{bad:?}: {text}");
    }
}

/// The HTTP library ends a connection in another way once an upgrade was asked for; and whoever writes the
/// proxy's own word for a refusal is refused like anybody.
#[tokio::test]
async fn an_upgrade_before_a_bad_head_changes_nothing() {
    let rig = Rig::start().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: h2c\r\n";
    let head = format!("HEAD /latest/ HTTP/1.1\r\n{HOST}{upgrade}\r\nGET * HTTP/1.1\r\n\r\n");
    let reply = talk(rig.proxy.addr, head.as_bytes()).await;
    let text = format!("{}\r\n\r\n{}", reply.head, reply.text());
    assert!(text.contains("HTTP/1.1 400 Bad Request"), "{text}");
}
