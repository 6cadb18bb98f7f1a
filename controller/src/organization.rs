//! The accounts of AWS Organizations, from what the AWS CLI prints of them.
//!
//! A file, and no call: it takes the permission to list the organisation's accounts away from the job, and
//! another crate of the SDK out of every build. Whoever starts the job writes it anew.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use credpin_core::id::AccountId;
use serde::Deserialize;
use thiserror::Error;

use crate::account::{Account, RoleToAssume};

/// `[organization]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Files of what `aws organizations list-accounts`, or `list-accounts-for-parent`, printed.
    pub accounts: Vec<PathBuf>,
    /// The role that is assumed in each.
    pub role: RoleToAssume,
    /// What its trust policy may ask for.
    pub external_id: Option<String>,
    /// Accounts that are left out.
    pub except: BTreeSet<AccountId>,
}

/// A list of accounts that cannot be read.
#[derive(Debug, Error)]
pub enum OrganizationError {
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
    /// Its accounts. Those that are closed or suspended are left out: nothing runs in them.
    pub fn accounts(&self) -> Result<Vec<Account>, OrganizationError> {
        let mut accounts = Vec::new();
        for path in &self.accounts {
            let listed = read(path)?.into_iter();
            let ids = listed.filter(Listed::is_active).map(|listed| listed.id);
            accounts.extend(
                ids.filter(|id| !self.except.contains(id))
                    .map(|id| Account {
                        role: Some(self.role.clone()),
                        external_id: self.external_id.clone(),
                        ..Account::of(id)
                    }),
            );
        }
        Ok(accounts)
    }
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

    fn organization(text: &str) -> (tempfile::TempDir, Organization) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts.json");
        fs::write(&file, text).unwrap();
        let organization = Organization {
            accounts: vec![file],
            role: "credpin-controller".parse().unwrap(),
            external_id: None,
            except: ["333333333333".parse().unwrap()].into(),
        };
        (folder, organization)
    }

    #[test]
    fn accounts_that_are_open_and_not_left_out_are_taken() {
        let (_folder, organization) = organization(
            r#"{"Accounts": [
                {"Id": "111111111111", "Name": "a", "Status": "ACTIVE", "State": "ACTIVE"},
                {"Id": "222222222222", "Status": "SUSPENDED"},
                {"Id": "333333333333", "Status": "ACTIVE"},
                {"Id": "444444444444", "State": "PENDING_CLOSURE", "Status": "ACTIVE"},
                {"Id": "555555555555", "Status": "ACTIVE"}
            ]}"#,
        );
        let accounts = organization.accounts().unwrap();
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
            let (_folder, organization) = organization(text);
            let error = organization.accounts().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(error.contains("aws organizations list-accounts"), "{error}");
        }
        let (folder, organization) = organization("");
        drop(folder);
        let error = organization.accounts().unwrap_err();
        assert!(matches!(error, OrganizationError::File { .. }));
    }
}
