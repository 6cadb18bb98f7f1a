//! The config file: TOML, one table of keys, each with the place where it stands.

use std::path::Path;

use toml_span::ErrorKind;
use toml_span::value::{Value, ValueInner};

use super::{Mistake, Origin, Setting, rule};
use crate::rules::Rules;

/// The sections that there are. A setting in one is known by both names: `guard.mode`.
const SECTIONS: [&str; 2] = ["guard", "launch-gate"];

/// The key of rules, which are tables and no settings.
const RULE: &str = "rule";

/// What is in a file.
#[derive(Default)]
pub(super) struct Read {
    /// In the order of the file.
    pub(super) settings: Vec<Setting>,
    pub(super) rules: Rules,
    /// What is neither.
    pub(super) mistakes: Vec<Mistake>,
}

/// What is in `text`. `file` is its name.
///
/// Fails only where the text is no TOML: then there is one mistake, the first.
pub(super) fn read(file: &Path, text: &str) -> Result<Read, Mistake> {
    let at = |offset| {
        let (line, column) = place(text, offset);
        Origin::File(file.to_owned(), line, column)
    };
    let mut root = toml_span::parse(text).map_err(|error| Mistake {
        origin: at(error.span.start),
        key: String::new(),
        message: format!("this is not TOML: {}", told(&error)),
    })?;
    let ValueInner::Table(table) = root.take() else {
        return Ok(Read::default()); // A document is a table.
    };
    let mut read = Read::default();
    let mut entries = Vec::new();
    for (key, mut value) in table {
        if key.name == RULE {
            let mut wrong = Vec::new();
            read.rules = Rules(rule::rules(value, &mut wrong));
            let mistakes = wrong.into_iter().map(|(span, message)| Mistake {
                origin: at(span.start),
                key: RULE.to_owned(),
                message,
            });
            read.mistakes.extend(mistakes);
            continue;
        }
        match value.take() {
            ValueInner::Table(section) if SECTIONS.contains(&&*key.name) => {
                let inner = section.into_iter().map(|(inner, value)| {
                    let name = format!("{}.{}", key.name, inner.name);
                    (inner.span.start, name, value)
                });
                entries.extend(inner);
            }
            plain => entries.push((
                key.span.start,
                key.name.into_owned(),
                Value::with_span(plain, value.span),
            )),
        }
    }
    entries.sort_by_key(|(start, ..)| *start);
    for (start, name, value) in entries {
        let origin = at(start);
        match values(value) {
            Ok(values) => read.settings.push(Setting {
                origin,
                key: name,
                values,
            }),
            Err(message) => read.mistakes.push(Mistake {
                origin,
                key: name,
                message: message.to_owned(),
            }),
        }
    }
    Ok(read)
}

/// What is wrong, as a sentence; where the file ends too early the parser has none.
fn told(error: &toml_span::Error) -> String {
    match error.kind {
        ErrorKind::UnexpectedEof => "the file ends before a list or a value does".to_owned(),
        ErrorKind::Wanted {
            expected,
            found: "eof",
        } => format!("the file ends where {expected} should be"),
        _ => error.to_string(),
    }
}

fn values(mut value: Value<'_>) -> Result<Vec<String>, &'static str> {
    match value.take() {
        ValueInner::Array(values) => values.into_iter().map(scalar).collect(),
        other => scalar(Value::new(other)).map(|value| vec![value]),
    }
}

fn scalar(mut value: Value<'_>) -> Result<String, &'static str> {
    match value.take() {
        ValueInner::String(text) => Ok(text.into_owned()),
        ValueInner::Integer(number) => Ok(number.to_string()),
        ValueInner::Boolean(_) => Err("takes a text or a number, not true or false"),
        ValueInner::Float(_) => Err("takes a text or a whole number"),
        ValueInner::Table(_) => Err(
            "is no section; there are [guard] and [launch-gate], and every other setting stands at the top",
        ),
        ValueInner::Array(_) => Err("takes a list of texts, not of lists"),
    }
}

/// Line and column, from 1, of the byte at `offset`.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}
