//! The sockets that a proxy serves on: bound by itself, or kept for it by systemd.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};
use tracing::warn;

use crate::config::{AdminAddress, Config};

/// The sockets that a proxy serves on. The caller binds them, or has them from elsewhere.
#[derive(Debug, Default)]
pub struct Listeners {
    /// For clients of the metadata service.
    pub imds: Vec<TcpListener>,
    /// For who watches the proxy.
    pub admin: Option<AdminListener>,
}

/// Where who watches the proxy comes in.
#[derive(Debug)]
pub enum AdminListener {
    /// At an address.
    Tcp(TcpListener),
    /// At a path; who may write to it may come in.
    Unix(UnixListener),
}

/// A socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {at} (`{key}`): {why}")]
pub struct BindError {
    key: &'static str,
    at: String,
    why: String,
    kind: io::ErrorKind,
}

/// Every socket that could not be bound, one a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct BindErrors(pub Vec<BindError>);

/// What systemd passed cannot be served on.
#[derive(Debug, thiserror::Error)]
#[error(
    "socket {number} that systemd passed is no listening stream socket: look at the .socket unit"
)]
pub struct KeptError {
    number: usize,
    source: io::Error,
}

impl Listeners {
    /// Binds what `config` names. All that cannot be bound is told at once.
    pub async fn bind(config: &Config) -> Result<Self, BindErrors> {
        Self::default().and_bound(config).await
    }

    /// The sockets that systemd keeps for this process, named `names` (`LISTEN_FDNAMES`,
    /// `sd_listen_fds_with_names(3)`): one that is named `admin`, or that is a Unix socket, is
    /// admin's; the others are for clients. None where the process was started otherwise.
    ///
    /// Call it once, and within a runtime.
    pub fn kept(names: &str) -> Result<Self, KeptError> {
        let mut passed = ListenFd::from_env();
        let mut names = names.split(':');
        let mut kept = Self::default();
        for number in 0..passed.len() {
            let wrong = |source| KeptError { number, source };
            let is_admin = names.next() == Some("admin");
            if let Ok(Some(unix)) = passed.take_unix_listener(number) {
                unix.set_nonblocking(true).map_err(wrong)?;
                let unix = UnixListener::from_std(unix).map_err(wrong)?;
                kept.admin = Some(AdminListener::Unix(unix));
                continue;
            }
            let Some(tcp) = passed.take_tcp_listener(number).map_err(wrong)? else {
                continue; // Nobody took it before.
            };
            tcp.set_nonblocking(true).map_err(wrong)?;
            let tcp = TcpListener::from_std(tcp).map_err(wrong)?;
            if is_admin {
                kept.admin = Some(tcp.into());
            } else {
                kept.imds.push(tcp);
            }
        }
        Ok(kept)
    }

    /// These, and what `config` names where there are none.
    pub async fn and_bound(mut self, config: &Config) -> Result<Self, BindErrors> {
        let mut errors = Vec::new();
        self.compare(&config.listen);
        if self.imds.is_empty() {
            for address in &config.listen {
                match bind("listen", *address).await {
                    Ok(listener) => self.imds.push(listener),
                    Err(error) => errors.push(error),
                }
            }
        }
        if let (None, Some(address)) = (&self.admin, &config.admin) {
            let bound = match address {
                AdminAddress::Tcp(address) => bind("admin", *address).await.map(Into::into),
                AdminAddress::Unix(path) => bind_unix("admin", path).map(AdminListener::Unix),
            };
            match bound {
                Ok(listener) => self.admin = Some(listener),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(self)
        } else {
            Err(BindErrors(errors))
        }
    }

    /// The redirect sends clients to `listen`.
    fn compare(&self, listen: &[SocketAddr]) {
        let kept = self.addresses().unwrap_or_default();
        for missing in listen.iter().filter(|address| !kept.contains(address)) {
            if !kept.is_empty() {
                warn!(%missing, "`listen` names what the .socket unit does not: nobody listens there");
            }
        }
    }

    /// Where clients are served.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.imds.iter().map(TcpListener::local_addr).collect()
    }

    /// Where who watches comes in, if it is an address.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        match &self.admin {
            Some(AdminListener::Tcp(listener)) => listener.local_addr().ok(),
            Some(AdminListener::Unix(_)) | None => None,
        }
    }
}

impl From<TcpListener> for Listeners {
    fn from(listener: TcpListener) -> Self {
        Self {
            imds: vec![listener],
            admin: None,
        }
    }
}

impl From<TcpListener> for AdminListener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl BindErrors {
    /// Whether each is a port that somebody has.
    pub(crate) fn in_use(&self) -> bool {
        let mut errors = self.0.iter();
        errors.all(|error| error.kind == io::ErrorKind::AddrInUse)
    }
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| BindError {
        key,
        at: address.to_string(),
        kind: error.kind(),
        why: why(&error),
    })
}

/// A socket whose process is gone stays in its directory, and is in nobody's way.
fn bind_unix(key: &'static str, path: &Path) -> Result<UnixListener, BindError> {
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path) => {
            std::fs::remove_file(path).and_then(|()| UnixListener::bind(path))
        }
        bound => bound,
    };
    bound.map_err(|error| BindError {
        key,
        at: path.display().to_string(),
        kind: error.kind(),
        why: error.to_string(),
    })
}

fn is_left_over(path: &Path) -> bool {
    let refused = UnixStream::connect(path);
    refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process has this port; stop it or name another".into(),
        io::ErrorKind::AddrNotAvailable => "this host does not have that address".into(),
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE; name another and redirect to it".into()
        }
        _ => error.to_string(),
    }
}
