//! Sockets: connections in, answers out, and an orderly end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::answer::Answer;
use crate::service::Ends;

/// How long a client may take to send the head of a request, or to send the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A head is a path, a token (56 bytes) and what SDKs add.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// How long requests that have begun may take once the end is called for.
const DRAIN: Duration = Duration::from_secs(10);
/// After an accept that failed: most often the process is out of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Answers every connection of `listeners` with `answer`, at most `max_connections` at a time (more
/// wait in the kernel's queue), until `shutdown`. Then requests that have begun are finished.
pub(crate) async fn serve<A, F>(
    listeners: Vec<TcpListener>,
    max_connections: usize,
    answer: A,
    shutdown: impl Future<Output = ()>,
) where
    A: Fn(Request<Incoming>, Ends) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let graceful = Arc::new(GracefulShutdown::new());
    let room = Arc::new(Semaphore::new(max_connections));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (answer, graceful, room) = (answer.clone(), Arc::clone(&graceful), Arc::clone(&room));
        accepting.spawn(accept(listener, answer, graceful, room));
    }
    shutdown.await;
    accepting.shutdown().await;
    // The tasks that shared it are gone.
    if let Some(graceful) = Arc::into_inner(graceful)
        && timeout(DRAIN, graceful.shutdown()).await.is_err()
    {
        warn!("some requests did not end within {DRAIN:?} and were cut off");
    }
}

async fn accept<A, F>(
    listener: TcpListener,
    answer: A,
    graceful: Arc<GracefulShutdown>,
    room: Arc<Semaphore>,
) where
    A: Fn(Request<Incoming>, Ends) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return; // Nobody closes it.
        };
        let accepted = listener.accept().await;
        match accepted.and_then(|(stream, _)| Ok((ends(&stream)?, stream))) {
            Ok((ends, stream)) => {
                let answer = answer.clone();
                let service = service_fn(move |request| {
                    let answered = answer(request, ends);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .max_buf_size(MAX_HEAD)
                    .max_headers(MAX_HEADERS)
                    .half_close(true)
                    .preserve_header_case(true)
                    .serve_connection(TokioIo::new(stream), service);
                let connection = graceful.watch(connection);
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        debug!(%error, "a connection ended early");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(BREATH).await;
            }
        }
    }
}

fn ends(stream: &TcpStream) -> io::Result<Ends> {
    stream.set_nodelay(true)?;
    Ok(Ends {
        peer: stream.peer_addr()?,
        local: stream.local_addr()?,
    })
}
