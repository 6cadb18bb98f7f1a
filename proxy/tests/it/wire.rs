//! HTTP/1 as it comes over the wire, read without a library: nothing is smoothed out.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::PATIENCE;

/// A connection to a server.
pub(crate) struct Wire {
    stream: TcpStream,
    /// What has come and was not read yet.
    come: Vec<u8>,
}

/// An answer, byte by byte, but for the order of its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// As `HTTP/1.1 200 OK`.
    pub(crate) status: String,
    /// Lines, sorted: those that travel, so without the ones that are the connection's and the hour.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Bytes,
}

impl Wire {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            come: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Says that nothing more will come.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Reads the answer to a request with this method, and not a byte more.
    pub(crate) async fn answer(&mut self, method: &str) -> Answer {
        let end = loop {
            match self.come.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end,
                None => assert!(self.more().await, "no head: {}", self.come.escape_ascii()),
            }
        };
        let head = String::from_utf8(self.come.drain(..end + 4).collect()).unwrap();
        let (status, lines) = head.trim_end().split_once("\r\n").unwrap();
        let field = |name: &str| {
            let mut fields = lines.lines().filter_map(|line| line.split_once(": "));
            fields.find(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        assert_eq!(field("transfer-encoding"), None, "HTTP/1.0 has none");
        let length = field("content-length").expect("a length").1.parse();
        let length: usize = if method == "HEAD" { 0 } else { length.unwrap() };
        while self.come.len() < length {
            assert!(self.more().await, "{head}: half a body");
        }
        let travels = |line: &&str| {
            let name = line.split(':').next().unwrap_or_default();
            !["connection", "keep-alive", "date"].contains(&&*name.to_ascii_lowercase())
        };
        let mut headers: Vec<_> = lines.lines().filter(travels).map(str::to_owned).collect();
        headers.sort();
        Answer {
            status: status.to_owned(),
            headers,
            body: self.come.drain(..length).collect(),
        }
    }

    /// The server closes, and has nothing more to say.
    pub(crate) async fn end(mut self) {
        let more = self.more().await;
        assert!(
            !more && self.come.is_empty(),
            "{}",
            self.come.escape_ascii()
        );
    }

    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.come)).await;
        read.expect("an answer, or its end").unwrap() > 0
    }
}

impl Answer {
    /// Takes a header out, and returns its value.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.headers.iter().position(|line| {
            let (other, _) = line.split_once(": ").unwrap_or_default();
            other.eq_ignore_ascii_case(name)
        })?;
        let line = self.headers.remove(at);
        line.split_once(": ").map(|(_, value)| value.to_owned())
    }
}
