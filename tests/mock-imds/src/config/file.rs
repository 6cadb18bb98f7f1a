//! A config file: JSON, flattened to keys with dots, each with the line it stands on.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Origin, Setting};

/// A config file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    name: String,
    text: String,
    entries: Vec<Entry>,
}

/// One value in a config file. Objects are no values, what they hold is.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// As the file spells it: `metadata.values.tags-instance.Name`.
    pub key: String,
    /// Any JSON but an object that is not empty.
    pub value: Value,
    /// From 1.
    pub line: usize,
}

/// Why a config file was not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there, or not to be read.
    #[error("cannot read the config file {name} (set by --config-file or AEMM_CONFIG_FILE)")]
    Read {
        /// The file's name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is no JSON, or no object.
    #[error("{name}:{}: this is not the JSON of a config file", .source.line())]
    Json {
        /// The file's name.
        name: String,
        /// What is wrong with it, and where.
        source: serde_json::Error,
    },
}

impl File {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(source) => Err(FileError::Read { name, source }),
        }
    }

    /// Reads the text of the file called `name`.
    pub fn parse(name: &str, text: &str) -> Result<Self, FileError> {
        let mut entries = Vec::new();
        let members: Members<'_> =
            serde_json::from_str(text).map_err(|source| FileError::Json {
                name: name.to_owned(),
                source,
            })?;
        flatten(text, "", members, &mut entries);
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            entries,
        })
    }

    /// The file's name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All that stands in it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All values, in the file's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where an entry stands.
    pub fn origin(&self, entry: &Entry) -> Origin {
        Origin::File {
            file: self.name.clone(),
            line: entry.line,
            key: entry.key.clone(),
        }
    }

    /// The setting called `key`. Where it is there twice, the last counts, as in all JSON; null is
    /// the same as nothing.
    pub(super) fn get(&self, key: &str) -> Option<Setting> {
        let mut entries = self.entries.iter().rev();
        let entry = entries.find(|entry| entry.key.eq_ignore_ascii_case(key))?;
        let setting = Setting {
            value: entry.value.clone(),
            origin: self.origin(entry),
        };
        (!setting.value.is_null()).then_some(setting)
    }
}

fn flatten(text: &str, prefix: &str, members: Members<'_>, entries: &mut Vec<Entry>) {
    for (name, raw) in members.0 {
        let key = match prefix {
            "" => name.into_owned(),
            prefix => format!("{prefix}.{name}"),
        };
        match serde_json::from_str::<Members<'_>>(raw.get()) {
            Ok(below) if !below.0.is_empty() => flatten(text, &key, below, entries),
            _ => entries.push(Entry {
                key,
                // It has been read once already.
                value: serde_json::from_str(raw.get()).unwrap_or_default(),
                line: line(text, raw.get()),
            }),
        }
    }
}

/// The line of `text` on which `part`, a slice of it, begins.
fn line(text: &str, part: &str) -> usize {
    let offset = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let before = text.get(..offset).unwrap_or_default();
    before.matches('\n').count() + 1
}

/// A JSON object with its members as they stand in the text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_key_and_line() {
        let text =
            "{\n \"spot\": {\n  \"action\": \"stop\"},\n \"a\\u0062\":\n  [1,\n2],\"c\": {}\n}\n";
        let file = File::parse("mock.json", text).unwrap();
        let seen: Vec<(&str, usize, String)> = file
            .entries()
            .iter()
            .map(|entry| (entry.key.as_str(), entry.line, entry.value.to_string()))
            .collect();
        assert_eq!(
            seen,
            [
                ("spot.action", 3, "\"stop\"".into()),
                ("ab", 5, "[1,2]".into()),
                ("c", 6, "{}".into()),
            ]
        );
    }

    #[test]
    fn what_is_no_config_names_file_and_line() {
        for text in ["{\n  \"a\": 1,\n}", "\n\n[]", "\n\nnull"] {
            let error = File::parse("mock.json", text).unwrap_err().to_string();
            assert!(error.starts_with("mock.json:3: "), "{text}: {error}");
        }
    }
}
