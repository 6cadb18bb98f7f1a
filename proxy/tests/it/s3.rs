//! S3, as far as an upload tells: it takes everything.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(crate) struct S3 {
    address: SocketAddr,
    /// Each request, whole.
    pub(crate) uploads: UnboundedReceiver<String>,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (uploaded, uploads) = unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut seen, mut part) = (Vec::new(), [0; 4096]);
                // A record ends with a line, and nothing before it does so.
                while !seen.ends_with(b"}\n") {
                    let read = stream.read(&mut part).await.unwrap();
                    seen.extend_from_slice(&part[..read]);
                }
                let answer = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
                uploaded.send(String::from_utf8(seen).unwrap()).unwrap();
            }
        });
        Self { address, uploads }
    }

    /// For `records`: without STS, and in the host's own region.
    pub(crate) fn url(&self) -> String {
        format!("s3://bucket?sts=off&endpoint=http://{}", self.address)
    }
}
