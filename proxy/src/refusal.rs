//! What the guard refuses, and how.

use http::StatusCode;

use crate::path::PathError;

/// Why a request goes no further. The client is told the status only, as IMDS would; the rest is
/// for the log and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The path has no canonical form.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The target names a host (`GET http://… HTTP/1.1`), as to a forward proxy.
    #[error("the request's target is not a path")]
    Target,
    /// A method that the metadata service does not have there.
    #[error("the method is not allowed on this path")]
    Method,
    /// It came through a forwarder: a proxy that an attacker can reach, or an open redirect.
    #[error("the request was forwarded (X-Forwarded-*, X-Real-IP, Forwarded or Via)")]
    Forwarded,
    /// `Host` is missing, or there are two, or it is none.
    #[error("Host is not there exactly once")]
    NoHost,
    /// `Host` is a name, or an address that is neither IMDS's nor the proxy's own.
    #[error("Host is not an address of the metadata service")]
    Host,
    /// A header that decides something is there twice.
    #[error("a session header is there twice")]
    Duplicate,
    /// The metadata service reads no bodies.
    #[error("the request has a body")]
    Body,
    /// A credential is asked for without a session token (IMDSv1).
    #[error("a credential is given to IMDSv2 sessions only")]
    NoToken,
}

impl Refusal {
    /// The status that IMDS itself would answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Path(_) | Self::Target | Self::NoHost | Self::Duplicate | Self::Body => {
                StatusCode::BAD_REQUEST
            }
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forwarded | Self::Host => StatusCode::FORBIDDEN,
            Self::NoToken => StatusCode::UNAUTHORIZED,
        }
    }

    /// The rule's name in the metrics.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Target => "target",
            Self::Method => "method",
            Self::Forwarded => "forwarded",
            Self::NoHost => "no-host",
            Self::Host => "host",
            Self::Duplicate => "duplicate",
            Self::Body => "body",
            Self::NoToken => "no-token",
        }
    }
}
