//! The steps of a plan.

use std::fmt;

use serde::Serialize;

use crate::{
    id::{Arn, PolicyName, RoleName, VersionId},
    policy::{Digest, Document},
};

/// One call that changes IAM, or the wait between two. Its `Display` is a line of the dry run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Make the role's policy, tagged as ours. It has no effect until it is attached.
    CreatePolicy {
        /// The role.
        role: RoleName,
        /// The policy's name.
        policy: PolicyName,
        /// The ARN it will have.
        arn: Arn,
        /// What it says.
        document: Document,
    },
    /// Delete a version to make room: the oldest that is neither in force nor the one before it.
    DeleteVersion {
        /// The role.
        role: RoleName,
        /// The policy.
        arn: Arn,
        /// The version.
        version: VersionId,
    },
    /// Add a version and put it in force, in one call.
    CreateVersion {
        /// The role.
        role: RoleName,
        /// The policy.
        arn: Arn,
        /// What is in force before, where that could be read. Where it is something else by then, the
        /// step is not done.
        replaces: Option<Digest>,
        /// What it says.
        document: Document,
    },
    /// Wait until all of IAM has what was written. What comes behind it may not meet what was there
    /// before it.
    Wait {
        /// The role.
        role: RoleName,
        /// How long.
        seconds: u64,
    },
    /// Attach the policy to the role.
    Attach {
        /// The role.
        role: RoleName,
        /// The policy.
        arn: Arn,
        /// What it says, where that could be read. Where it says something else by then, the step is
        /// not done.
        says: Option<Digest>,
    },
    /// Detach the policy from the role.
    Detach {
        /// The role.
        role: RoleName,
        /// The policy.
        arn: Arn,
    },
}

impl Step {
    /// The role that it is about.
    pub fn role(&self) -> &RoleName {
        match self {
            Step::CreatePolicy { role, .. }
            | Step::DeleteVersion { role, .. }
            | Step::CreateVersion { role, .. }
            | Step::Wait { role, .. }
            | Step::Attach { role, .. }
            | Step::Detach { role, .. } => role,
        }
    }

    /// What the policy has to say for the step to be done.
    pub fn expects(&self) -> Option<&Digest> {
        match self {
            Step::CreateVersion { replaces, .. } => replaces.as_ref(),
            Step::Attach { says, .. } => says.as_ref(),
            _ => None,
        }
    }

    /// The policy that it changes; a wait changes none.
    pub fn arn(&self) -> Option<&Arn> {
        match self {
            Step::CreatePolicy { arn, .. }
            | Step::DeleteVersion { arn, .. }
            | Step::CreateVersion { arn, .. }
            | Step::Attach { arn, .. }
            | Step::Detach { arn, .. } => Some(arn),
            Step::Wait { .. } => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::CreatePolicy { arn, document, .. } => {
                write!(f, "create policy {arn} ({} characters)", document.size())
            }
            Step::DeleteVersion { arn, version, .. } => {
                write!(f, "delete version {version} of {arn} to make room")
            }
            Step::CreateVersion { arn, document, .. } => {
                write!(
                    f,
                    "put a new version of {arn} in force ({} characters)",
                    document.size()
                )
            }
            Step::Wait { seconds, .. } => {
                write!(f, "wait {seconds} s, until all of IAM has that")
            }
            Step::Attach { role, arn, .. } => write!(f, "attach {arn} to role {role}"),
            Step::Detach { role, arn } => write!(f, "detach {arn} from role {role}"),
        }
    }
}
