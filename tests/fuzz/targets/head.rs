//! What the check of the raw head lets pass has one reading, the HTTP library's; and how the bytes came
//! in does not matter.

#![no_main]

use credpin_proxy::head::{Heads, MAX_HEADERS, Read};
use libfuzzer_sys::fuzz_target;

/// Of these a second one could be read instead of the first.
const ONCE: [&str; 4] = [
    "host",
    "content-length",
    "x-aws-ec2-metadata-token",
    "x-aws-ec2-metadata-token-ttl-seconds",
];

// The first two bytes say where what comes in is cut in two.
fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first_chunk::<2>() else {
        return;
    };
    let read = Heads::default().read(bytes);
    let cut = usize::from(u16::from_le_bytes(*cut)) % (bytes.len() + 1);
    assert_eq!(in_two(bytes, cut), read, "cut at {cut}");

    let mut rest = &bytes[..read.whole];
    while !rest.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let end = match request.parse(rest) {
            Ok(httparse::Status::Complete(end)) => end,
            other => panic!("the library reads {other:?}"),
        };
        let (head, after) = rest.split_at(end);
        one_reading(head, &request);
        rest = after;
    }
});

fn in_two(bytes: &[u8], cut: usize) -> Read {
    let mut heads = Heads::default();
    let first = heads.read(&bytes[..cut]);
    if first.flaw.is_some() {
        return first;
    }
    let second = heads.read(&bytes[first.whole..]);
    Read {
        whole: first.whole + second.whole,
        flaw: second.flaw,
    }
}

/// Who splits `head` at what separates its parts, and knows nothing else, reads it the same way.
fn one_reading(head: &[u8], request: &httparse::Request<'_, '_>) {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let text: String = head.iter().copied().map(char::from).collect();
    let mut lines = text
        .strip_suffix("\r\n\r\n")
        .expect("an empty line ends it")
        .split("\r\n");
    let version = request.version.expect("it was read");
    let (method, path) = (
        request.method.expect("it was read"),
        request.path.expect("it was read"),
    );
    assert_eq!(
        lines.next(),
        Some(&*format!("{method} {path} HTTP/1.{version}"))
    );
    assert!(path.starts_with('/'), "{path}");

    let mut names = Vec::new();
    for header in &*request.headers {
        let (name, value) = lines
            .next()
            .and_then(|line| line.split_once(':'))
            .expect("each header is a line");
        let read: String = header.value.iter().copied().map(char::from).collect();
        assert_eq!(
            (name, value.trim_matches([' ', '\t'])),
            (header.name, &*read)
        );
        let name = name.to_ascii_lowercase();
        assert_ne!(name, "transfer-encoding", "no request has a body");
        assert!(
            name != "content-length" || read == "0",
            "no request has a body"
        );
        assert!(
            !ONCE.contains(&&*name) || !names.contains(&name),
            "{name} is there twice"
        );
        names.push(name);
    }
    assert_eq!(lines.next(), None, "and no line is left over");
}
