//! IAM's API, written to.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_iam::{
    error::{ProvideErrorMetadata, SdkError},
    types::Tag,
};
use credpin_core::{
    id::{Arn, RoleName, VersionId},
    plan::POLICY_PATH,
};

use super::{Aws, iam, why};
use crate::cloud::{CallError, NewPolicy, WriteIam, shapes::iam::PolicyText};

impl WriteIam for Aws {
    async fn policy_tags(&self, policy: &Arn) -> Result<BTreeMap<String, String>, CallError> {
        let tags = iam::policy_tags(&self.iam, policy.as_str())
            .await
            .map_err(|error| failed("ListPolicyTags", policy, &error))?;
        Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    async fn document_in_force(&self, policy: &Arn) -> Result<String, CallError> {
        let found = self
            .iam
            .get_policy()
            .policy_arn(policy.as_str())
            .send()
            .await
            .map_err(|error| failed("GetPolicy", policy, &error))?;
        let nothing = || CallError {
            call: "GetPolicy",
            on: policy.to_string(),
            why: "IAM names no version in force".into(),
            not_found: false,
        };
        let version = found.policy.and_then(|policy| policy.default_version_id);
        let version = self
            .iam
            .get_policy_version()
            .policy_arn(policy.as_str())
            .version_id(version.ok_or_else(nothing)?)
            .send()
            .await
            .map_err(|error| failed("GetPolicyVersion", policy, &error))?;
        let text = version.policy_version.and_then(|version| version.document);
        let text = PolicyText::decode(&text.ok_or_else(nothing)?);
        Ok(text.as_str().to_owned())
    }

    async fn create_policy(&self, new: &NewPolicy<'_>) -> Result<(), CallError> {
        let error = |why: String| CallError {
            call: "CreatePolicy",
            on: new.arn.to_string(),
            why,
            not_found: false,
        };
        let tags = new
            .tags
            .iter()
            .map(|(key, value)| Tag::builder().key(*key).value(*value).build())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|cause| error(cause.to_string()))?;
        self.iam
            .create_policy()
            .path(POLICY_PATH)
            .policy_name(new.name.as_str())
            .policy_document(new.document)
            .description(format!(
                "Pins credentials of role {} to its hosts; written by credpin",
                new.role
            ))
            .set_tags(Some(tags))
            .send()
            .await
            .map(drop)
            .map_err(|cause| failed("CreatePolicy", new.arn, &cause))
    }

    async fn create_version(&self, policy: &Arn, document: &str) -> Result<(), CallError> {
        self.iam
            .create_policy_version()
            .policy_arn(policy.as_str())
            .policy_document(document)
            .set_as_default(true)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("CreatePolicyVersion", policy, &error))
    }

    async fn delete_version(&self, policy: &Arn, version: &VersionId) -> Result<(), CallError> {
        self.iam
            .delete_policy_version()
            .policy_arn(policy.as_str())
            .version_id(version.as_str())
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("DeletePolicyVersion", policy, &error))
    }

    async fn set_default_version(
        &self,
        policy: &Arn,
        version: &VersionId,
    ) -> Result<(), CallError> {
        self.iam
            .set_default_policy_version()
            .policy_arn(policy.as_str())
            .version_id(version.as_str())
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("SetDefaultPolicyVersion", policy, &error))
    }

    async fn attach(&self, role: &RoleName, policy: &Arn) -> Result<(), CallError> {
        self.iam
            .attach_role_policy()
            .role_name(role.as_str())
            .policy_arn(policy.as_str())
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("AttachRolePolicy", policy, &error))
    }

    async fn detach(&self, role: &RoleName, policy: &Arn) -> Result<(), CallError> {
        self.iam
            .detach_role_policy()
            .role_name(role.as_str())
            .policy_arn(policy.as_str())
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("DetachRolePolicy", policy, &error))
    }

    async fn tag_policy(&self, policy: &Arn, key: &str, value: &str) -> Result<(), CallError> {
        let tag = Tag::builder()
            .key(key)
            .value(value)
            .build()
            .map_err(|error| CallError {
                call: "TagPolicy",
                on: policy.to_string(),
                why: error.to_string(),
                not_found: false,
            })?;
        self.iam
            .tag_policy()
            .policy_arn(policy.as_str())
            .tags(tag)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("TagPolicy", policy, &error))
    }

    async fn settle(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn untag_policy(&self, policy: &Arn, key: &str) -> Result<(), CallError> {
        self.iam
            .untag_policy()
            .policy_arn(policy.as_str())
            .tag_keys(key)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("UntagPolicy", policy, &error))
    }
}

pub(super) fn failed<E, R>(
    call: &'static str,
    on: &impl std::fmt::Display,
    error: &SdkError<E, R>,
) -> CallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    CallError {
        call,
        on: on.to_string(),
        why: why(error),
        not_found: error.code() == Some("NoSuchEntity"),
    }
}
