//! What a replay of a role's real calls said of its pin, as far as enforcing it asks.
//!
//! `credpin replay` writes it beside the controller's state, and a plan reads it. The JSON has
//! `schema` 1; a reader takes no other.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::RoleName;

/// The schema that is written and read.
pub const SCHEMA: u32 = 1;

/// What replays said, by role. Each role has its newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replays(BTreeMap<RoleName, Replayed>);

/// What a replay said of one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replayed {
    /// The role.
    pub role: RoleName,
    /// When it was made.
    pub made: Timestamp,
    /// Calls that it looked at.
    pub calls: u64,
    /// Of these, those that the pin would have denied.
    pub denied: u64,
    /// Of these, those that nothing in the trail decides.
    pub unknown: u64,
    /// Whether the pin was also about sessions that others make by assuming the role, and so the replay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chained: bool,
}

/// The text is nothing that a replay wrote.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// It is no such JSON.
    #[error("is not what a replay writes")]
    Json(#[from] serde_json::Error),
    /// It is of another version of credpin.
    #[error("has the schema {0}, and this version reads {SCHEMA}")]
    Schema(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    schema: u32,
    roles: Vec<Replayed>,
}

#[derive(Deserialize)]
struct Versioned {
    schema: u32,
}

impl Replays {
    /// Reads the JSON.
    pub fn parse(text: &str) -> Result<Self, ReplayError> {
        let Versioned { schema } = serde_json::from_str(text)?;
        if schema != SCHEMA {
            return Err(ReplayError::Schema(schema));
        }
        let mut replays = Self::default();
        for role in serde_json::from_str::<Json>(text)?.roles {
            replays.add(role);
        }
        Ok(replays)
    }

    /// The JSON.
    pub fn to_json(&self) -> String {
        let roles = self.0.values().cloned().collect();
        let json = Json {
            schema: SCHEMA,
            roles,
        };
        serde_json::to_string_pretty(&json).expect("names, times and numbers have a JSON form")
            + "\n"
    }

    /// Takes a replay in; an older one of the same role goes.
    pub fn add(&mut self, replayed: Replayed) {
        match self.0.get(&replayed.role) {
            Some(newer) if newer.made > replayed.made => {}
            _ => drop(self.0.insert(replayed.role.clone(), replayed)),
        }
    }

    /// The newest of a role.
    pub fn of(&self, role: &RoleName) -> Option<&Replayed> {
        self.0.get(role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(role: &str, made: &str) -> Replayed {
        Replayed {
            role: role.parse().unwrap(),
            made: made.parse().unwrap(),
            calls: 1000,
            denied: 0,
            unknown: 7,
            chained: role == "api",
        }
    }

    #[test]
    fn replays_read_back_as_they_are_written_the_newest_of_each_role() {
        let mut replays = Replays::default();
        replays.add(replayed("web", "2026-11-02T00:00:00Z"));
        replays.add(replayed("web", "2026-11-01T00:00:00Z"));
        replays.add(replayed("api", "2026-11-01T00:00:00Z"));
        let read = Replays::parse(&replays.to_json()).unwrap();
        assert_eq!(read, replays);
        let web = read.of(&"web".parse().unwrap()).unwrap();
        assert_eq!(web.made, "2026-11-02T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn another_schema_and_another_file_are_told_apart() {
        let newer = Replays::parse(r#"{"schema": 2, "roles": [], "more": 1}"#).unwrap_err();
        assert_eq!(
            newer.to_string(),
            "has the schema 2, and this version reads 1"
        );
        for text in [
            "",
            "[]",
            r#"{"schema": 1}"#,
            r#"{"schema": 1, "roles": [{}]}"#,
        ] {
            assert!(Replays::parse(text).is_err(), "{text}");
        }
    }
}
