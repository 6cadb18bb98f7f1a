//! `credpin-proxy ledger`: what this host has handed out.

use std::fmt::Write;
use std::io;
use std::path::Path;

use credpin_ledger::{History, Kind, Record};

use crate::who::Who;

/// What is in the ledger at `dir`, newest first. A proxy may be writing to it.
pub fn read(dir: &Path) -> io::Result<History> {
    let mut history = History::read(dir)?;
    history.records.reverse();
    Ok(history)
}

/// The records as a table for people.
pub fn table(records: &[Record]) -> String {
    const HEAD: [&str; 6] = [
        "TIME",
        "ROLE",
        "ACCESS KEY ID",
        "EXPIRES",
        "CONSUMER",
        "WHY",
    ];
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(records.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn row(record: &Record) -> [String; 6] {
    let why = match record.kind {
        Kind::Issued => "new credential",
        Kind::Consumer => "new consumer",
    };
    let second = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    [
        second(record.time),
        record.role.clone(),
        record.access_key_id.clone(),
        second(record.expires),
        Who(&record.consumer).to_string(),
        why.to_owned(),
    ]
}
