//! Settings as what they are: text, numbers, yes or no. What they are not is noted, and not fatal
//! before all were read.

use serde_json::Value;

use super::{Layers, Mistake, Mistakes, Setting};

/// Reads settings and gathers the mistakes.
pub struct Reader<'a> {
    layers: &'a Layers,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    /// A reader of these layers.
    pub fn new(layers: &'a Layers) -> Self {
        Self {
            layers,
            mistakes: Vec::new(),
        }
    }

    /// A text; a number is the text of its digits.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.read(key, "a text", text)
    }

    /// A whole number, or the text of one.
    pub fn integer(&mut self, key: &str) -> Option<i64> {
        self.read(key, "a whole number", |value| match value {
            Value::Number(number) => number.as_i64(),
            value => text(value)?.parse().ok(),
        })
    }

    /// Yes or no, as Go's flags have it: `true`, `t`, `1`, `false`, `f`, `0`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", |value| match value {
            Value::Bool(value) => Some(*value),
            value => match text(value)?.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" | "" => Some(false),
                _ => None,
            },
        })
    }

    /// Whatever `parse` makes of a text; its error says what would be right.
    pub fn parsed<T, E: ToString>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let setting = self.layers.get(key)?;
        let parsed = match text(&setting.value) {
            Some(text) => parse(&text).map_err(|error| error.to_string()),
            None => Err(format!("{} is not a text", setting.value)),
        };
        self.kept(setting, parsed)
    }

    /// Notes a mistake that is found elsewhere.
    pub fn note(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// `value`, if nothing was wrong.
    pub fn finish<T>(self, value: T) -> Result<T, Mistakes> {
        if self.mistakes.is_empty() {
            Ok(value)
        } else {
            Err(Mistakes(self.mistakes))
        }
    }

    fn read<T>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let setting = self.layers.get(key)?;
        let value =
            read(&setting.value).ok_or_else(|| format!("{} is not {wanted}", setting.value));
        self.kept(setting, value)
    }

    fn kept<T>(&mut self, setting: Setting, value: Result<T, String>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(what) => {
                self.mistakes.push(Mistake {
                    origin: setting.origin,
                    what,
                });
                None
            }
        }
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
