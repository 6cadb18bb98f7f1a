//! What comes back from the metadata service, as bytes: the head of an answer, and how its body ends.
//!
//! It fails closed. An answer whose end could be told in two ways is none: what follows it on the
//! connection would be taken for another request's.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::headers::values;

/// The longest head, its end included.
pub(super) const MAX_HEAD: usize = 16 << 10;
/// The most headers of one.
const MAX_HEADERS: usize = 64;
/// The longest line with the size of a chunk, and the longest trailers.
const MAX_AROUND_CHUNKS: usize = 4 << 10;

/// The head of an answer.
#[derive(Debug, PartialEq)]
pub struct Head {
    /// What it says at first.
    pub status: StatusCode,
    /// As they came, the connection's own too.
    pub headers: HeaderMap,
    pub(super) framing: Framing,
    /// Whether another request may follow on the connection, as far as the head says.
    pub(super) keeps_open: bool,
}

/// How the end of a body is told (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunked,
    /// The end of the connection.
    Close,
}

/// What came is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Its head is none.
    #[error("the answer's head is not HTTP/1")]
    Head(#[from] httparse::Error),
    /// A limit of its head.
    #[error("the answer's head has more than {MAX_HEAD} bytes or {MAX_HEADERS} headers")]
    Large,
    /// An interim answer, or another that ends otherwise.
    #[error("the answer has status {0}, which nobody asked for")]
    Status(u16),
    /// Two lengths, or one that is none.
    #[error("where the answer's body ends could be told in two ways")]
    Length,
    /// A chunk without its size or its end.
    #[error("the answer's body is not chunked as it says")]
    Chunk,
}

impl Head {
    /// Reads the head that `bytes` begin with, of an answer to a request that was `HEAD` or not.
    /// Gives back its length as well; nothing as long as it is not whole.
    pub(super) fn parse(bytes: &[u8], is_head: bool) -> Result<Option<(Self, usize)>, Malformed> {
        let mut before = 0;
        loop {
            let Some((head, length)) = Self::one(&bytes[before..], is_head)? else {
                return Ok(None);
            };
            before += length;
            // What is to come is said beforehand (RFC 9110, section 15.2), but for 101, which
            // ends HTTP.
            match head.status.as_u16() {
                101 => return Err(Malformed::Status(101)),
                100..200 => {}
                _ => return Ok(Some((head, before))),
            }
        }
    }

    fn one(bytes: &[u8], is_head: bool) -> Result<Option<(Self, usize)>, Malformed> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let length =
            match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
                Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
                Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
                Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Malformed::Large),
                Err(error) => return Err(error.into()),
            };
        let code = parsed.code.unwrap_or_default();
        let status = StatusCode::from_u16(code).map_err(|_| Malformed::Status(code))?;
        let is_1_1 = parsed.version == Some(1);
        // One copy of the head, of which each value is a part.
        let whole = Bytes::copy_from_slice(&bytes[..length]);
        let start = bytes.as_ptr().addr();
        let mut headers = HeaderMap::with_capacity(parsed.headers.len());
        for field in parsed.headers {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            // An empty one need not lie in the head.
            let value = if field.value.is_empty() {
                Ok(HeaderValue::from_static(""))
            } else {
                let at = field.value.as_ptr().addr() - start;
                HeaderValue::from_maybe_shared(whole.slice(at..at + field.value.len()))
            };
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(httparse::Error::HeaderValue.into());
            };
            headers.append(name, value);
        }
        let framing = framing(&headers, status, is_1_1, is_head)?;
        let keeps_open = framing != Framing::Close && keeps_open(&headers, is_1_1);
        let head = Self {
            status,
            headers,
            framing,
            keeps_open,
        };
        Ok(Some((head, length)))
    }
}

fn framing(
    headers: &HeaderMap,
    status: StatusCode,
    is_1_1: bool,
    is_head: bool,
) -> Result<Framing, Malformed> {
    let mut codings = values(headers, |name| *name == TRANSFER_ENCODING);
    let mut lengths = values(headers, |name| *name == CONTENT_LENGTH);
    let coding = codings.next();
    let length = lengths.next();
    let several = codings.next().is_some() || lengths.next().is_some();
    if several || (coding.is_some() && (length.is_some() || !is_1_1)) {
        return Err(Malformed::Length);
    }
    let length = length.map(|length| digits(length.as_bytes()).ok_or(Malformed::Length));
    let length = length.transpose()?;
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Malformed::Length);
    }
    let has_no_body = is_head
        || status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    Ok(match (coding, length) {
        _ if has_no_body => Framing::Length(0),
        (Some(_), _) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::Close,
    })
}

/// Digits and nothing else: no sign, no blank between, no list.
fn digits(text: &[u8]) -> Option<u64> {
    let all = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| all)?;
    text.parse().ok()
}

fn keeps_open(headers: &HeaderMap, is_1_1: bool) -> bool {
    let says = |word: &str| {
        let values = values(headers, |name| *name == CONNECTION);
        let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        words.any(|said| said.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    !says("close") && (is_1_1 || says("keep-alive"))
}

/// Takes a chunked body (RFC 9112, section 7.1) apart as it comes in.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// What is left of the present chunk.
    left: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    Data,
    /// Before the end of line that ends a chunk.
    After,
    Trailers,
}

/// A step through a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// So many bytes are read. What of them is the body's own is at their end.
    pub(super) read: usize,
    /// So many of them.
    pub(super) data: usize,
    /// Whether the body ends there.
    pub(super) done: bool,
}

impl Chunks {
    /// Reads on in `bytes`, which begin where the last step ended. Nothing where more has to come.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<Option<Step>, Malformed> {
        match self.place {
            Place::Size => {
                // httparse takes a line without a digit for a size of 0.
                if bytes.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
                    return Err(Malformed::Chunk);
                }
                let parsed = httparse::parse_chunk_size(bytes);
                let size = whole(bytes, parsed.map_err(|_| Malformed::Chunk)?)?;
                Ok(size.map(|(read, size)| {
                    self.left = size;
                    self.place = if size == 0 {
                        Place::Trailers
                    } else {
                        Place::Data
                    };
                    Step::over(read)
                }))
            }
            Place::Data if bytes.is_empty() => Ok(None),
            Place::Data => {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let data = left.min(bytes.len());
                self.left -= data as u64;
                if self.left == 0 {
                    self.place = Place::After;
                }
                Ok(Some(Step {
                    data,
                    ..Step::over(data)
                }))
            }
            Place::After => match bytes {
                [b'\r', b'\n', ..] => {
                    self.place = Place::Size;
                    Ok(Some(Step::over(2)))
                }
                [] | [b'\r'] => Ok(None),
                _ => Err(Malformed::Chunk),
            },
            // IMDS has none; what they say is nobody's.
            Place::Trailers => {
                let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
                let parsed = httparse::parse_headers(bytes, &mut fields);
                let trailers = whole(bytes, parsed.map_err(|_| Malformed::Chunk)?)?;
                Ok(trailers.map(|(read, _)| Step {
                    done: true,
                    ..Step::over(read)
                }))
            }
        }
    }
}

impl Step {
    fn over(read: usize) -> Self {
        Self {
            read,
            data: 0,
            done: false,
        }
    }
}

/// What was read in `bytes`, if it is whole. What is not has a limit.
fn whole<T>(bytes: &[u8], parsed: httparse::Status<T>) -> Result<Option<T>, Malformed> {
    match parsed {
        httparse::Status::Complete(parsed) => Ok(Some(parsed)),
        httparse::Status::Partial if bytes.len() < MAX_AROUND_CHUNKS => Ok(None),
        httparse::Status::Partial => Err(Malformed::Chunk),
    }
}

#[cfg(test)]
mod tests;
