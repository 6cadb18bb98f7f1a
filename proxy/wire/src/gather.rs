//! A head and a body go out as one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::pass::{pass_reads, pass_shutdown};

/// A stream that writes what is short in one piece, however many pieces it is given.
///
/// To copy a few hundred bytes takes less than what the kernel does for a list of two pieces (`writev` and
/// not `send`: a quarter of a microsecond, of some fifteen that an answer takes).
pub(crate) struct Gathering<S> {
    stream: S,
}

/// What is longer is left as it is.
const SHORT: usize = 1 << 10;

impl<S> Gathering<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    pass_reads!();
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if length > SHORT {
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        }
        // It may hold a credential: all of the room at once, so that no copy stays behind, and the proxy's
        // allocator overwrites it when it is freed.
        let mut together = Vec::with_capacity(length);
        for slice in slices {
            together.extend_from_slice(slice);
        }
        Pin::new(&mut self.stream).poll_write(context, &together)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    pass_shutdown!();
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    /// How much of `pieces` the first write takes, of a stream with room for `room`, and what comes of it.
    async fn first(pieces: &[&[u8]], room: usize) -> Vec<u8> {
        let (ours, mut theirs) = duplex(room);
        let mut ours = Gathering::new(ours);
        let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let write = poll_fn(|context| Pin::new(&mut ours).poll_write_vectored(context, &slices));
        let written = write.await.unwrap();
        drop(ours);
        let mut come = Vec::new();
        theirs.read_to_end(&mut come).await.unwrap();
        assert_eq!(come.len(), written);
        come
    }

    #[tokio::test]
    async fn pieces_go_out_in_their_order_and_as_far_as_there_is_room() {
        assert_eq!(first(&[b"head", b"", b"body"], 64).await, b"headbody");
        assert_eq!(first(&[b"head", b"body"], 6).await, b"headbo");
        let long = [b'x'; SHORT];
        let come = first(&[b"head", &long], 4 * SHORT).await;
        assert!(come.starts_with(b"head"), "what is long too");
    }
}
