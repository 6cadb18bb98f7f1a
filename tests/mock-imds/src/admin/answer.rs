//! The routes of the admin API, without a socket.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, ORIGIN};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::hosts::Hosts;
use super::view;
use crate::credential::CredentialError;
use crate::fault::FaultSpec;
use crate::hop_limit::HopLimit;
use crate::host::Host;
use crate::merge::merge;
use crate::notice::Notices;
use crate::schedule::{Schedule, ScheduleError};
use crate::state::State;

/// A request with its whole body.
pub type Request = http::Request<Bytes>;

/// An answer with its whole body: JSON, or nothing.
pub type Response = http::Response<Bytes>;

/// What there is. A path that is here with another method is answered with 405.
const ROUTES: [(&str, &str, &str); 32] = [
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
    (
        "GET",
        "/deliveries",
        "who got which of them, when, with which token",
    ),
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
        "PUT",
        "/profile/error",
        r#"answer {"code": …, "message": …} at iam/info"#,
    ),
    ("DELETE", "/profile/error", "answer iam/info again"),
    ("GET", "/schedule", "how long credentials live"),
    (
        "PUT",
        "/schedule",
        r#"{"credential-lifetime": "6h", "rotate-every": "1s"}; what is not named is as by default"#,
    ),
    ("GET", "/notices", "what the host is told beforehand"),
    (
        "PUT",
        "/notices",
        r#"tell it, as {"spot": {"action": "stop", "due": "2027-01-15T08:00:00Z"}}; without `due`: now"#,
    ),
    ("DELETE", "/notices", "tell it nothing"),
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
    ("GET", "/endpoint", "whether the service is on"),
    (
        "PUT",
        "/endpoint",
        r#"{"enabled": false}: answer all with 403"#,
    ),
    (
        "GET",
        "/hop-limit",
        "how far the answer to a PUT for a token goes",
    ),
    (
        "PUT",
        "/hop-limit",
        r#"{"hops": 1}; null: as far as other packets"#,
    ),
    (
        "GET",
        "/hosts",
        "the hosts of a fleet; /hosts/ID before a path is for that one",
    ),
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
    /// Credentials cannot live so.
    #[error("this is no schedule")]
    Schedule(#[from] ScheduleError),
    /// There are several hosts, and none is named.
    #[error("there are {0} hosts: name one, as in /hosts/ID/requests; GET /hosts lists them")]
    WhichHost(usize),
    /// No host has this id.
    #[error("there is no host {0}; GET /hosts lists them")]
    NoHost(String),
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

/// Of `/imdsv1` and `/endpoint`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnabledBody {
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HopLimitBody {
    hops: Option<HopLimit>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ScheduleBody {
    credential_lifetime: Option<SignedDuration>,
    rotate_every: Option<SignedDuration>,
}

/// Answers a request of the admin API at the time `now`, which the mock's own clock shows.
pub fn answer(hosts: &Hosts, request: &Request, now: Timestamp) -> Response {
    match checked(hosts, request, now) {
        Ok(Some(value)) => json_response(StatusCode::OK, &value),
        Ok(None) => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(refusal) => refusal.into(),
    }
}

fn checked(hosts: &Hosts, request: &Request, now: Timestamp) -> Result<Option<Value>, Refusal> {
    if let Some(origin) = request.headers().get(ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes()).into_owned();
        return Err(Refusal::Page(origin));
    }
    let path = request.uri().path();
    match (request.method().as_str(), path) {
        ("GET", "/hosts") => return Ok(Some(hosts.list())),
        ("GET", "/") => return Ok(Some(routes())),
        ("GET", "/healthz") => return Ok(None),
        _ => {}
    }
    let (state, path) = match path
        .strip_prefix("/hosts/")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((id, rest)) => (hosts.named(id)?, &path[path.len() - rest.len() - 1..]),
        None => (hosts.only()?, path),
    };
    route(state, request, path, now)
}

fn route(
    state: &State,
    request: &Request,
    path: &str,
    now: Timestamp,
) -> Result<Option<Value>, Refusal> {
    let method = request.method();
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
        ("GET", "/issued") => {
            let issued: Vec<_> = state.issued().iter().map(view::issued).collect();
            json!({ "issued": issued, "dropped": state.dropped_issued() })
        }
        ("GET", "/deliveries") => {
            let deliveries: Vec<_> = state.deliveries().iter().map(view::delivery).collect();
            json!({ "deliveries": deliveries, "dropped": state.dropped_deliveries() })
        }
        ("GET", "/schedule") => view::schedule(state.schedule()),
        ("GET", "/endpoint") => json!({ "enabled": !state.is_disabled() }),
        ("GET", "/hop-limit") => json!({ "hops": state.hop_limit() }),
        ("GET", "/host") => json!(state.host()),
        ("GET", "/notices") => json!(state.notices()),
        ("GET", "/faults") => json!({ "faults": state.faults() }),
        ("GET", "/clock") => clock(state, now),
        ("GET", "/imdsv1") => json!({ "enabled": !state.requires_tokens() }),
        _ => return change(state, request, path).map(|()| None),
    };
    Ok(Some(shown))
}

/// The requests that change something, and those that there are not.
fn change(state: &State, request: &Request, path: &str) -> Result<(), Refusal> {
    match (request.method().as_str(), path) {
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
        ("PUT", "/profile/error") => {
            let ErrorBody { code, message } = body(request)?;
            state.fail_profile(Some(CredentialError { code, message }));
        }
        ("DELETE", "/profile/error") => state.fail_profile(None),
        ("PUT", "/schedule") => {
            let ScheduleBody {
                credential_lifetime,
                rotate_every,
            } = body(request)?;
            state.set_schedule(Schedule::new(credential_lifetime, rotate_every)?);
        }
        ("PUT", "/notices") => state.set_notices(body(request)?),
        ("DELETE", "/notices") => state.set_notices(Notices::default()),
        ("PUT", "/endpoint") => {
            let EnabledBody { enabled } = body(request)?;
            state.disable(!enabled);
        }
        ("PUT", "/hop-limit") => {
            let HopLimitBody { hops } = body(request)?;
            state.set_hop_limit(hops);
        }
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
            let EnabledBody { enabled } = body(request)?;
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

/// Changes what the body names, and leaves the rest.
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
            Self::Unknown(_) | Self::NoFault(_) | Self::NoHost(_) => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Query(_)
            | Self::Body(_)
            | Self::Offset { .. }
            | Self::Schedule(_)
            | Self::WhichHost(_) => StatusCode::BAD_REQUEST,
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
    use std::sync::Arc;

    use super::*;
    use crate::state::Settings;

    /// Each route that is listed is served: none is answered as if it were not there.
    #[test]
    fn what_is_listed_is_there() {
        let hosts = Hosts::from(Arc::new(State::new(Settings::default())));
        for (method, path, _) in ROUTES {
            let request = Request::default();
            let (mut head, body) = request.into_parts();
            head.method = method.parse().unwrap();
            head.uri = path.parse().unwrap();
            let response = answer(
                &hosts,
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
