//! IAM's API, as cuts need it.

use aws_sdk_iam::{
    error::{ProvideErrorMetadata, SdkError},
    operation::create_policy::CreatePolicyError,
    types::{PolicyScopeType, StatusType, Tag},
};
use credpin_core::{
    cut::{CUT_PATH, On, Role, User},
    id::{AccessKeyId, AccountId, Arn, RoleName, UserName},
};

use super::{Aws, iam, write::failed};
use crate::cloud::{
    CallError, WriteIam,
    contain::{Contain, NewCut, PutError, Standing},
};

impl Aws {
    /// The account that a key is of (`GetAccessKeyInfo`); none where AWS does not say.
    pub async fn account_of_key(&self, key: &AccessKeyId) -> Option<AccountId> {
        let call = self.sts.get_access_key_info().access_key_id(key.as_str());
        let answer = call.send().await;
        let told = answer.inspect_err(|error| {
            tracing::warn!(
                "AWS does not say whose {key} is: GetAccessKeyInfo: {}",
                super::why(error)
            );
        });
        told.ok()?.account?.parse().ok()
    }
}

impl Contain for Aws {
    async fn account(&self) -> Result<AccountId, CallError> {
        const CALL: &str = "GetCallerIdentity";
        let answer = self.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| failed(CALL, &"this account", &error))?;
        let account = answer.account.unwrap_or_default();
        account
            .parse()
            .map_err(|error| strange(CALL, &"this account", &error))
    }

    async fn keys(&self, user: &UserName) -> Result<Vec<(AccessKeyId, bool)>, CallError> {
        const CALL: &str = "ListAccessKeys";
        let mut found = Vec::new();
        let list = self.iam.list_access_keys().user_name(user.as_str());
        let listed = pages!(list, |page| found.extend(page.access_key_metadata));
        listed.map_err(|why: String| strange(CALL, user, &why))?;
        let keys = found.into_iter().map(|key| {
            let id = key.access_key_id.unwrap_or_default();
            let id = id.parse().map_err(|error| strange(CALL, user, &error))?;
            Ok((id, key.status == Some(StatusType::Active)))
        });
        keys.collect()
    }

    async fn document(&self, cut: &Arn) -> Result<String, CallError> {
        self.document_in_force(cut).await
    }

    async fn role(&self, name: &RoleName) -> Result<Role, CallError> {
        const CALL: &str = "GetRole";
        let answer = self.iam.get_role().role_name(name.as_str()).send().await;
        let answer = answer.map_err(|error| failed(CALL, name, &error))?;
        let role = answer.role.ok_or_else(|| strange(CALL, name, &"no role"))?;
        Ok(Role {
            name: name.clone(),
            id: role
                .role_id
                .parse()
                .map_err(|error| strange(CALL, name, &error))?,
            arn: role
                .arn
                .parse()
                .map_err(|error| strange(CALL, name, &error))?,
        })
    }

    async fn user(&self, name: &UserName) -> Result<User, CallError> {
        const CALL: &str = "GetUser";
        let answer = self.iam.get_user().user_name(name.as_str()).send().await;
        let answer = answer.map_err(|error| failed(CALL, name, &error))?;
        let user = answer.user.ok_or_else(|| strange(CALL, name, &"no user"))?;
        Ok(User {
            name: name.clone(),
            arn: user
                .arn
                .parse()
                .map_err(|error| strange(CALL, name, &error))?,
        })
    }

    async fn owner(&self, key: &AccessKeyId) -> Result<UserName, CallError> {
        const CALL: &str = "GetAccessKeyLastUsed";
        let call = self.iam.get_access_key_last_used();
        let answer = call.access_key_id(key.as_str()).send().await;
        let answer = answer.map_err(|error| failed(CALL, key, &error))?;
        let name = answer.user_name.unwrap_or_default();
        name.parse().map_err(|error| strange(CALL, key, &error))
    }

    async fn standing(&self) -> Result<Vec<Standing>, CallError> {
        const CALL: &str = "ListPolicies";
        let mut found = Vec::new();
        let list = self.iam.list_policies().path_prefix(CUT_PATH);
        let list = list.scope(PolicyScopeType::Local);
        let listed = pages!(list, |page| found
            .extend(page.policies.into_iter().flatten()));
        listed.map_err(|why: String| strange(CALL, &CUT_PATH, &why))?;
        let mut standing = Vec::new();
        for policy in found {
            let (Some(name), Some(arn)) = (policy.policy_name, policy.arn) else {
                return Err(strange(CALL, &CUT_PATH, &"a policy without a name"));
            };
            let tags = iam::policy_tags(&self.iam, &arn).await;
            let tags = tags.map_err(|error| failed("ListPolicyTags", &arn, &error))?;
            standing.push(Standing {
                name: name
                    .parse()
                    .map_err(|error| strange(CALL, &CUT_PATH, &error))?,
                arn: arn
                    .parse()
                    .map_err(|error| strange(CALL, &CUT_PATH, &error))?,
                tags: tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
                attached: policy.attachment_count.is_some_and(|count| count > 0),
            });
        }
        Ok(standing)
    }

    async fn create_cut(&self, cut: &NewCut<'_>) -> Result<Arn, CallError> {
        const CALL: &str = "CreatePolicy";
        let tags = cut
            .tags
            .iter()
            .map(|(key, value)| Tag::builder().key(*key).value(*value).build())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| strange(CALL, cut.name, &error))?;
        let call = self
            .iam
            .create_policy()
            .path(CUT_PATH)
            .policy_name(cut.name.as_str())
            .policy_document(cut.document)
            .description(cut.description)
            .set_tags(Some(tags));
        match call.send().await {
            Ok(answer) => {
                let arn = answer.policy.and_then(|policy| policy.arn);
                arn.and_then(|arn| arn.parse().ok())
                    .ok_or_else(|| strange(CALL, cut.name, &"no ARN"))
            }
            Err(error) => {
                let is_there = error
                    .as_service_error()
                    .is_some_and(CreatePolicyError::is_entity_already_exists_exception);
                if !is_there {
                    return Err(failed(CALL, cut.name, &error));
                }
                let standing = self.standing().await?.into_iter();
                standing
                    .filter(|standing| standing.name == *cut.name)
                    .map(|standing| standing.arn)
                    .next()
                    .ok_or_else(|| failed(CALL, cut.name, &error))
            }
        }
    }

    async fn delete_cut(&self, cut: &Arn) -> Result<(), CallError> {
        let call = self.iam.delete_policy().policy_arn(cut.as_str());
        let done = call.send().await.map(drop);
        done.map_err(|error| failed("DeletePolicy", cut, &error))
    }

    async fn put_on(&self, on: &On, cut: &Arn) -> Result<(), PutError> {
        match on {
            On::Role(name) => {
                let call = self.iam.attach_role_policy().role_name(name.as_str());
                let done = call.policy_arn(cut.as_str()).send().await.map(drop);
                done.map_err(|error| not_put("AttachRolePolicy", on, cut, &error))
            }
            On::User(name) => {
                let call = self.iam.attach_user_policy().user_name(name.as_str());
                let done = call.policy_arn(cut.as_str()).send().await.map(drop);
                done.map_err(|error| not_put("AttachUserPolicy", on, cut, &error))
            }
        }
    }

    async fn take_off(&self, on: &On, cut: &Arn) -> Result<(), CallError> {
        match on {
            On::Role(name) => {
                let call = self.iam.detach_role_policy().role_name(name.as_str());
                let done = call.policy_arn(cut.as_str()).send().await.map(drop);
                done.map_err(|error| failed("DetachRolePolicy", cut, &error))
            }
            On::User(name) => {
                let call = self.iam.detach_user_policy().user_name(name.as_str());
                let done = call.policy_arn(cut.as_str()).send().await.map(drop);
                done.map_err(|error| failed("DetachUserPolicy", cut, &error))
            }
        }
    }

    async fn set_key(
        &self,
        user: &UserName,
        key: &AccessKeyId,
        active: bool,
    ) -> Result<(), CallError> {
        let status = if active {
            StatusType::Active
        } else {
            StatusType::Inactive
        };
        let call = self.iam.update_access_key().user_name(user.as_str());
        let call = call.access_key_id(key.as_str()).status(status);
        let done = call.send().await.map(drop);
        done.map_err(|error| failed("UpdateAccessKey", key, &error))
    }
}

fn not_put<E, R>(call: &'static str, on: &On, cut: &Arn, error: &SdkError<E, R>) -> PutError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let refused = failed(call, cut, error);
    match error.code() {
        Some("LimitExceeded") => PutError::NoPlace {
            on: on.clone(),
            refused,
        },
        _ => PutError::Call(refused),
    }
}

/// An answer that is not as the API's reference has it.
fn strange(
    call: &'static str,
    on: &dyn std::fmt::Display,
    why: &dyn std::fmt::Display,
) -> CallError {
    CallError {
        call,
        on: on.to_string(),
        why: why.to_string(),
        not_found: false,
    }
}
