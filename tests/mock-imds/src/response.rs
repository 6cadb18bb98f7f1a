//! How IMDS's answers look: its headers and error pages.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::respond::Response;

/// In the answer to a token's PUT and to every request with a token: seconds left.
pub(crate) const TOKEN_TTL: HeaderName =
    HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
pub(crate) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

/// 200 with this body.
pub(crate) fn content(content_type: HeaderValue, body: impl Into<Bytes>) -> Response {
    with_type(StatusCode::OK, content_type, body.into())
}

/// An error with the XHTML page that IMDS shows for it.
pub(crate) fn error(status: StatusCode) -> Response {
    let title = format!(
        "{} - {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error")
    );
    let page = format!(
        r#"<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{title}</title>
 </head>
 <body>
  <h1>{title}</h1>
 </body>
</html>
"#
    );
    with_type(status, HTML, page.into())
}

/// 405; without a page, as IMDS does it.
pub(crate) fn not_allowed(allow: &'static str) -> Response {
    let mut response = with_type(StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::new());
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// Says when the content was last renewed.
pub(crate) fn modified(mut response: Response, time: Timestamp) -> Response {
    if let Some(date) = http_date(time) {
        response.headers_mut().insert(header::LAST_MODIFIED, date);
    }
    response
}

/// Adds what every answer of IMDS carries.
pub(crate) fn sealed(mut response: Response, keep_alive: bool) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    headers.insert(header::SERVER, HeaderValue::from_static("EC2ws"));
    if !keep_alive {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Adds what every answer of HTTP carries, and takes the body off the answer to a HEAD.
pub(crate) fn framed(mut response: Response, method: &Method, now: Timestamp) -> Response {
    let length = HeaderValue::from(response.body().len());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length);
    if let Some(date) = http_date(now) {
        headers.insert(header::DATE, date);
    }
    if method == Method::HEAD {
        *response.body_mut() = Bytes::new();
    }
    response
}

fn with_type(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// `None` for years that HTTP cannot write.
fn http_date(time: Timestamp) -> Option<HeaderValue> {
    let date = DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time)
        .ok()?;
    HeaderValue::try_from(date).ok()
}
