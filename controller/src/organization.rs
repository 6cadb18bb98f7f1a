//! The accounts of AWS Organizations: asked for, or from what the AWS CLI prints of them.
//!
//! A file takes the permission to list the organisation's accounts away from the job: whoever starts the job
//! writes it anew.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use credpin_core::id::AccountId;
use serde::Deserialize;
use thiserror::Error;

use crate::account::{Account, RoleToAssume};

/// `[organization]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Where it is told which accounts there are.
    pub listed: Listing,
    /// The role that is assumed in each.
    pub role: RoleToAssume,
    /// The one that is assumed in its place by who responds to an incident; none where there is no other.
    pub responder_role: Option<RoleToAssume>,
    /// What its trust policy may ask for.
    pub external_id: Option<String>,
    /// Accounts that are left out.
    pub except: BTreeSet<AccountId>,
}

/// Where it is told which accounts an organisation has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Files of what `aws organizations list-accounts`, or `list-accounts-for-parent`, printed.
    Files(Vec<PathBuf>),
    /// AWS says so: all, or those in these and below.
    Asked(Vec<ParentId>),
}

/// The id of an organisation's root or of a unit of it, `r-…` or `ou-…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentId(String);

/// A text that is no such id.
#[derive(Debug, Error)]
#[error(
    "`{0}` is neither a unit of an organisation (ou-examplerootid-exampleouid) nor its root (r-examplerootid)"
)]
pub struct ParentIdError(String);

impl FromStr for ParentId {
    type Err = ParentIdError;

    /// By the pattern of `ParentId` ("`ListAccountsForParent`", Organizations API reference).
    fn from_str(text: &str) -> Result<Self, ParentIdError> {
        let is_part = |part: &str, length: std::ops::RangeInclusive<usize>| {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            length.contains(&part.len()) && part.bytes().all(is_plain)
        };
        let is_id = match text.split('-').collect::<Vec<_>>()[..] {
            ["r", root] => is_part(root, 4..=32),
            ["ou", root, unit] => is_part(root, 4..=32) && is_part(unit, 8..=32),
            _ => false,
        };
        if is_id {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParentIdError(text.to_owned()))
        }
    }
}

impl fmt::Display for ParentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A list of accounts that cannot be had.
#[derive(Debug, Error)]
pub enum OrganizationError {
    /// AWS does not tell.
    #[error(
        "cannot list the organisation's accounts: {call}: {why}; let the job run in the management account, or in \
         one that it delegates to, with organizations:{call} allowed, or name a file in `accounts`: {WAY_OUT} FILE"
    )]
    NotListed {
        /// The call.
        call: &'static str,
        /// What AWS says.
        why: String,
    },
    /// The file is not there, or may not be read.
    #[error("cannot read the organisation's accounts in {}; {WAY_OUT} {}", path.display(), path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what the AWS CLI prints.
    #[error("{} is no list of accounts; {WAY_OUT} {}", path.display(), path.display())]
    NoList {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// There is nothing in it to work on.
    #[error(
        "[organization] comes to no account: none is listed that is active and not in `except`; look at \
         `accounts`, `parents` and `except`, or leave [organization] out where the credentials' own account is meant"
    )]
    NoAccount,
    /// It is cut: there were more.
    #[error(
        "{} has not all accounts (--max-items, --no-paginate); {WAY_OUT} {}",
        path.display(),
        path.display()
    )]
    Cut {
        /// The file.
        path: PathBuf,
    },
}

const WAY_OUT: &str = "write it with `aws organizations list-accounts` >";

/// What the AWS CLI prints, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListAccounts {
    accounts: Vec<Listed>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: AccountId,
    /// Until 2026 `Status`, then `State` beside it ("Account", Organizations API reference).
    state: Option<String>,
    status: Option<String>,
}

impl Organization {
    /// Those of `listed` that are not left out, each with its role.
    pub fn of(&self, listed: impl IntoIterator<Item = AccountId>) -> Vec<Account> {
        let ids = listed.into_iter().filter(|id| !self.except.contains(id));
        ids.map(|id| Account {
            role: Some(self.role.clone()),
            responder_role: self.responder_role.clone(),
            external_id: self.external_id.clone(),
            ..Account::of(id)
        })
        .collect()
    }
}

/// The accounts that are in a file. Those that are closed or suspended are left out: nothing runs in them.
pub fn in_file(path: &Path) -> Result<Vec<AccountId>, OrganizationError> {
    let listed = read(path)?.into_iter();
    Ok(listed
        .filter(Listed::is_active)
        .map(|listed| listed.id)
        .collect())
}

impl Listed {
    fn is_active(&self) -> bool {
        let said = self.state.as_deref().or(self.status.as_deref());
        said.is_none_or(|said| said == "ACTIVE")
    }
}

fn read(path: &Path) -> Result<Vec<Listed>, OrganizationError> {
    let text = fs::read_to_string(path).map_err(|source| OrganizationError::File {
        path: path.to_owned(),
        source,
    })?;
    let list: ListAccounts =
        serde_json::from_str(&text).map_err(|source| OrganizationError::NoList {
            path: path.to_owned(),
            source,
        })?;
    match list.next_token {
        None => Ok(list.accounts),
        Some(_) => Err(OrganizationError::Cut {
            path: path.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts.json");
        fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn accounts_that_are_open_and_not_left_out_are_taken() {
        let (_folder, file) = file(
            r#"{"Accounts": [
                {"Id": "111111111111", "Name": "a", "Status": "ACTIVE", "State": "ACTIVE"},
                {"Id": "222222222222", "Status": "SUSPENDED"},
                {"Id": "333333333333", "Status": "ACTIVE"},
                {"Id": "444444444444", "State": "PENDING_CLOSURE", "Status": "ACTIVE"},
                {"Id": "555555555555", "Status": "ACTIVE"}
            ]}"#,
        );
        let organization = Organization {
            listed: Listing::Files(vec![file.clone()]),
            role: "credpin-controller".parse().unwrap(),
            responder_role: None,
            external_id: None,
            except: ["333333333333".parse().unwrap()].into(),
        };
        let accounts = organization.of(in_file(&file).unwrap());
        let ids: Vec<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
        assert_eq!(ids, ["111111111111", "555555555555"]);
        let role = accounts[0].role.as_ref().unwrap();
        assert_eq!(role.to_string(), "credpin-controller");
    }

    #[test]
    fn a_list_that_is_missing_cut_or_none_is_told_with_the_way_out() {
        let cut = r#"{"Accounts": [], "NextToken": "more"}"#;
        for (text, said) in [
            (cut, "has not all accounts"),
            ("[]", "is no list of accounts"),
        ] {
            let (_folder, file) = file(text);
            let error = in_file(&file).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(error.contains("aws organizations list-accounts"), "{error}");
        }
        let (folder, file) = file("");
        drop(folder);
        let error = in_file(&file).unwrap_err();
        assert!(matches!(error, OrganizationError::File { .. }));
    }

    #[test]
    fn roots_and_units_are_told_from_other_texts() {
        for id in ["r-examplerootid111", "ou-ab12-11112222"] {
            assert_eq!(id.parse::<ParentId>().unwrap().to_string(), id);
        }
        for text in [
            "",
            "ou-ab12",
            "r-ABCD",
            "o-exampleorgid",
            "ou-ab12-1",
            "111122223333",
        ] {
            assert!(text.parse::<ParentId>().is_err(), "{text}");
        }
    }
}
