//! How careful writing is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::CanaryShare;

/// How long after a write all of IAM has it, in seconds. AWS gives no number (IAM User Guide,
/// "Changes that I make are not always immediately visible"); measured are seconds, seldom over 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation(u64);

/// How much of what a role's pin admits may go in one run, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MaxNarrowing(u8);

impl Propagation {
    /// So many seconds; 0 where writes show at once.
    pub fn of_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// In seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Default for Propagation {
    fn default() -> Self {
        Self(60)
    }
}

/// How old a replay may be that a role's first pin wants, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayMaxAge(u64);

impl ReplayMaxAge {
    /// So many seconds.
    pub fn of_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// In seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Default for ReplayMaxAge {
    /// A week.
    fn default() -> Self {
        Self(7 * 24 * 60 * 60)
    }
}

/// After which time without a use a role that has no instance is idle, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleAfter(u64);

impl IdleAfter {
    /// So many seconds.
    pub fn of_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// In seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Default for IdleAfter {
    /// Thirty days.
    fn default() -> Self {
        Self(30 * 24 * 60 * 60)
    }
}

/// A text that is no percentage.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no share: write it in percent, as 30%")]
pub struct PercentError(String);

/// With or without the sign.
fn percent(text: &str) -> Result<u8, PercentError> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let percent = number.parse().ok().filter(|percent| *percent <= 100);
    percent.ok_or_else(|| PercentError(text.to_owned()))
}

impl FromStr for MaxNarrowing {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        percent(text).map(Self)
    }
}

impl TryFrom<String> for MaxNarrowing {
    type Error = PercentError;

    fn try_from(text: String) -> Result<Self, PercentError> {
        text.parse()
    }
}

impl From<MaxNarrowing> for String {
    fn from(share: MaxNarrowing) -> Self {
        share.to_string()
    }
}

impl FromStr for CanaryShare {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        percent(text).map(Self)
    }
}

impl fmt::Display for MaxNarrowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl MaxNarrowing {
    /// So many percent; none where it is more than 100.
    pub fn of_percent(percent: u8) -> Option<Self> {
        (percent <= 100).then_some(Self(percent))
    }

    /// In percent.
    pub fn percent(self) -> u8 {
        self.0
    }
}

impl Default for MaxNarrowing {
    fn default() -> Self {
        Self(30)
    }
}
