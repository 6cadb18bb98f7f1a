//! A request as it goes to the metadata service.

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method};

use crate::headers::TOKEN;
use crate::path::CanonicalPath;

/// A request, written once; the session that it is in can be another when it is sent again.
pub struct Request {
    pub(super) is_head: bool,
    text: Vec<u8>,
    /// Where the session goes, and the end of the head.
    open: usize,
}

/// Room for a usual request, so that it is written without a copy.
const ROOM: usize = 512;

impl Request {
    /// Without a session: a token among `headers` stays here. No type of these lets a line end into the text.
    pub fn new(
        method: &Method,
        path: &CanonicalPath,
        host: &Authority,
        headers: &HeaderMap,
    ) -> Self {
        let mut text = Vec::with_capacity(ROOM);
        for part in [method.as_str(), " ", path.as_str(), " HTTP/1.1\r\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        line(&mut text, HOST.as_str(), host.as_str().as_bytes());
        for (name, value) in headers.iter().filter(|(name, _)| *name != TOKEN) {
            line(&mut text, name.as_str(), value.as_bytes());
        }
        let open = text.len();
        text.extend_from_slice(b"\r\n");
        Self {
            is_head: method == Method::HEAD,
            text,
            open,
        }
    }

    /// From now on it is in the session of `token`.
    pub fn put_into(&mut self, token: &HeaderValue) {
        self.text.truncate(self.open);
        line(&mut self.text, TOKEN.as_str(), token.as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }

    /// Whether its answer has no body.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// As it is sent.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}

fn line(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}
