//! The routes of the admin API, without a socket.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, ORIGIN};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::view;
use crate::credential::CredentialError;
use crate::fault::FaultSpec;
use crate::host::Host;
use crate::state::State;

/// A request with its whole body.
pub type Request = http::Request<Bytes>;

/// An answer with its whole body: JSON, or nothing.
pub type Response = http::Response<Bytes>;

/// What there is. A path that is here with another method is answered with 405.
const ROUTES: [(&str, &str, &str); 19] = [
    ("GET", "/", "this list"),
    (
        "GET",
        "/requests",
        "the requests seen; ?since=N: from number N on",
    ),
    (
        "DELETE",
        "/requests",
        "forget them; the next is numbered on",
    ),
    ("GET", "/issued", "the credentials issued"),
    ("GET", "/host", "the host's description"),
    (
        "PUT",
        "/host",
        "describe it anew; what is not named is as by default",
    ),
    (
        "PATCH",
        "/host",
        r#"change what is named, as {"role": null}"#,
    ),
    (
        "POST",
        "/credentials/rotate",
        "the next request gets a new set",
    ),
    (
        "PUT",
        "/credentials/error",
        r#"answer {"code": …, "message": …} in their place"#,
    ),
    ("DELETE", "/credentials/error", "answer credentials again"),
    (
        "GET",
        "/faults",
        "the faults that are set, and how often each happened",
    ),
    (
        "POST",
        "/faults",
        r#"set one: {"path": "/", "fault": "503", "p": 0.2, "count": 3}"#,
    ),
    (
        "DELETE",
        "/faults",
        "take all back; ?path=/latest: the one there",
    ),
    ("GET", "/clock", "the time that the mock serves at"),
    (
        "PUT",
        "/clock",
        r#"set it off from the machine's: {"offset": "6h"}"#,
    ),
    ("DELETE", "/tokens", "make every session token invalid"),
    (
        "GET",
        "/imdsv1",
        "whether requests without a token are served",
    ),
    ("PUT", "/imdsv1", r#"{"enabled": false}: refuse them"#),
    ("GET", "/healthz", "204: it serves"),
];

/// Why a request of the admin API is refused. It is answered as `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such path.
    #[error("there is no {0}; GET / lists what there is")]
    Unknown(String),
    /// The path takes other methods.
    #[error("{path} takes {allowed}, not {method}")]
    Method {
        /// The method of the request.
        method: Method,
        /// Its path.
        path: String,
        /// What the path takes.
        allowed: String,
    },
    /// The query says something else than what the path takes.
    #[error("`?{0}` is no query that this path takes; GET / lists them")]
    Query(String),
    /// The body is no JSON of the right kind.
    #[error("cannot read the body")]
    Body(#[source] serde_json::Error),
    /// The body is longer than so many bytes.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// The offset is no time.
    #[error("the offset `{offset}` is no time such as 6h or -10m")]
    Offset {
        /// What was asked for.
        offset: String,
        /// What is wrong with it.
        source: jiff::Error,
    },
    /// There is no fault to take back.
    #[error("no fault is set at {0}; GET /faults lists those that are")]
    NoFault(String),
    /// A page in a browser asks, which nobody does in a test of metadata.
    #[error("a page of {0} asks, and pages are not answered")]
    Page(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorBody {
    code: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockBody {
    offset: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImdsV1Body {
    enabled: bool,
}

/// Answers a request of the admin API at the time `now`, which the mock's own clock shows.
pub fn answer(state: &State, request: &Request, now: Timestamp) -> Response {
    match route(state, request, now) {
        Ok(Some(value)) => json_response(StatusCode::OK, &value),
        Ok(None) => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(refusal) => refusal.into(),
    }
}

fn route(state: &State, request: &Request, now: Timestamp) -> Result<Option<Value>, Refusal> {
    if let Some(origin) = request.headers().get(ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes()).into_owned();
        return Err(Refusal::Page(origin));
    }
    let (method, path) = (request.method(), request.uri().path());
    let query = request.uri().query();
    let shown = match (method.as_str(), path) {
        ("GET", "/requests") => requests(state, since(query)?),
        ("DELETE", "/faults") if query.is_some() => {
            let path = query_value(query, "path")?.unwrap_or_default();
            if !state.clear_fault(path) {
                return Err(Refusal::NoFault(path.to_owned()));
            }
            return Ok(None);
        }
        _ if query.is_some() => return Err(Refusal::Query(query.unwrap_or_default().to_owned())),
        ("GET", "/") => routes(),
        ("GET", "/issued") => {
            let issued: Vec<_> = state.issued().iter().map(view::issued).collect();
            json!({ "issued": issued })
        }
        ("GET", "/host") => json!(state.host()),
        ("GET", "/faults") => json!({ "faults": state.faults() }),
        ("GET", "/clock") => clock(state, now),
        ("GET", "/imdsv1") => json!({ "enabled": !state.requires_tokens() }),
        _ => return change(state, request).map(|()| None),
    };
    Ok(Some(shown))
}

/// The requests that change something, and those that there are not.
fn change(state: &State, request: &Request) -> Result<(), Refusal> {
    match (request.method().as_str(), request.uri().path()) {
        ("GET", "/healthz") => {}
        ("DELETE", "/requests") => state.forget_requests(),
        ("PUT", "/host") => {
            let new: Host = body(request)?;
            state.update_host(|host| *host = new);
        }
        ("PATCH", "/host") => patch_host(state, request)?,
        ("POST", "/credentials/rotate") => state.rotate_credentials(),
        ("PUT", "/credentials/error") => {
            let ErrorBody { code, message } = body(request)?;
            state.fail_credentials(Some(CredentialError { code, message }));
        }
        ("DELETE", "/credentials/error") => state.fail_credentials(None),
        ("POST", "/faults") => state.add_fault(body::<FaultSpec>(request)?),
        ("DELETE", "/faults") => state.clear_faults(),
        ("PUT", "/clock") => {
            let ClockBody { offset } = body(request)?;
            let parsed: SignedDuration = offset
                .parse()
                .map_err(|source| Refusal::Offset { offset, source })?;
            state.set_clock_offset(parsed);
        }
        ("DELETE", "/tokens") => state.forget_tokens(),
        ("PUT", "/imdsv1") => {
            let ImdsV1Body { enabled } = body(request)?;
            state.require_tokens(!enabled);
        }
        (_, path) => return Err(unknown(request.method(), path)),
    }
    Ok(())
}

fn requests(state: &State, since: u64) -> Value {
    let (numbered, next, dropped) = state.log_since(since);
    let requests: Vec<_> = numbered
        .iter()
        .map(|(number, seen)| view::seen(*number, seen))
        .collect();
    json!({ "requests": requests, "next": next, "dropped": dropped })
}

fn clock(state: &State, now: Timestamp) -> Value {
    let offset = state.clock_offset();
    json!({ "now": state.at_offset(now), "offset": format!("{offset:#}") })
}

fn routes() -> Value {
    ROUTES
        .iter()
        .map(|(method, path, about)| (format!("{method} {path}"), Value::from(*about)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// What is named takes the place of what was there; objects are merged, lists are not.
fn patch_host(state: &State, request: &Request) -> Result<(), Refusal> {
    let patch: Value = body(request)?;
    let mut changed = Ok(());
    state.update_host(|host| {
        let mut described = json!(*host);
        merge(&mut described, patch);
        changed = serde_json::from_value(described).map(|new| *host = new);
    });
    changed.map_err(Refusal::Body)
}

fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch,
    }
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    serde_json::from_slice(request.body()).map_err(Refusal::Body)
}

fn since(query: Option<&str>) -> Result<u64, Refusal> {
    match query_value(query, "since")? {
        None => Ok(0),
        Some(number) => number
            .parse()
            .map_err(|_| Refusal::Query(format!("since={number}"))),
    }
}

/// The value of the one key that the path takes.
fn query_value<'a>(query: Option<&'a str>, key: &str) -> Result<Option<&'a str>, Refusal> {
    let Some(query) = query else { return Ok(None) };
    match query.split_once('=') {
        Some((name, value)) if name == key => Ok(Some(value)),
        _ => Err(Refusal::Query(query.to_owned())),
    }
}

fn unknown(method: &Method, path: &str) -> Refusal {
    let allowed: Vec<&str> = ROUTES
        .iter()
        .filter(|(_, other, _)| *other == path)
        .map(|(allowed, _, _)| *allowed)
        .collect();
    if allowed.is_empty() {
        return Refusal::Unknown(path.to_owned());
    }
    Refusal::Method {
        method: method.clone(),
        path: path.to_owned(),
        allowed: allowed.join(", "),
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unknown(_) | Self::NoFault(_) => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Query(_) | Self::Body(_) | Self::Offset { .. } => StatusCode::BAD_REQUEST,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Page(_) => StatusCode::FORBIDDEN,
        }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let mut sentence = refusal.to_string();
        if let Some(cause) = std::error::Error::source(&refusal) {
            sentence = format!("{sentence}: {cause}");
        }
        let mut response = json_response(refusal.status(), &json!({ "error": sentence }));
        if let Refusal::Method { allowed, .. } = &refusal
            && let Ok(allowed) = HeaderValue::from_str(allowed)
        {
            response.headers_mut().insert(ALLOW, allowed);
        }
        response
    }
}

fn json_response(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(format!("{value:#}\n").into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Settings;

    /// Each route that is listed is served: none is answered as if it were not there.
    #[test]
    fn what_is_listed_is_there() {
        for (method, path, _) in ROUTES {
            let request = Request::default();
            let (mut head, body) = request.into_parts();
            head.method = method.parse().unwrap();
            head.uri = path.parse().unwrap();
            let state = State::new(Settings::default());
            let response = answer(
                &state,
                &Request::from_parts(head, body),
                Timestamp::UNIX_EPOCH,
            );
            let status = response.status().as_u16();
            assert!(
                matches!(status, 200 | 204 | 400),
                "{method} {path}: {status}"
            );
        }
    }
}
