//! Sockets: connections in, answers out, and an orderly end.
//!
//! No client may keep others from being served. What it holds is a connection, and each state of one
//! ends by itself: a head or the next one within `HEAD_TIMEOUT`, an answer being made within the
//! timeouts of the upstream and the ledger, an answer being taken within `TAKE_TIMEOUT`. Whether it may
//! have one more is the [`Host`]'s to say.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::drain::{self, Drain, Member};
use crate::ends::Ends;
use crate::gather::Gathering;
use crate::head::MAX_HEAD;
use crate::idle::Idling;
use crate::linger::Lingering;
use crate::original;
use crate::pulse::{Beats, Pulse};
use crate::screen::{self, Screened};
use crate::stall::Stalling;

/// How long a client may take to send the head of a request, or to send the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to receive what was written to it.
const TAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to close a connection once it is done.
const LINGER: Duration = Duration::from_secs(1);
/// How long requests that have begun may take once nothing more is taken.
pub const LAST: Duration = Duration::from_secs(10);
/// After an accept that failed: most often the process is out of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// What every client gets: a body that is whole before its first byte goes out.
pub type Answer = Response<Full<Bytes>>;

/// What is decided elsewhere: who may come in. Everything here is in boxes, so that hyper's generic
/// code is compiled here.
pub trait Host: Send + Sync + 'static {
    /// Who is at the other end of a connection; nothing for one that is closed at once.
    fn enter(self: Arc<Self>, ends: Ends) -> Entering;
}

/// Who is at the other end of a connection, as long as it is open.
pub trait Client: Send + Sync {
    /// The answer to a request. The head of one that was refused before it could be read has a
    /// [`Flaw`](crate::head::Flaw) among its extensions.
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answering;
}

/// See [`Host::enter`].
pub type Entering = Pin<Box<dyn Future<Output = Option<Arc<dyn Client>>> + Send>>;
/// See [`Client::answer`].
pub type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Answers the clients of every connection of `listeners` that `host` lets in, at most
/// `max_connections` at a time (more wait in the kernel's queue), until `shutdown`. Then for at most
/// `drain` open connections end by their clients' leave (`drain.rs`) while what `shutdown` returned is
/// done, and at last requests that have begun are finished.
pub async fn serve<M: Future<Output = ()>>(
    listeners: Vec<TcpListener>,
    max_connections: usize,
    drain: Duration,
    pulse: Pulse,
    host: Arc<dyn Host>,
    shutdown: impl Future<Output = M>,
) {
    let (open, ended) = drain::members();
    let room = Arc::new(Semaphore::new(max_connections));
    let (limit, (drain, left)) = (drain, Drain::new());
    let drain = Arc::new(drain);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (host, open, room) = (Arc::clone(&host), open.clone(), Arc::clone(&room));
        let (drain, beats) = (Arc::clone(&drain), pulse.beats());
        accepting.spawn(accepting_on(listener, host, open, room, drain, beats));
    }
    let meanwhile = shutdown.await;
    drain.run(left, limit, meanwhile).await;
    // Each ends where it holds no connection that it has taken and nobody serves.
    accepting.join_all().await;
    drop(open);
    if timeout(LAST, ended.wait()).await.is_err() {
        warn!("some requests did not end within {LAST:?} and were cut off");
    }
}

/// In a box, so that it is compiled here: [`serve`] is generic, and compiled where it is called.
fn accepting_on(
    listener: TcpListener,
    host: Arc<dyn Host>,
    open: Member,
    room: Arc<Semaphore>,
    drain: Arc<Drain>,
    beats: Beats,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(accept(listener, host, open, room, drain, beats))
}

async fn accept(
    listener: TcpListener,
    host: Arc<dyn Host>,
    open: Member,
    room: Arc<Semaphore>,
    drain: Arc<Drain>,
    mut beats: Beats,
) {
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = drain.stopped() => return,
            () = beats.next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let ends = match ends(&stream, peer) {
                    Ok(ends) => ends,
                    Err(error) => {
                        debug!(%error, "a connection ended before it began");
                        continue;
                    }
                };
                let (drain, member) = (Arc::clone(&drain), drain.member());
                let (entering, open) = (Arc::clone(&host).enter(ends), open.clone());
                tokio::spawn(async move {
                    if let Some(client) = entering.await {
                        converse(stream, &client, &drain).await;
                    }
                    drop((permit, member, open));
                });
            }
            // The client's doing, so nobody waits for it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                debug!(%error, "a connection ended before it began");
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(BREATH).await;
            }
        }
    }
}

/// Answers `client` until its connection ends.
async fn converse(stream: TcpStream, client: &Arc<dyn Client>, drain: &Arc<Drain>) {
    let stream = Stalling::new(Gathering::new(stream), TAKE_TIMEOUT);
    let stream = Lingering::new(stream, LINGER);
    let stream = Screened::new(stream);
    let refused = stream.refused();
    let stream = Idling::new(stream, HEAD_TIMEOUT);
    let asked = AtomicBool::new(false);
    let service = service_fn(|mut request| {
        if let Some(flaw) = screen::flaw(request.uri(), &refused) {
            request.extensions_mut().insert(flaw);
        }
        asked.store(true, Ordering::Relaxed);
        let answered = Arc::clone(client).answer(request);
        async {
            let mut answer = answered.await;
            drain.mark(answer.headers_mut());
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .half_close(true)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.leave(&asked) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

/// The peer is what `accept` said: a socket that was reset since does not tell it any more.
fn ends(stream: &TcpStream, peer: SocketAddr) -> io::Result<Ends> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    Ok(Ends {
        peer,
        local,
        original: original::destination(stream, local),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Lets everybody in, and gives everybody this.
    struct Gives(usize);

    impl Host for Gives {
        fn enter(self: Arc<Self>, _: Ends) -> Entering {
            Box::pin(async { Some(self as Arc<dyn Client>) })
        }
    }

    impl Client for Gives {
        fn answer(self: Arc<Self>, _: Request<Incoming>) -> Answering {
            let body = Bytes::from(vec![b'x'; self.0]);
            Box::pin(async { Answer::new(Full::from(body)) })
        }
    }

    /// A client that asks for megabytes and takes nothing of them holds its connection no longer
    /// than it may; here there is one connection for all.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_does_not_keep_others_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let serving = serve(
            vec![listener],
            1,
            LAST,
            Pulse::new(),
            Arc::new(Gives(64 << 10)),
            std::future::pending::<std::future::Ready<()>>(),
        );
        let serving = tokio::spawn(serving);
        let mut greedy = TcpStream::connect(addr).await.unwrap();
        let ask = b"GET / HTTP/1.1\r\n\r\n";
        greedy.write_all(&ask.repeat(500)).await.unwrap();
        let served = async {
            let mut other = TcpStream::connect(addr).await.unwrap();
            other.write_all(ask).await.unwrap();
            other.read_u8().await
        };
        let served = timeout(Duration::from_mins(1), served).await;
        assert_eq!(served.expect("it is served").unwrap(), b'H');
        serving.abort();
    }

    /// Each of them would cost [`BREATH`] if it were taken for a failure of ours.
    #[tokio::test]
    async fn clients_that_reset_at_once_keep_nobody_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for _ in 0..100 {
            let stream = TcpStream::connect(addr).await.unwrap();
            let socket = socket2::SockRef::from(&stream);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        let serving = serve(
            vec![listener],
            8,
            LAST,
            Pulse::new(),
            Arc::new(Gives(1)),
            std::future::pending::<std::future::Ready<()>>(),
        );
        let serving = tokio::spawn(serving);
        let served = async {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            client.read_u8().await
        };
        let served = timeout(Duration::from_secs(5), served).await;
        assert_eq!(served.expect("it is served").unwrap(), b'H');
        serving.abort();
    }
}
