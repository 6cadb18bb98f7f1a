//! One connection to the metadata service: a request, and its answer.
//!
//! There is no HTTP library on this side: one that streams bodies, and has a channel between who asks
//! and who sends, costs each request that is passed on half as much again, and every answer here is
//! small and taken whole. What is left to do is little: the head is httparse's to read, and where the
//! body ends is told in `reply.rs`.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use zeroize::{Zeroize, Zeroizing};

use super::reply::{Chunks, Framing, Head, MAX_HEAD, Malformed};
use super::request::Request;
use crate::alarm::Alarm;

/// A connection on which one request can be sent at a time.
pub struct Connection {
    stream: TcpStream,
    /// What came; of it, `read` bytes are done with. It never grows, so it leaves no copy behind.
    come: Vec<u8>,
    read: usize,
    is_reusable: bool,
    alarm: Alarm,
    /// Given back after the socket is closed.
    _place: OwnedSemaphorePermit,
}

/// The head of an answer, and its body, whole. It may hold a credential.
pub type Answered = (Head, Zeroizing<Vec<u8>>);

/// How far an answer did not come.
#[derive(Debug)]
pub enum Unanswered {
    /// Nothing of it that can be used.
    NoHead(Broken),
    /// Its head, and not all of its body.
    NoBody(Broken),
    /// The body is longer than it may be.
    TooLarge,
    /// It was not there in time.
    Late,
}

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection ended, or could not be written to.
    #[error("the connection broke")]
    Connection(#[from] io::Error),
    /// It is no answer that can be read in one way.
    #[error("what came is not HTTP as it should be")]
    Malformed(#[from] Malformed),
}

impl Connection {
    pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            come: Vec::with_capacity(MAX_HEAD),
            read: 0,
            is_reusable: true,
            alarm: Alarm::default(),
            _place: place,
        }
    }

    /// Whether another request may be sent on it, as far as the last answer says.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    /// Whether nothing came since the last answer: not its end, and nothing that nobody asked for.
    pub(super) fn is_quiet(&self) -> bool {
        let came = self.stream.try_read(&mut [0]);
        came.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends `request` and takes the answer to its end, with a body of at most `most` bytes, by `until`.
    pub async fn ask(
        &mut self,
        request: &Request,
        most: usize,
        until: Instant,
    ) -> Result<Answered, Unanswered> {
        let mut alarm = std::mem::take(&mut self.alarm);
        let answered = {
            let mut asking = pin!(self.exchange(request, most));
            let in_time = poll_fn(|context| match asking.as_mut().poll(context) {
                Poll::Ready(answered) => Poll::Ready(answered),
                Poll::Pending => alarm.poll(context, until).map(|()| Err(Unanswered::Late)),
            });
            in_time.await
        };
        self.alarm = alarm;
        answered
    }

    async fn exchange(&mut self, request: &Request, most: usize) -> Result<Answered, Unanswered> {
        // Until the answer is there to its end.
        self.is_reusable = false;
        let head = self.head(request).await.map_err(Unanswered::NoHead)?;
        let body = match head.framing {
            // As nearly always, it came with its head.
            Framing::Length(length) if length <= self.unread().len().min(most) as u64 => {
                let length = usize::try_from(length).expect("as much came");
                let mut body = Zeroizing::new(Vec::with_capacity(length));
                self.take(length, &mut body);
                body
            }
            // In a box it takes no room in what answers every request.
            framing => Box::pin(self.body(framing, most)).await?,
        };
        self.is_reusable = head.keeps_open && self.unread().is_empty();
        Ok((head, body))
    }

    async fn head(&mut self, request: &Request) -> Result<Head, Broken> {
        self.stream.write_all(request.text()).await?;
        loop {
            self.more().await?;
            if let Some((head, length)) = Head::parse(self.unread(), request.is_head)? {
                self.read += length;
                return Ok(head);
            }
        }
    }

    async fn body(
        &mut self,
        framing: Framing,
        most: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Unanswered> {
        // All of the room at once: a buffer that grows leaves copies of a secret behind.
        let room = match framing {
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            Framing::Chunked | Framing::Close => most,
        };
        if room > most {
            return Err(Unanswered::TooLarge);
        }
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        match framing {
            Framing::Length(_) => loop {
                self.take(room - body.len(), &mut body);
                if body.len() == room {
                    return Ok(body);
                }
                self.more().await.map_err(Unanswered::NoBody)?;
            },
            Framing::Close => loop {
                if self.unread().len() > room - body.len() {
                    return Err(Unanswered::TooLarge);
                }
                self.take(room, &mut body);
                match self.more().await {
                    Ok(()) => {}
                    Err(Broken::Connection(error))
                        if error.kind() == io::ErrorKind::UnexpectedEof =>
                    {
                        return Ok(body);
                    }
                    Err(error) => return Err(Unanswered::NoBody(error)),
                }
            },
            Framing::Chunked => {
                let mut chunks = Chunks::default();
                loop {
                    let step = chunks.step(self.unread());
                    let step = step.map_err(|error| Unanswered::NoBody(error.into()))?;
                    let Some(step) = step else {
                        self.more().await.map_err(Unanswered::NoBody)?;
                        continue;
                    };
                    if step.data > room - body.len() {
                        return Err(Unanswered::TooLarge);
                    }
                    self.read += step.read - step.data;
                    self.take(step.data, &mut body);
                    if step.done {
                        return Ok(body);
                    }
                }
            }
        }
    }

    fn unread(&self) -> &[u8] {
        &self.come[self.read..]
    }

    /// Moves what came into `body`, at most `most` bytes of it. It may be a secret, so none of it stays.
    fn take(&mut self, most: usize, body: &mut Vec<u8>) {
        let end = self.come.len().min(self.read + most);
        let taken = &mut self.come[self.read..end];
        body.extend_from_slice(taken);
        taken.zeroize();
        self.read = end;
    }

    /// Waits until more has come. The end of the connection is an error.
    async fn more(&mut self) -> Result<(), Broken> {
        // Mostly all is read, and nothing has to be moved.
        self.come.drain(..self.read);
        self.read = 0;
        if self.come.len() == self.come.capacity() {
            return Err(Malformed::Large.into());
        }
        match self.stream.read_buf(&mut self.come).await {
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::{HeaderMap, Method, StatusCode};
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::path::CanonicalPath;

    /// What comes of a request that is answered with `pieces`, each once it is taken, and then with
    /// nothing more; and the connection.
    async fn ask(pieces: &[&str], until: Instant) -> (Result<String, Unanswered>, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let (stream, accepted) = tokio::join!(stream, listener.accept());
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let mut ours = Connection::new(stream.unwrap(), place);
        let (mut theirs, _) = accepted.unwrap();
        theirs.set_nodelay(true).unwrap();
        let path = CanonicalPath::parse("/latest/").unwrap();
        let host = "127.0.0.1".parse().unwrap();
        let request = Request::new(&Method::GET, &path, &host, &HeaderMap::new());
        let answering = async {
            let mut come = vec![0; request.text().len()];
            theirs.read_exact(&mut come).await.unwrap();
            assert_eq!(come, b"GET /latest/ HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
            for piece in pieces {
                theirs.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (answered, ()) = tokio::join!(ours.ask(&request, 16, until), answering);
        let answered = answered.map(|(head, body)| {
            assert_eq!(head.status, StatusCode::OK);
            String::from_utf8(body.to_vec()).unwrap()
        });
        (answered, ours)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[tokio::test]
    async fn it_is_used_again_only_where_the_answer_is_all_that_came() {
        for (pieces, is_reusable) in [
            (
                &["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"][..],
                true,
            ),
            (
                &["HTTP/1.1 200 OK\r\nContent-", "Length: 6\r\n\r\nsec", "ret"],
                true,
            ),
            (
                &[
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3\r\nre",
                    "t\r\n0\r\n\r\n",
                ],
                true,
            ),
            (
                &["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecretHTTP/1.1 200 OK"],
                false,
            ),
            (
                &["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nsecret"],
                false,
            ),
        ] {
            let (answered, connection) = ask(pieces, soon()).await;
            assert_eq!(answered.unwrap(), "secret", "{pieces:?}");
            assert_eq!(connection.is_reusable(), is_reusable, "{pieces:?}");
            let stays = connection.come.windows(3).any(|part| part == b"sec");
            assert!(!stays, "what may be a secret is overwritten");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_longer_than_it_may_be_is_not_taken() {
        for head in [
            "Content-Length: 17\r\n\r\n",
            "Content-Length: 18446744073709551615\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n11\r\n",
            "\r\n",
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\n{head}{}", "x".repeat(17));
            let (answered, connection) = ask(&[&answer], soon()).await;
            assert!(matches!(answered, Err(Unanswered::TooLarge)), "{head}");
            assert!(!connection.is_reusable());
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_in_time_is_none() {
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsec";
        let (answered, connection) = ask(&[half], Instant::now()).await;
        assert!(matches!(answered, Err(Unanswered::Late)), "{answered:?}");
        assert!(!connection.is_reusable());
    }
}
