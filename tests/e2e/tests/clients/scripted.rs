//! A metadata service that frames its answers in every way that HTTP/1 has, and in shapes that IMDS is
//! seen to have on some hosts.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What each path is answered, as it goes over the wire.
pub(crate) const ANSWERS: [(&str, &str); 7] = [
    (
        "/latest/meta-data/chunked",
        "HTTP/1.1 200 OK\r\nServer: EC2ws\r\nContent-Type: text/plain\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n1;extension=1\r\n5\r\n0\r\n\r\n",
    ),
    (
        "/latest/meta-data/until-the-end",
        "HTTP/1.0 200 OK\r\nServer: EC2ws\r\nContent-Type: text/plain\r\n\r\nuntil the end",
    ),
    (
        "/latest/meta-data/empty",
        "HTTP/1.1 200 OK\r\nServer: EC2ws\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "/latest/meta-data/moved",
        "HTTP/1.1 301 Moved Permanently\r\nServer: EC2ws\r\nContent-Length: 5\r\n\
         Location: http://169.254.169.254/latest/meta-data/moved/\r\n\r\nmoved",
    ),
    (
        "/latest/meta-data/odd",
        "HTTP/1.1 404 Not Found\r\nServer: other/1.0 (odd)\r\nX-Odd: 1\r\nX-Odd: 2\r\n\
         Etag: \"odd\"\r\nContent-Length: 3\r\n\r\nodd",
    ),
    (
        "/latest/meta-data/throttled",
        "HTTP/1.1 503 Service Unavailable\r\nServer: EC2ws\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nslow",
    ),
    (
        "/latest/user-data",
        "HTTP/1.1 200 OK\r\nServer: EC2ws\r\nContent-Type: application/octet-stream\r\n\
         Accept-Ranges: none\r\nLast-Modified: Wed, 01 Jan 2025 12:00:00 GMT\r\nContent-Length: 6\r\n\r\n\0\r\n\r\n\u{7f}",
    ),
];
const SESSION: &str = "HTTP/1.1 200 OK\r\nServer: EC2ws\r\nContent-Type: text/plain\r\n\
    X-aws-ec2-metadata-token-ttl-seconds: 21600\r\nContent-Length: 7\r\n\r\nsession";
const NOTHING: &str = "HTTP/1.1 404 Not Found\r\nServer: EC2ws\r\nContent-Length: 0\r\n\r\n";

/// Dropped, it ends.
pub(crate) struct Scripted {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // One that breaks is the client's to notice.
                tokio::spawn(async move { answer(stream).await.ok() });
            }
        });
        Ok(Self { address, task })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request's head and answers it; a HEAD gets the head only.
async fn answer(stream: TcpStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await? > 0 {}
    let mut words = head.split(' ');
    let (method, path) = (words.next(), words.next().unwrap_or_default());
    let scripted = ANSWERS.into_iter().find(|(known, _)| *known == path);
    let answer = match scripted {
        Some((_, answer)) => answer,
        None if method == Some("PUT") => SESSION,
        None => NOTHING,
    };
    let end = match method {
        Some("HEAD") => answer.find("\r\n\r\n").map_or(answer.len(), |at| at + 4),
        _ => answer.len(),
    };
    stream.write_all(&answer.as_bytes()[..end]).await?;
    Ok(stream.shutdown().await?)
}
