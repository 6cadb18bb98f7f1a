//! A time that somebody wrote: it is shown again as it was written.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A time as RFC 3339 has it, with its offset: `2020-01-07T01:03:47Z`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment {
    text: String,
    time: Timestamp,
    /// What a clock on the wall showed there.
    wall: DateTime,
}

/// Why a text is no [`Moment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time in RFC3339 format, e.g. 2020-01-07T01:03:47Z")]
pub struct NotAMoment;

const SECONDS: usize = "2020-01-07T01:03:47".len();

impl Moment {
    /// The time itself.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// What a clock on the wall shows then, where it was written.
    pub(crate) fn wall(&self) -> DateTime {
        self.wall
    }

    /// What a clock on the wall shows then in UTC.
    pub(crate) fn utc(&self) -> DateTime {
        Offset::UTC.to_datetime(self.time)
    }

    /// So much later, in UTC and whole seconds.
    pub(crate) fn after(time: Timestamp, delay: SignedDuration) -> Self {
        Self::from(time.checked_add(delay).unwrap_or(Timestamp::MAX))
    }
}

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        // jiff reads more than RFC 3339: spaces, lower case, times without seconds.
        let (wall, rest) = text.split_at_checked(SECONDS).ok_or(NotAMoment)?;
        let strict = wall.as_bytes()[10] == b'T'
            && wall.bytes().filter(|&byte| byte == b':').count() == 2
            && (rest.ends_with('Z') || rest.len() >= 6 && rest.as_bytes()[rest.len() - 3] == b':');
        let wall = wall.parse().map_err(|_| NotAMoment)?;
        let time = text.parse().map_err(|_| NotAMoment)?;
        strict.then_some(()).ok_or(NotAMoment)?;
        Ok(Self {
            text: text.to_owned(),
            time,
            wall,
        })
    }
}

impl TryFrom<String> for Moment {
    type Error = NotAMoment;

    fn try_from(text: String) -> Result<Self, NotAMoment> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.text
    }
}

/// In UTC and whole seconds.
impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        let second = Timestamp::from_second(time.as_second()).unwrap_or(time);
        Self {
            text: second.to_string(),
            time: second,
            wall: Offset::UTC.to_datetime(second),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_it_was_written() {
        let moment: Moment = "2020-01-07T01:03:47+02:00".parse().unwrap();
        assert_eq!(moment.to_string(), "2020-01-07T01:03:47+02:00");
        assert_eq!(moment.time().to_string(), "2020-01-06T23:03:47Z");
        assert_eq!(moment.wall().to_string(), "2020-01-07T01:03:47");
        assert_eq!(moment.utc().to_string(), "2020-01-06T23:03:47");
        assert_eq!(
            Moment::from(Timestamp::constant(1_800_000_000, 5)).to_string(),
            "2027-01-15T08:00:00Z"
        );
    }

    #[test]
    fn what_is_no_rfc_3339_is_refused() {
        for text in [
            "",
            "now",
            "2020-01-07",
            "2020-01-07 01:03:47Z",
            "2020-01-07T01:03Z",
            "2020-01-07T01:03:47",
            "2020-01-07T01:03:47+02",
            "2020-13-07T01:03:47Z",
            "2020-01-07T01:03:4é",
        ] {
            assert_eq!(text.parse::<Moment>(), Err(NotAMoment), "{text}");
        }
        assert!("2020-01-07T01:03:47.25Z".parse::<Moment>().is_ok());
    }
}
