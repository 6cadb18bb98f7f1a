//! What AWS answers, in the AWS CLI's own names: the common tongue of both clouds.
//!
//! The directory cloud reads these from files that `aws … > file` wrote; the AWS cloud fills them
//! from its API; [`super::estate`] alone understands them. So both give the same plan. Only what
//! bears on pins is kept, and every field may be absent: what is missing is said where it matters.

use serde::{Serialize, de::DeserializeOwned};

/// Declares shapes: structs in `PascalCase` whose absent fields are their type's default, both ways.
macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        #[expect(missing_docs, reason = "fields are AWS's own, described in its API reference")]
        pub struct $name {
            $(#[serde(skip_serializing_if = "super::is_default")] pub $field: $type,)*
        }
    )*};
}

/// Declares what is the whole answer to a call: its shape, the call and the AWS CLI's words for it,
/// with the flag that makes it whole.
/// Unlike within shapes nothing may be absent here: `{}` is not the answer "there are none".
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? } = $call:literal, $service:literal $command:literal $($flag:literal)?;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        #[expect(missing_docs, reason = "fields are AWS's own, described in its API reference")]
        pub struct $name {
            $(pub $field: $type,)*
            #[serde(default, skip_serializing_if = "super::is_default")]
            pub next_token: Option<String>,
            #[serde(default, skip_serializing_if = "super::is_default")]
            pub is_truncated: bool,
        }

        impl super::Answer for $name {
            const CALL: &'static str = $call;
            const SERVICE: &'static str = $service;
            const COMMAND: &'static str = $command;
            const FLAG: &'static str = concat!($(" ", $flag)?);

            fn is_whole(&self) -> bool {
                self.next_token.is_none() && !self.is_truncated
            }
        }
    )*};
}

pub mod ec2;
pub mod iam;

/// A shape that is the whole answer to one call.
pub trait Answer: Serialize + DeserializeOwned + Default {
    /// The call, as `DescribeInstances`.
    const CALL: &'static str;
    /// The service as the AWS CLI names it: `ec2`.
    const SERVICE: &'static str;
    /// The AWS CLI's command, as `describe-instances`.
    const COMMAND: &'static str;
    /// What has to be added to it so that nothing is left out, with a blank before it; often nothing.
    const FLAG: &'static str;

    /// Whether there is no further page: `--max-items` and `--no-paginate` cut an answer short.
    fn is_whole(&self) -> bool;

    /// The file that a directory cloud keeps it in.
    fn file() -> String {
        format!("{}.json", Self::COMMAND)
    }
}

/// So that what is written is as terse as what the AWS CLI prints.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
