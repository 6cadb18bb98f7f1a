//! What is refused by name; and that what passes has one reading, the HTTP library's.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const START: &str = "GET / HTTP/1.1\r\n";

fn read(bytes: &[u8]) -> Read {
    Heads::default().read(bytes)
}

#[test]
fn what_clients_send_passes() {
    for head in [
        "GET / HTTP/1.0\r\n\r\n",
        "PUT /latest/api/token HTTP/1.1\r\nHost: 169.254.169.254\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\nContent-Length: 0\r\n\r\n",
        "GET //latest/meta-data/?x=y HTTP/1.1\r\nhost:h\r\nempty:\r\nX-Odd_name: caf\u{e9} \t\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let (whole, flaw) = (head.len(), None);
        assert_eq!(read(head.as_bytes()), Read { whole, flaw }, "{head:?}");
        let two = head.repeat(2);
        assert_eq!(read(two.as_bytes()).whole, two.len(), "{head:?}");
        assert_eq!(read(&head.as_bytes()[..whole - 1]), Read { whole: 0, flaw });
    }
}

#[test]
fn a_request_line_with_two_readings_is_refused() {
    for (line, flaw) in [
        ("GET /\r\n", Flaw::RequestLine),
        ("GET  / HTTP/1.1\r\n", Flaw::RequestLine),
        (" GET / HTTP/1.1\r\n", Flaw::RequestLine),
        ("GET / HTTP/1.1 \r\n", Flaw::RequestLine),
        ("GET\t/ HTTP/1.1\r\n", Flaw::RequestLine),
        ("G(T / HTTP/1.1\r\n", Flaw::RequestLine),
        ("\r\n\r\n", Flaw::RequestLine),
        ("\nGET / HTTP/1.1\r\n", Flaw::LineEnd),
        ("GET / HTTP/1.1\n", Flaw::LineEnd),
        ("GET / HTTP/1.1\r\r\n", Flaw::Version),
        ("GET / HTTP/1.2\r\n", Flaw::Version),
        ("GET / HTTP/2.0\r\n", Flaw::Version),
        ("GET / http/1.1\r\n", Flaw::Version),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Flaw::Version),
        ("GET http://169.254.169.254/ HTTP/1.1\r\n", Flaw::Target),
        ("CONNECT 169.254.169.254:80 HTTP/1.1\r\n", Flaw::Target),
        ("OPTIONS * HTTP/1.1\r\n", Flaw::Target),
        ("GET latest HTTP/1.1\r\n", Flaw::Target),
        ("GET /a#b HTTP/1.1\r\n", Flaw::Target),
        ("GET /a\\b HTTP/1.1\r\n", Flaw::Target),
        ("GET /\u{e9} HTTP/1.1\r\n", Flaw::Target),
        ("GET /\0 HTTP/1.1\r\n", Flaw::Target),
    ] {
        let found = read(line.as_bytes());
        let flaw = Some(flaw);
        assert_eq!(found, Read { whole: 0, flaw }, "{line:?}");
    }
}

#[test]
fn headers_with_two_readings_are_refused() {
    for (headers, flaw) in [
        ("Content-Length: 5\r\n", Flaw::Body),
        ("Content-Length: +0\r\n", Flaw::Body),
        ("Content-Length: 0, 0\r\n", Flaw::Body),
        ("Content-Length:\r\n", Flaw::Body),
        (
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            Flaw::Body,
        ),
        ("transfer-encoding: identity\r\n", Flaw::Body),
        ("Transfer-Encoding:\r\n", Flaw::Body),
        ("Transfer-Encoding : chunked\r\n", Flaw::HeaderName),
        (
            "Content-Length: 0\r\ncontent-length: 0\r\n",
            Flaw::Duplicate,
        ),
        ("Host: a\r\nA: b\r\nHOST: a\r\n", Flaw::Duplicate),
        (
            "X-aws-ec2-metadata-token: a\r\nx-Aws-Ec2-Metadata-Token: a\r\n",
            Flaw::Duplicate,
        ),
        (
            "X-aws-ec2-metadata-token-ttl-seconds: 1\r\nX-aws-ec2-metadata-token-ttl-seconds: 2\r\n",
            Flaw::Duplicate,
        ),
        ("A: b\n", Flaw::LineEnd),
        ("A: b\n\n", Flaw::LineEnd),
        ("A: b\rC: d\r\n", Flaw::HeaderValue),
        ("A: b\0\r\n", Flaw::HeaderValue),
        ("A: \x7f\r\n", Flaw::HeaderValue),
        ("A: b\r\n c\r\n", Flaw::Folded),
        (" A: b\r\n", Flaw::Folded),
        ("A: b\r\n\t\r\n", Flaw::Folded),
        ("A : b\r\n", Flaw::HeaderName),
        (": b\r\n", Flaw::HeaderName),
        ("A\r\n", Flaw::HeaderName),
        ("A b: c\r\n", Flaw::HeaderName),
        ("A\u{e9}: c\r\n", Flaw::HeaderName),
    ] {
        // What came before stays good.
        let bytes = format!("{START}\r\n{START}{headers}\r\n");
        let found = read(bytes.as_bytes());
        let (whole, flaw) = (START.len() + 2, Some(flaw));
        assert_eq!(found, Read { whole, flaw }, "{headers:?}");
    }
}

#[test]
fn each_limit_holds_to_the_byte() {
    let large = |bytes: &[u8]| read(bytes).flaw == Some(Flaw::Large);
    let line = |length: usize| format!("a:{}\r\n", "x".repeat(length - 4));
    assert!(!large(format!("{START}{}", line(MAX_LINE)).as_bytes()));
    assert!(large(format!("{START}{}", line(MAX_LINE + 1)).as_bytes()));
    assert!(!large("x".repeat(MAX_LINE - 1).as_bytes()));
    assert!(large("x".repeat(MAX_LINE).as_bytes()), "nor waited for");

    let rest = MAX_HEAD - START.len() - 2 - MAX_LINE;
    let head = |last| format!("{START}{}{}\r\n", line(MAX_LINE), line(last));
    assert_eq!(read(head(rest).as_bytes()).whole, MAX_HEAD);
    assert!(large(head(rest + 1).as_bytes()));

    let headers = |count| format!("{START}{}\r\n", "a: b\r\n".repeat(count));
    assert!(!large(headers(MAX_HEADERS).as_bytes()));
    assert!(large(headers(MAX_HEADERS + 1).as_bytes()));
}

/// Pieces of heads, in any order: sometimes a head, often nearly one.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"PUT /latest/api/token HTTP/1.1\r\n",
        b"head //a%20b?x=/ HTTP/1.0\r\n",
        b"GET http://h/ HTTP/1.1\r\n",
        b"Host: h\r\n",
        b"Host:h\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"X-aws-ec2-metadata-token: t\r\n",
        b"X_odd!: \xe9 \t\r\n",
        b"a:\r\n",
        b"a : b\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
    ];
    let ends = select(vec![&b"\r\n"[..], b"", b"\n"]);
    let mutation = proptest::option::of((any::<prop::sample::Index>(), any::<u8>()));
    let head = (vec(select(pieces), 0..6), ends, mutation);
    vec(head, 0..4).prop_map(|heads| {
        let mut all = Vec::new();
        for (pieces, end, mutation) in heads {
            let from = all.len();
            all.extend(pieces.concat());
            all.extend(end);
            if let Some((at, byte)) = mutation.filter(|_| all.len() > from) {
                let at = from + at.index(all.len() - from);
                all[at] = byte;
            }
        }
        all
    })
}

/// Method, target, version and headers.
type Reading = (String, String, u8, Vec<(String, Vec<u8>)>);

/// By splitting at what the grammar splits at, and nothing else.
fn plainly(head: &[u8]) -> Reading {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let text: String = head.iter().copied().map(char::from).collect();
    let mut lines = text.split("\r\n");
    let words: Vec<_> = lines.next().unwrap().split(' ').collect();
    let headers = lines.filter(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim_matches([' ', '\t']);
        let value = value.chars().map(|c| u8::try_from(c).unwrap()).collect();
        (name.to_owned(), value)
    });
    let version = u8::from(words[2] == "HTTP/1.1");
    let headers = headers.collect();
    (words[0].to_owned(), words[1].to_owned(), version, headers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_passes_the_http_library_reads_in_the_same_way(bytes in heads()) {
        let mut rest = &bytes[..read(&bytes).whole];
        while !rest.is_empty() {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut request = httparse::Request::new(&mut headers);
            let status = request.parse(rest);
            let Ok(httparse::Status::Complete(length)) = status else {
                panic!("{status:?} for {:?}", rest.escape_ascii().to_string());
            };
            let (method, target) = (request.method.unwrap(), request.path.unwrap());
            let uri: http::Uri = target.parse().expect("a target is a URI");
            prop_assert_eq!(uri.to_string(), target);
            prop_assert!(http::Method::from_bytes(method.as_bytes()).is_ok());
            let named = request.headers.iter().map(|header| {
                http::HeaderName::from_bytes(header.name.as_bytes()).expect("a header's name");
                http::HeaderValue::from_bytes(header.value).expect("a header's value");
                (header.name.to_owned(), header.value.to_vec())
            });
            let version = request.version.unwrap();
            let theirs = (method.to_owned(), target.to_owned(), version, named.collect());
            let (head, after) = rest.split_at(length);
            prop_assert_eq!(plainly(head), theirs);
            rest = after;
        }
    }

    #[test]
    fn however_the_bytes_are_cut_up_the_answer_is_the_same(
        bytes in heads(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let (mut heads, mut begin, mut flaw) = (Heads::default(), 0, None);
        for cut in cuts {
            if flaw.is_none() {
                let found = heads.read(&bytes[begin..cut]);
                begin += found.whole;
                flaw = found.flaw;
            }
        }
        prop_assert_eq!(Read { whole: begin, flaw }, read(&bytes));
    }
}
