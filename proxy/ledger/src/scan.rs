//! What a ledger holds, read while a proxy may be appending to it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::ledger::segments;
use crate::segment::State;
use crate::{LineError, Record, SegmentName, disk, line};

/// Everything in a ledger.
#[derive(Debug, Default)]
pub struct History {
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// What was left out, file by file.
    pub unreadable: Vec<Unreadable>,
}

/// Something in a ledger that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A whole file.
    #[error("{}: cannot read it: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why it failed; said in the sentence itself.
        error: io::Error,
    },
    /// A line that is no record.
    #[error("{}:{line}: {error}", file.display())]
    Line {
        /// The file that it is in.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it; said in the sentence itself.
        error: LineError,
    },
}

/// The records in the ledger at `dir`, oldest first: those of [`History::read`].
pub fn scan(dir: &Path) -> io::Result<Vec<Record>> {
    Ok(History::read(dir)?.records)
}

impl History {
    /// Reads the ledger at `dir`. The end of an open segment may just be being written: as long as
    /// it is no whole line it is nothing yet, and so not unreadable either.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let mut history = Self::default();
        for (name, _) in segments(disk::list(dir)?) {
            history.segment(dir, &name);
        }
        history
            .records
            .sort_by_key(|record| (record.time, record.seq));
        Ok(history)
    }

    /// It may move on to its next state, and so to its next name, at any time, and in the end go.
    fn segment(&mut self, dir: &Path, name: &SegmentName) {
        let later = [State::Open, State::Sealed, State::Shipped];
        for state in later.into_iter().filter(|state| *state >= name.state) {
            let file = dir.join(name.to(state).to_string());
            match std::fs::read(&file) {
                Ok(bytes) => return self.lines(&file, &bytes, state),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return self.unreadable.push(Unreadable::File { file, error }),
            }
        }
    }

    fn lines(&mut self, file: &Path, bytes: &[u8], state: State) {
        let torn = state == State::Open && !bytes.ends_with(b"\n");
        let last = bytes.split_inclusive(|byte| *byte == b'\n').count();
        for (line, record) in line::decode_all(bytes) {
            match record {
                Ok(record) => self.records.push(record),
                Err(_) if torn && line == last => {}
                Err(error) => {
                    let file = file.to_owned();
                    self.unreadable.push(Unreadable::Line { file, line, error });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::tests::{line, record};

    const SEGMENT: &str = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968-00000000000000000001";

    #[test]
    fn what_cannot_be_read_is_told_with_its_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let whole = line(&record("ASIAONE", "2026-05-04T00:00:00Z"));
        let text = [&whole[..], b"garbage\n", &whole[..], b"{\"schema\":1"].concat();
        for (state, unreadable) in [("open", &[2][..]), ("jsonl", &[2, 4]), ("shipped", &[2, 4])] {
            let file = dir.path().join(format!("{SEGMENT}.{state}"));
            std::fs::write(&file, &text).unwrap();
            let history = History::read(dir.path()).unwrap();
            assert_eq!(history.records.len(), 2);
            let told: Vec<_> = history.unreadable.iter().map(ToString::to_string).collect();
            assert_eq!(told.len(), unreadable.len(), "{told:?}");
            for (told, line) in told.iter().zip(unreadable) {
                let place = format!("{}:{line}: not a record: ", file.display());
                assert!(told.starts_with(&place), "{told}");
            }
            std::fs::remove_file(file).unwrap();
        }
    }
}
