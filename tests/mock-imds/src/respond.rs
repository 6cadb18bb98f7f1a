//! The mock itself: a request, the state and the time make an answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;

use crate::aemm::{self, Fidelity};
use crate::credential::{Asker, Holder, whole_seconds};
use crate::document::document;
use crate::fault::Fault;
use crate::host::Host;
use crate::metadata::{VERSIONS, identity_document};
use crate::notice::{Dates, Said};
use crate::path::Path;
use crate::response::{self, OCTETS, TEXT, TOKEN_TTL};
use crate::session::MAX_TTL;
use crate::state::{Inner, Seen, State};
use crate::tree::{Leaf, Node};

/// A request as IMDS sees it: bodies are never read.
pub type Request = http::Request<()>;

/// The address that a request came from: an extension of [`Request`], for the log. [`run`] adds it.
///
/// [`run`]: crate::run
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// An answer with its whole body; empty if the request was a HEAD.
pub type Response = http::Response<Bytes>;

pub(crate) const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const FORWARDED: &str = "x-forwarded-for";

/// What [`Fault::Garbage`] answers: the start of a document, and bytes that no text has.
const GARBAGE: &[u8] = b"{\n  \"Code\" : \"Succ\xff\x00\xfe<<<";

/// Answers `request` as IMDS would at the time `now`, and notes both in `state`'s log.
///
/// Answers are (EC2 User Guide, how IMDSv2 works): 400 for a PUT without a usable TTL, 401 for a
/// missing, unknown or expired token, 403 for a PUT that was forwarded and for all where the service is
/// switched off, 404, 405. [`Fault`]s that
/// concern the answer are applied here; those that concern the socket are [`run`]'s.
///
/// [`run`]: crate::run
pub fn respond(state: &State, request: &Request, now: Timestamp) -> Response {
    let fault = state.decide_fault(request, now);
    respond_with(state, request, fault, now)
}

/// [`respond`] where it is known already which fault the request meets.
pub(crate) fn respond_with(
    state: &State,
    request: &Request,
    fault: Option<Fault>,
    now: Timestamp,
) -> Response {
    let mut inner = state.lock();
    let shown = match fault {
        Some(Fault::Skew(skew)) => now.checked_add(skew).unwrap_or(now),
        _ => now,
    };
    let aemm = matches!(inner.fidelity, Fidelity::Aemm(_));
    let response = match fault {
        Some(Fault::Status(status)) => response::error(status),
        Some(Fault::Throttle(_)) => response::error(StatusCode::SERVICE_UNAVAILABLE),
        Some(Fault::Garbage) => response::content(TEXT, GARBAGE),
        _ if inner.disabled => response::error(StatusCode::FORBIDDEN),
        _ if aemm => aemm::answer(&mut inner, request, shown),
        _ => answer(&mut inner, request, fault, shown),
    };
    let response = if aemm {
        response
    } else {
        response::sealed(response, inner.keep_alive)
    };
    let response = response::framed(response, request.method(), shown);
    inner
        .seen
        .push(Seen::new(request, Some(response.status()), now));
    response
}

/// Whether the request is one for a session token: a PUT to where they are.
pub(crate) fn asks_for_token(request: &Request) -> bool {
    request.method() == Method::PUT && is_token(&Path::parse(request.uri().path()))
}

fn is_token(path: &Path) -> bool {
    path.segments() == ["latest", "api", "token"]
}

fn answer(inner: &mut Inner, request: &Request, fault: Option<Fault>, now: Timestamp) -> Response {
    let path = Path::parse(request.uri().path());
    let headers = request.headers();
    if is_token(&path) {
        return match *request.method() {
            Method::PUT => mint(inner, headers, now).unwrap_or_else(response::error),
            _ => response::not_allowed("OPTIONS, PUT"),
        };
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response::not_allowed("OPTIONS, GET, HEAD");
    }
    match session(inner, headers, now) {
        Err(status) => response::error(status),
        Ok(None) => read(inner, &path, request, fault, now),
        Ok(Some(seconds_left)) => {
            let mut response = read(inner, &path, request, fault, now);
            response
                .headers_mut()
                .insert(TOKEN_TTL, seconds_left.into());
            response
        }
    }
}

/// The answer to a PUT for a session token.
fn mint(inner: &mut Inner, headers: &HeaderMap, now: Timestamp) -> Result<Response, StatusCode> {
    if headers.contains_key(FORWARDED) {
        return Err(StatusCode::FORBIDDEN);
    }
    let ttl = only(headers, TOKEN_TTL.as_str())
        .and_then(|value| std::str::from_utf8(value).ok())
        .filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|value| value.parse().ok())
        .filter(|ttl| (1..=MAX_TTL).contains(ttl))
        .ok_or(StatusCode::BAD_REQUEST)?;
    let token = inner.sessions.mint(Duration::from_secs(ttl), now);
    let mut response = response::content(TEXT, token);
    response.headers_mut().insert(TOKEN_TTL, ttl.into());
    Ok(response)
}

/// The seconds left of the request's session, `None` for a request of IMDSv1. Either of IMDSv2's
/// headers makes a request one of IMDSv2, which needs a token.
fn session(inner: &Inner, headers: &HeaderMap, now: Timestamp) -> Result<Option<u64>, StatusCode> {
    let v2 = headers.contains_key(TOKEN_HEADER) || headers.contains_key(TOKEN_TTL);
    if !v2 && !inner.imdsv2_only {
        return Ok(None);
    }
    only(headers, TOKEN_HEADER)
        .and_then(|token| inner.sessions.seconds_left(token, now))
        .map(Some)
        .ok_or(StatusCode::UNAUTHORIZED)
}

/// What is at `path`, for a request that may read it.
fn read(
    inner: &mut Inner,
    path: &Path,
    request: &Request,
    fault: Option<Fault>,
    now: Timestamp,
) -> Response {
    let Some((version, rest)) = path.segments().split_first() else {
        return response::content(TEXT, VERSIONS.join("\n"));
    };
    if !VERSIONS.contains(&version.as_str()) {
        return response::error(StatusCode::NOT_FOUND);
    }
    if fault == Some(Fault::NoRole) {
        return response::content(TEXT, "");
    }
    inner.plant(now);
    let launched = inner.host.launched;
    let asker = Asker {
        peer: request.extensions().get().map(|Peer(peer)| *peer),
        session: only(request.headers(), TOKEN_HEADER)
            .and_then(|token| std::str::from_utf8(token).ok()),
        now,
    };
    let (content, renewed) = if rest.is_empty() {
        (response::content(TEXT, inner.tree.names()), launched)
    } else {
        match inner.tree.find(rest) {
            None => return response::error(StatusCode::NOT_FOUND),
            Some(Node::Directory(directory)) => {
                (response::content(TEXT, directory.listing()), launched)
            }
            Some(Node::Leaf(Leaf::Text(text))) => (response::content(TEXT, text.clone()), launched),
            Some(Node::Leaf(Leaf::Bytes(bytes))) => {
                (response::content(OCTETS, bytes.clone()), launched)
            }
            Some(Node::Leaf(Leaf::Notice(place))) => {
                let place = *place;
                let client = asker.peer.map(|peer| peer.ip());
                let admitted = inner.audience.admits(place, client, inner.notices.clients);
                match inner.notices.read(place, Dates::Converted, now) {
                    Some(Said::Text(text)) if admitted => (response::content(TEXT, text), now),
                    Some(Said::Json(json)) if admitted => {
                        (response::content(TEXT, json.compact()), now)
                    }
                    _ => return response::error(StatusCode::NOT_FOUND),
                }
            }
            Some(Node::Leaf(Leaf::Signature(kind))) => {
                let text = inner.signer.text(&identity_document(&inner.host), *kind);
                (response::content(TEXT, text), launched)
            }
            Some(Node::Leaf(Leaf::IamInfo)) => iam_info(inner, now),
            Some(Node::Leaf(Leaf::IdentityInfo)) => identity_info(&inner.host),
            Some(Node::Leaf(leaf @ (Leaf::Credentials(_) | Leaf::IdentityCredentials))) => {
                let holder = match leaf {
                    Leaf::Credentials(role) => Holder::Role(role),
                    _ => Holder::Identity,
                };
                let (document, renewed) = inner.issuer.document(&inner.host, holder, fault, &asker);
                (response::content(TEXT, document), renewed)
            }
        }
    };
    response::modified(content, renewed)
}

fn iam_info(inner: &Inner, now: Timestamp) -> (Response, Timestamp) {
    if let Some(error) = &inner.profile_error {
        let updated = whole_seconds(now);
        return (response::content(TEXT, error.document(updated)), updated);
    }
    let renewed = inner.issuer.last_updated().unwrap_or(inner.host.launched);
    let document = document([
        ("Code", "Success"),
        ("LastUpdated", &renewed.to_string()),
        (
            "InstanceProfileArn",
            &inner.host.instance_profile_arn().unwrap_or_default(),
        ),
        ("InstanceProfileId", &inner.host.instance_profile_id),
    ]);
    (response::content(TEXT, document), renewed)
}

fn identity_info(host: &Host) -> (Response, Timestamp) {
    let document = document([
        ("Code", "Success"),
        ("LastUpdated", &host.launched.to_string()),
        ("AccountId", &host.account),
    ]);
    (response::content(TEXT, document), host.launched)
}

/// The value of a header that must be there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}
