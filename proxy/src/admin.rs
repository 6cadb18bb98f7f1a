//! `/healthz`, `/readyz` and `/metrics`, on a socket of their own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::answer::Answer;
use crate::metrics::Metrics;
use crate::sockets::AdminListener;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Of those who watch, at a time.
const CONNECTIONS: usize = 16;
/// One connection, from its first byte to its last: scrapers take a second.
const LIMIT: Duration = Duration::from_secs(30);
/// After an accept that failed: most often the process is out of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Answers who comes in at `listener`, until it is dropped.
pub(crate) async fn serve<A>(listener: AdminListener, answer: A)
where
    A: Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return; // Nobody closes it.
        };
        while open.try_join_next().is_some() {}
        let accepted = match &listener {
            AdminListener::Tcp(listener) => {
                let accepted = listener.accept().await;
                accepted.map(|(stream, _)| Box::new(stream) as Box<dyn Stream>)
            }
            AdminListener::Unix(listener) => {
                let accepted = listener.accept().await;
                accepted.map(|(stream, _)| Box::new(stream) as Box<dyn Stream>)
            }
        };
        match accepted {
            Ok(stream) => {
                let answer = Arc::clone(&answer);
                open.spawn(async move {
                    if timeout(LIMIT, converse(stream, &*answer)).await.is_err() {
                        debug!("a connection for admin took longer than {LIMIT:?}");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection for admin");
                sleep(BREATH).await;
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn converse(stream: Box<dyn Stream>, answer: &impl Fn(&Request<Incoming>) -> Answer) {
    let service = service_fn(|request| {
        let answered = answer(&request);
        async move { Ok::<_, Infallible>(answered) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, "a connection for admin ended early");
    }
}

/// Answers a request of whoever watches the proxy. `held` is the number of records that only
/// memory has: until they are written the proxy serves, but is not as ready as it should be. With
/// `fails` the last record could not be written; with `on-ledger-failure = "refuse"` none is held.
pub(crate) fn answer<B>(
    request: &Request<B>,
    metrics: &Metrics,
    held: usize,
    fails: bool,
) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
    }
    match request.uri().path() {
        "/healthz" => reply(StatusCode::OK, TEXT, "alive\n"),
        "/readyz" if held == 0 && !fails => reply(StatusCode::OK, TEXT, "ready\n"),
        "/readyz" if held == 0 => {
            let text = "the ledger fails: the last record could not be written\n";
            reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
        }
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
