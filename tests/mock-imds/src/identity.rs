//! The signatures of the instance identity document (EC2 User Guide, verify the instance identity
//! document), made with a key pair that is published with the mock.
//!
//! AWS signs `pkcs7` with DSA. Here all three are made with the one RSA key; what a verifier does is
//! the same: `openssl smime -verify -inform PEM -certfile certificate.pem -noverify`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::PrivateKey;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pkcs8::DecodePrivateKey;
use sha2::{Digest, Sha256};

use crate::der::{
    CONTEXT_0, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, element, first, of,
};

/// The certificate that the mock's identity documents verify with, in PEM.
///
/// For tests only: its key is published too.
pub const IDENTITY_CERTIFICATE: &str = include_str!("../identity/certificate.pem");

const KEY: &str = include_str!("../identity/key.pem");

// Object identifiers, as DER has them.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// One of the leaves beside `document`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    /// `signature`: of the document alone.
    Plain,
    /// `pkcs7` and `rsa2048`: a signed message with the document in it.
    Message,
}

/// Signs what it is asked for when it is asked: most tests never do, and signing takes time.
#[derive(Default)]
pub(crate) struct Signer(Option<Signed>);

struct Signed {
    document: String,
    plain: String,
    message: String,
}

impl Signer {
    /// The leaf's text: base64 in lines, without what PEM puts around it.
    pub(crate) fn text(&mut self, document: &str, kind: Signature) -> String {
        let signed = match self.0.take() {
            Some(signed) if signed.document == document => signed,
            _ => Signed::new(document),
        };
        let Signed { plain, message, .. } = self.0.insert(signed);
        match kind {
            Signature::Plain => plain.clone(),
            Signature::Message => message.clone(),
        }
    }
}

impl Signed {
    fn new(document: &str) -> Self {
        let key = PrivateKey::from_pkcs8_pem(KEY).expect("the key that ships with the mock");
        let digest = Sha256::digest(document);
        let signature = key
            .sign(Pkcs1v15Sign::new::<Sha256>(), &digest)
            .expect("a key of 2048 bits signs a digest of 256");
        Self {
            document: document.to_owned(),
            plain: in_lines(&signature),
            message: in_lines(&message(document.as_bytes(), &signature)),
        }
    }
}

/// `SignedData` of PKCS #7 (RFC 2315) with the content and one signer, without attributes.
fn message(content: &[u8], signature: &[u8]) -> Vec<u8> {
    let oid = |oid| element(OBJECT_IDENTIFIER, oid);
    let algorithm = |name| of(SEQUENCE, &[&oid(name), &element(NULL, &[])]);
    let version = element(INTEGER, &[1]);
    let content = of(
        SEQUENCE,
        &[
            &oid(DATA),
            &of(CONTEXT_0, &[&element(OCTET_STRING, content)]),
        ],
    );
    let signer = of(
        SEQUENCE,
        &[
            &version,
            &issuer_and_serial(),
            &algorithm(SHA256),
            &algorithm(RSA),
            &element(OCTET_STRING, signature),
        ],
    );
    let data = of(
        SEQUENCE,
        &[
            &version,
            &of(SET, &[&algorithm(SHA256)]),
            &content,
            &of(SET, &[&signer]),
        ],
    );
    of(SEQUENCE, &[&oid(SIGNED_DATA), &of(CONTEXT_0, &[&data])])
}

/// What names the certificate in a message.
fn issuer_and_serial() -> Vec<u8> {
    let read = || {
        let base64: String = IDENTITY_CERTIFICATE
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let certificate = STANDARD.decode(base64).ok()?;
        // Certificate { TBSCertificate { version, serial number, algorithm, issuer, … }, … }
        let (_, certificate, _) = first(&certificate)?;
        let (_, fields, _) = first(certificate)?;
        let (_version, _, fields) = first(fields)?;
        let (serial, _, fields) = first(fields)?;
        let (_algorithm, _, fields) = first(fields)?;
        let (issuer, _, _) = first(fields)?;
        Some(of(SEQUENCE, &[issuer, serial]))
    };
    read().expect("the certificate that ships with the mock")
}

/// 64 characters a line, as PEM has it; no newline at the end, as IMDS has it.
fn in_lines(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut lines = String::with_capacity(text.len() + text.len() / 64);
    for (at, letter) in text.char_indices() {
        if at > 0 && at % 64 == 0 {
            lines.push('\n');
        }
        lines.push(letter);
    }
    lines
}
