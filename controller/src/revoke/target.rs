//! What an operator can name.

use std::str::FromStr;

use credpin_core::{
    cut::On,
    id::{AccessKeyId, InstanceId, RoleName, SessionName, UserName},
};
use thiserror::Error;

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `role/ROLE/i-…`: a role's tokens on an instance.
    Instance(RoleName, InstanceId),
    /// `role/ROLE` or `role/ROLE/SESSION`: sessions that were assumed.
    Role(RoleName, Option<SessionName>),
    /// `user/NAME`: a user's temporary tokens.
    User(UserName),
    /// `root`: the account's root user, which no policy of ours binds.
    Root,
    /// An access key id.
    Key(AccessKeyId),
}

/// A text that names nothing which can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is none of: an access key id (AKIA… or ASIA…), role/ROLE/i-… (an instance's tokens), \
     role/ROLE/SESSION, role/ROLE (every session), user/NAME (a user's temporary tokens)"
)]
pub struct ParseTargetError(String);

impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, ParseTargetError> {
        let parts: Vec<&str> = text.split('/').collect();
        let parsed = match parts[..] {
            ["root"] => Some(Target::Root),
            [key] => key.parse().ok().map(Target::Key),
            ["user", name] => name.parse().ok().map(Target::User),
            ["role", role] => role.parse().ok().map(|role| Target::Role(role, None)),
            ["role", role, session] => role.parse().ok().and_then(|role| {
                Some(match session.parse() {
                    Ok(instance) => Target::Instance(role, instance),
                    Err(_) => Target::Role(role, Some(session.parse().ok()?)),
                })
            }),
            _ => None,
        };
        parsed.ok_or_else(|| ParseTargetError(text.to_owned()))
    }
}

/// Who assumed a role, as `user/alice` or `role/ci`.
pub(crate) fn parse_on(text: &str) -> Result<On, ParseTargetError> {
    match text.parse()? {
        Target::Role(role, None) => Ok(On::Role(role)),
        Target::User(user) => Ok(On::User(user)),
        _ => Err(ParseTargetError(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_named_is_told_apart() {
        let target = |text: &str| text.parse::<Target>();
        let web = || "web".parse().unwrap();
        assert_eq!(
            target("role/web/i-0abc"),
            Ok(Target::Instance(web(), "i-0abc".parse().unwrap()))
        );
        assert_eq!(
            target("role/web/deploy"),
            Ok(Target::Role(web(), Some("deploy".parse().unwrap())))
        );
        assert_eq!(target("role/web"), Ok(Target::Role(web(), None)));
        assert_eq!(
            target("user/alice"),
            Ok(Target::User("alice".parse().unwrap()))
        );
        assert_eq!(target("root"), Ok(Target::Root));
        assert_eq!(
            target("ASIAIOSFODNN7EXAMPLE"),
            Ok(Target::Key("ASIAIOSFODNN7EXAMPLE".parse().unwrap()))
        );
        for nothing in [
            "",
            "web",
            "role/",
            "role/web/a/b",
            "AROAEXAMPLEEXAMPLE",
            "user/a b",
        ] {
            assert!(target(nothing).is_err(), "{nothing}");
        }
    }
}
