//! The names of things in AWS, each its own type: past the border there are no bare strings. To clone
//! one is cheap: the text is shared.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not the id it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not {wanted}")]
pub struct IdError {
    text: String,
    wanted: &'static str,
}

/// Declares an id type: its doc, its name, what it is called in errors, and what a text must satisfy.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $wanted:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(IdError { text: text.to_owned(), wanted: $wanted })
                }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }

        impl From<&$name> for Arc<str> {
            fn from(id: &$name) -> Self {
                id.0.clone()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

/// Whether `text` is `PREFIX-` and then letters and digits. AWS's own ids are hexadecimal; samples
/// and mocks are not always.
fn prefixed(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        !rest.is_empty() && rest.len() <= 64 && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// Letters, digits and `_+=,.@-`: what IAM allows in names (IAM User Guide, "IAM and STS quotas").
fn iam_name(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

id!(
    /// Twelve digits.
    AccountId, "an account id (twelve digits)",
    |t| t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit())
);
id!(
    /// As `eu-west-1`.
    RegionName, "a region's name, such as eu-west-1",
    |t| (1..=32).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);
id!(
    /// `i-…`
    InstanceId, "an instance id (i-…)", |t| prefixed(t, "i-")
);
id!(
    /// `vpc-…`; unique within a region only.
    VpcId, "a VPC id (vpc-…)", |t| prefixed(t, "vpc-")
);
id!(
    /// `subnet-…`
    SubnetId, "a subnet id (subnet-…)", |t| prefixed(t, "subnet-")
);
id!(
    /// `eni-…`
    InterfaceId, "a network interface id (eni-…)", |t| prefixed(t, "eni-")
);
id!(
    /// `nat-…`
    NatId, "a NAT gateway id (nat-…)", |t| prefixed(t, "nat-")
);
id!(
    /// `rtb-…`
    RouteTableId, "a route table id (rtb-…)", |t| prefixed(t, "rtb-")
);
id!(
    /// A role's name, without its path; at most 64 characters.
    RoleName, "a role name", |t| iam_name(t, 64)
);
id!(
    /// A user's name, without its path; at most 64 characters.
    UserName, "a user name", |t| iam_name(t, 64)
);
id!(
    /// The unique id of a role, `AROA…`: the first half of its sessions' `aws:userid`.
    RoleId, "a role's unique id (AROA…)",
    |t| t.starts_with("AROA") && t.len() <= 128 && t.bytes().all(|b| b.is_ascii_alphanumeric())
);
id!(
    /// What a session of a role is called; an instance's is called by the instance's id.
    SessionName, "a role session name (2 to 64 letters, digits and _+=,.@-)",
    |t| t.len() > 1 && iam_name(t, 64)
);
id!(
    /// `AKIA…`, which lasts until somebody deletes it, or `ASIA…`, which expires.
    AccessKeyId, "an access key id (AKIA… or ASIA…)",
    |t| (16..=128).contains(&t.len())
        && (t.starts_with("AKIA") || t.starts_with("ASIA"))
        && t.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
);
id!(
    /// A managed policy's name, without its path; at most 128 characters.
    PolicyName, "a policy name", |t| iam_name(t, 128)
);
id!(
    /// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`
    Arn, "an ARN", |t| t.starts_with("arn:") && t.splitn(6, ':').count() == 6 && t.len() <= 2048
);
id!(
    /// A version of a managed policy, as `v3`.
    VersionId, "a policy version id (v1, v2, …)",
    |t| t.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
);

impl Arn {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    /// The account; empty where the ARN names none.
    pub fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }

    /// What comes after the fifth colon, as `role/path/name`.
    pub fn resource(&self) -> &str {
        self.0.splitn(6, ':').nth(5).unwrap_or_default()
    }
}

impl AccessKeyId {
    /// Whether it lasts until somebody deletes it.
    pub fn is_long_lived(&self) -> bool {
        self.0.starts_with("AKIA")
    }
}

impl VersionId {
    /// `v3` of 3.
    pub(crate) fn of_number(number: u64) -> Self {
        Self(format!("v{number}").into())
    }

    /// Its number: `v3` is 3. Versions of a policy are numbered in the order they were made.
    pub fn number(&self) -> u64 {
        self.0[1..].parse().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_what_aws_writes_and_nothing_else() {
        assert!("i-0abc".parse::<InstanceId>().is_ok());
        assert!("vpc-0abc".parse::<InstanceId>().is_err());
        assert!("i-".parse::<InstanceId>().is_err());
        assert!("i-0a/../b".parse::<InstanceId>().is_err());
        assert!("web.api@1".parse::<RoleName>().is_ok());
        assert!("we b".parse::<RoleName>().is_err());
        assert!("12345678901".parse::<AccountId>().is_err());
        assert_eq!("v12".parse::<VersionId>().unwrap().number(), 12);
    }

    #[test]
    fn an_error_names_the_text_and_what_was_wanted() {
        let error = "x".parse::<VpcId>().unwrap_err();
        assert_eq!(error.to_string(), "`x` is not a VPC id (vpc-…)");
    }

    #[test]
    fn an_arn_gives_its_parts() {
        let arn: Arn = "arn:aws-cn:iam::123456789012:role/a/b:c".parse().unwrap();
        assert_eq!(arn.partition(), "aws-cn");
        assert_eq!(arn.account(), "123456789012");
        assert_eq!(arn.resource(), "role/a/b:c");
    }
}
