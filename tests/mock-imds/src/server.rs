//! The socket around [`respond_with`]: connections in, answers out, and the faults of sockets.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::fault::Fault;
use crate::respond::{Peer, Request, asks_for_token, respond_with};
use crate::socket::{Control, Socket};
use crate::state::State;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// How long requests under way may take to finish once the server stops.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait after a failed accept: mostly the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Serves `state` on `listener` at the time `clock` shows, until `shutdown` resolves. Requests under
/// way then have one second to finish. Dropping the future cuts everything at once.
pub async fn run(
    listener: TcpListener,
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        // Whoever pipes a request in, as with `nc`, ends its side before the answer is out.
        .half_close(true)
        .title_case_headers(true);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (state, clock) = (Arc::clone(&state), Arc::clone(&clock));
        let (socket, control) = Socket::new(stream);
        let service = service_fn(move |request| {
            let (state, clock, control) = (Arc::clone(&state), Arc::clone(&clock), control.clone());
            async move { serve(request, peer, &control, &state, &*clock).await }
        });
        let connection = http.serve_connection(TokioIo::new(socket), service);
        // A connection that breaks is its client's business.
        connections.spawn(graceful.watch(connection));
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

async fn serve(
    request: http::Request<Incoming>,
    peer: SocketAddr,
    control: &Control,
    state: &State,
    clock: &dyn Clock,
) -> io::Result<http::Response<Either<Full<Bytes>, CutBody>>> {
    let mut request: Request = request.map(|_body| ());
    request.extensions_mut().insert(Peer(peer));
    let now = || state.at_offset(clock.now());
    let fault = state.decide_fault(&request, now());
    match fault {
        Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Hang) => {
            state.note_unanswered(&request, now());
            std::future::pending::<Infallible>().await;
        }
        Some(Fault::Close | Fault::Reset) => {
            state.note_unanswered(&request, now());
            if fault == Some(Fault::Reset) {
                control.reset_when_dropped();
            }
            // hyper answers a service's error by closing the connection.
            return Err(io::Error::other("a fault ends the connection"));
        }
        _ => {}
    }
    if asks_for_token(&request)
        && let Some(limit) = state.hop_limit()
    {
        control.limit_hops(limit);
    }
    let response = respond_with(state, &request, fault, now());
    Ok(response.map(|body| match fault {
        Some(Fault::Cut) => Either::Right(CutBody::of(&body)),
        _ => Either::Left(Full::new(body)),
    }))
}

/// The first half of a body, and then an error.
enum CutBody {
    Half(Bytes),
    Flush,
    Cut,
}

impl CutBody {
    fn of(body: &Bytes) -> Self {
        Self::Half(body.slice(..body.len() / 2))
    }
}

impl Body for CutBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match std::mem::replace(&mut *self, Self::Cut) {
            Self::Half(half) => {
                *self = Self::Flush;
                Poll::Ready(Some(Ok(Frame::data(half))))
            }
            // hyper flushes what it has when a body is not ready.
            Self::Flush => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Cut => Poll::Ready(Some(Err(io::Error::other("the fault `Cut` is set")))),
        }
    }
}
