use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// A whole answer: its head, its body, and how many bytes it had.
type Whole = (Head, Vec<u8>, usize);

/// Reads the answer that `bytes` begin with, of which `step` more come at a time, and then the end.
fn read(bytes: &[u8], is_head: bool, step: usize) -> Result<Whole, Option<Malformed>> {
    let mut ends = (step..bytes.len()).step_by(step).chain([bytes.len()]);
    let mut end = ends.next().unwrap();
    let (head, mut at) = loop {
        match Head::parse(&bytes[..end], is_head)? {
            Some(parsed) => break parsed,
            None => end = ends.next().ok_or(None)?,
        }
    };
    let mut body = Vec::new();
    match head.framing {
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap();
            let rest = bytes[at..].get(..length).ok_or(None)?;
            body.extend_from_slice(rest);
            at += length;
        }
        Framing::Close => {
            body.extend_from_slice(&bytes[at..]);
            at = bytes.len();
        }
        Framing::Chunked => {
            let mut chunks = Chunks::default();
            loop {
                let Some(step) = chunks.step(&bytes[at..end])? else {
                    end = ends.next().ok_or(None)?;
                    continue;
                };
                at += step.read;
                body.extend_from_slice(&bytes[at - step.data..at]);
                if step.done {
                    break;
                }
            }
        }
    }
    Ok((head, body, at))
}

/// What the HTTP library reads in `bytes`, followed by the end.
async fn judged(bytes: &[u8], is_head: bool) -> Option<(StatusCode, HeaderMap, Vec<u8>)> {
    let (ours, mut theirs) = duplex(1 << 20);
    let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
    let answered = async {
        let method = if is_head { "HEAD" } else { "GET" };
        let request = http::Request::builder().method(method).uri("/");
        let request = request.header("host", "h").body(Empty::<Bytes>::new());
        let (head, body) = sender
            .send_request(request.unwrap())
            .await
            .ok()?
            .into_parts();
        let body = body.collect().await.ok()?.to_bytes().to_vec();
        Some((head.status, head.headers, body))
    };
    let answering = async {
        // Who answers before the request has lost the library's trust.
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            theirs.read_buf(&mut request).await.unwrap();
        }
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
    };
    let driving = async {
        let _ = connection.await;
    };
    tokio::join!(answered, answering, driving).0
}

/// Pieces of which answers are made, good ones and such as two readers could disagree on.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let status = select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 404",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 101 Switching Protocols",
        "HTTP/2 200 OK",
        "HTTP/1.1 99 No",
        "SSH-2.0-x",
    ]);
    let field = select(vec![
        "Server: EC2ws",
        "Empty:",
        "Content-Length: 3",
        "Content-Length: 3",
        "content-length: 0",
        "Content-Length: +3",
        "Content-Length: 3, 3",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: Chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Connection: close",
        "Connection: keep-alive, x",
        "A : b",
        " folded",
        "No colon",
        "Value: \u{e9}",
    ]);
    let end = select(vec!["\r\n", "\r\n", "\r\n", "\r\n", "\n"]);
    let body = select(vec![
        "",
        "abc",
        "abcdef",
        "3\r\nabc\r\n0\r\n\r\n",
        "3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: t\r\n\r\nrest",
        "3\r\nabc\r\n\r\n\r\n",
        "\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nabc\r\n",
        "3\r\nabc\r\n0\r\n",
    ]);
    let line = (field, end.clone()).prop_map(|(field, end)| [field, end].concat());
    let fields = prop::collection::vec(line, 0..4);
    (status, end, fields, body).prop_map(|(status, end, fields, body)| {
        let fields = fields.concat();
        format!("{status}{end}{fields}\r\n{body}").into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_passes_the_http_library_reads_the_same_way(bytes in answer(), is_head: bool) {
        if let Ok((head, body, _)) = read(&bytes, is_head, usize::MAX) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let judged = runtime.block_on(judged(&bytes, is_head));
            prop_assert_eq!(judged, Some((head.status, head.headers, body)));
        }
    }

    #[test]
    fn it_is_read_the_same_however_it_is_cut_up(bytes in answer(), is_head: bool, step in 1..40_usize) {
        let (whole, cut) = (read(&bytes, is_head, usize::MAX), read(&bytes, is_head, step));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(bytes: Vec<u8>, is_head: bool, step in 1..40_usize) {
        let _ = read(&bytes, is_head, step);
        let _ = Chunks::default().step(&bytes);
    }
}

fn framing(head: &str) -> Result<(Framing, bool), Malformed> {
    let head = Head::parse(format!("{head}\r\n\r\n").as_bytes(), false)?;
    let (head, _) = head.expect("it is whole");
    Ok((head.framing, head.keeps_open))
}

#[test]
fn the_end_of_a_body_is_told_in_one_way() {
    for (head, is) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 7",
            (Framing::Length(7), true),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED",
            (Framing::Chunked, true),
        ),
        ("HTTP/1.1 200 OK", (Framing::Close, false)),
        ("HTTP/1.1 204 No Content", (Framing::Length(0), true)),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 7",
            (Framing::Length(0), true),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: x, Close",
            (Framing::Length(7), false),
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 7",
            (Framing::Length(7), false),
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 7\r\nConnection: keep-alive",
            (Framing::Length(7), true),
        ),
    ] {
        assert_eq!(framing(head), Ok(is), "{head}");
    }
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7",
        "HTTP/1.1 200 OK\r\nContent-Length: 7, 7",
        "HTTP/1.1 200 OK\r\nContent-Length: +7",
        "HTTP/1.1 200 OK\r\nContent-Length:",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999",
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
    ] {
        assert_eq!(framing(head), Err(Malformed::Length), "{head}");
    }
}

#[test]
fn a_head_has_a_limit_whole_or_not() {
    let line = format!("A: {}\r\n", "x".repeat(1000));
    let long = format!("HTTP/1.1 200 OK\r\n{}", line.repeat(17));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(65));
    for head in [long.clone(), format!("{long}\r\n"), many] {
        assert_eq!(Head::parse(head.as_bytes(), false), Err(Malformed::Large));
    }
}
