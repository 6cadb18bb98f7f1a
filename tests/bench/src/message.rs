//! HTTP as the load speaks it: requests made once, answers read just far enough to find their end.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The role that the [stand-in](crate::upstream) gives out credentials of.
pub const ROLE: &str = "bench";

/// `PUT` for a session token.
pub fn put_token(at: SocketAddr) -> Vec<u8> {
    let head = format!(
        "PUT /latest/api/token HTTP/1.1\r\nHost: {at}\r\nContent-Length: 0\r\n\
         X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n"
    );
    head.into_bytes()
}

/// `GET` of `path` with the session token `token`, as SDKs send it: they all write the metadata service's own
/// address.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nUser-Agent: aws-sdk/1.0 bench\r\nAccept: */*\r\n\
         X-aws-ec2-metadata-token: {token}\r\n\r\n"
    );
    head.into_bytes()
}

/// The path of the credential document.
pub fn credentials() -> String {
    format!("/latest/meta-data/iam/security-credentials/{ROLE}")
}

/// A path that nobody may cache: it appears when an event is due.
pub const EVENT: &str = "/latest/meta-data/events/recommendations/rebalance";

/// One keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(at: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(4096);
        Ok(Self { stream, buffer })
    }

    /// Sends `request` and reads the whole answer, whose body it returns. An error for any other
    /// status than 200: who refuses fast is not fast.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((body, end)) = extent(&self.buffer)?
                && self.buffer.len() >= end
            {
                return Ok(&self.buffer[body..end]);
            }
        }
    }
}

/// Where the body of the answer that `bytes` begins with starts and ends; nothing as long as its
/// head is not whole.
fn extent(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let body = head + 4;
    let head = String::from_utf8_lossy(&bytes[..head]);
    let wrong = || {
        io::Error::other(format!(
            "not an answer with status 200 and a length: {head}"
        ))
    };
    if !head.starts_with("HTTP/1.1 200") {
        return Err(wrong());
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named = name.eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    let length = length.ok_or_else(wrong)?;
    Ok(Some((body, body + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_answer_is_found() {
        let answer = b"HTTP/1.1 200 OK\r\nServer: EC2ws\r\ncontent-LENGTH: 5\r\n\r\nhello";
        for end in 0..answer.len() - 5 {
            assert_eq!(extent(&answer[..end]).unwrap(), None);
        }
        let (body, end) = extent(answer).unwrap().unwrap();
        assert_eq!(&answer[body..end], b"hello");
    }

    #[test]
    fn another_status_is_an_error_and_so_is_no_length() {
        let refused = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
        assert!(extent(refused).is_err());
        assert!(extent(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
