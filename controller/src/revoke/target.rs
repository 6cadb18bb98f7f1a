//! What an operator can name.

use std::str::FromStr;

use credpin_core::{
    cut::On,
    id::{AccessKeyId, AccountId, Arn, InstanceId, RoleName, SessionName, UserName},
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

/// What is to be taken back, and where an ARN says so, of which account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The account.
    pub account: Option<AccountId>,
    /// What.
    pub target: Target,
}

impl FromStr for Named {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, ParseTargetError> {
        let Ok(arn) = text.parse::<Arn>() else {
            let target = text.parse()?;
            return Ok(Self {
                account: None,
                target,
            });
        };
        let no_target = || ParseTargetError(text.to_owned());
        let (kind, rest) = arn
            .resource()
            .split_once('/')
            .unwrap_or((arn.resource(), ""));
        let name = rest.rsplit('/').next().unwrap_or_default();
        // Roles and users have paths; the session of an assumed role is its own.
        let named = match kind {
            "root" => "root".to_owned(),
            "role" | "user" => format!("{kind}/{name}"),
            "assumed-role" => format!("role/{rest}"),
            _ => return Err(no_target()),
        };
        Ok(Self {
            account: Some(arn.account().parse().map_err(|_| no_target())?),
            target: named.parse().map_err(|_| no_target())?,
        })
    }
}

/// A text that names nothing which can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is none of: an access key id (AKIA… or ASIA…), role/ROLE/i-… (an instance's tokens), \
     role/ROLE/SESSION, role/ROLE (every session), user/NAME (a user's temporary tokens), or the ARN of one"
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
    fn an_arn_says_of_which_account_too() {
        for (arn, target) in [
            ("iam::111122223333:role/team/web", "role/web"),
            (
                "sts::111122223333:assumed-role/web/i-0abc",
                "role/web/i-0abc",
            ),
            ("sts::111122223333:assumed-role/ci/deploy", "role/ci/deploy"),
            ("iam::111122223333:user/people/alice", "user/alice"),
            ("iam::111122223333:root", "root"),
        ] {
            let named: Named = format!("arn:aws:{arn}").parse().unwrap();
            assert_eq!(named.account.unwrap().as_str(), "111122223333");
            assert_eq!(named.target, target.parse().unwrap(), "{arn}");
        }
        let named: Named = "role/web".parse().unwrap();
        assert_eq!(named.account, None);
        for nothing in [
            "arn:aws:iam::111122223333:policy/web",
            "arn:aws:s3:::bucket",
        ] {
            assert!(nothing.parse::<Named>().is_err(), "{nothing}");
        }
    }

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
