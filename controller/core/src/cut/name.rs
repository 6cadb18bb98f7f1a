//! The name of a cut's policy: what it is undone by, and when a run may take it off.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, fmt::strtime, tz::TimeZone};
use thiserror::Error;

use crate::id::PolicyName;

/// `cut-0123456789`, or `cut-0123456789-until-20270115T200000Z` where it ends by itself. So a listing of
/// policies tells all that a run has to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CutName {
    /// Ten hexadecimal digits.
    pub id: String,
    /// When it ends, in whole seconds; none for one that an operator has to end.
    pub ends: Option<Timestamp>,
}

/// A text that is not the name of a cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a cut; `credpin revoke --list` shows those that there are")]
pub struct NotACut(String);

const PREFIX: &str = "cut-";
const UNTIL: &str = "-until-";
const TIME: &str = "%Y%m%dT%H%M%SZ";

impl CutName {
    /// The policy's name.
    pub fn policy(&self) -> PolicyName {
        self.to_string()
            .parse()
            .expect("letters, digits and dashes are a policy's name, and these are few")
    }
}

impl fmt::Display for CutName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.id)?;
        match self.ends {
            Some(ends) => write!(f, "{UNTIL}{}", ends.strftime(TIME)),
            None => Ok(()),
        }
    }
}

impl FromStr for CutName {
    type Err = NotACut;

    fn from_str(text: &str) -> Result<Self, NotACut> {
        let unknown = || NotACut(text.to_owned());
        let rest = text.strip_prefix(PREFIX).ok_or_else(unknown)?;
        let (id, ends) = match rest.split_once(UNTIL) {
            Some((id, ends)) => {
                let parsed = strtime::parse(TIME, ends).and_then(|time| time.to_datetime());
                let time = parsed.and_then(|time| TimeZone::UTC.to_timestamp(time));
                (id, Some(time.map_err(|_| unknown())?))
            }
            None => (rest, None),
        };
        let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if id.len() != 10 || !id.bytes().all(hexadecimal) {
            return Err(unknown());
        }
        Ok(Self {
            id: id.to_owned(),
            ends,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back() {
        for name in ["cut-0123456789", "cut-00ff00ff00-until-20270115T200000Z"] {
            assert_eq!(name.parse::<CutName>().unwrap().to_string(), name);
        }
        for not in [
            "credpin-web",
            "cut-",
            "cut-012345678",
            "cut-01234567zz",
            "cut-0123456789-until-tomorrow",
            "cut-0123456789-until-20271315T200000Z",
        ] {
            assert!(not.parse::<CutName>().is_err(), "{not}");
        }
    }
}
