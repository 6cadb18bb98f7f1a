//! Pins of a directory cloud, read back and laid over what IAM said.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Observation, file, gap,
    pins::{PINS, State, VERSIONS, as_shown, next_version},
};
use crate::cloud::shapes::iam::{
    AttachedPolicy, ListPolicyTags, ManagedPolicy, PolicyText, PolicyVersion,
};

/// How the names of state files end.
const STATE: &str = ".state.json";

/// Lays the pins of the directory over what IAM said there; gives in words what somebody else did to
/// them.
pub(super) fn overlay(root: &Path, seen: &mut Observation) -> Vec<String> {
    let mut notices = Vec::new();
    let mut failed = |error: String| {
        seen.gaps.insert(gap(None, "pins", error));
    };
    let files = match state_files(&root.join(PINS)) {
        Ok(files) => files,
        Err(error) => {
            failed(error.to_string());
            return notices;
        }
    };
    let mut states = Vec::new();
    for (role, path) in files {
        match file::read_json::<State>(&path) {
            Ok(Some(state)) => states.push((role, path, state)),
            Ok(None) => {}
            Err(error) => failed(format!(
                "{error}; take the file back from where you keep copies, or remove it and {}: \
                 the next run writes both anew",
                shown(&path).display()
            )),
        }
    }
    for (role, path, mut state) in states {
        let document = shown(&path);
        match Drift::of(&document, &state) {
            Ok(Some(drift)) => {
                notices.push(drift.say(&document));
                drift.take_over(&mut state);
            }
            Ok(None) => {}
            Err(error) => {
                let why = format!("{} cannot be read: {error}", document.display());
                seen.gaps.insert(gap(None, "pins", why));
            }
        }
        overlay_one(&role, state, seen);
    }
    notices
}

/// How `POLICY.json` differs from what was written there: somebody else was at it.
enum Drift {
    Missing,
    Edited(String),
}

impl Drift {
    fn of(document: &Path, state: &State) -> io::Result<Option<Self>> {
        let Some(written) = state.in_force().filter(|_| state.attached) else {
            return Ok(None);
        };
        let text = match fs::read_to_string(document) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Drift::Missing));
            }
            Err(error) => return Err(error),
        };
        // Laid out another way it says the same.
        let says = as_shown(&PolicyText::new(text.trim()));
        Ok((says != as_shown(written)).then_some(Drift::Edited(text)))
    }

    fn say(&self, document: &Path) -> String {
        let document = document.display();
        match self {
            Drift::Missing => format!("{document} is missing: somebody else removed it"),
            Drift::Edited(_) => format!("{document} is not as it was written: somebody edited it"),
        }
    }

    /// The file is the document in force: a missing one is as detached, an edited one as a version
    /// that somebody put in force. So the plan tells of it, and mends it, as it would in IAM.
    fn take_over(self, state: &mut State) {
        match self {
            Drift::Missing => state.attached = false,
            Drift::Edited(text) => {
                let versions = &mut state.policy.policy_version_list;
                for version in versions.iter_mut() {
                    version.is_default_version = false;
                }
                let id = next_version(versions);
                // Whoever puts one more there than there can be has deleted one before.
                if versions.len() >= VERSIONS {
                    versions.remove(0);
                }
                state.policy.default_version_id = Some(id.clone());
                versions.push(PolicyVersion {
                    document: Some(PolicyText::new(text.trim())),
                    version_id: Some(id),
                    is_default_version: true,
                    create_date: None,
                });
            }
        }
    }
}

/// The `POLICY.json` beside a `POLICY.state.json`.
fn shown(state: &Path) -> PathBuf {
    let name = state.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(STATE).unwrap_or(&name);
    state.with_file_name(format!("{name}.json"))
}

fn overlay_one(role: &str, state: State, seen: &mut Observation) {
    let details = &mut seen.iam.details;
    if let Some(role) = details
        .role_detail_list
        .iter_mut()
        .find(|it| it.role_name.as_deref() == Some(role))
    {
        role.attached_managed_policies
            .retain(|it| it.policy_arn != state.policy.arn);
        if state.attached {
            role.attached_managed_policies.push(AttachedPolicy {
                policy_name: state.policy.policy_name.clone(),
                policy_arn: state.policy.arn.clone(),
            });
        }
    }
    if let Some(name) = state.policy.name() {
        let tags = ListPolicyTags {
            tags: state.tags,
            ..ListPolicyTags::default()
        };
        seen.iam.policy_tags.insert(name, tags);
    }
    details.policies.retain(|it| it.arn != state.policy.arn);
    details.policies.push(ManagedPolicy {
        attachment_count: state.attached.into(),
        ..state.policy
    });
}

/// Every state file, with the role that its folder names.
fn state_files(pins: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let folders = match fs::read_dir(pins) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        folders => folders?,
    };
    for folder in folders {
        let folder = folder?;
        for file in fs::read_dir(folder.path())? {
            let path = file?.path();
            if path.to_string_lossy().ends_with(STATE) {
                found.push((folder.file_name().to_string_lossy().into_owned(), path));
            }
        }
    }
    found.sort();
    Ok(found)
}
