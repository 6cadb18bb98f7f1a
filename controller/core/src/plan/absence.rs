//! A role that should have a pin and has no instance.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{estate::Role, settings::Settings};

/// No instance of a role was seen: there is nothing to make a pin of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absence {
    /// When AWS last saw the role used, by an instance or by anything else.
    pub last_used: Option<Timestamp>,
    /// Whether that is longer ago than `idle-after`.
    pub idle: bool,
}

impl Absence {
    pub(super) fn of(role: &Role, settings: &Settings, now: Timestamp) -> Self {
        let after = i64::try_from(settings.idle_after.seconds()).unwrap_or(i64::MAX);
        let long_ago =
            |used: Timestamp| now.duration_since(used) > SignedDuration::from_secs(after);
        Self {
            last_used: role.last_used,
            idle: role.last_used.is_none_or(long_ago),
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no instance has the role, so there is nothing to make a pin of; ")?;
        match (self.last_used, self.idle) {
            (None, _) => f.write_str("AWS has not seen it used"),
            (Some(used), true) => write!(f, "AWS last saw it used at {used}"),
            (Some(used), false) => write!(
                f,
                "AWS saw it used at {used}: if that was an instance, see that its region is looked at"
            ),
        }
    }
}
