//! HTTP/1 on the wire, as a client reads it that trusts nobody: answers in the order they come, each with
//! where its body ends.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Only a test that hangs waits so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// What belongs to one connection and not to the answer (RFC 9110, 7.6.1), and the time of day.
const OF_THE_CONNECTION: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "date"];

/// A connection to a server.
pub(crate) struct Connection(BufReader<TcpStream>);

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `HTTP/1.1`
    pub(crate) version: String,
    /// Code and reason.
    pub(crate) status: String,
    /// Names in lower case, sorted, all of them.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> Result<Self> {
        ensure!(to.ip().is_loopback(), "{to} is not loopback");
        Ok(Self(BufReader::new(TcpStream::connect(to).await?)))
    }

    pub(crate) async fn send(&mut self, bytes: &str) -> Result<()> {
        Ok(self.0.write_all(bytes.as_bytes()).await?)
    }

    /// The next answer to a request of this method.
    pub(crate) async fn answer(&mut self, method: &str) -> Result<Answer> {
        let read = timeout(PATIENCE, self.read(method)).await;
        read.context("no whole answer")?
    }

    /// Whether the server closes the connection and sends nothing more before.
    pub(crate) async fn ends(&mut self) -> Result<bool> {
        let read = timeout(PATIENCE, self.0.read(&mut [0])).await;
        Ok(read.context("it stays open")?? == 0)
    }

    async fn read(&mut self, method: &str) -> Result<Answer> {
        let status_line = self.line().await?;
        let (version, status) = status_line.split_once(' ').context("no status line")?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').context("no header")?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        headers.sort();
        let mut answer = Answer {
            version: version.to_owned(),
            status: status.to_owned(),
            headers,
            body: Vec::new(),
        };
        if method != "HEAD" {
            answer.body = self.body(&answer).await?;
        }
        Ok(answer)
    }

    async fn body(&mut self, answer: &Answer) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.chunk_size().await?;
                let start = body.len();
                body.resize(start + size, 0);
                self.0.read_exact(&mut body[start..]).await?;
                ensure!(self.line().await?.is_empty(), "a chunk without its end");
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match answer.header("content-length") {
            Some(length) => {
                body.resize(length.parse()?, 0);
                self.0.read_exact(&mut body).await?;
            }
            None => {
                self.0.read_to_end(&mut body).await?;
            }
        }
        Ok(body)
    }

    async fn chunk_size(&mut self) -> Result<usize> {
        let line = self.line().await?;
        let (size, _extension) = line.split_once(';').unwrap_or((&line, ""));
        Ok(usize::from_str_radix(size, 16)?)
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => bail!("the connection ended in {line:?}"),
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the server says that this is its last one on the connection.
    pub(crate) fn is_last(&self) -> bool {
        match self.header("connection") {
            Some(value) => value.eq_ignore_ascii_case("close"),
            None => self.version == "HTTP/1.0",
        }
    }

    /// What a program sees of it: without what concerns only the connection.
    pub(crate) fn content(mut self) -> Self {
        self.headers
            .retain(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str()));
        // The proxy speaks HTTP/1.1 to a server of HTTP/1.0 and the other way round.
        self.version.clear();
        self
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(to: SocketAddr, method: &str, request: &str) -> Result<Answer> {
    let mut connection = Connection::open(to).await?;
    connection.send(request).await?;
    let answer = connection.answer(method).await;
    answer.with_context(|| format!("{to} was asked {request:?}"))
}
