//! Where a setting comes from: a flag, else the environment, else the config file, else its default.
//!
//! ```text
//!   flags ───────────┐
//!   AEMM_… ──────────┼──> Layers::get(key) ──> Setting { value, origin } ──> Reader: typed, or a Mistake
//!   file.rs: JSON ───┘
//! ```
//!
//! A setting has one name, its key. As amazon-ec2-metadata-mock has it, `spot.action` is the flag
//! `--action` of `spot`, the variable `AEMM_SPOT_ACTION`, and in the file
//! `{"spot": {"action": "stop"}}`. Case does not matter in a key.

mod file;
mod reader;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

pub use file::{Entry, File, FileError};
pub use reader::Reader;

/// What settings are looked up in. The first that has one decides.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// What the command line says, by key.
    pub flags: Vec<Flag>,
    /// Environment variables; those that do not begin with `AEMM_` are no settings.
    pub environment: BTreeMap<String, String>,
    /// The config file, if there is one.
    pub file: Option<File>,
}

/// A setting that the command line gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The setting's key, as `server.port`.
    pub key: &'static str,
    /// The flag's long name without dashes, as `port`.
    pub name: &'static str,
    /// As it was written.
    pub value: String,
}

/// A setting's value, and who says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Flags and variables are text; a file may have any JSON but null and objects.
    pub value: Value,
    /// Where it was found.
    pub origin: Origin,
}

/// The place that a setting comes from, as messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag, by its long name.
    Flag(&'static str),
    /// A variable.
    Environment(String),
    /// A line of the config file.
    File {
        /// The file's name, as it was given.
        file: String,
        /// From 1.
        line: usize,
        /// The key, as the file spells it.
        key: String,
    },
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub origin: Origin,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// All that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Mistakes(pub Vec<Mistake>);

impl Layers {
    /// The setting called `key`, in lower case; `None` leaves it to its default.
    pub fn get(&self, key: &str) -> Option<Setting> {
        self.flag(key)
            .or_else(|| self.variable(key))
            .or_else(|| self.file.as_ref()?.get(key))
    }

    fn flag(&self, key: &str) -> Option<Setting> {
        let flag = self.flags.iter().find(|flag| flag.key == key)?;
        Some(Setting {
            value: flag.value.as_str().into(),
            origin: Origin::Flag(flag.name),
        })
    }

    fn variable(&self, key: &str) -> Option<Setting> {
        let name = variable_name(key);
        let value = self.environment.get(&name)?.as_str().into();
        Some(Setting {
            value,
            origin: Origin::Environment(name),
        })
    }
}

/// The variable that a setting has: `server.port` is `AEMM_SERVER_PORT`.
fn variable_name(key: &str) -> String {
    let name = key.replace(['.', '-'], "_").to_uppercase();
    format!("AEMM_{name}")
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Environment(name) => f.write_str(name),
            Self::File { file, line, key } => write!(f, "{file}:{line}: {key}"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Layers {
        Layers {
            flags: vec![Flag {
                key: "spot.action",
                name: "action",
                value: "stop".into(),
            }],
            environment: BTreeMap::from([
                ("AEMM_SPOT_ACTION".into(), "hibernate".into()),
                ("AEMM_MOCK_IP_COUNT".into(), "3".into()),
                ("AEMM_SPOT_TIME".into(), String::new()),
            ]),
            file: Some(
                File::parse(
                    "mock.json",
                    r#"{"Spot": {"action": "terminate", "time": "x"},
                        "mock-ip-count": 4, "server": {"port": 5, "hostname": null}}"#,
                )
                .unwrap(),
            ),
        }
    }

    #[test]
    fn a_flag_goes_before_a_variable_and_that_before_the_file() {
        let layers = layers();
        let said = |key| layers.get(key).map(|setting| setting.origin.to_string());
        assert_eq!(said("spot.action").as_deref(), Some("--action"));
        assert_eq!(said("mock-ip-count").as_deref(), Some("AEMM_MOCK_IP_COUNT"));
        assert_eq!(
            said("server.port").as_deref(),
            Some("mock.json:2: server.port")
        );
        assert_eq!(said("server.hostname"), None);
        assert_eq!(said("imdsv2"), None);
    }

    #[test]
    fn an_empty_variable_is_set() {
        let setting = layers().get("spot.time").unwrap();
        assert_eq!(setting.value, "");
        assert_eq!(setting.origin, Origin::Environment("AEMM_SPOT_TIME".into()));
    }
}
