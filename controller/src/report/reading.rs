//! What was read of a trail, and what was not.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Paint, text::plain};
use crate::cloudtrail::{Counts, Reading};

/// Names that are told one by one.
const NAMED: usize = 5;
const TROUBLES: usize = 10;

/// What was read, in a few lines, and what was not.
pub(super) fn reading(out: &mut String, reading: &Reading, paint: Paint) {
    let counts = &reading.counts;
    let _ = writeln!(
        out,
        "Read {} of {} in {} ({}){}.",
        number(counts.events, "event"),
        span(counts),
        number(counts.files, "file"),
        size(counts.bytes),
        match (counts.duplicates, counts.left_out) {
            (0, 0) => String::new(),
            (copies, 0) => format!("; {}", copied(copies)),
            (0, left) => format!("; {left} beside are no records"),
            (copies, left) => format!("; {}, {left} beside are no records", copied(copies)),
        }
    );
    for (what, names) in [("accounts", &counts.accounts), ("regions", &counts.regions)] {
        let told: Vec<_> = names.iter().take(NAMED).map(|name| plain(name)).collect();
        let more = match names.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !told.is_empty() {
            let _ = writeln!(out, "  {what}: {}{more}", told.join(", "));
        }
    }
    for (count, what) in [
        (
            counts.unknown_version,
            "of a version that is not known, read as if it were",
        ),
        (
            counts.unreadable,
            "that cannot be understood, and are missing",
        ),
        (
            counts.unchecked,
            "of which a copy would not be noticed: without an id or a time, delivered late, or too many at once",
        ),
    ] {
        if count > 0 {
            let line = format!("! {} {what}", number(count, "record"));
            let _ = writeln!(out, "{}", paint.yellow(&line));
        }
    }
    if counts.troubles > 0 {
        let line = format!(
            "! {} could not be read, or not to the end: what is in there is missing here",
            number(counts.troubles, "file")
        );
        let _ = writeln!(out, "{}", paint.red(&line));
        for trouble in reading.troubles.iter().take(TROUBLES) {
            let _ = writeln!(out, "    {}", plain(&trouble.to_string()));
        }
        let more = counts.troubles.saturating_sub(TROUBLES as u64);
        if more > 0 {
            let _ = writeln!(out, "    and {more} more");
        }
    }
}

fn copied(copies: u64) -> String {
    format!(
        "{} left out",
        number_of(copies, "further copy", "further copies")
    )
}

fn span(counts: &Counts) -> String {
    match (counts.first, counts.last) {
        (Some(first), Some(last)) => format!("{} to {}", minute(first), minute(last)),
        _ => "no time".into(),
    }
}

fn size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{} KiB", bytes.div_ceil(1 << 10))
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

/// As people write it, in UTC.
pub(super) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// `1 event`, `2,000 events`.
pub(super) fn number(count: u64, noun: &str) -> String {
    number_of(count, noun, &format!("{noun}s"))
}

fn number_of(count: u64, one: &str, many: &str) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if count == 1 { one } else { many })
}
