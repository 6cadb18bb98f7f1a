//! A TOML table being taken apart: what is wrong is collected with its place, never thrown.

use std::collections::BTreeSet;

use toml_span::{Value, value::ValueInner};

use super::Mistake;

/// Mistakes by their place in the text.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<(usize, String, String)>);

impl Mistakes {
    pub(super) fn add(&mut self, at: usize, key: &str, what: impl Into<String>) {
        self.0.push((at, key.to_owned(), what.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the text, with lines and columns.
    pub(super) fn place(mut self, file: &str, text: &str) -> Vec<Mistake> {
        self.0.sort();
        let place = |(at, key, what)| {
            let before = text.get(..at).unwrap_or(text);
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            Mistake {
                file: file.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                key,
                what,
            }
        };
        self.0.into_iter().map(place).collect()
    }
}

/// A table, its path from the root, and where mistakes go.
pub(super) struct Table<'de, 'm> {
    path: &'static str,
    at: usize,
    entries: toml_span::value::Table<'de>,
    present: BTreeSet<String>,
    known: Vec<&'static str>,
    mistakes: &'m mut Mistakes,
}

impl<'de, 'm> Table<'de, 'm> {
    /// The table that a file is.
    pub(super) fn root(value: Value<'de>, mistakes: &'m mut Mistakes) -> Option<Self> {
        Self::new("", value, mistakes)
    }

    fn new(path: &'static str, mut value: Value<'de>, mistakes: &'m mut Mistakes) -> Option<Self> {
        let at = value.span.start;
        match value.take() {
            ValueInner::Table(entries) => Some(Self {
                path,
                at,
                present: entries.keys().map(|key| key.name.to_string()).collect(),
                entries,
                known: Vec::new(),
                mistakes,
            }),
            other => {
                mistakes.add(at, path, format!("wants a table, not {}", other.type_str()));
                None
            }
        }
    }

    /// A text that `parse` reads.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.take(key)?;
        self.text(key, value, parse)
    }

    /// The same, where it must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.named(key) {
            self.known.push(key);
            self.mistake(format!("{key} is missing"));
        }
        self.parsed(key, parse)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let mut value = self.take(key)?;
        match value.take() {
            ValueInner::Boolean(boolean) => Some(boolean),
            other => {
                self.wrong(
                    value.span.start,
                    key,
                    format!("wants true or false, not {}", other.type_str()),
                );
                None
            }
        }
    }

    /// A whole number within `range`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<usize>,
    ) -> Option<usize> {
        let mut value = self.take(key)?;
        let (least, most) = (range.start(), range.end());
        let wanted = format!("wants a number from {least} to {most}");
        let read = match value.take() {
            ValueInner::Integer(number) => usize::try_from(number)
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("{wanted}, not {number}")),
            other => Err(format!("{wanted}, not {}", other.type_str())),
        };
        read.map_err(|what| self.wrong(value.span.start, key, what))
            .ok()
    }

    /// A list of texts that `parse` reads.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let mut value = self.take(key)?;
        match value.take() {
            ValueInner::Array(values) => {
                let all = values.len();
                let read: Vec<T> = values
                    .into_iter()
                    .filter_map(|value| self.text(key, value, &parse))
                    .collect();
                (read.len() == all).then_some(read)
            }
            other => {
                self.wrong(
                    value.span.start,
                    key,
                    format!("wants a list, [\"…\"], not {}", other.type_str()),
                );
                None
            }
        }
    }

    /// A list of texts, or one text that stands for more.
    pub(super) fn parsed_or_list<T, U>(
        &mut self,
        key: &'static str,
        each: impl Fn(&str) -> Result<T, String>,
        word: impl FnOnce(&str) -> Result<U, String>,
        of_list: impl FnOnce(Vec<T>) -> Result<U, String>,
    ) -> Option<U> {
        if self
            .entries
            .get(key)
            .is_some_and(|value| value.as_str().is_some())
        {
            self.parsed(key, word)
        } else {
            let at = self.place_of(key);
            of_list(self.list(key, each)?)
                .map_err(|what| self.wrong(at, key, what))
                .ok()
        }
    }

    /// A table of that name, `[key]`.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'de, '_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let mut table = Table::new(key, value, self.mistakes)?;
        let read = read(&mut table);
        table.finish();
        read
    }

    /// Tables of the same name, `[[key]]`.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        each: impl Fn(&mut Table<'de, '_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(mut value) = self.take(key) else {
            return Vec::new();
        };
        let values = match value.take() {
            ValueInner::Array(values) => values,
            other => {
                self.wrong(
                    value.span.start,
                    key,
                    format!("wants tables, [[{key}]], not {}", other.type_str()),
                );
                return Vec::new();
            }
        };
        values
            .into_iter()
            .filter_map(|value| {
                let mut table = Table::new(key, value, self.mistakes)?;
                let read = each(&mut table);
                table.finish();
                read
            })
            .collect()
    }

    /// Whether the table has `key`, taken or not.
    pub(super) fn named(&self, key: &str) -> bool {
        self.present.contains(key)
    }

    /// Something is wrong with the table as a whole.
    pub(super) fn mistake(&mut self, what: impl Into<String>) {
        self.mistakes.add(self.at, self.path, what);
    }

    /// Whatever was not taken is unknown.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            let path = join(self.path, &key.name);
            let known = self.known.join(", ");
            self.mistakes.add(
                key.span.start,
                &path,
                format!("unknown key; known here: {known}"),
            );
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value<'de>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.remove(key)
    }

    fn text<T>(
        &mut self,
        key: &'static str,
        mut value: Value<'de>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let read = match value.take() {
            ValueInner::String(text) => parse(&text),
            other => Err(format!("wants a text in quotes, not {}", other.type_str())),
        };
        read.map_err(|what| self.wrong(value.span.start, key, what))
            .ok()
    }

    fn wrong(&mut self, at: usize, key: &str, what: impl Into<String>) {
        self.mistakes.add(at, &join(self.path, key), what);
    }

    fn place_of(&self, key: &str) -> usize {
        self.entries
            .get(key)
            .map_or(self.at, |value| value.span.start)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
