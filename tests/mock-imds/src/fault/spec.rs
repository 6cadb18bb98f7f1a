//! A fault with its place and its frequency, as it is written on a command line or in JSON.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Fault, ParseFaultError};

/// A fault, where it happens and how often.
///
/// As text `PATH:FAULT[:p=PROBABILITY][:count=N]`, in JSON an object:
///
/// ```
/// use credpin_mock_imds::FaultSpec;
///
/// let text: FaultSpec = "/latest/meta-data/iam:503:p=0.2:count=3".parse()?;
/// let json = r#"{"path": "/latest/meta-data/iam", "fault": "503", "p": 0.2, "count": 3}"#;
/// assert_eq!(text, serde_json::from_str(json)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// Where: at this path and at all below it. `/` is everywhere; another dated version of a path
    /// is another path.
    #[serde(deserialize_with = "path")]
    pub path: String,
    /// What goes wrong.
    pub fault: Fault,
    /// How likely it is for each request; absent: certain. With a seed, the same requests meet the
    /// same faults.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<Probability>,
    /// How many requests meet it, until it is over; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<NonZeroU64>,
}

/// More than 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

impl FaultSpec {
    /// A fault that every request at `path` and below meets.
    pub fn always(path: &str, fault: Fault) -> Self {
        Self {
            path: path.to_owned(),
            fault,
            probability: None,
            count: None,
        }
    }
}

impl FromStr for FaultSpec {
    type Err = ParseFaultError;

    /// Reads from the end: paths have colons too, those of network interfaces.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let incomplete = || ParseFaultError::NotASpec(text.to_owned());
        let (mut probability, mut count) = (None, None);
        let mut rest = text;
        loop {
            let (before, last) = rest.rsplit_once(':').ok_or_else(incomplete)?;
            if let Some(value) = last.strip_prefix("p=") {
                probability = Some(value.parse()?);
            } else if let Some(value) = last.strip_prefix("count=") {
                count = Some(parse_count(last, value)?);
            } else if before.is_empty() {
                return Err(incomplete());
            } else {
                return Ok(Self {
                    path: check_path(before)?.to_owned(),
                    fault: last.parse()?,
                    probability,
                    count,
                });
            }
            rest = before;
        }
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.fault)?;
        if let Some(Probability(probability)) = self.probability {
            write!(f, ":p={probability}")?;
        }
        if let Some(count) = self.count {
            write!(f, ":count={count}")?;
        }
        Ok(())
    }
}

impl Probability {
    /// `None` for what is not more than 0 and at most 1.
    pub fn new(probability: f64) -> Option<Self> {
        (probability > 0.0 && probability <= 1.0).then_some(Self(probability))
    }

    /// Whether it happens, where `drawn` is any number, each as likely as the other.
    pub(super) fn happens(self, drawn: u32) -> bool {
        f64::from(drawn) < self.0 * (f64::from(u32::MAX) + 1.0)
    }
}

impl FromStr for Probability {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| ParseFaultError::NotAProbability(text.to_owned()))
    }
}

impl TryFrom<f64> for Probability {
    type Error = ParseFaultError;

    fn try_from(probability: f64) -> Result<Self, Self::Error> {
        Self::new(probability)
            .ok_or_else(|| ParseFaultError::NotAProbability(probability.to_string()))
    }
}

impl From<Probability> for f64 {
    fn from(Probability(probability): Probability) -> Self {
        probability
    }
}

fn parse_count(text: &str, value: &str) -> Result<NonZeroU64, ParseFaultError> {
    let count: u64 = value
        .parse()
        .map_err(|source| ParseFaultError::NotANumber {
            text: text.to_owned(),
            source,
        })?;
    NonZeroU64::new(count).ok_or(ParseFaultError::CountOfZero)
}

fn check_path(path: &str) -> Result<&str, ParseFaultError> {
    if path.starts_with('/') {
        Ok(path)
    } else {
        Err(ParseFaultError::NotAPath(path.to_owned()))
    }
}

fn path<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    check_path(&path).map_err(serde::de::Error::custom)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_was_read() {
        for text in [
            "/:hang",
            "/:close",
            "/:reset",
            "/:cut",
            "/:garbage",
            "/:404",
            "/:throttle=5",
            "/:delay=1m 30s",
            "/:skew=10m ago",
            "/latest/meta-data/iam:expired:p=0.25",
            "/latest/meta-data/iam:unparsable:count=3",
            "/latest/meta-data/iam:no-role:p=1:count=1",
            "/latest/meta-data/network/interfaces/macs/0e:00:00:00:00:0a/vpc-id:503",
        ] {
            let spec: FaultSpec = text.parse().unwrap();
            let printed = spec.to_string();
            assert_eq!(printed.parse::<FaultSpec>().unwrap(), spec, "{text}");
            assert_eq!(printed, text);
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(
                serde_json::from_str::<FaultSpec>(&json).unwrap(),
                spec,
                "{json}"
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            "/:skew=-10m".parse::<FaultSpec>().unwrap(),
            "/:skew=10m ago".parse().unwrap()
        );
        for (text, complaint) in [
            ("", "is not PATH:FAULT"),
            ("hang", "is not PATH:FAULT"),
            (":hang", "is not PATH:FAULT"),
            ("p=0.5:count=1", "is not PATH:FAULT"),
            ("latest:hang", "does not begin with /"),
            ("/latest/meta-data", "is not PATH:FAULT"),
            ("/:200", "`200` is no fault; there are:"),
            ("/:hangs", "`hangs` is no fault; there are:"),
            ("/:503:n=2", "`n=2` is no fault; there are:"),
            ("/:503:p=0", "`p=0` is no probability"),
            ("/:503:p=NaN", "`p=NaN` is no probability"),
            ("/:503:p=1.5", "`p=1.5` is no probability"),
            ("/:503:count=0", "would be no fault at all"),
            ("/:503:count=-1", "`count=-1` needs a whole number"),
            ("/:throttle=many", "`throttle=many` needs a whole number"),
            ("/:delay=soon", "`delay=soon` needs a time such as 2s"),
            ("/:delay=-2s", "a delay is not negative"),
        ] {
            let error = text.parse::<FaultSpec>().unwrap_err().to_string();
            assert!(error.contains(complaint), "{text}: {error}");
        }
        for json in [
            r#"{"path": "latest", "fault": "hang"}"#,
            r#"{"path": "/", "fault": "hangs"}"#,
            r#"{"path": "/", "fault": "hang", "p": 2}"#,
            r#"{"path": "/", "fault": "hang", "count": 0}"#,
            r#"{"path": "/", "fault": "hang", "often": 1}"#,
        ] {
            assert!(serde_json::from_str::<FaultSpec>(json).is_err(), "{json}");
        }
    }
}
