//! Connections to the metadata service: a bounded number of them, kept open while it keeps them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// The connections that there are.
pub(crate) struct Pool {
    address: SocketAddr,
    connect_timeout: Duration,
    idle: Mutex<Vec<Idle>>,
    /// A permit is held until its connection's socket is closed.
    open: Arc<Semaphore>,
}

/// A connection on which one request can be sent.
pub(crate) struct Connection(SendRequest<Empty<Bytes>>);

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection that was idle for longer may be gone without a word.
const IDLE: Duration = Duration::from_secs(5);

impl Pool {
    /// At most `connections` to `address`.
    pub(crate) fn new(address: SocketAddr, connections: usize, connect_timeout: Duration) -> Self {
        Self {
            address,
            connect_timeout,
            idle: Mutex::default(),
            open: Arc::new(Semaphore::new(connections)),
        }
    }

    /// A connection that was used before. It may turn out to be closed only when it is used again.
    pub(crate) async fn reuse(&self) -> Option<Connection> {
        loop {
            let Idle {
                mut connection,
                since,
            } = self.lock().pop()?;
            if since.elapsed() < IDLE && connection.0.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// A new connection, as soon as there are few enough.
    pub(crate) async fn open(&self) -> io::Result<Connection> {
        let place = Arc::clone(&self.open).acquire_owned().await;
        let place = place.map_err(io::Error::other)?;
        let stream = timeout(self.connect_timeout, TcpStream::connect(self.address)).await??;
        stream.set_nodelay(true)?;
        let handshake = http1::Builder::new()
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            // How it ended is what who sent the request learns.
            let _ = connection.await;
            drop(place);
        });
        Ok(Connection(sender))
    }

    /// Takes back a connection whose answer was read to its end.
    pub(crate) fn give_back(&self, connection: Connection) {
        if !connection.0.is_closed() {
            let since = Instant::now();
            self.lock().push(Idle { connection, since });
        }
    }

    /// No panic can leave the list half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Sends a request, whose `Host` and path are set, and returns the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        self.0.send_request(request).await
    }
}
