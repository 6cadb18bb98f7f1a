//! Cuts of a directory cloud: `cuts/NAME.json`, one file each, with the policy and whom it is on.
//!
//! IAM's side of a directory has roles and no users, so cuts on users and their keys want AWS itself.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use credpin_core::{
    cut::{CUT_PATH, On, Role, User},
    id::{AccessKeyId, AccountId, Arn, PolicyName, RoleName, UserName},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Dir, Observe as _, file};
use crate::cloud::{
    CallError,
    contain::{Contain, NewCut, PutError, Standing},
    estate::estate,
    shapes::iam::ManagedPolicy,
};

/// The folder of cuts.
const CUTS: &str = "cuts";

/// A cut as the directory keeps it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct File {
    arn: Arn,
    description: String,
    tags: BTreeMap<String, String>,
    /// Whom it is attached to.
    on: Vec<String>,
    policy_document: Value,
}

impl Dir {
    fn cut_file(&self, name: &PolicyName) -> PathBuf {
        self.path.join(CUTS).join(format!("{name}.json"))
    }

    fn cut_of(&self, cut: &Arn) -> Result<(PathBuf, File), CallError> {
        let name = cut.resource().rsplit('/').next().unwrap_or_default();
        let not_found = || CallError {
            call: "GetPolicy",
            on: cut.to_string(),
            why: "there is no such cut".to_owned(),
            not_found: true,
        };
        let path = self.cut_file(&name.parse().map_err(|_| not_found())?);
        let read = file::read_json(&path).map_err(|error| failed("GetPolicy", cut, error))?;
        Ok((path, read.ok_or_else(not_found)?))
    }

    fn change_cut(
        &self,
        call: &'static str,
        cut: &Arn,
        change: impl FnOnce(&mut File),
    ) -> Result<(), CallError> {
        let (path, mut file) = self.cut_of(cut)?;
        change(&mut file);
        store(&path, &file).map_err(|error| failed(call, cut, error))
    }
}

/// The cuts of the directory, as IAM would list them.
pub(super) fn listed(root: &Path) -> Vec<ManagedPolicy> {
    let entries = fs::read_dir(root.join(CUTS)).into_iter().flatten();
    let names = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        Some((path.file_stem()?.to_str()?.to_owned(), path))
    });
    names
        .filter_map(|(name, path)| {
            let file: File = file::read_json(&path).ok()??;
            Some(ManagedPolicy {
                policy_name: Some(name),
                arn: Some(file.arn.to_string()),
                path: Some(CUT_PATH.to_owned()),
                ..ManagedPolicy::default()
            })
        })
        .collect()
}

impl Contain for Dir {
    async fn account(&self) -> Result<AccountId, CallError> {
        let seen = estate(&self.observe_iam().await);
        seen.account.ok_or_else(|| {
            let why = "no role tells which account this is";
            failed("GetCallerIdentity", self.path.display(), why)
        })
    }

    async fn keys(&self, user: &UserName) -> Result<Vec<(AccessKeyId, bool)>, CallError> {
        Err(no_users("ListAccessKeys", user))
    }

    async fn document(&self, cut: &Arn) -> Result<String, CallError> {
        let (_, file) = self.cut_of(cut)?;
        Ok(file.policy_document.to_string())
    }

    async fn role(&self, name: &RoleName) -> Result<Role, CallError> {
        let seen = estate(&self.observe_iam().await);
        let role = seen.roles.get(name).ok_or_else(|| CallError {
            call: "GetRole",
            on: name.to_string(),
            why: "iam/get-account-authorization-details.json has no such role".to_owned(),
            not_found: true,
        })?;
        let id = role.id.parse();
        Ok(Role {
            name: name.clone(),
            id: id.map_err(|error| failed("GetRole", name, error))?,
            arn: role.arn.clone(),
        })
    }

    async fn user(&self, name: &UserName) -> Result<User, CallError> {
        Err(no_users("GetUser", name))
    }

    async fn owner(&self, key: &AccessKeyId) -> Result<UserName, CallError> {
        Err(no_users("GetAccessKeyLastUsed", key))
    }

    async fn standing(&self) -> Result<Vec<Standing>, CallError> {
        let folder = self.path.join(CUTS);
        let cannot = |error| failed("ListPolicies", folder.display(), error);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot(error)),
        };
        let mut standing = Vec::new();
        for entry in entries {
            let path = entry.map_err(cannot)?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str());
            let Some(name) = name.and_then(|name| name.parse().ok()) else {
                continue;
            };
            let read = file::read_json::<File>(&path);
            let read = read.map_err(|error| failed("ListPolicies", path.display(), error))?;
            standing.extend(read.map(|file| Standing {
                name,
                arn: file.arn,
                tags: file.tags,
                attached: !file.on.is_empty(),
            }));
        }
        standing.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(standing)
    }

    async fn create_cut(&self, cut: &NewCut<'_>) -> Result<Arn, CallError> {
        let account = self.account().await?;
        let seen = estate(&self.observe_iam().await);
        let partition = seen.roles.values().next();
        let partition = partition.map_or("aws", |role| role.arn.partition());
        let name = cut.name;
        let arn: Arn = format!("arn:{partition}:iam::{account}:policy{CUT_PATH}{name}")
            .parse()
            .map_err(|error| failed("CreatePolicy", name, error))?;
        let tags = cut.tags.iter();
        let file = File {
            arn: arn.clone(),
            description: cut.description.to_owned(),
            tags: tags
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            on: Vec::new(),
            policy_document: serde_json::from_str(cut.document)
                .map_err(|error| failed("CreatePolicy", name, error))?,
        };
        let path = self.cut_file(name);
        if !path.exists() {
            store(&path, &file).map_err(|error| failed("CreatePolicy", name, error))?;
        }
        Ok(arn)
    }

    async fn delete_cut(&self, cut: &Arn) -> Result<(), CallError> {
        let (path, _) = self.cut_of(cut)?;
        file::remove(&path).map_err(|error| failed("DeletePolicy", cut, error))
    }

    async fn put_on(&self, on: &On, cut: &Arn) -> Result<(), PutError> {
        self.change_cut("AttachRolePolicy", cut, |file| {
            let on = on.to_string();
            if !file.on.contains(&on) {
                file.on.push(on);
            }
        })?;
        Ok(())
    }

    async fn take_off(&self, on: &On, cut: &Arn) -> Result<(), CallError> {
        let on = on.to_string();
        self.change_cut("DetachRolePolicy", cut, |file| {
            file.on.retain(|it| *it != on);
        })
    }

    async fn set_key(
        &self,
        _user: &UserName,
        key: &AccessKeyId,
        _active: bool,
    ) -> Result<(), CallError> {
        Err(no_users("UpdateAccessKey", key))
    }
}

fn store(path: &Path, file: &File) -> io::Result<()> {
    file::write(path, &serde_json::to_string_pretty(file)?)
}

fn no_users(call: &'static str, on: impl std::fmt::Display) -> CallError {
    failed(
        call,
        on,
        "a directory cloud has no users: this takes `--cloud aws`",
    )
}

fn failed(
    call: &'static str,
    on: impl std::fmt::Display,
    why: impl std::fmt::Display,
) -> CallError {
    CallError {
        call,
        on: on.to_string(),
        why: why.to_string(),
        not_found: false,
    }
}
