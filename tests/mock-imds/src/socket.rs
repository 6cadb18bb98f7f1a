//! A connection that can be ended with a reset, and whose packets can be kept from going far.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::hop_limit::HopLimit;

/// A connection. Dropped, it is closed, or reset once [`Control::reset_when_dropped`] asked for that.
pub(crate) struct Socket {
    stream: TcpStream,
    wanted: Arc<Wanted>,
}

/// What a request knows of the connection that it came over, which hyper has.
#[derive(Clone)]
pub(crate) struct Control(Arc<Wanted>);

#[derive(Default)]
struct Wanted {
    reset: AtomicBool,
    /// For the next write; 0 where nothing is wanted.
    hop_limit: AtomicU32,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> (Self, Control) {
        let wanted = Arc::<Wanted>::default();
        let control = Control(Arc::clone(&wanted));
        (Self { stream, wanted }, control)
    }

    /// Before each write.
    fn limit_hops(&self) -> io::Result<()> {
        let hops = self.wanted.hop_limit.swap(0, Ordering::Relaxed);
        match HopLimit::try_from(hops) {
            Ok(limit) => limit.set_on(&self.stream),
            Err(_) => Ok(()),
        }
    }
}

impl Control {
    /// Has the connection reset (RST) in place of closed (FIN) when it is dropped.
    pub(crate) fn reset_when_dropped(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    /// Lets what is sent from now on go so far and no farther. The connection is there already: a
    /// client too far away waits for its answer, as with IMDS.
    pub(crate) fn limit_hops(&self, limit: HopLimit) {
        self.0.hop_limit.store(limit.into(), Ordering::Relaxed);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.wanted.reset.load(Ordering::Relaxed) {
            // A lingering of no time is the reset. It fails only for a connection that is gone.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.limit_hops()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.limit_hops()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
