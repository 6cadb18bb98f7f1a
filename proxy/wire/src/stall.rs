//! A client that does not take its answer is not waited for.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

use crate::pass::{pass_reads, pass_shutdown};

/// A stream whose other end has a limited time to take what is written to it.
///
/// The time runs from the first byte that found no room until a flush finds that all was taken. So
/// it holds for who takes nothing and for who takes a byte now and then: every answer is whole in
/// memory and at most 64 KiB, so nobody who reads needs longer.
pub(crate) struct Stalling<S> {
    stream: S,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Stalling<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            waiting: None,
        }
    }

    /// What becomes of a write that came to `result`.
    fn judge<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if self.waiting.is_none() && result.is_ready() {
            return result;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        if waiting.as_mut().poll(context).is_ready() {
            let error = "the client does not take its answer";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)));
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    pass_reads!();
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(result, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(result, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has nothing more to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.waiting = None;
        Poll::Ready(Ok(()))
    }

    pass_shutdown!();
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, interval};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let (ours, _theirs) = duplex(16);
        let mut ours = Stalling::new(ours, LIMIT);
        let start = Instant::now();
        let error = ours.write_all(&[0; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_byte_now_and_then_is_given_up_as_well() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Stalling::new(ours, LIMIT);
        tokio::spawn(async move {
            let mut now_and_then = interval(Duration::from_secs(3));
            loop {
                now_and_then.tick().await;
                if theirs.read_u8().await.is_err() {
                    return;
                }
            }
        });
        assert!(ours.write_all(&[0; 1000]).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_all_of_it_has_the_time_again_for_the_next() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Stalling::new(ours, LIMIT);
        tokio::spawn(async move {
            let mut slowly = interval(Duration::from_secs(6));
            loop {
                slowly.tick().await;
                let mut answer = [0; 32];
                if theirs.read_exact(&mut answer).await.is_err() {
                    return;
                }
            }
        });
        for _ in 0..5 {
            ours.write_all(&[0; 32]).await.unwrap();
            ours.flush().await.unwrap();
        }
    }
}
