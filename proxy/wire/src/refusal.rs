//! What the guard refuses, and how.

use http::StatusCode;

use crate::head::Flaw;
use crate::path::PathError;

/// Why a request goes no further. The client is told the status only, as IMDS would; the rest is
/// for the log and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The path has no canonical form.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The head could be read in two ways, or is none.
    #[error(transparent)]
    Head(#[from] Flaw),
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
    /// A page in a browser asks: by DNS rebinding, or by a request that needs no answer.
    #[error("a browser sent the request (Origin, Referer, Sec-*, Access-Control-Request-*)")]
    Browser,
    /// `User-Agent` is none of those that the settings name.
    #[error("no `guard.user-agents` is what User-Agent begins with")]
    UserAgent,
    /// Who asks is further away than `hop-limit` allows.
    #[error("it came from outside this host's network namespace, and `hop-limit` is 1")]
    Hops,
    /// A rule of the operator's says so.
    #[error("a [[rule]] denies it")]
    Rule,
    /// A credential is asked for without a session token (IMDSv1).
    #[error("a credential is given to IMDSv2 sessions only")]
    NoToken,
}

impl Refusal {
    /// The status that IMDS itself would answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Path(_) | Self::Head(_) | Self::NoHost => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forwarded
            | Self::Host
            | Self::Browser
            | Self::UserAgent
            | Self::Hops
            | Self::Rule => StatusCode::FORBIDDEN,
            Self::NoToken => StatusCode::UNAUTHORIZED,
        }
    }

    /// The rule's name in the metrics.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Head(flaw) => flaw.rule(),
            Self::Method => "method",
            Self::Forwarded => "forwarded",
            Self::NoHost => "no-host",
            Self::Host => "host",
            Self::Browser => "browser",
            Self::UserAgent => "user-agent",
            Self::Hops => "hops",
            Self::Rule => "rule",
            Self::NoToken => "no-token",
        }
    }
}
