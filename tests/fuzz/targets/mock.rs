//! However a request is made, the mock answers it and does not panic; and where a session token is
//! required, it gets no credential and causes none without one.

#![no_main]

use credpin_mock_imds::{Fault, Host, Request, Response, Settings, State, respond};
use http::Method;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const MAX_HEADERS: usize = 64;

/// The first five bytes: what goes wrong, and the second at which all this is. What follows is requests
/// as they come over the wire, one after the other.
fuzz_target!(|input: &[u8]| {
    let Some((head, mut rest)) = input.split_first_chunk::<5>() else {
        return;
    };
    let [fault, second @ ..] = *head;
    let now = Timestamp::from_second(u32::from_le_bytes(second).into()).expect("before 2107");
    let strict = mock(true, Some(fault));
    let open = mock(false, None);
    let session = session(&open, now);
    while let Some((request, after)) = parse(rest) {
        rest = after;
        without_a_session(&strict, &request, now);
        well_formed(&open, &request, now);
        let mut with_session = request;
        with_session.headers_mut().remove(TTL);
        with_session
            .headers_mut()
            .insert(TOKEN, session.parse().expect("a token is a header's value"));
        well_formed(&open, &with_session, now);
        // Of another instance.
        without_a_session(&strict, &with_session, now);
    }
});

/// Whether a token is needed, and what goes wrong with it, if anything.
fn mock(imdsv2_only: bool, fault: Option<u8>) -> State {
    let state = State::new(Settings {
        host: Host::default(),
        imdsv2_only,
        ..Settings::default()
    });
    let faults = [
        "404",
        "503",
        "throttle=1",
        "garbage",
        "skew=9000h",
        "skew=-9000h",
        "expired",
        "unparsable",
        "no-role",
    ];
    // Oftener than not, nothing.
    if let Some(fault) = fault.and_then(|fault| faults.get(usize::from(fault))) {
        let fault: Fault = fault.parse().expect("it is one");
        state.set_fault("/", fault);
    }
    state
}

/// No token that the input could name is good: the key is another one in each run.
fn without_a_session(state: &State, request: &Request, now: Timestamp) {
    let response = respond(state, request, now);
    assert!(state.issued().is_empty(), "it caused a credential");
    let body = String::from_utf8_lossy(response.body());
    assert!(!body.contains("SecretAccessKey"), "{body}");
    let minted = request.method() == Method::PUT && response.headers().contains_key(TTL);
    // It answers 200 to all.
    let garbage = state
        .faults()
        .iter()
        .any(|it| it.spec.fault == Fault::Garbage);
    assert!(
        minted || garbage || !response.status().is_success(),
        "{request:?} got {}: {body}",
        response.status()
    );
}

fn well_formed(state: &State, request: &Request, now: Timestamp) {
    let response = respond(state, request, now);
    assert!(
        matches!(
            response.status().as_u16(),
            200 | 301 | 400 | 401 | 403 | 404 | 405
        ),
        "{}",
        response.status()
    );
    let length = response.headers().get("content-length");
    let length = length.expect("every answer has a length");
    let length: usize = length
        .to_str()
        .expect("it is a number")
        .parse()
        .expect("it is a number");
    match *request.method() {
        Method::HEAD => assert!(response.body().is_empty()),
        _ => assert_eq!(response.body().len(), length),
    }
    // What was issued is in the log, of which nothing grows without bound.
    assert!(state.issued().len() <= 1024 && state.requests().len() <= 4096);
}

fn session(state: &State, now: Timestamp) -> String {
    let mut request = Request::default();
    *request.method_mut() = Method::PUT;
    *request.uri_mut() = "/latest/api/token".parse().expect("a path");
    request.headers_mut().insert(TTL, 21_600.into());
    let response: Response = respond(state, &request, now);
    assert_eq!(response.status(), 200);
    String::from_utf8(response.into_body().into()).expect("a token is text")
}

/// The first request of `bytes`, read as the server's library reads it, and what comes after it.
fn parse(bytes: &[u8]) -> Option<(Request, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(end) = head.parse(bytes).ok()? else {
        return None;
    };
    let mut request = http::Request::builder()
        .method(head.method?)
        .uri(head.path?);
    for header in &*head.headers {
        request = request.header(header.name, header.value);
    }
    Some((request.body(()).ok()?, &bytes[end..]))
}
