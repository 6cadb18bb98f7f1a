//! IAM's side of a directory cloud: our policies, one state file each.
//!
//! `pins/ROLE/POLICY.state.json` holds `Policy` (as in `RoleDetailList`'s sibling `Policies`), its
//! `Tags`, and whether it is `Attached` to ROLE. `pins/ROLE/POLICY.json` is there while the policy
//! is attached and holds the document in force, for a person or a pipeline to take from there. The
//! state is written last: it alone says what is the case.
//!
//! IAM's own limits hold here too, so that what works here works there: five versions a policy,
//! the version in force cannot be deleted, a document has its quota.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use credpin_core::{
    id::{Arn, PolicyName, RoleName, VersionId},
    plan::{POLICY_PATH, ROLE_TAG},
    policy::{Document, MANAGED_POLICY_QUOTA},
};
use serde::{Deserialize, Serialize};

use super::{Dir, file};
use crate::cloud::{
    CallError, NewPolicy, WriteIam,
    shapes::iam::{ManagedPolicy, PolicyText, PolicyVersion, Tag},
};

/// The folder of pins.
pub(super) const PINS: &str = "pins";
/// Versions that IAM keeps of a policy (IAM User Guide, "IAM and STS quotas").
pub(super) const VERSIONS: usize = 5;

/// A policy as the directory keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct State {
    pub(super) policy: ManagedPolicy,
    pub(super) tags: Vec<Tag>,
    pub(super) attached: bool,
}

impl State {
    /// The text of the version in force, whether or not it is attached.
    pub(super) fn in_force(&self) -> Option<&PolicyText> {
        let versions = &self.policy.policy_version_list;
        versions
            .iter()
            .find(|it| it.is_default_version)?
            .document
            .as_ref()
    }
}

/// What `POLICY.json` holds of a document: what is not one of ours goes there as it is.
pub(super) fn as_shown(text: &PolicyText) -> String {
    let text = text.as_str();
    let pretty = Document::parse(text).map(|document| document.to_json_pretty());
    pretty.unwrap_or_else(|_| text.to_owned())
}

/// Writes a file; an error names it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    file::write(path, text).map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::other(format!("cannot write {}: {error}", path.display()))
}

/// A policy on its way through one call: loaded, changed, stored.
struct Pin {
    folder: PathBuf,
    name: PolicyName,
    state: State,
}

impl Pin {
    fn store(&self) -> io::Result<()> {
        let document = self.folder.join(format!("{}.json", self.name));
        match self.state.in_force().filter(|_| self.state.attached) {
            Some(text) => write(&document, &as_shown(text))?,
            None if self.folder.exists() => {
                file::remove(&document).map_err(|error| at(&document, &error))?;
            }
            None => {}
        }
        let state = self.folder.join(format!("{}.state.json", self.name));
        write(&state, &serde_json::to_string_pretty(&self.state)?)
    }

    /// Puts a version in force; whether there is such a one.
    fn set_default(&mut self, id: &str) -> bool {
        let policy = &mut self.state.policy;
        let known = policy
            .policy_version_list
            .iter()
            .any(|it| it.version_id.as_deref() == Some(id));
        if known {
            for version in &mut policy.policy_version_list {
                version.is_default_version = version.version_id.as_deref() == Some(id);
            }
            policy.default_version_id = Some(id.to_owned());
        }
        known
    }
}

impl Dir {
    /// The folder of a role's pins. IAM allows the names `.` and `..`, which are no folder's.
    fn folder(&self, role: &str) -> Option<PathBuf> {
        (!matches!(role, "." | "..") && !role.contains('/'))
            .then(|| self.path.join(PINS).join(role))
    }

    /// The policy, of its state file or else of what IAM said; `None` where neither knows it.
    fn load(&self, arn: &Arn) -> Option<Pin> {
        let seen = self.see_iam();
        let details = seen.iam.details;
        let policy = details
            .policies
            .into_iter()
            .find(|it| it.arn.as_deref() == Some(arn.as_str()))?;
        let name = policy.name()?;
        let tags = seen
            .iam
            .policy_tags
            .get(&name)
            .cloned()
            .unwrap_or_default()
            .tags;
        let role = &role_of(&tags.iter().find(|tag| tag.key == ROLE_TAG)?.value);
        let attached = details.role_detail_list.iter().any(|it| {
            it.role_name.as_ref() == Some(role)
                && it
                    .attached_managed_policies
                    .iter()
                    .any(|it| it.policy_arn.as_deref() == Some(arn.as_str()))
        });
        Some(Pin {
            folder: self.folder(role)?,
            name,
            state: State {
                policy,
                tags,
                attached,
            },
        })
    }

    /// Loads, changes and stores a policy; `change` says in a line why it cannot be.
    fn change(
        &self,
        call: &'static str,
        arn: &Arn,
        change: impl FnOnce(&mut Pin) -> Result<(), &'static str>,
    ) -> Result<(), CallError> {
        let error = |why: String, not_found| CallError {
            call,
            on: arn.to_string(),
            why,
            not_found,
        };
        let mut pin = self
            .load(arn)
            .ok_or_else(|| error(NO_POLICY.into(), true))?;
        change(&mut pin).map_err(|why| error(why.into(), why == NO_VERSION))?;
        pin.store()
            .map_err(|source| error(source.to_string(), false))
    }
}

/// The id that the next version gets.
pub(super) fn next_version(versions: &[PolicyVersion]) -> String {
    let newest = versions
        .iter()
        .filter_map(|it| it.version_id.as_deref()?.parse().ok())
        .map(|id: VersionId| id.number())
        .max();
    format!("v{}", newest.unwrap_or(0) + 1)
}

/// The role whose [`credpin_core::plan::role_tag`] this is: no role's name has a slash.
fn role_of(tag: &str) -> String {
    tag.replace('/', ",")
}

const NO_POLICY: &str = "the directory has no policy of ours with this ARN";
const NO_VERSION: &str = "there is no such version";
const TOO_LONG: &str = "LimitExceeded: the document is longer than a managed policy may be";

/// IAM does not count blanks (IAM User Guide, "IAM and STS quotas").
fn fits(document: &str) -> bool {
    document.chars().filter(|c| !c.is_whitespace()).count() <= MANAGED_POLICY_QUOTA
}

impl WriteIam for Dir {
    async fn policy_tags(&self, policy: &Arn) -> Result<BTreeMap<String, String>, CallError> {
        let pin = self.load(policy).ok_or_else(|| CallError {
            call: "ListPolicyTags",
            on: policy.to_string(),
            why: NO_POLICY.into(),
            not_found: true,
        })?;
        Ok(pin
            .state
            .tags
            .into_iter()
            .map(|tag| (tag.key, tag.value))
            .collect())
    }

    async fn document_in_force(&self, policy: &Arn) -> Result<String, CallError> {
        let error = |why: &str, not_found| CallError {
            call: "GetPolicyVersion",
            on: policy.to_string(),
            why: why.into(),
            not_found,
        };
        let pin = self.load(policy).ok_or_else(|| error(NO_POLICY, true))?;
        let text = pin.state.in_force().map(|text| text.as_str().to_owned());
        text.ok_or_else(|| error("no version is in force", false))
    }

    async fn create_policy(&self, new: &NewPolicy<'_>) -> Result<(), CallError> {
        let error = |why: String| CallError {
            call: "CreatePolicy",
            on: new.arn.to_string(),
            why,
            not_found: false,
        };
        if self.load(new.arn).is_some() {
            return Err(error("EntityAlreadyExists: there is such a policy".into()));
        }
        if !fits(new.document) {
            return Err(error(TOO_LONG.into()));
        }
        let first = PolicyVersion {
            document: Some(PolicyText::new(new.document)),
            version_id: Some("v1".into()),
            is_default_version: true,
            create_date: None,
        };
        let tag = |(key, value): &(&str, &str)| Tag {
            key: (*key).into(),
            value: (*value).into(),
        };
        let pin = Pin {
            folder: self
                .folder(new.role.as_str())
                .ok_or_else(|| error(format!("a role named {} has no folder", new.role)))?,
            name: new.name.clone(),
            state: State {
                policy: ManagedPolicy {
                    policy_name: Some(new.name.to_string()),
                    arn: Some(new.arn.to_string()),
                    path: Some(POLICY_PATH.into()),
                    default_version_id: Some("v1".into()),
                    attachment_count: 0,
                    policy_version_list: vec![first],
                },
                tags: new.tags.iter().map(tag).collect(),
                attached: false,
            },
        };
        pin.store().map_err(|source| error(source.to_string()))
    }

    async fn create_version(&self, policy: &Arn, document: &str) -> Result<(), CallError> {
        self.change("CreatePolicyVersion", policy, |pin| {
            let versions = &mut pin.state.policy.policy_version_list;
            if versions.len() >= VERSIONS {
                return Err("LimitExceeded: a policy has five versions at most");
            }
            if !fits(document) {
                return Err(TOO_LONG);
            }
            let id = next_version(versions);
            versions.push(PolicyVersion {
                document: Some(PolicyText::new(document)),
                version_id: Some(id.clone()),
                is_default_version: false,
                create_date: None,
            });
            pin.set_default(&id);
            Ok(())
        })
    }

    async fn delete_version(&self, policy: &Arn, version: &VersionId) -> Result<(), CallError> {
        self.change("DeletePolicyVersion", policy, |pin| {
            let versions = &mut pin.state.policy.policy_version_list;
            let at = versions
                .iter()
                .position(|it| it.version_id.as_deref() == Some(version.as_str()))
                .ok_or(NO_VERSION)?;
            if versions[at].is_default_version {
                return Err("DeleteConflict: the version in force cannot be deleted");
            }
            versions.remove(at);
            Ok(())
        })
    }

    async fn set_default_version(
        &self,
        policy: &Arn,
        version: &VersionId,
    ) -> Result<(), CallError> {
        self.change("SetDefaultPolicyVersion", policy, |pin| {
            pin.set_default(version.as_str())
                .then_some(())
                .ok_or(NO_VERSION)
        })
    }

    async fn attach(&self, role: &RoleName, policy: &Arn) -> Result<(), CallError> {
        self.set_attached("AttachRolePolicy", role, policy, true)
    }

    async fn detach(&self, role: &RoleName, policy: &Arn) -> Result<(), CallError> {
        self.set_attached("DetachRolePolicy", role, policy, false)
    }

    async fn tag_policy(&self, policy: &Arn, key: &str, value: &str) -> Result<(), CallError> {
        self.change("TagPolicy", policy, |pin| {
            pin.state.tags.retain(|tag| tag.key != key);
            pin.state.tags.push(Tag {
                key: key.into(),
                value: value.into(),
            });
            Ok(())
        })
    }

    /// A directory shows what was written to it.
    async fn settle(&self, _: Duration) {}

    async fn untag_policy(&self, policy: &Arn, key: &str) -> Result<(), CallError> {
        self.change("UntagPolicy", policy, |pin| {
            pin.state.tags.retain(|tag| tag.key != key);
            Ok(())
        })
    }
}

impl Dir {
    fn set_attached(
        &self,
        call: &'static str,
        role: &RoleName,
        policy: &Arn,
        attached: bool,
    ) -> Result<(), CallError> {
        self.change(call, policy, |pin| {
            if self.folder(role.as_str()).as_deref() != Some(pin.folder.as_path()) {
                return Err("the policy is another role's");
            }
            pin.state.attached = attached;
            Ok(())
        })
    }
}
