//! How long credentials live, and when the next ones appear.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// "New credentials at least five minutes before the old expire" (EC2 User Guide).
const OVERLAP: Duration = Duration::from_mins(5);

/// What a lifetime is called where it is wrong.
pub(crate) const LIFETIME: &str = "a lifetime";

/// How long credentials live and when the next ones appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From issue to expiry, in whole seconds. Default: 6 hours.
    pub lifetime: Duration,
    /// How long before the expiry of a set the next one takes its place: "at least five minutes",
    /// says AWS, and so says the default. A test that wants a new set every second sets it to one
    /// second less than `lifetime`, or makes the schedule with [`Schedule::new`].
    pub overlap: Duration,
}

/// Why a schedule is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A time that is no time, or that credentials cannot carry.
    #[error("{what} of {time:#} is not possible: it is at least 1s, and in whole seconds")]
    NotSeconds {
        /// Which time.
        what: &'static str,
        /// What it is.
        time: SignedDuration,
    },
    /// Credentials that expire before the next ones appear.
    #[error(
        "a rotation every {every:#} is too seldom where credentials live {lifetime:#}: they would \
         expire before there are new ones"
    )]
    TooSeldom {
        /// How often they rotate.
        every: SignedDuration,
        /// How long they live.
        lifetime: SignedDuration,
    },
}

impl Schedule {
    /// Credentials that live for `lifetime`, a new set every `rotate_every`. What is absent is as EC2
    /// has it: 6 hours, and a new set five minutes before the old expires, or at half its life where
    /// that is later.
    pub fn new(
        lifetime: Option<SignedDuration>,
        rotate_every: Option<SignedDuration>,
    ) -> Result<Self, ScheduleError> {
        let lifetime = match lifetime {
            Some(time) => seconds(LIFETIME, time)?,
            None => Self::default().lifetime,
        };
        let Some(every) = rotate_every else {
            let overlap = OVERLAP.min(lifetime / 2);
            return Ok(Self { lifetime, overlap });
        };
        let overlap = lifetime
            .checked_sub(seconds("a rotation", every)?)
            .ok_or_else(|| ScheduleError::TooSeldom {
                every,
                lifetime: SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX),
            })?;
        Ok(Self { lifetime, overlap })
    }

    /// Whether it is time for a new set after one of these times.
    pub(crate) fn is_due(self, issued: Timestamp, expires: Timestamp, now: Timestamp) -> bool {
        let every = self.lifetime.saturating_sub(self.overlap);
        let rotation = issued.checked_add(every).unwrap_or(Timestamp::MAX);
        let expiry = expires.checked_sub(self.overlap).unwrap_or(Timestamp::MIN);
        // They differ where the schedule was changed under way.
        now >= rotation.min(expiry)
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_hours(6),
            overlap: OVERLAP,
        }
    }
}

fn seconds(what: &'static str, time: SignedDuration) -> Result<Duration, ScheduleError> {
    Duration::try_from(time)
        .ok()
        .filter(|time| time.as_secs() > 0 && time.subsec_nanos() == 0)
        .ok_or(ScheduleError::NotSeconds { what, time })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(lifetime: Option<&str>, every: Option<&str>) -> Result<Schedule, String> {
        let time = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        Schedule::new(time(lifetime), time(every)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_absent_is_as_ec2_has_it() {
        assert_eq!(schedule(None, None), Ok(Schedule::default()));
        for (lifetime, every, overlap) in [
            (Some("1h"), None, 300),
            (Some("2m"), None, 60),
            (Some("10s"), Some("1s"), 9),
            (None, Some("1s"), 21_599),
            (Some("10s"), Some("10s"), 0),
        ] {
            let overlap = Duration::from_secs(overlap);
            assert_eq!(schedule(lifetime, every).unwrap().overlap, overlap);
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (lifetime, every, complaint) in [
            (Some("0s"), None, "a lifetime of 0s is not possible"),
            (Some("-1h"), None, "a lifetime of 1h ago is not possible"),
            (None, Some("500ms"), "a rotation of 500ms is not possible"),
            (
                None,
                Some("7h"),
                "every 7h is too seldom where credentials live 6h:",
            ),
        ] {
            let error = schedule(lifetime, every).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_schedule_that_changes_under_way_takes_hold_at_once() {
        let issued = Timestamp::UNIX_EPOCH;
        let expires = issued + Duration::from_hours(6);
        let slow = Schedule::default();
        let fast = schedule(Some("10s"), Some("1s")).unwrap();
        for (schedule, after, due) in [
            (slow, 5 * 3600, false),
            (fast, 0, false),
            (fast, 1, true),
            (slow, 6 * 3600 - 301, false),
            (slow, 6 * 3600 - 300, true),
        ] {
            let now = issued + Duration::from_secs(after);
            assert_eq!(schedule.is_due(issued, expires, now), due, "{after}");
        }
        let soon = issued + Duration::from_secs(10);
        assert!(
            slow.is_due(issued, soon, issued),
            "or it would expire first"
        );
    }
}
