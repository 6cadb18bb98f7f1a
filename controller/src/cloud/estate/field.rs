//! Fields of shapes, read as the types of `credpin-core`.

use std::{fmt::Display, str::FromStr};

use thiserror::Error;

/// A field that is absent or not what it should be.
#[derive(Debug, Error)]
#[error("{field}: {why}")]
pub(super) struct FieldError {
    field: &'static str,
    why: String,
}

impl FieldError {
    /// `field` is wrong in the way that `why` says.
    pub(super) fn new(field: &'static str, why: impl Display) -> Self {
        Self {
            field,
            why: why.to_string(),
        }
    }
}

/// A field that must be there.
pub(super) fn required<T>(field: &'static str, text: Option<&String>) -> Result<T, FieldError>
where
    T: FromStr,
    T::Err: Display,
{
    optional(field, text)?.ok_or_else(|| FieldError::new(field, "is missing"))
}

/// A field that may be absent.
pub(super) fn optional<T>(
    field: &'static str,
    text: Option<&String>,
) -> Result<Option<T>, FieldError>
where
    T: FromStr,
    T::Err: Display,
{
    text.map(|text| {
        text.parse()
            .map_err(|error| FieldError::new(field, format_args!("`{text}`: {error}")))
    })
    .transpose()
}
