//! What amazon-ec2-metadata-mock answers, on top of Go's HTTP server.

use std::collections::BTreeSet;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;

use super::{Content, DYNAMIC_DATA, Fidelity, META_DATA, Routes, TOKEN, USER_DATA_PATH};
use crate::notice::{Dates, Notices, Said};
use crate::path::Path;
use crate::respond::{Peer, Request, Response, TOKEN_HEADER};
use crate::response::{self, OCTETS, TEXT, TOKEN_TTL};
use crate::session::MAX_TTL;
use crate::state::Inner;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ERROR_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// The answer to a request for one of `routes`. Neither the method nor a token matters, but for the
/// token's own path and where tokens are required; then they are asked for at each route and at the
/// upper listings, and nowhere else.
pub(crate) fn answer(inner: &mut Inner, request: &Request, now: Timestamp) -> Response {
    let Inner {
        fidelity: Fidelity::Aemm(routes),
        notices,
        sessions,
        imdsv2_only,
        audience,
        ..
    } = inner
    else {
        return error(StatusCode::NOT_FOUND);
    };
    let path = format!(
        "/{}",
        Path::parse(request.uri().path()).segments().join("/")
    );
    let headers = request.headers();
    if path == TOKEN {
        return match (request.method(), ttl(headers)) {
            (&Method::PUT, Some(ttl)) => {
                let token = sessions.mint(Duration::from_secs(ttl), now);
                let mut response = response::content(TEXT, token);
                response.headers_mut().insert(TOKEN_TTL, ttl.into());
                response
            }
            (&Method::PUT, None) => error(StatusCode::BAD_REQUEST),
            _ => response::content(TEXT, ""),
        };
    }
    let content = routes.get(&path, notices);
    let index = index(&path, routes, notices);
    if *imdsv2_only && (content.is_some() || index.is_some()) {
        let token = headers.get(TOKEN_HEADER).map(HeaderValue::as_bytes);
        if token
            .and_then(|token| sessions.seconds_left(token, now))
            .is_none()
        {
            return error(StatusCode::UNAUTHORIZED);
        }
    }
    match content {
        Some(Content::Text(text)) => response::content(TEXT, text.clone()),
        Some(Content::Octets(bytes)) => response::content(OCTETS, bytes.clone()),
        Some(Content::Json(json)) => response::content(JSON, json.indented()),
        Some(Content::Line(json)) => response::content(TEXT, json.compact()),
        Some(Content::Notice(place)) => {
            let client = request.extensions().get().map(|Peer(peer)| peer.ip());
            if !audience.admits(*place, client, notices.clients) {
                return error(StatusCode::NOT_FOUND);
            }
            match notices.read(*place, Dates::AsGiven, now) {
                Some(Said::Text(text)) => response::content(TEXT, text),
                Some(Said::Json(json)) => response::content(JSON, json.indented()),
                None => error(StatusCode::NOT_FOUND),
            }
        }
        None => match index.or_else(|| listing(&path, routes, notices)) {
            Some(listing) => response::content(TEXT, listing),
            None => error(StatusCode::NOT_FOUND),
        },
    }
}

/// The listings that end in a line break.
fn index(path: &str, routes: &Routes, notices: &Notices) -> Option<String> {
    match path {
        "/" => Some("latest\n".into()),
        "/latest" => Some("dynamic\nmeta-data\nuser-data\n".into()),
        META_DATA | DYNAMIC_DATA => {
            let names = names(routes.below(path, notices).into_iter());
            Some(format!("{names}\n"))
        }
        _ => None,
    }
}

/// The other listings: of all routes that contain what is asked for, the part up to the next slash.
fn listing(path: &str, routes: &Routes, notices: &Notices) -> Option<String> {
    let section = [META_DATA, DYNAMIC_DATA, USER_DATA_PATH]
        .into_iter()
        .find(|section| path.starts_with(section))?;
    let asked = path.strip_prefix(section)?.strip_prefix('/')?;
    let below = format!("{asked}/");
    let names = names(
        routes
            .below(section, notices)
            .into_iter()
            .filter(|route| route.contains(asked))
            .map(|route| route.strip_prefix(&below).unwrap_or(route)),
    );
    (!names.is_empty()).then_some(names)
}

/// The first segments of `routes`, each once, one a line, with a slash where more follows.
fn names<'a>(routes: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = routes
        .map(|route| match route.find('/') {
            Some(slash) => &route[..=slash],
            None => route,
        })
        .collect();
    names.into_iter().collect::<Vec<_>>().join("\n")
}

fn ttl(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(TOKEN_TTL)?.to_str().ok()?;
    let ttl = value.parse().ok()?;
    (1..=MAX_TTL).contains(&ttl).then_some(ttl)
}

/// An error with the page that is shown for it.
fn error(status: StatusCode) -> Response {
    let title = format!(
        "{} - {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error")
    );
    // The page of 404 is the real one's.
    let page = if status == StatusCode::NOT_FOUND {
        response::error(status).into_body()
    } else {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
   <head>
      <title>{title}</title>
   </head>
   <body>
      <h1>{title}</h1>
   </body>
</html>
"#
        )
        .into()
    };
    let mut response = response::content(ERROR_TEXT, page);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}
