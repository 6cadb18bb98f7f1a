//! Where the admin API listens.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
#[cfg(unix)]
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// How long to wait after a failed accept: mostly the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// An address of the admin API: `127.0.0.1:1339`, `1339` for that port on loopback (0 takes a free
/// one), or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why a text is no address of the admin API.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no address: write 127.0.0.1:1339, 1339 or unix:/run/mock-imds.sock")]
pub struct ParseListenError(String);

/// Why the admin API cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {at} for the admin API")]
pub struct BindError {
    /// The address asked for.
    pub at: Listen,
    /// What the system said.
    pub source: io::Error,
}

/// A socket that listens. Dropped, its file is removed, if it has one.
#[derive(Debug)]
pub struct Listener {
    at: Listen,
    socket: ListeningSocket,
}

#[derive(Debug)]
enum ListeningSocket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listen {
    /// Listens there. A socket file that nobody listens at any more is replaced.
    pub async fn bind(self) -> Result<Listener, BindError> {
        let bound = match &self {
            Self::Tcp(addr) => bind_tcp(*addr).await,
            #[cfg(unix)]
            Self::Unix(path) => bind_unix(path).await.map(|socket| (self.clone(), socket)),
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        match bound {
            Ok((at, socket)) => Ok(Listener { at, socket }),
            Err(source) => Err(BindError { at: self, source }),
        }
    }
}

/// Tells the port too where it was left to the system.
async fn bind_tcp(addr: SocketAddr) -> io::Result<(Listen, ListeningSocket)> {
    let listener = TcpListener::bind(addr).await?;
    let at = Listen::Tcp(listener.local_addr()?);
    Ok((at, ListeningSocket::Tcp(listener)))
}

#[cfg(unix)]
async fn bind_unix(path: &std::path::Path) -> io::Result<ListeningSocket> {
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // What was killed leaves its file behind. Linux refuses a connection to any other file too,
            // which is somebody's.
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            match UnixStream::connect(path).await {
                Err(refused) if is_socket && refused.kind() == io::ErrorKind::ConnectionRefused => {
                }
                _ => return Err(error),
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    bound.map(ListeningSocket::Unix)
}

impl Listener {
    /// Where it listens, with the port that it has.
    pub fn at(&self) -> &Listen {
        &self.at
    }

    pub(super) async fn accept(&self) -> Box<dyn Stream> {
        loop {
            let accepted: io::Result<Box<dyn Stream>> = match &self.socket {
                ListeningSocket::Tcp(listener) => listener
                    .accept()
                    .await
                    .map(|(stream, _)| Box::new(stream) as _),
                #[cfg(unix)]
                ListeningSocket::Unix(listener) => listener
                    .accept()
                    .await
                    .map(|(stream, _)| Box::new(stream) as _),
            };
            match accepted {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listen::Unix(path) = &self.at {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl FromStr for Listen {
    type Err = ParseListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        text.parse::<u16>()
            .map(|port| (Ipv4Addr::LOCALHOST, port).into())
            .or_else(|_| text.parse())
            .map(Self::Tcp)
            .map_err(|_| ParseListenError(text.to_owned()))
    }
}

/// As a client has to write it: `http://127.0.0.1:1339` or `unix:/run/mock-imds.sock`.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "http://{addr}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_loopback() {
        for (text, shown) in [
            ("1339", "http://127.0.0.1:1339"),
            ("0.0.0.0:1339", "http://0.0.0.0:1339"),
            ("[::1]:0", "http://[::1]:0"),
            ("unix:a.sock", "unix:a.sock"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), shown);
        }
        for text in ["", "unix:", "localhost", "65536", "127.0.0.1"] {
            let error = text.parse::<Listen>().unwrap_err().to_string();
            assert!(error.contains("write 127.0.0.1:1339"), "{error}");
        }
    }
}
