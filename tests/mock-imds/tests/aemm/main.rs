//! The mock as amazon-ec2-metadata-mock: what its own end-to-end tests ask of it, without a socket, at
//! the time that a test says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod notices;
mod properties;
mod settings;
mod table;
mod tokens;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use credpin_mock_imds::config::{Flag, Layers};
use credpin_mock_imds::launch::{Command, Invocation, Launch};
use credpin_mock_imds::{Peer, Request, Response, State, respond};
use http::{HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};

const START: Timestamp = Timestamp::constant(1_800_000_000, 600_000_000); // 2027-01-15T08:00:00.6Z
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

const NOT_FOUND: &str = r#"<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>404 - Not Found</title>
 </head>
 <body>
  <h1>404 - Not Found</h1>
 </body>
</html>
"#;

/// What a call of `program` with these variables comes to.
fn invocation(program: &str, command: Command, variables: &[(&str, &str)]) -> Invocation {
    let environment: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Invocation {
        program: program.into(),
        command,
        layers: Layers {
            flags: Vec::new(),
            environment,
            file: None,
        },
        start: START,
    }
}

fn flag(key: &'static str, name: &'static str, value: &str) -> Flag {
    let value = value.to_owned();
    Flag { key, name, value }
}

/// A mock that was called by AEMM's name.
fn aemm(command: Command, variables: &[(&str, &str)]) -> State {
    let launch = Launch::read(&invocation("ec2-metadata-mock", command, variables)).unwrap();
    assert_eq!(launch.warnings, []);
    State::new(launch.settings)
}

fn request(method: Method, path: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut request = Request::default();
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    request
}

fn get(state: &State, path: &str) -> Response {
    respond(state, &request(Method::GET, path, &[]), START)
}

/// So many milliseconds after the start.
fn after(milliseconds: i64) -> Timestamp {
    START + SignedDuration::from_millis(milliseconds)
}

fn get_at(state: &State, path: &str, now: Timestamp) -> Response {
    respond(state, &request(Method::GET, path, &[]), now)
}

fn get_from(state: &State, path: &str, client: &str) -> u16 {
    let mut request = request(Method::GET, path, &[]);
    let client: IpAddr = client.parse().unwrap();
    let peer = Peer(SocketAddr::new(client, 40_000));
    request.extensions_mut().insert(peer);
    status(&respond(state, &request, START))
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
