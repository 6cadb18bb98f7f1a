//! The mock without a socket: what it answers to which request, at which time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod credentials;
mod faults;
mod identity;
mod metadata;
mod properties;
mod tokens;

use credpin_mock_imds::{Request, Response, Settings, State, respond};
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 123_456_789); // 2027-01-15T08:00:00Z
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/example-role";

fn seeded() -> State {
    State::new(Settings {
        seed: Some(1),
        ..Settings::default()
    })
}

fn v2_only() -> State {
    State::new(Settings {
        seed: Some(1),
        imdsv2_only: true,
        ..Settings::default()
    })
}

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::default();
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    request
}

fn ask(state: &State, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    respond(state, &request(method, path, headers), NOW)
}

fn get(state: &State, path: &str) -> Response {
    ask(state, Method::GET, path, &[])
}

fn status(response: &Response) -> u16 {
    response.status().as_u16()
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    Some(response.headers().get(name)?.to_str().unwrap())
}

/// The value of `key` in a JSON answer.
fn field(response: &Response, key: &str) -> String {
    let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    document[key].as_str().unwrap().to_owned()
}

fn token(state: &State, ttl: u32, now: Timestamp) -> String {
    let put = request(Method::PUT, "/latest/api/token", &[(TTL, &ttl.to_string())]);
    text(&respond(state, &put, now)).to_owned()
}
