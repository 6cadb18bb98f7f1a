//! A description's text as one value, and the lines on which its parts stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use toml_span::value::ValueInner;

use super::DescribeError;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A text: JSON if it begins with a brace, which TOML cannot, else TOML.
pub(super) struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.file.to_owned()
    }

    /// The folder that paths in the text start from.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    pub(super) fn value(&self) -> Result<Value, DescribeError> {
        let wrong = |line, what| DescribeError::Syntax {
            file: self.file(),
            line,
            what,
        };
        if self.is_json() {
            return serde_json::from_str(self.text)
                .map_err(|error| wrong(error.line(), error.to_string()));
        }
        match toml_span::parse(self.text) {
            Ok(value) => Ok(plain(value)),
            Err(error) => Err(wrong(self.line_at(error.span.start), error.to_string())),
        }
    }

    /// The line that the part at the end of `path` begins on; `None` where there is no such part.
    pub(super) fn line(&self, path: &[Step]) -> Option<usize> {
        let offset = if self.is_json() {
            let part = json_part(self.text, path)?;
            part.as_ptr().addr().checked_sub(self.text.as_ptr().addr())
        } else {
            toml_offset(toml_span::parse(self.text).ok()?, path)
        };
        offset.map(|offset| self.line_at(offset))
    }

    fn is_json(&self) -> bool {
        self.text.trim_start().starts_with('{')
    }

    fn line_at(&self, offset: usize) -> usize {
        // Where the offset is within a letter, there is no mistake that it could be the place of.
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }
}

/// The same without places. TOML has whole numbers, and dates as text, where JSON has them.
fn plain(mut value: toml_span::Value<'_>) -> Value {
    match value.take() {
        ValueInner::String(text) => text.into_owned().into(),
        ValueInner::Integer(number) => number.into(),
        ValueInner::Float(number) => number.into(),
        ValueInner::Boolean(value) => value.into(),
        ValueInner::Array(values) => values.into_iter().map(plain).collect(),
        ValueInner::Table(table) => table
            .into_iter()
            .map(|(key, value)| (key.name.into_owned(), plain(value)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// Where a value's key stands, which is more than where the value does: a table has no place of its own.
fn toml_offset(mut value: toml_span::Value<'_>, path: &[Step]) -> Option<usize> {
    let Some((step, rest)) = path.split_first() else {
        return Some(value.span.start);
    };
    match (value.take(), step) {
        (ValueInner::Table(table), Step::Key(wanted)) => {
            let (key, value) = table.into_iter().find(|(key, _)| key.name == *wanted)?;
            if rest.is_empty() {
                return Some(key.span.start);
            }
            toml_offset(value, rest)
        }
        (ValueInner::Array(values), Step::Index(index)) => {
            toml_offset(values.into_iter().nth(*index)?, rest)
        }
        _ => None,
    }
}

fn json_part<'a>(text: &'a str, path: &[Step]) -> Option<&'a str> {
    let Some((step, rest)) = path.split_first() else {
        return Some(text);
    };
    let part = match step {
        Step::Key(key) => {
            let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(text).ok()?;
            *members.get(key)?
        }
        Step::Index(index) => {
            let values: Vec<&'a RawValue> = serde_json::from_str(text).ok()?;
            *values.get(*index)?
        }
    };
    json_part(part.get(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, path: &str) -> Option<usize> {
        let steps: Vec<Step> = path
            .split('.')
            .map(|step| match step.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Key(step.into()),
            })
            .collect();
        Source::new(Path::new("host"), text).line(&steps)
    }

    #[test]
    fn every_part_has_its_line_in_toml_and_in_json() {
        let toml = "a = 1\n\n[b]\nc = [\n 1,\n 2]\n[[d]]\ne = 1\n[[d]]\ne = 2\n";
        let json = "\n{\"a\": 1,\n\"x\": 0, \"b\": {\n \"c\": [1,\n 2\n]}, \"d\": [{\"e\": 1},\n {\"e\": 2}]}";
        for (path, in_toml, in_json) in [
            ("a", Some(1), Some(2)),
            ("b", Some(3), Some(3)),
            ("b.c", Some(4), Some(4)),
            ("b.c.1", Some(6), Some(5)),
            ("d.1.e", Some(10), Some(7)),
            ("b.d", None, None),
            ("a.b", None, None),
            ("d.2", None, None),
        ] {
            assert_eq!(
                (line(toml, path), line(json, path)),
                (in_toml, in_json),
                "{path}"
            );
        }
    }
}
