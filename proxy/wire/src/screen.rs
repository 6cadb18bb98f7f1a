//! What stands between a client's bytes and the HTTP library.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::head::{Flaw, Heads};
use crate::pass::{pass_shutdown, pass_writes};

/// A stream that gives its reader whole heads only, and only such as [`Heads`] passes.
///
/// The reader of a head that is refused gets [`REFUSED`] in its place, and then the end. So the HTTP
/// library, which would answer a bad head by itself and in its own words, never sees one; and a
/// refusal is answered like any other, after the answers to what came before it.
///
/// What comes in as whole heads, as it nearly always does, is read right into the reader's buffer.
pub(crate) struct Screened<S> {
    stream: S,
    heads: Heads,
    /// What came in of a head that was not whole; of it, `passed` bytes are by now.
    held: Vec<u8>,
    passed: usize,
    refused: Refused,
}

/// Why the last request of a connection is refused, if it is.
pub(crate) type Refused = Arc<OnceLock<Flaw>>;

/// No client can send it: `*` is no target that passes.
const REFUSED: &[u8] = b"GET * HTTP/1.1\r\nconnection: close\r\n\r\n";

/// Tells the request that stands for a refused head from what a client sent.
pub(crate) fn flaw(target: &http::Uri, refused: &Refused) -> Option<Flaw> {
    (target.path() == "*").then(|| refused.get().copied())?
}

impl<S> Screened<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            heads: Heads::default(),
            held: Vec::new(),
            passed: 0,
            refused: Refused::default(),
        }
    }

    /// Where it says why it refused.
    pub(crate) fn refused(&self) -> Refused {
        Arc::clone(&self.refused)
    }

    /// Gives on what has passed of what is held.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let given = self.passed.min(buffer.remaining());
        buffer.put_slice(&self.held[..given]);
        self.held.drain(..given);
        self.passed -= given;
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }

    /// Takes what came in as the first of what is held. Gives back how much of it may go on from
    /// where it lies.
    fn take(&mut self, new: &[u8]) -> usize {
        if !self.held.is_empty() {
            self.held.extend_from_slice(new);
            let read = self.heads.read(&self.held);
            self.passed = read.whole;
            self.refuse(read.flaw);
            return 0;
        }
        let read = self.heads.read(new);
        if read.flaw.is_none() {
            self.held.extend_from_slice(&new[read.whole..]);
        }
        self.refuse(read.flaw);
        read.whole
    }

    fn refuse(&mut self, flaw: Option<Flaw>) {
        if let Some(flaw) = flaw {
            self.held.truncate(self.passed);
            self.held.extend_from_slice(REFUSED);
            self.passed = self.held.len();
            self.refused.get_or_init(|| flaw);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Screened<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            if this.passed > 0 {
                this.give(buffer);
                return Poll::Ready(Ok(()));
            }
            if this.refused.get().is_some() {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let new = &buffer.filled()[before..];
            if new.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let whole = this.take(new);
            buffer.set_filled(before + whole);
            if whole > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Screened<S> {
    pass_writes!();
    pass_shutdown!();
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

    /// What a reader with a buffer of `size` gets of `pieces`, and why it gets no more.
    async fn screened(pieces: &[&[u8]], size: usize) -> (Vec<u8>, Option<Flaw>) {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Screened::new(ours);
        let refused = ours.refused();
        let write = async {
            for piece in pieces {
                // Who refused reads no further.
                let _ = theirs.write_all(piece).await;
            }
            drop(theirs);
        };
        let read = async {
            let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
            loop {
                match ours.read(&mut buffer).await.unwrap() {
                    0 => break,
                    n => all.extend_from_slice(&buffer[..n]),
                }
            }
            drop(ours);
            all
        };
        let ((), all) = tokio::join!(write, read);
        (all, refused.get().copied())
    }

    #[tokio::test]
    async fn whole_heads_go_on_as_they_are_and_half_ones_do_not() {
        for size in [1, 7, 16, 4096] {
            let (all, flaw) = screened(&[HEAD, HEAD, &HEAD[..9]], size).await;
            assert_eq!((all, flaw), (HEAD.repeat(2), None), "{size}");
        }
    }

    #[tokio::test]
    async fn a_bad_head_is_replaced_and_nothing_after_it_goes_on() {
        for size in [1, 7, 16, 4096] {
            for bad in [&b"GET /\r\n"[..], b"GET / HTTP/1.1\r\nA: b\n", b"\r\n\r\n"] {
                let (all, flaw) = screened(&[HEAD, bad, HEAD], size).await;
                assert_eq!(all, [HEAD, REFUSED].concat(), "{size}");
                assert!(flaw.is_some());
            }
        }
    }

    #[test]
    fn no_client_can_write_what_stands_for_a_refusal() {
        let flaw = Heads::default().read(REFUSED).flaw;
        assert_eq!(flaw, Some(Flaw::Target));
    }
}
