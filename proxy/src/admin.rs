//! `/healthz`, `/readyz` and `/metrics`, on a socket of their own.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::answer::Answer;
use crate::metrics::Metrics;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Answers a request of whoever watches the proxy. `held` is the number of records that only
/// memory has: until they are written the proxy serves, but is not as ready as it should be.
pub(crate) fn answer<B>(request: &Request<B>, metrics: &Metrics, held: usize) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
    }
    match request.uri().path() {
        "/healthz" => reply(StatusCode::OK, TEXT, "alive\n"),
        "/readyz" if held == 0 => reply(StatusCode::OK, TEXT, "ready\n"),
        "/readyz" => {
            let records = if held == 1 {
                "record is"
            } else {
                "records are"
            };
            let text = format!("the ledger fails: {held} {records} held in memory\n");
            reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
        }
        "/metrics" => match metrics.text() {
            Ok(text) => reply(StatusCode::OK, OPENMETRICS, text),
            Err(error) => reply(
                StatusCode::INTERNAL_SERVER_ERROR,
                TEXT,
                format!("{error}\n"),
            ),
        },
        _ => reply(
            StatusCode::NOT_FOUND,
            TEXT,
            "try /healthz, /readyz or /metrics\n",
        ),
    }
}

fn reply(status: StatusCode, content_type: HeaderValue, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}
