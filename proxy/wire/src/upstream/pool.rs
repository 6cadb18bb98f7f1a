//! Connections to the metadata service: a bounded number of them, kept open while it keeps them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::connection::Connection;

/// The connections that there are. In boxes, since each goes from hand to hand with every request.
pub struct Pool {
    address: SocketAddr,
    connect_timeout: Duration,
    idle: Arc<Mutex<Idle>>,
    /// A permit is held until its connection's socket is closed.
    open: Arc<Semaphore>,
}

#[derive(Default)]
struct Idle {
    /// In the order in which they became idle, with when each was last used to ask; the last is used
    /// again first.
    connections: Vec<(Box<Connection>, Instant)>,
    /// Whether a task looks after them.
    swept: bool,
}

/// A connection that was idle for longer may be gone without a word.
const IDLE: Duration = Duration::from_secs(5);

impl Pool {
    /// At most `connections` to `address`.
    pub fn new(address: SocketAddr, connections: usize, connect_timeout: Duration) -> Self {
        Self {
            address,
            connect_timeout,
            idle: Arc::default(),
            open: Arc::new(Semaphore::new(connections)),
        }
    }

    /// A connection that was used before, to be used `now`. It may turn out to be closed only then.
    pub fn reuse(&self, now: Instant) -> Option<Box<Connection>> {
        loop {
            let (connection, since) = lock(&self.idle).connections.pop()?;
            if now - since < IDLE && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// A new connection, as soon as there are few enough.
    pub async fn open(&self) -> io::Result<Box<Connection>> {
        let place = Arc::clone(&self.open).acquire_owned().await;
        let place = place.map_err(io::Error::other)?;
        let stream = timeout(self.connect_timeout, TcpStream::connect(self.address)).await??;
        stream.set_nodelay(true)?;
        Ok(Box::new(Connection::new(stream, place)))
    }

    /// Takes back a connection on which something was asked at `asked`, and the answer read to its end.
    pub fn give_back(&self, connection: Box<Connection>, asked: Instant) {
        if !connection.is_reusable() {
            return;
        }
        let mut idle = lock(&self.idle);
        idle.connections.push((connection, asked));
        if !idle.swept {
            idle.swept = true;
            tokio::spawn(sweep(Arc::clone(&self.idle)));
        }
    }
}

/// Drops what has been idle for too long, until nothing is idle. Nobody reads from a connection that
/// is, so nobody else sees it closed.
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
        pool.give_back(opened.unwrap(), Instant::now());
        let again = pool.reuse(Instant::now()).expect("it is only just idle");
        pool.give_back(again, Instant::now());
        // Only now: while time stands still, a connect times out before it is done.
        time::pause();
        let closed = timeout(3 * IDLE, theirs.read_u8()).await.unwrap();
        assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(pool.open.available_permits(), 2);
        assert!(!lock(&pool.idle).swept);
    }
}
