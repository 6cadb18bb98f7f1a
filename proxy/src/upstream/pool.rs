//! Connections to the metadata service: a bounded number of them, kept open while it keeps them.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

/// The connections that there are.
pub(crate) struct Pool {
    address: SocketAddr,
    connect_timeout: Duration,
    idle: Arc<Mutex<Idle>>,
    /// A permit is held until its connection's socket is closed.
    open: Arc<Semaphore>,
}

/// A connection on which one request can be sent at a time.
///
/// hyper's half of it is driven by the task that asks, and only while it asks: a task of its own would
/// cost each request two wakeups, most of them on another CPU.
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: Driver,
    /// Given back after the socket, which is the driver's, is closed.
    _place: OwnedSemaphorePermit,
}

/// Nothing once the connection has ended: it is by being dropped that it tells its sender.
struct Driver(Option<http1::Connection<TokioIo<TcpStream>, Empty<Bytes>>>);

#[derive(Default)]
struct Idle {
    /// In the order in which they became idle; the last is used again first.
    connections: Vec<(Connection, Instant)>,
    /// Whether a task looks after them.
    swept: bool,
}

/// A connection that was idle for longer may be gone without a word.
const IDLE: Duration = Duration::from_secs(5);

impl Pool {
    /// At most `connections` to `address`.
    pub(crate) fn new(address: SocketAddr, connections: usize, connect_timeout: Duration) -> Self {
        Self {
            address,
            connect_timeout,
            idle: Arc::default(),
            open: Arc::new(Semaphore::new(connections)),
        }
    }

    /// A connection that was used before. It may turn out to be closed only when it is used again.
    pub(crate) async fn reuse(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = lock(&self.idle).connections.pop()?;
            if since.elapsed() < IDLE && connection.is_ready().await {
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
        Ok(Connection {
            sender,
            driver: Driver(Some(connection)),
            _place: place,
        })
    }

    /// Takes back a connection whose answer was read to its end.
    pub(crate) fn give_back(&self, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = lock(&self.idle);
        idle.connections.push((connection, Instant::now()));
        if !idle.swept {
            idle.swept = true;
            tokio::spawn(sweep(Arc::clone(&self.idle)));
        }
    }
}

/// Drops what has been idle for too long, until nothing is idle. Nobody polls a connection that is, so
/// nobody else sees it closed; and its buffers may hold what was last read from it.
async fn sweep(idle: Arc<Mutex<Idle>>) {
    loop {
        sleep(IDLE).await;
        let mut idle = lock(&idle);
        idle.connections.retain(|(_, since)| since.elapsed() < IDLE);
        if idle.connections.is_empty() {
            idle.swept = false;
            return;
        }
    }
}

/// No panic can leave it half changed, so a poisoned lock is as good as any.
fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// Does what `work` does with the sender, which takes as long as the other side does.
    pub(crate) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SendRequest<Empty<Bytes>>) -> T,
    ) -> T {
        self.driver.run(work(&mut self.sender)).await
    }

    async fn is_ready(&mut self) -> bool {
        let ready = self.driver.run(self.sender.ready());
        ready.await.is_ok()
    }
}

impl Driver {
    /// Polls the connection before `work`, which so learns what has come and that it is closed, and after
    /// it, which so sends what `work` has queued.
    async fn run<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.poll(context);
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            self.poll(context);
            work.as_mut().poll(context)
        })
        .await
    }

    /// How it ended is what who sent the request learns.
    fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && Pin::new(connection).poll(context).is_ready()
        {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::time;

    use super::*;

    #[tokio::test]
    async fn what_nobody_uses_again_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::new(listener.local_addr().unwrap(), 2, IDLE);
        let (opened, accepted) = tokio::join!(pool.open(), listener.accept());
        let (mut theirs, _) = accepted.unwrap();
        pool.give_back(opened.unwrap());
        let again = pool.reuse().await.expect("it is only just idle");
        pool.give_back(again);
        // Only now: while time stands still, a connect times out before it is done.
        time::pause();
        let closed = timeout(3 * IDLE, theirs.read_u8()).await.unwrap();
        assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(pool.open.available_permits(), 2);
        assert!(!lock(&pool.idle).swept);
    }
}
