//! A first pin wants to have been tried on the role's real calls.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{id::RoleName, settings::Settings};

/// Why the replays that there are do not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WantsReplay {
    /// There is none.
    Missing,
    /// It is too old: when it was made.
    Old(Timestamp),
    /// It found calls that the pin would have denied; how many.
    Denied(u64),
}

/// What is wrong with the replay of `role`: of calls by its instances, or by sessions that others make.
pub(super) fn of(
    role: &RoleName,
    chained: bool,
    settings: &Settings,
    now: Timestamp,
) -> Option<WantsReplay> {
    if settings.without_replay {
        return None;
    }
    let replayed = settings.replays.of(role);
    let Some(replayed) = replayed.filter(|replayed| replayed.chained || !chained) else {
        return Some(WantsReplay::Missing);
    };
    let allowed = i64::try_from(settings.replay_max_age.seconds()).unwrap_or(i64::MAX);
    if now.duration_since(replayed.made) > SignedDuration::from_secs(allowed) {
        return Some(WantsReplay::Old(replayed.made));
    }
    (replayed.denied > 0).then_some(WantsReplay::Denied(replayed.denied))
}

impl fmt::Display for WantsReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WantsReplay::Missing => f.write_str("no replay of its calls is known")?,
            WantsReplay::Old(made) => write!(f, "the replay of its calls is old, of {made}")?,
            WantsReplay::Denied(calls) => write!(
                f,
                "the replay of its calls found {calls} that the pin would have denied"
            )?,
        }
        f.write_str(
            ", and a first pin wants one: `credpin replay`, or --without-replay (without-replay = true)",
        )
    }
}
