//! A connection is closed so that its last answer arrives.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::pass::{pass_reads, pass_writes};

/// A stream that is shut down for writing first, and then read until the client closes it too, or
/// for `limit`.
///
/// Closing a socket that holds unread bytes (a pipelined request, say) makes the kernel send a reset,
/// and a reset makes the client's kernel drop what the client has not read yet: the answer (RFC 9112,
/// section 9.6).
pub(crate) struct Lingering<S> {
    stream: S,
    limit: Duration,
    ending: Option<Pin<Box<Sleep>>>,
}

impl<S> Lingering<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            ending: None,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lingering<S> {
    pass_reads!();
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    pass_writes!();

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ending.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        let limit = self.limit;
        let ending = self.ending.get_or_insert_with(|| Box::pin(sleep(limit)));
        if ending.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut unread = [0; 1024];
            let mut unread = ReadBuf::new(&mut unread);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut unread))?;
            if unread.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    /// A server's end with a whole answer written and half of what the client sent unread.
    async fn ends() -> (Lingering<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut client = client.unwrap();
        client.write_all(b"onetwo").await.unwrap();
        let mut server = Lingering::new(server.unwrap().0, LIMIT);
        server.read_exact(&mut [0; 3]).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        (server, client)
    }

    #[tokio::test]
    async fn an_answer_survives_requests_that_nobody_read() {
        let (mut server, mut client) = ends().await;
        let closing = tokio::spawn(async move { server.shutdown().await });
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer");
        drop(client);
        closing.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stays_is_not_waited_for_longer() {
        let (mut server, _client) = ends().await;
        let began = Instant::now();
        server.shutdown().await.unwrap();
        assert_eq!(began.elapsed(), LIMIT);
    }
}
