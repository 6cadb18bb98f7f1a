//! A credential document: read, held, and let go only against a proof that it is on record.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::apology::Apology;
use crate::recorder::Recorded;

/// What came from a path of credentials with status 200.
#[derive(Debug)]
pub enum Document {
    /// A credential.
    Credential(Credential),
    /// `Code` is not `Success`: why there is none, written anew. It holds no secret.
    Error(String),
}

/// A credential that was not let go yet. Its secret key and its token are in `body` only, which
/// nothing reads but its release against a proof of the record.
pub struct Credential {
    access_key_id: String,
    issued: Timestamp,
    expires: Timestamp,
    /// Zeroized when the last of them is dropped, which is when it was dropped here and its last
    /// connection is done with it.
    body: Bytes,
}

/// A document that cannot be understood, so nobody can say what it would give away.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// No text. serde would not mind within what it skips; who gets the document might read it another way.
    #[error("the credential document is not UTF-8")]
    Encoding,
    /// Not the JSON of one.
    #[error("not a credential document")]
    Json(#[source] serde_json::Error),
    /// A field is not there, or holds what it never does.
    #[error("the credential document has no {0}, or a malformed one")]
    Field(&'static str),
    /// `Code` is not `Success`, and yet there is a secret.
    #[error("a document that says that it is no credential holds a secret")]
    Contradiction,
}

/// As IMDS writes it (Amazon EC2 User Guide, "Retrieve security credentials from instance
/// metadata"). Secrets are asked for by name only: serde skips their text and never copies it. A
/// field that is there twice is an error, so no second reader can see another value.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fields<'a> {
    #[serde(borrow)]
    code: std::borrow::Cow<'a, str>,
    last_updated: Option<Timestamp>,
    access_key_id: Option<String>,
    secret_access_key: Option<IgnoredAny>,
    token: Option<IgnoredAny>,
    expiration: Option<Timestamp>,
}

/// Reads a document. It fails closed: what is not understood is not passed on.
pub fn parse(body: Zeroizing<Vec<u8>>) -> Result<Document, Unreadable> {
    let missing = |name| move || Unreadable::Field(name);
    let text = std::str::from_utf8(&body).map_err(|_| Unreadable::Encoding)?;
    let fields: Fields<'_> = serde_json::from_str(text).map_err(Unreadable::Json)?;
    if fields.code != "Success" {
        let secret = fields.secret_access_key.is_some() || fields.token.is_some();
        if secret {
            return Err(Unreadable::Contradiction);
        }
        let apology: Apology<'_> = serde_json::from_str(text).map_err(Unreadable::Json)?;
        return apology
            .print()
            .map(Document::Error)
            .ok_or_else(missing("Code"));
    }
    let access_key_id = fields.access_key_id.filter(|id| is_access_key_id(id));
    fields
        .secret_access_key
        .ok_or_else(missing("SecretAccessKey"))?;
    fields.token.ok_or_else(missing("Token"))?;
    Ok(Document::Credential(Credential {
        access_key_id: access_key_id.ok_or_else(missing("AccessKeyId"))?,
        issued: fields.last_updated.ok_or_else(missing("LastUpdated"))?,
        expires: fields.expiration.ok_or_else(missing("Expiration"))?,
        body: zeroizing(body),
    }))
}

impl Credential {
    /// `AccessKeyId`.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// `LastUpdated`.
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// `Expiration`.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The document, for a client: invariant 1. `proof` is made by the recorder only, and for this
    /// credential.
    pub(crate) fn release(&self, proof: &Recorded) -> Bytes {
        assert_eq!(
            proof.access_key_id(),
            self.access_key_id,
            "the proof is of another credential"
        );
        self.body.clone()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.access_key_id)
    }
}

/// `body` as bytes that are zeroized when the last of them is dropped.
pub(crate) fn zeroizing(body: Zeroizing<Vec<u8>>) -> Bytes {
    struct Owner(Zeroizing<Vec<u8>>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    // What is kept holds no room that it does not need.
    let exact = if body.capacity() > body.len() {
        Zeroizing::new(body.as_slice().into())
    } else {
        body
    };
    Bytes::from_owner(Owner(exact))
}

/// Access key ids are 16 to 128 characters of `\w` (IAM API Reference, `AccessKey`); those that are
/// issued have upper case and digits only.
fn is_access_key_id(text: &str) -> bool {
    let letters = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    (16..=128).contains(&text.len()) && text.bytes().all(letters)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENT: &str = r#"{
  "Code" : "Success",
  "LastUpdated" : "2026-05-04T09:00:00Z",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAEXAMPLEEXAMPLE00",
  "SecretAccessKey" : "the-secret",
  "Token" : "the-token",
  "Expiration" : "2026-05-04T15:00:00Z"
}"#;

    fn read(text: &str) -> Result<Document, Unreadable> {
        parse(Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn credential(text: &str) -> Credential {
        match read(text) {
            Ok(Document::Credential(credential)) => credential,
            Ok(Document::Error(_)) => panic!("an error document"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_document_is_let_go_as_it_came() {
        let credential = credential(DOCUMENT);
        assert_eq!(credential.access_key_id(), "ASIAEXAMPLEEXAMPLE00");
        assert_eq!(credential.issued().to_string(), "2026-05-04T09:00:00Z");
        assert_eq!(credential.expires().to_string(), "2026-05-04T15:00:00Z");
        assert_eq!(
            format!("{credential:?}"),
            "Credential(ASIAEXAMPLEEXAMPLE00)"
        );
        let proof = Recorded::for_test("ASIAEXAMPLEEXAMPLE00");
        assert_eq!(credential.release(&proof), DOCUMENT);
    }

    #[test]
    #[should_panic(expected = "the proof is of another credential")]
    fn a_proof_opens_its_own_credential_only() {
        credential(DOCUMENT).release(&Recorded::for_test("ASIAEXAMPLEEXAMPLE11"));
    }

    #[test]
    fn of_an_error_document_passes_what_is_known() {
        let text = r#"{"Code":"Failed","Message":"no","accesskeyid":"x","secretaccesskey":"y"}"#;
        let Ok(Document::Error(text)) = read(text) else {
            panic!("an error document");
        };
        assert_eq!(
            text,
            "{\n  \"Code\" : \"Failed\",\n  \"Message\" : \"no\"\n}"
        );
    }

    #[test]
    fn what_is_not_understood_is_not_let_go() {
        for (from, to) in [
            ("{", "[{"),
            ("}", "}}"),
            ("}", "} {\"Token\":\"x\"}"),
            ("\"Success\"", "7"),
            ("\"Success\"", "\"Failed\""),
            ("Code", "code"),
            ("AccessKeyId", "KeyId"),
            ("ASIAEXAMPLEEXAMPLE00", "ASIA\\nEXAMPLEEXAMPLE"),
            ("ASIAEXAMPLEEXAMPLE00", ""),
            ("SecretAccessKey", "Secret"),
            ("Token", "Tokens"),
            ("Expiration", "Expires"),
            ("2026-05-04T15:00:00Z", "soon"),
            (
                "\"AWS-HMAC\"",
                "\"AWS-HMAC\", \"AccessKeyId\" : \"ASIAEXAMPLEEXAMPLE11\"",
            ),
        ] {
            let text = DOCUMENT.replacen(from, to, 1);
            assert!(read(&text).is_err(), "{text}");
        }
        for end in 0..DOCUMENT.len() {
            assert!(read(&DOCUMENT[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_text_is_not_let_go() {
        for field in ["AWS-HMAC", "the-token"] {
            let mut bytes = DOCUMENT.as_bytes().to_vec();
            let at = DOCUMENT.find(field).unwrap();
            bytes[at] = 0xff;
            let read = parse(Zeroizing::new(bytes));
            assert!(matches!(read, Err(Unreadable::Encoding)), "{read:?}");
        }
    }

    #[test]
    fn no_error_repeats_a_secret() {
        for end in 0..DOCUMENT.len() {
            let error = read(&DOCUMENT[..end]).err().unwrap();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("the-"), "{text}");
        }
        let wrong_type = DOCUMENT.replacen("\"Success\"", "[\"the-secret\"]", 1);
        let error = read(&wrong_type).err().unwrap();
        assert!(!format!("{error:?}").contains("the-"), "{error:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse(Zeroizing::new(bytes));
        }

        #[test]
        fn whatever_is_changed_the_key_that_goes_out_is_the_key_that_is_recorded(
            at in 0..DOCUMENT.len(),
            with in "[\"{}:,a-zA-Z0-9 ]{0,12}",
        ) {
            let text = format!("{}{with}{}", &DOCUMENT[..at], &DOCUMENT[at..]);
            if let Ok(Document::Credential(credential)) = read(&text) {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(&value["AccessKeyId"], credential.access_key_id());
            }
        }
    }
}
