//! Which accounts a command is about: those that the config or a directory cloud has, less those that
//! other shards have and those that nobody asked for.

use std::{collections::BTreeMap, fmt, str::FromStr};

use credpin_core::{
    id::{AccountId, Arn, RoleName},
    shard::Shard,
};
use thiserror::Error;

use crate::config::Regions;

/// An account, and how it is come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The role that is assumed for it; none where the credentials that there are are its own.
    pub role: Option<RoleToAssume>,
    /// The one that is assumed in its place by who responds to an incident; none where there is no other.
    pub responder_role: Option<RoleToAssume>,
    /// What its trust policy may ask for (`sts:ExternalId`).
    pub external_id: Option<String>,
    /// Which of its regions are looked at; none where it is those of the config.
    pub regions: Option<Regions>,
}

/// A role in an account: an ARN, or its name with its path, which is the same in many accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleToAssume(String);

/// A role by its name, and where an ARN says so, of which account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfAccount {
    /// The account.
    pub account: Option<AccountId>,
    /// The role.
    pub role: RoleName,
}

impl FromStr for OfAccount {
    type Err = RoleToAssumeError;

    fn from_str(text: &str) -> Result<Self, RoleToAssumeError> {
        let no_role = || RoleToAssumeError(text.to_owned());
        let (account, name) = match text.parse::<Arn>() {
            Ok(arn) => {
                let account = arn.account().parse().map_err(|_| no_role())?;
                let path = arn.resource().strip_prefix("role/").ok_or_else(no_role)?;
                let name = path.rsplit('/').next().unwrap_or_default();
                (Some(account), name.to_owned())
            }
            Err(_) => (None, text.to_owned()),
        };
        Ok(Self {
            account,
            role: name.parse().map_err(|_| no_role())?,
        })
    }
}

/// A text that names no role.
#[derive(Debug, Error)]
#[error(
    "`{0}` is no role: write its name, as credpin-controller or path/credpin-controller, or its ARN"
)]
pub struct RoleToAssumeError(String);

/// The accounts asked for are not there, or too many.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum SelectError {
    /// `--account` without accounts.
    #[error(
        "--account and --shard choose among the accounts of the config ([[account]], [organization]), or \
         of a directory cloud that has a folder for each: there are none"
    )]
    None,
    /// `--account` names one that is not there.
    #[error("there is no account {0} in the config or the directory cloud")]
    Unknown(AccountId),
    /// `--account` names others than the one that an ARN does.
    #[error(
        "the ARN is of account {arn}, and --account (or CREDPIN_ACCOUNTS) names {}: leave --account out, or name \
         {arn} with it",
        .named.iter().map(AccountId::as_str).collect::<Vec<_>>().join(", ")
    )]
    Otherwise {
        /// The account of the ARN.
        arn: AccountId,
        /// Those that are named.
        named: Vec<AccountId>,
    },
    /// The command is about one account.
    #[error("there are {0} accounts: say which one this is about with --account")]
    One(usize),
}

impl Account {
    /// One that is its own way in.
    pub fn of(id: AccountId) -> Self {
        Self {
            id,
            role: None,
            responder_role: None,
            external_id: None,
            regions: None,
        }
    }

    /// The same account, come by as a responder does.
    #[must_use]
    pub fn for_responder(self) -> Self {
        Self {
            role: self.responder_role.clone().or(self.role),
            ..self
        }
    }
}

/// Those of `accounts` that are of `shard`, or just `named`, in the order of their ids. Of an account that is
/// there twice the later one counts.
pub fn select(
    accounts: Vec<Account>,
    named: &[AccountId],
    shard: Option<Shard>,
) -> Result<Vec<Account>, SelectError> {
    let mut by_id: BTreeMap<AccountId, Account> = accounts
        .into_iter()
        .map(|account| (account.id.clone(), account))
        .collect();
    if let Some(unknown) = named.iter().find(|id| !by_id.contains_key(*id)) {
        return Err(SelectError::Unknown(unknown.clone()));
    }
    by_id.retain(|id, _| named.is_empty() || named.contains(id));
    by_id.retain(|id, _| shard.is_none_or(|shard| shard.has(id)));
    Ok(by_id.into_values().collect())
}

impl RoleToAssume {
    /// Its ARN in `account`, in the partition of that name (`aws`).
    pub fn arn(&self, account: &AccountId, partition: &str) -> String {
        if self.0.starts_with("arn:") {
            self.0.clone()
        } else {
            format!("arn:{partition}:iam::{account}:role/{}", self.0)
        }
    }

    /// The account that an ARN names.
    pub fn account(&self) -> Option<AccountId> {
        self.0.parse::<Arn>().ok()?.account().parse().ok()
    }
}

impl FromStr for RoleToAssume {
    type Err = RoleToAssumeError;

    fn from_str(text: &str) -> Result<Self, RoleToAssumeError> {
        let is_name = |name: &str| {
            name.split('/').all(|part| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
            })
        };
        let is_role = match text.parse::<Arn>() {
            Ok(arn) => {
                arn.account().parse::<AccountId>().is_ok()
                    && arn.resource().strip_prefix("role/").is_some_and(is_name)
            }
            Err(_) => is_name(text),
        };
        if is_role {
            Ok(Self(text.to_owned()))
        } else {
            Err(RoleToAssumeError(text.to_owned()))
        }
    }
}

impl fmt::Display for RoleToAssume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> AccountId {
        text.parse().unwrap()
    }

    #[test]
    fn those_asked_for_are_chosen_and_strangers_are_told() {
        let all = || ["222222222222", "111111111111"].map(|text| Account::of(id(text)));
        let ids = |named: &[AccountId], shard: Option<Shard>| {
            let chosen = select(all().into(), named, shard);
            chosen.map(|accounts| {
                let ids = accounts.into_iter().map(|account| account.id.to_string());
                ids.collect::<Vec<_>>()
            })
        };
        assert_eq!(ids(&[], None).unwrap(), ["111111111111", "222222222222"]);
        let second = id("222222222222");
        assert_eq!(ids(&[second], None).unwrap(), ["222222222222"]);
        let stranger = id("333333333333");
        assert_eq!(
            ids(std::slice::from_ref(&stranger), None),
            Err(SelectError::Unknown(stranger))
        );
        let shards = ["0/2", "1/2"].map(|text| ids(&[], text.parse().ok()).unwrap());
        assert_eq!(shards.concat().len(), 2);
    }

    #[test]
    fn an_arn_says_of_which_account_a_role_is() {
        let of = |text: &str| text.parse::<OfAccount>();
        let web = of("arn:aws:iam::111122223333:role/team/web").unwrap();
        assert_eq!(web.account, Some(id("111122223333")));
        assert_eq!(web.role.as_str(), "web");
        assert_eq!(of("web").unwrap().account, None);
        for text in ["arn:aws:iam::111122223333:user/web", "team/web", ""] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_role_is_named_for_all_accounts_or_by_its_arn() {
        let arn = |text: &str| {
            let role: RoleToAssume = text.parse().unwrap();
            role.arn(&id("111122223333"), "aws-cn")
        };
        assert_eq!(arn("a/b"), "arn:aws-cn:iam::111122223333:role/a/b");
        let whole = "arn:aws:iam::444455556666:role/b";
        assert_eq!(arn(whole), whole);
        for text in [
            "",
            "a b",
            "/a",
            "arn:aws:iam::1:role/b",
            "arn:aws:iam::444455556666:user/b",
        ] {
            assert!(text.parse::<RoleToAssume>().is_err(), "{text}");
        }
    }
}
