//! One file: decompressed and read in pieces.

use std::io::{self, BufRead, BufReader, Read};

use credpin_core::cloudtrail::{Event, Reader};
use flate2::bufread::MultiGzDecoder;

use super::{Counts, What};

/// A piece. Small enough to stay in a core's cache between being decompressed and being read.
const PIECE: usize = 256 << 10;
/// The largest record that is waited for; CloudTrail's own limit is a megabyte.
pub(super) const MOST: usize = 64 << 20;

/// Hands `each` the events of a file. `buffer` is only there to be used again.
pub(super) fn read(
    file: Box<dyn Read + '_>,
    buffer: &mut Vec<u8>,
    counts: &mut Counts,
    each: impl FnMut(&Event<'_>, &mut Counts),
) -> Result<(), What> {
    let mut file = BufReader::with_capacity(64 << 10, file);
    let begin = file.fill_buf().map_err(|error| What::Read(said(&error)))?;
    if begin.starts_with(&[0x1f, 0x8b]) {
        pieces(MultiGzDecoder::new(file), buffer, counts, each)
    } else {
        pieces(file, buffer, counts, each)
    }
}

fn pieces(
    mut from: impl Read,
    buffer: &mut Vec<u8>,
    counts: &mut Counts,
    mut each: impl FnMut(&Event<'_>, &mut Counts),
) -> Result<(), What> {
    let mut reader = Reader::default();
    buffer.resize(PIECE.max(buffer.len()), 0);
    let mut there = 0;
    let result = loop {
        let mut read = Ok(1);
        while there < buffer.len() {
            read = from.read(&mut buffer[there..]);
            match &read {
                Ok(0) | Err(_) => break,
                Ok(more) => {
                    there += more;
                    counts.bytes += *more as u64;
                }
            }
        }
        let last = matches!(read, Ok(0));
        let done = match reader.read(&buffer[..there], last, |event| each(event, counts)) {
            Ok(done) => done,
            Err(broken) => break Err(broken.into()),
        };
        if let Err(error) = read {
            break Err(What::Read(said(&error)));
        }
        if last {
            break Ok(());
        }
        buffer.copy_within(done..there, 0);
        there -= done;
        if there == buffer.len() {
            if there >= MOST {
                break Err(What::Large);
            }
            buffer.resize(there * 2, 0);
        }
    };
    counts.unreadable += reader.unreadable();
    buffer.truncate(PIECE);
    result
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "it is cut off: its compressed data ends in the middle".into()
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            format!("it cannot be decompressed: {error}")
        }
        _ => format!("cannot read it: {error}"),
    }
}
