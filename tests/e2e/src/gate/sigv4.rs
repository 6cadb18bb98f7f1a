//! Signature Version 4, from the side that checks it: in the `Authorization` header, or in the query of
//! a presigned URL.
//!
//! IAM User Guide, "AWS Signature Version 4 for API requests". What is not checked is the age of a
//! signature: the gate has no clock.

use hmac::{Hmac, KeyInit, Mac};
use hyper::body::Bytes;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// What a request says of its own signature.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) access_key_id: String,
    pub(super) token: Option<String>,
    pub(super) service: String,
    /// `DATE/REGION/SERVICE/aws4_request`
    scope: String,
    /// `20260102T030405Z`
    time: String,
    /// Lower case, sorted, as the signer wrote them.
    headers: Vec<String>,
    signature: String,
    presigned: bool,
}

impl Signed {
    /// Finds the signature of a request. None if it has none, or one of another kind.
    pub(super) fn parse(head: &Parts) -> Option<Self> {
        let (fields, presigned): (Fields, bool) = match header(head, "authorization") {
            Some(authorization) => (from_header(head, &authorization)?, false),
            None => (from_query(head.uri.query()?)?, true),
        };
        let (access_key_id, scope) = fields.credential.split_once('/')?;
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            token: fields.token,
            service: scope.split('/').nth(2)?.to_owned(),
            scope: scope.to_owned(),
            time: fields.time,
            headers: fields.headers.split(';').map(str::to_owned).collect(),
            signature: fields.signature,
            presigned,
        })
    }

    /// Whether the holder of the secret signed this very request.
    pub(super) fn verify(&self, secret: &str, head: &Parts, body: &[u8]) -> bool {
        let Some(payload) = self.payload_hash(head, body) else {
            return false;
        };
        let canonical = self.canonical_request(head, &payload);
        let text = format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            self.time,
            self.scope,
            hex(&Sha256::digest(canonical)),
        );
        let key = self
            .scope
            .split('/')
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| {
                hmac(&key, part.as_bytes()).to_vec()
            });
        hex(&hmac(&key, text.as_bytes())) == self.signature
    }

    /// The hash of the body that the signature covers. None if the request names another body's.
    fn payload_hash(&self, head: &Parts, body: &[u8]) -> Option<String> {
        if self.presigned && self.service == "s3" {
            return Some(UNSIGNED_PAYLOAD.to_owned());
        }
        let actual = hex(&Sha256::digest(body));
        match header(head, "x-amz-content-sha256") {
            Some(named) if named == UNSIGNED_PAYLOAD || named == actual => Some(named),
            Some(_) => None,
            None => Some(actual),
        }
    }

    fn canonical_request(&self, head: &Parts, payload: &str) -> String {
        let mut query: Vec<String> = head
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("X-Amz-Signature="))
            .map(|pair| pair.to_owned() + if pair.contains('=') { "" } else { "=" })
            .collect();
        query.sort_unstable();

        let mut lines = vec![
            head.method.to_string(),
            head.uri.path().to_owned(),
            query.join("&"),
        ];
        for name in &self.headers {
            let value = header(head, name).unwrap_or_default();
            lines.push(format!("{name}:{value}"));
        }
        lines.extend([String::new(), self.headers.join(";"), payload.to_owned()]);
        lines.join("\n")
    }
}

struct Fields {
    credential: String,
    headers: String,
    signature: String,
    time: String,
    token: Option<String>,
}

/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`
fn from_header(head: &Parts, authorization: &str) -> Option<Fields> {
    let rest = authorization.strip_prefix(ALGORITHM)?;
    let field = |name: &str| {
        rest.split(',')
            .filter_map(|part| part.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then(|| value.to_owned()))
    };
    Some(Fields {
        credential: field("Credential")?,
        headers: field("SignedHeaders")?,
        signature: field("Signature")?,
        time: header(head, "x-amz-date")?,
        token: header(head, "x-amz-security-token"),
    })
}

/// `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=…`
fn from_query(query: &str) -> Option<Fields> {
    let field = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
            .map(|value| percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    (field("X-Amz-Algorithm")? == ALGORITHM).then_some(())?;
    Some(Fields {
        credential: field("X-Amz-Credential")?,
        headers: field("X-Amz-SignedHeaders")?,
        signature: field("X-Amz-Signature")?,
        time: field("X-Amz-Date")?,
        token: field("X-Amz-Security-Token"),
    })
}

/// A header's value in canonical form: trimmed, runs of blanks made one.
fn header(head: &Parts, name: &str) -> Option<String> {
    let value = head.headers.get(name)?.to_str().ok()?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn hmac(key: &[u8], text: &[u8]) -> hmac::digest::Output<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(bytes))
}
