//! Records out of a file that comes in pieces, so that no file has to fit into memory.

use serde::de::IgnoredAny;
use serde_json::Deserializer;
use thiserror::Error;

use super::Event;

/// Reads the records of one file: `{"Records":[…]}`.
///
/// It is given what is there of the file and says how much of it is done with; the rest comes again,
/// with more behind it.
#[derive(Debug, Default)]
pub struct Reader {
    place: Place,
    done: u64,
    unreadable: u64,
}

/// How far into the file it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the list of records.
    #[default]
    Head,
    /// In the list.
    Records,
    /// Behind it.
    End,
}

/// A file that is not, or not to its end, what CloudTrail writes. What came before was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// It does not begin as a file of records does.
    #[error("it is no file of CloudTrail records")]
    NoRecords,
    /// It ends in the middle.
    #[error("it ends in the middle, after {0} bytes")]
    CutOff(u64),
    /// It is no JSON any more.
    #[error("it is no JSON from byte {0} on")]
    NoJson(u64),
}

/// One record, or not yet.
enum Next<T> {
    One(T, usize),
    /// The piece ends before it does.
    More,
    /// A value that is no record.
    Unreadable(usize),
    NoJson,
}

impl Reader {
    /// Hands `each` every record that is whole in `piece`, and says how many bytes of it are done
    /// with. `last`: nothing comes behind it.
    pub fn read(
        &mut self,
        piece: &[u8],
        last: bool,
        mut each: impl FnMut(&Event<'_>),
    ) -> Result<usize, Broken> {
        let mut at = 0;
        if self.place == Place::Head {
            match head(piece) {
                Some(Ok(length)) => at = length,
                Some(Err(broken)) => return Err(broken),
                None if last => return Err(self.cut_off(piece.len())),
                None => return Ok(0),
            }
            self.place = Place::Records;
        }
        while self.place == Place::Records {
            at += blanks(&piece[at..]);
            match piece.get(at) {
                None if last => return Err(self.cut_off(piece.len())),
                None => break,
                Some(b',') => at += 1,
                Some(b']') => {
                    at += 1;
                    self.place = Place::End;
                }
                Some(b'{') => match next(&piece[at..]) {
                    Next::One(event, length) => {
                        each(&event);
                        at += length;
                    }
                    Next::Unreadable(length) => {
                        self.unreadable += 1;
                        at += length;
                    }
                    Next::More if last => return Err(self.cut_off(piece.len())),
                    Next::More => break,
                    Next::NoJson => return Err(self.no_json(at)),
                },
                Some(_) => return Err(self.no_json(at)),
            }
        }
        if self.place == Place::End {
            // Nothing that follows the list bears on it.
            at = piece.len();
        }
        self.done += at as u64;
        Ok(at)
    }

    /// Records that are JSON, and nothing that can be read as a record.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    fn cut_off(&self, there: usize) -> Broken {
        Broken::CutOff(self.done + there as u64)
    }

    fn no_json(&self, at: usize) -> Broken {
        Broken::NoJson(self.done + at as u64)
    }
}

/// The length of what comes before the first record; none where `piece` ends before it does.
fn head(piece: &[u8]) -> Option<Result<usize, Broken>> {
    let mut at = blanks(piece);
    for word in ["{", "\"Records\"", ":", "["] {
        let rest = &piece[at..];
        if !rest.starts_with(word.as_bytes()) {
            let may_come = word.as_bytes().starts_with(rest);
            return (!may_come).then_some(Err(Broken::NoRecords));
        }
        at += word.len();
        at += blanks(&piece[at..]);
    }
    Some(Ok(at))
}

fn blanks(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count()
}

fn next(text: &[u8]) -> Next<Event<'_>> {
    let mut values = Deserializer::from_slice(text).into_iter::<Event<'_>>();
    match values.next() {
        Some(Ok(event)) => Next::One(event, values.byte_offset()),
        None => Next::More,
        Some(Err(error)) if error.is_eof() => Next::More,
        Some(Err(error)) if error.is_data() => match skip(text) {
            Some(length) => Next::Unreadable(length),
            None => Next::More,
        },
        Some(Err(_)) => Next::NoJson,
    }
}

/// The length of the value that `text` begins with, if it is all there.
fn skip(text: &[u8]) -> Option<usize> {
    let mut values = Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}
