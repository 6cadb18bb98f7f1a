//! The head of a request as it came off the wire, before the HTTP library reads it.
//!
//! A library is lenient where it can guess: it joins folded lines, takes a bare LF for a line's end,
//! forgets one of two lengths. Whoever reads the same bytes with other guesses sees another request,
//! and what a guard has decided upon is then not what was asked. So a head that leaves anything to
//! guess is refused (RFC 9112, sections 2.2, 3, 5 and 11.2), and no client of IMDS sends one.
//!
//! No request to the metadata service has a body, so a connection is one head after the other.

/// The longest head, its end included: a path, a token (56 bytes) and what SDKs add.
pub const MAX_HEAD: usize = 16 << 10;
/// The longest line, its end included.
pub const MAX_LINE: usize = 8 << 10;
/// The most headers of a request.
pub const MAX_HEADERS: usize = 64;

/// Reads heads as they come in. It keeps no bytes, only how far it has read.
#[derive(Debug, Default)]
pub struct Heads {
    /// Bytes of the present head that were looked at.
    scanned: usize,
    /// Where its present line begins.
    line: usize,
    place: Place,
    headers: usize,
    /// One bit for each of [`ONCE`] that was there.
    seen: u8,
}

/// What [`Heads::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// So many bytes are whole heads with one reading.
    pub whole: usize,
    /// What is wrong with the head after them. It has no end that could be told, so nothing that
    /// follows is a request.
    pub flaw: Option<Flaw>,
}

/// Why a head is refused. The client gets IMDS's 400 for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A head, a line or the number of headers is over its limit.
    #[error(
        "the head has more than {MAX_HEAD} bytes, {MAX_LINE} in a line, or {MAX_HEADERS} headers"
    )]
    Large,
    /// A line that ends with LF alone.
    #[error("a line does not end with CR LF")]
    LineEnd,
    /// Not a method, a target and a version with one blank between them.
    #[error("the request line is none")]
    RequestLine,
    /// Neither HTTP/1.0 nor HTTP/1.1; the preface of HTTP/2 too.
    #[error("the request is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// A target that names a host (absolute form, authority form), `*`, or one with a character
    /// that has no place in a path (RFC 3986, section 3.3).
    #[error("the request's target is not a path")]
    Target,
    /// A line that goes on with the one before it (obs-fold).
    #[error("a header is folded")]
    Folded,
    /// A header's name that is none: empty, with a blank before the colon, or without a colon.
    #[error("a header's name is not a token")]
    HeaderName,
    /// A control character in a header's value: NUL, a bare CR.
    #[error("a header's value has a control character")]
    HeaderValue,
    /// A header that decides something is there twice.
    #[error("a header that may be there once is there twice")]
    Duplicate,
    /// `Transfer-Encoding`, or a `Content-Length` other than 0.
    #[error("the request has a body")]
    Body,
}

/// Headers of which two could be read as the first or as the last.
const ONCE: [&str; 4] = [
    "host",
    "content-length",
    "x-aws-ec2-metadata-token",
    "x-aws-ec2-metadata-token-ttl-seconds",
];

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Start,
    /// After one empty line, which a server should ignore (RFC 9112, section 2.2).
    AfterBlank,
    Headers,
}

impl Heads {
    /// Reads on in `bytes`, which begin with a head: with what the last call left over, followed by
    /// what came in since. The answer is the same however the bytes are cut up.
    pub fn read(&mut self, bytes: &[u8]) -> Read {
        let mut whole = 0;
        loop {
            let flaw = match self.head(&bytes[whole..]) {
                Ok(Some(length)) => {
                    whole += length;
                    continue;
                }
                Ok(None) => None,
                Err(flaw) => Some(flaw),
            };
            return Read { whole, flaw };
        }
    }

    /// The length of the head that `bytes` begin with, if it is whole.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Flaw> {
        loop {
            let line_feed = bytes[self.scanned..].iter().position(|b| *b == b'\n');
            let end = line_feed.map_or(bytes.len(), |at| self.scanned + at);
            // The line feed is one more, whether it has come yet or not.
            if end >= MAX_HEAD || end - self.line >= MAX_LINE {
                return Err(Flaw::Large);
            }
            if line_feed.is_none() {
                self.scanned = end;
                return Ok(None);
            }
            let line = bytes[self.line..end].strip_suffix(b"\r");
            self.scanned = end + 1;
            self.line = end + 1;
            if self.ends_with(line.ok_or(Flaw::LineEnd)?)? {
                *self = Self::default();
                return Ok(Some(end + 1));
            }
        }
    }

    /// Whether the head ends with this line.
    fn ends_with(&mut self, line: &[u8]) -> Result<bool, Flaw> {
        match (self.place, line) {
            (Place::Start, []) => self.place = Place::AfterBlank,
            (Place::Start | Place::AfterBlank, line) => {
                request_line(line)?;
                self.place = Place::Headers;
            }
            (Place::Headers, []) => return Ok(true),
            (Place::Headers, line) => self.header(line)?,
        }
        Ok(false)
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Flaw> {
        self.headers += 1;
        if self.headers > MAX_HEADERS {
            return Err(Flaw::Large);
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(Flaw::Folded);
        }
        // A colon is in no token, so the name is whole where the first byte that is in none is the first colon.
        let end = line.iter().position(|byte| !TOKEN.has(*byte));
        let (name, value) = line.split_at(end.ok_or(Flaw::HeaderName)?);
        if name.is_empty() || !value.starts_with(b":") {
            return Err(Flaw::HeaderName);
        }
        if !has_no_control(value) {
            return Err(Flaw::HeaderValue);
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let once = ONCE.iter().position(|other| is(other));
        let bit = once.map_or(0, |at| 1 << at);
        if self.seen & bit != 0 {
            return Err(Flaw::Duplicate);
        }
        self.seen |= bit;
        let length = is("content-length") && value[1..].trim_ascii() != b"0";
        if length || is("transfer-encoding") {
            return Err(Flaw::Body);
        }
        Ok(())
    }
}

fn request_line(line: &[u8]) -> Result<(), Flaw> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Flaw::RequestLine);
    };
    if method.is_empty() || !TOKEN.has_all(method) {
        return Err(Flaw::RequestLine);
    }
    if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
        return Err(Flaw::Version);
    }
    if !target.starts_with(b"/") || !OF_TARGET.has_all(target) {
        return Err(Flaw::Target);
    }
    Ok(())
}

/// Bytes of one kind, looked up: each byte of each head is.
struct Bytes([bool; 256]);

/// RFC 9110, section 5.6.2.
static TOKEN: Bytes = Bytes::alphanumeric_and(b"!#$%&'*+-.^_`|~");
/// RFC 3986, sections 3.3 and 3.4.
static OF_TARGET: Bytes = Bytes::alphanumeric_and(b"/-._~%!$&'()*+,;=:@?");

impl Bytes {
    const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut is = [false; 256];
        let mut byte = 0;
        while byte < 128_u8 {
            is[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            is[others[at] as usize] = true;
            at += 1;
        }
        Self(is)
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.has(*byte))
    }
}

/// What a value may be (RFC 9110, section 5.5); a tab is no such control. All of it is looked at in any case:
/// values are the most of a head, and without a way out in between they are compared many bytes at a time.
fn has_no_control(value: &[u8]) -> bool {
    let is_one = |byte: u8| byte != b'\t' && byte.is_ascii_control();
    !value.iter().fold(false, |any, byte| any | is_one(*byte))
}

impl Flaw {
    /// The rule's name in the metrics.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Large => "large",
            Self::LineEnd => "line-end",
            Self::RequestLine => "request-line",
            Self::Version => "version",
            Self::Target => "target",
            Self::Folded => "folded",
            Self::HeaderName => "header-name",
            Self::HeaderValue => "header-value",
            Self::Duplicate => "duplicate",
            Self::Body => "body",
        }
    }
}

#[cfg(test)]
mod tests;
