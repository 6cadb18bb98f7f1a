//! The admin API: a test that is another process changes the mock and asks about it, as one in the
//! same process does with [`State`](crate::State).
//!
//! ```text
//!   Listen ──bind──> Listener ──run──> answer(&Hosts, &request, now) ──> JSON
//!   "127.0.0.1:1339"                     │          hosts.rs: whose; answer.rs: the routes
//!   "unix:/run/imds.sock"                └─ view.rs: the log as JSON
//! ```
//!
//! It has a port or a Unix socket of its own, so that nothing which reads metadata can reach it by a
//! path. `GET /` lists what there is.

mod answer;
mod hosts;
mod listen;
mod view;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;

pub use answer::{Refusal, Request, Response, answer};
pub use hosts::Hosts;
pub use listen::{BindError, Listen, Listener, ParseListenError};

use crate::clock::Clock;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// User data of 16 KiB as a list of numbers, and more than enough beside it.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// Serves the admin API of `hosts` on `listener` until `shutdown` resolves, which cuts everything at
/// once. `clock` is the one that the mock itself runs by.
pub async fn run(
    listener: Listener,
    hosts: impl Into<Hosts>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) {
    let hosts = Arc::new(hosts.into());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .half_close(true);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            stream = listener.accept() => stream,
        };
        let (hosts, clock) = (Arc::clone(&hosts), Arc::clone(&clock));
        let service = service_fn(move |request| {
            let (hosts, clock) = (Arc::clone(&hosts), Arc::clone(&clock));
            async move { Ok::<_, Infallible>(serve(request, &hosts, &*clock).await) }
        });
        connections.spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

async fn serve(
    request: http::Request<Incoming>,
    hosts: &Hosts,
    clock: &dyn Clock,
) -> http::Response<Full<bytes::Bytes>> {
    let (head, body) = request.into_parts();
    let response = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => {
            let request = Request::from_parts(head, body.to_bytes());
            answer(hosts, &request, clock.now())
        }
        Err(_) => Refusal::TooLong(MAX_BODY_BYTES).into(),
    };
    response.map(Full::new)
}
