//! User data: what a host is launched with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The longest user data, before any base64 (EC2 User Guide, user data).
pub const MAX_USER_DATA_BYTES: usize = 16 * 1024;

/// User data: text, or bytes that are none. In a file: a string, `{ base64 = "H4sI…" }` or a list of
/// numbers; at most 16 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub enum UserData {
    /// A script or a cloud-config.
    Text(String),
    /// Anything, as a gzipped cloud-config.
    Bytes(Vec<u8>),
}

/// Why a description's user data is none.
#[derive(Debug, thiserror::Error)]
enum UserDataError {
    #[error("the user data has {0} bytes, and EC2 takes at most {MAX_USER_DATA_BYTES}")]
    TooLong(usize),
    #[error("the user data is not base64: {0}")]
    NotBase64(base64::DecodeError),
}

/// How it is written.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "user data is a text, a list of bytes, or a table with the one key `base64`, or `file` in a file"
)]
enum Form {
    Text(String),
    Numbers(Vec<u8>),
    Base64(Base64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64 {
    base64: String,
}

impl UserData {
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Self::Bytes(bytes) => Bytes::copy_from_slice(bytes),
        }
    }
}

impl From<&str> for UserData {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Vec<u8>> for UserData {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl TryFrom<Form> for UserData {
    type Error = UserDataError;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        let data = match form {
            Form::Text(text) => Self::Text(text),
            Form::Numbers(bytes) => Self::Bytes(bytes),
            Form::Base64(Base64 { base64 }) => {
                Self::Bytes(STANDARD.decode(base64).map_err(UserDataError::NotBase64)?)
            }
        };
        match data.to_bytes().len() {
            too_long if too_long > MAX_USER_DATA_BYTES => Err(UserDataError::TooLong(too_long)),
            _ => Ok(data),
        }
    }
}

impl From<UserData> for Form {
    fn from(data: UserData) -> Self {
        match data {
            UserData::Text(text) => Self::Text(text),
            UserData::Bytes(bytes) => Self::Base64(Base64 {
                base64: STANDARD.encode(bytes),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<UserData, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn text_and_bytes_are_read_as_they_are_written() {
        let gzipped = UserData::Bytes(vec![0x1f, 0x8b, 0xff]);
        assert_eq!(read(r#"{"base64": "H4v/"}"#).as_ref(), Ok(&gzipped));
        assert_eq!(read("[31, 139, 255]").as_ref(), Ok(&gzipped));
        for data in [gzipped, UserData::from("#!/bin/sh\n")] {
            let json = serde_json::to_string(&data).unwrap();
            assert_eq!(read(&json), Ok(data), "{json}");
        }
    }

    #[test]
    fn what_ec2_would_not_take_is_refused() {
        let of = |bytes| serde_json::to_string(&"a".repeat(bytes)).unwrap();
        assert!(read(&of(16_384)).is_ok());
        for (json, complaint) in [
            (of(16_385), "has 16385 bytes, and EC2 takes at most 16384"),
            (r#"{"base64": "!"}"#.into(), "is not base64: "),
            (r#"{"base65": ""}"#.into(), "the one key `base64`"),
            ("[256]".into(), "a list of bytes"),
        ] {
            let error = read(&json).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
