//! A record as a line of JSON.

use serde::Deserialize;

use crate::{Record, SCHEMA};

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Written by a newer credpin.
    #[error("schema {0} is not known to this build (it reads {SCHEMA}): upgrade")]
    UnknownSchema(u32),
    /// Not the JSON of a record.
    #[error("not a record: {0}")]
    Malformed(String),
}

/// Adds the line of `record` to `lines`, with its newline.
pub(crate) fn encode(record: &Record, lines: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *lines, record)?;
    lines.push(b'\n');
    Ok(())
}

/// The record in a line, with or without its newline.
pub(crate) fn decode(line: &[u8]) -> Result<Record, LineError> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    let malformed = |error: serde_json::Error| LineError::Malformed(error.to_string());
    // Asked first: a record of another schema need not have today's fields.
    let Versioned { schema } = serde_json::from_slice(line).map_err(malformed)?;
    if schema != SCHEMA {
        return Err(LineError::UnknownSchema(schema));
    }
    serde_json::from_slice(line).map_err(malformed)
}

/// The lines of a segment: with each, its number from 1 and the record in it.
pub(crate) fn decode_all(
    bytes: &[u8],
) -> impl Iterator<Item = (usize, Result<Record, LineError>)> + '_ {
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    lines.enumerate().map(|(at, line)| (at + 1, decode(line)))
}

/// The length of `bytes` up to the end of the last whole line that is a record. What follows it was
/// torn, and nobody was told that it is safe.
pub(crate) fn whole(bytes: &[u8]) -> usize {
    let mut end = 0;
    let mut good = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        end += line.len();
        let known = !matches!(decode(line), Err(LineError::Malformed(_)));
        if line.ends_with(b"\n") && known {
            good = end;
        }
    }
    good
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Consumer, Host, ImdsVersion, Kind};

    /// The line of a record.
    pub(crate) fn line(record: &Record) -> Vec<u8> {
        let mut line = Vec::new();
        encode(record, &mut line).unwrap();
        line
    }

    pub(crate) fn record(key: &str, time: &str) -> Record {
        let time = time.parse().unwrap();
        Record {
            schema: SCHEMA,
            kind: Kind::Issued,
            time,
            boot_id: String::new(),
            seq: 0,
            host: Host {
                account: "111122223333".into(),
                region: "eu-west-1".into(),
                instance_id: "i-0abc".into(),
                ..Host::default()
            },
            role: "web".into(),
            access_key_id: key.into(),
            issued: time,
            expires: time + jiff::SignedDuration::from_hours(6),
            consumer: Consumer::at([127, 0, 0, 1].into()),
            imds_version: ImdsVersion::V2,
            proxy_version: "0".into(),
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            prop_assert!(whole(&bytes) <= bytes.len());
        }

        #[test]
        fn a_record_is_one_line_whatever_is_in_it(role: String, exe: Option<String>, seq: u64) {
            let mut record = record("ASIAEXAMPLE", "2026-05-04T09:00:00Z");
            record.seq = seq;
            record.role = role;
            record.consumer.exe = exe;
            let line = line(&record);
            prop_assert_eq!(line.split(|b| *b == b'\n').count(), 2);
            prop_assert_eq!(decode(&line), Ok(record));
        }
    }

    #[test]
    fn a_newer_schema_is_named_and_kept() {
        let line = b"{\"schema\":2,\"new\":true}\n";
        assert_eq!(decode(line), Err(LineError::UnknownSchema(2)));
        assert_eq!(whole(line), line.len());
    }
}
