//! A client that does not ask is not waited for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::pass::{pass_shutdown, pass_writes};

/// A stream whose other end has a limited time to send what its reader waits for.
///
/// The time runs from when a read finds nothing until one finds something. Where whole heads are read,
/// it so holds for who sends nothing and for who sends a byte now and then.
pub(crate) struct Idling<S> {
    stream: S,
    limit: Duration,
    /// When the reader is to be told, if it waits.
    until: Option<Instant>,
    alarm: Alarm,
}

impl<S> Idling<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            until: None,
            alarm: Alarm::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Idling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() {
            this.until = None;
            return read;
        }
        let until = *this
            .until
            .get_or_insert_with(|| Instant::now() + this.limit);
        this.alarm.poll(context, until).map(|()| {
            let error = "the client does not send the rest of a head, or the next one";
            Err(io::Error::new(io::ErrorKind::TimedOut, error))
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Idling<S> {
    pass_writes!();
    pass_shutdown!();
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_is_given_up_and_who_sends_has_the_time_again() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Idling::new(ours, LIMIT);
        for _ in 0..3 {
            let late = async {
                sleep(LIMIT / 10 * 9).await;
                theirs.write_all(b"x").await.unwrap();
            };
            let ((), read) = tokio::join!(late, ours.read_u8());
            assert_eq!(read.unwrap(), b'x');
            // While nobody reads, nobody waits.
            sleep(2 * LIMIT).await;
        }
        let begin = Instant::now();
        let error = ours.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed(), LIMIT);
    }
}
