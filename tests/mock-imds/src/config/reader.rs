//! Settings as what they are: text, numbers, yes or no. What they are not is noted, and not fatal
//! before all were read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Layers, Mistake, Mistakes, Setting};

/// Reads settings, each with its default, and gathers the mistakes.
pub struct Reader<'a> {
    layers: &'a Layers,
    mistakes: Vec<Mistake>,
    used: BTreeMap<String, Value>,
}

impl<'a> Reader<'a> {
    /// A reader of these layers.
    pub fn new(layers: &'a Layers) -> Self {
        Self {
            layers,
            mistakes: Vec::new(),
            used: BTreeMap::new(),
        }
    }

    /// Whether anything gives this setting.
    pub fn is_set(&self, key: &str) -> bool {
        self.layers.get(key).is_some()
    }

    /// A text; a number is the text of its digits.
    pub fn text(&mut self, key: &str, default: &str) -> String {
        self.read(key, default.to_owned(), "a text", text)
    }

    /// A whole number, or the text of one; an empty text is 0.
    pub fn integer(&mut self, key: &str, default: i64) -> i64 {
        self.read(key, default, "a whole number", |value| match value {
            Value::Number(number) => number.as_i64(),
            Value::String(digits) if digits.is_empty() => Some(0),
            Value::String(digits) => digits.parse().ok(),
            _ => None,
        })
    }

    /// Yes or no, as Go's flags have it: `true`, `t`, `1`, `false`, `f`, `0`.
    pub fn boolean(&mut self, key: &str, default: bool) -> bool {
        self.read(key, default, "true or false", |value| match value {
            Value::Bool(value) => Some(*value),
            value => match text(value)?.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" | "" => Some(false),
                _ => None,
            },
        })
    }

    /// Whatever `parse` makes of a text; its error says what would be right. `None` where that was
    /// noted.
    pub fn parsed<T, E: ToString>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key, default);
        match (parse(&text), self.layers.get(key)) {
            (Ok(value), _) => Some(value),
            (Err(error), Some(setting)) => {
                self.mistakes.push(Mistake {
                    origin: setting.origin,
                    what: error.to_string(),
                });
                None
            }
            // A default that cannot be parsed is no setting's fault.
            (Err(_), None) => None,
        }
    }

    /// Whatever `parse` makes of a text, where one is given that is not empty.
    pub fn optional<T, E: ToString>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let parse = |text: &str| match text {
            "" => Ok(None),
            text => parse(text).map(Some),
        };
        self.parsed(key, "", parse).flatten()
    }

    /// Texts: a list in a file, else one text with commas between them.
    pub fn list(&mut self, key: &str) -> Vec<String> {
        let split = |text: &str| -> Vec<String> {
            let parts = text.split(',').map(str::trim);
            parts
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        };
        self.read(
            key,
            Vec::new(),
            "a text or a list of texts",
            |value| match value {
                Value::Array(values) => values.iter().map(text).collect(),
                value => text(value).map(|text| split(&text)),
            },
        )
    }

    /// Notes that what gives this setting is wrong.
    pub fn wrong(&mut self, key: &str, what: String) {
        if let Some(Setting { origin, .. }) = self.layers.get(key) {
            self.mistakes.push(Mistake { origin, what });
        }
    }

    /// Any JSON; null by default.
    pub fn any(&mut self, key: &str) -> Value {
        let value = self.layers.get(key).map(|setting| setting.value);
        let value = value.unwrap_or_default();
        self.used.insert(key.to_owned(), value.clone());
        value
    }

    /// The texts of an object in the file whose keys anybody may choose: here case matters.
    pub fn members(&mut self, key: &str) -> Vec<(String, String)> {
        let prefix = format!("{key}.");
        let Some(file) = &self.layers.file else {
            return Vec::new();
        };
        let mut members = Vec::new();
        for entry in file.entries() {
            let Some((start, name)) = entry.key.split_at_checked(prefix.len()) else {
                continue;
            };
            if !start.eq_ignore_ascii_case(&prefix) {
                continue;
            }
            self.used
                .insert(format!("{prefix}{name}"), entry.value.clone());
            match text(&entry.value) {
                Some(text) => members.push((name.to_owned(), text)),
                None => self.mistakes.push(Mistake {
                    origin: file.origin(entry),
                    what: format!("{} is not a text", entry.value),
                }),
            }
        }
        members
    }

    /// What the file gives and nobody has read, each with the reason `why` it is no setting.
    pub fn unused(&self, why: &str) -> Vec<Mistake> {
        let Some(file) = &self.layers.file else {
            return Vec::new();
        };
        let is_used = |key: &str| {
            let mut used = self.used.keys();
            used.any(|used| used.eq_ignore_ascii_case(key))
        };
        let unused = file.entries().iter().filter(|entry| !is_used(&entry.key));
        unused
            .map(|entry| Mistake {
                origin: file.origin(entry),
                what: why.to_owned(),
            })
            .collect()
    }

    /// Notes mistakes that were found elsewhere.
    pub fn note(&mut self, mistakes: Vec<Mistake>) {
        self.mistakes.extend(mistakes);
    }

    /// `value` and all settings that were read, as they are in the end; if nothing was wrong.
    pub fn finish<T>(self, value: T) -> Result<(T, BTreeMap<String, Value>), Mistakes> {
        let mut mistakes = Vec::new();
        for mistake in self.mistakes {
            // What stands in several paths is read as often.
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
        if mistakes.is_empty() {
            Ok((value, self.used))
        } else {
            Err(Mistakes(mistakes))
        }
    }

    fn read<T: Clone + Into<Value>>(
        &mut self,
        key: &str,
        default: T,
        wanted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> T {
        let mut value = default;
        if let Some(Setting {
            value: found,
            origin,
        }) = self.layers.get(key)
        {
            match read(&found) {
                Some(read) => value = read,
                None => self.mistakes.push(Mistake {
                    origin,
                    what: format!("{found} is not {wanted}"),
                }),
            }
        }
        self.used.insert(key.to_owned(), value.clone().into());
        value
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(u8::from(*value).to_string()),
        _ => None,
    }
}
