//! Faults: what goes wrong ([`Fault`]), where and how often ([`FaultSpec`]).
//!
//! ```text
//!   "/latest/meta-data/iam:503:p=0.2"    spec.rs     text and JSON, one parser
//!        │
//!        ▼
//!   Faults::decide(path, now)            rules.rs    which fault a request meets, if any
//! ```

mod rules;
mod spec;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

pub use rules::FaultStatus;
pub use spec::{FaultSpec, Probability};

pub(crate) use rules::Faults;

use crate::path::Path;

/// Something that goes wrong with the answer to a request. Set by [`State::set_fault`].
///
/// As text it is what stands in parentheses: `"delay=2s".parse::<Fault>()`.
///
/// [`State::set_fault`]: crate::State::set_fault
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    /// Answers with this status and its error page (`400` to `599`).
    Status(StatusCode),
    /// Answers 503 to what is more than so many requests in one second of the mock's clock, as IMDS
    /// does where it is asked too often (`throttle=5`).
    Throttle(u32),
    /// Answers 200 with bytes that are neither text nor JSON (`garbage`).
    Garbage,
    /// Answers right, but this much later; tokio time: a paused clock skips it (`delay=2s`).
    Delay(Duration),
    /// Never answers and holds the connection open (`hang`).
    Hang,
    /// Closes the connection without an answer (`close`).
    Close,
    /// Resets the connection without an answer: the client reads ECONNRESET (`reset`).
    Reset,
    /// Announces the whole body, sends half of it and closes the connection (`cut`).
    Cut,
    /// Answers as if the clock went wrong by this much: dates, tokens, credentials (`skew=-10m`).
    Skew(SignedDuration),
    /// Gives out credentials that expired an hour ago, otherwise well (`expired`). Concerns the
    /// documents of credentials only.
    Expired,
    /// Gives out credentials in JSON that does not end (`unparsable`). Concerns the documents of
    /// credentials only.
    Unparsable,
    /// Lists no role: 200 with an empty body (`no-role`). Concerns
    /// `meta-data/iam/security-credentials` only.
    NoRole,
}

/// Why a text is no fault.
#[derive(Debug, thiserror::Error)]
pub enum ParseFaultError {
    /// No path, or no fault behind it.
    #[error("`{0}` is not PATH:FAULT, as in /latest/meta-data/iam:503")]
    NotASpec(String),
    /// No path of a URL.
    #[error("the path `{0}` does not begin with /")]
    NotAPath(String),
    /// No such fault.
    #[error(
        "`{0}` is no fault; there are: a status from 400 to 599, throttle=N (a second), delay=TIME, \
         skew=TIME, hang, close, reset, cut, garbage, expired, unparsable, no-role"
    )]
    NotAFault(String),
    /// No time where one is due.
    #[error("`{text}` needs a time such as 2s, 500ms or 1h30m")]
    NotATime {
        /// The fault with its time.
        text: String,
        /// What is wrong with it.
        source: jiff::Error,
    },
    /// Less than no time.
    #[error("`{0}` would answer before it is asked: a delay is not negative")]
    Negative(String),
    /// No number where one is due.
    #[error("`{text}` needs a whole number")]
    NotANumber {
        /// The option or fault with its number.
        text: String,
        /// What is wrong with it.
        source: std::num::ParseIntError,
    },
    /// No probability.
    #[error("`p={0}` is no probability: it is more than 0 and at most 1")]
    NotAProbability(String),
    /// A fault that never happens.
    #[error("`count=0` would be no fault at all")]
    CountOfZero,
}

impl Fault {
    /// Whether it can go wrong at this path. What cannot is not counted either.
    pub(crate) fn concerns(self, path: &Path) -> bool {
        let below_version = path.segments().get(1..).unwrap_or_default();
        let roles = ["meta-data", "iam", "security-credentials"];
        match self {
            Self::Expired | Self::Unparsable => {
                let own = [
                    "meta-data",
                    "identity-credentials",
                    "ec2",
                    "security-credentials",
                ];
                let holds = |directory: &[&str]| {
                    below_version.len() == directory.len() + 1
                        && below_version
                            .iter()
                            .zip(directory)
                            .all(|(is, should)| is == should)
                };
                holds(&roles) || holds(&own)
            }
            Self::NoRole => below_version == roles,
            _ => true,
        }
    }
}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseFaultError::NotAFault(text.to_owned());
        Ok(match text.split_once('=') {
            Some(("delay", time)) => Self::Delay(
                Duration::try_from(parse_time(text, time)?)
                    .map_err(|_| ParseFaultError::Negative(text.to_owned()))?,
            ),
            Some(("skew", time)) => Self::Skew(parse_time(text, time)?),
            Some(("throttle", rate)) => {
                Self::Throttle(rate.parse().map_err(|source| ParseFaultError::NotANumber {
                    text: text.to_owned(),
                    source,
                })?)
            }
            Some(_) => return Err(unknown()),
            None => match text {
                "garbage" => Self::Garbage,
                "hang" => Self::Hang,
                "close" => Self::Close,
                "reset" => Self::Reset,
                "cut" => Self::Cut,
                "expired" => Self::Expired,
                "unparsable" => Self::Unparsable,
                "no-role" => Self::NoRole,
                status => Self::Status(
                    StatusCode::from_bytes(status.as_bytes())
                        .ok()
                        .filter(|status| status.is_client_error() || status.is_server_error())
                        .ok_or_else(unknown)?,
                ),
            },
        })
    }
}

fn parse_time(text: &str, time: &str) -> Result<SignedDuration, ParseFaultError> {
    time.parse().map_err(|source| ParseFaultError::NotATime {
        text: text.to_owned(),
        source,
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => f.write_str(status.as_str()),
            Self::Throttle(rate) => write!(f, "throttle={rate}"),
            // A delay that is longer than jiff can count is as good as the longest that it can.
            Self::Delay(delay) => {
                let delay = SignedDuration::try_from(*delay).unwrap_or(SignedDuration::MAX);
                write!(f, "delay={delay:#}")
            }
            Self::Skew(skew) => write!(f, "skew={skew:#}"),
            Self::Garbage => f.write_str("garbage"),
            Self::Hang => f.write_str("hang"),
            Self::Close => f.write_str("close"),
            Self::Reset => f.write_str("reset"),
            Self::Cut => f.write_str("cut"),
            Self::Expired => f.write_str("expired"),
            Self::Unparsable => f.write_str("unparsable"),
            Self::NoRole => f.write_str("no-role"),
        }
    }
}

impl TryFrom<String> for Fault {
    type Error = ParseFaultError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}
