//! IAM's API, and STS's on who is asking, read into the shapes of the AWS CLI.

use std::collections::BTreeMap;

use aws_sdk_iam::{
    Client,
    error::SdkError,
    operation::list_policy_tags::ListPolicyTagsError,
    types::{self as api, EntityType},
};
use credpin_core::{
    id::{PolicyName, RoleName},
    plan::{POLICY_PATH, role_of},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{Failed, PAGE, note, why};
use crate::cloud::{
    IamView,
    shapes::iam::{
        AttachedPolicy, GetAccountAuthorizationDetails, GetCallerIdentity, ListPolicyTags,
        ManagedPolicy, PolicyText, PolicyVersion, RoleDetail, RoleLastUsed, RoleProfile, Tag,
    },
};

/// Policies whose tags are asked for side by side.
const AT_ONCE: usize = 4;

/// All that is seen of IAM, with the calls that did not answer to the end.
pub(super) async fn view(client: &Client, sts: &aws_sdk_sts::Client) -> (IamView, Vec<Failed>) {
    let mut failed = Vec::new();
    let mut view = IamView::default();
    let (details, caller) = tokio::join!(details(client, &mut view.details), caller(sts));
    note::<GetAccountAuthorizationDetails>(details, &mut failed);
    match caller {
        Ok(caller) => view.caller = Some(caller),
        Err(why) => note::<GetCallerIdentity>(Err(why), &mut failed),
    }
    match spare_policy_tags(client, &view.details).await {
        Ok(tags) => view.policy_tags = tags,
        Err(why) => note::<ListPolicyTags>(Err(why), &mut failed),
    }
    (view, failed)
}

/// Why `ListPolicyTags` failed.
pub(super) type TagsError = SdkError<ListPolicyTagsError>;

/// Tags of one policy.
pub(super) async fn policy_tags(client: &Client, arn: &str) -> Result<Vec<Tag>, TagsError> {
    let mut tags = Vec::new();
    let mut pages = client
        .list_policy_tags()
        .policy_arn(arn)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        tags.extend(page?.tags.into_iter().map(tag));
    }
    Ok(tags)
}

async fn details(client: &Client, seen: &mut GetAccountAuthorizationDetails) -> Result<(), String> {
    let call = client
        .get_account_authorization_details()
        .filter(EntityType::Role)
        .filter(EntityType::LocalManagedPolicy)
        .max_items(PAGE);
    pages!(call, |page| {
        seen.role_detail_list
            .extend(page.role_detail_list.into_iter().flatten().map(role));
        seen.policies
            .extend(page.policies.into_iter().flatten().map(policy));
    })
}

/// Who is asking.
pub(super) async fn caller(sts: &aws_sdk_sts::Client) -> Result<GetCallerIdentity, String> {
    let answer = sts
        .get_caller_identity()
        .send()
        .await
        .map_err(|error| why(&error))?;
    Ok(GetCallerIdentity {
        account: answer.account.unwrap_or_default(),
        arn: answer.arn.unwrap_or_default(),
        ..GetCallerIdentity::default()
    })
}

/// Tags of our policies that are not on their role: an operator may have released them. There are
/// few, so that an unchanged account costs no call for each role.
async fn spare_policy_tags(
    client: &Client,
    seen: &GetAccountAuthorizationDetails,
) -> Result<BTreeMap<PolicyName, ListPolicyTags>, String> {
    // `AttachmentCount` would not do: somebody may have attached one to another role.
    let attached: BTreeMap<RoleName, &[AttachedPolicy]> = seen
        .role_detail_list
        .iter()
        .filter_map(|role| {
            let name = role.role_name.as_deref()?.parse().ok()?;
            Some((name, &role.attached_managed_policies[..]))
        })
        .collect();
    let on_its_role = |policy: &ManagedPolicy| {
        let role = policy.name().and_then(|name| role_of(&name));
        let on_role = role.and_then(|role| attached.get(&role));
        on_role.is_some_and(|all| all.iter().any(|it| it.policy_arn == policy.arn))
    };
    let spare: Vec<(PolicyName, String)> = seen
        .policies
        .iter()
        .filter(|policy| policy.path.as_deref() == Some(POLICY_PATH) && !on_its_role(policy))
        .filter_map(|policy| Some((policy.name()?, policy.arn.clone()?)))
        .collect();
    stream::iter(
        spare
            .into_iter()
            .map(|(name, arn)| spare_tags(client, name, arn)),
    )
    .buffered(AT_ONCE)
    .try_collect()
    .await
}

async fn spare_tags(
    client: &Client,
    name: PolicyName,
    arn: String,
) -> Result<(PolicyName, ListPolicyTags), String> {
    let tags = policy_tags(client, &arn)
        .await
        .map_err(|error| why(&error))?;
    Ok((
        name,
        ListPolicyTags {
            tags,
            ..ListPolicyTags::default()
        },
    ))
}

fn role(from: api::RoleDetail) -> RoleDetail {
    RoleDetail {
        path: from.path,
        role_name: from.role_name,
        role_id: from.role_id,
        arn: from.arn,
        assume_role_policy_document: from
            .assume_role_policy_document
            .map(|encoded| PolicyText::decode(&encoded)),
        instance_profile_list: from
            .instance_profile_list
            .into_iter()
            .flatten()
            .map(|profile| RoleProfile {
                arn: Some(profile.arn),
                instance_profile_name: Some(profile.instance_profile_name),
            })
            .collect(),
        attached_managed_policies: from
            .attached_managed_policies
            .into_iter()
            .flatten()
            .map(|policy| AttachedPolicy {
                policy_name: policy.policy_name,
                policy_arn: policy.policy_arn,
            })
            .collect(),
        tags: from.tags.into_iter().flatten().map(tag).collect(),
        role_last_used: from.role_last_used.map(|used| RoleLastUsed {
            last_used_date: used.last_used_date.map(|time| time.to_string()),
        }),
    }
}

fn policy(from: api::ManagedPolicyDetail) -> ManagedPolicy {
    ManagedPolicy {
        policy_name: from.policy_name,
        arn: from.arn,
        path: from.path,
        default_version_id: from.default_version_id,
        attachment_count: from.attachment_count.unwrap_or_default(),
        policy_version_list: from
            .policy_version_list
            .into_iter()
            .flatten()
            .map(|version| PolicyVersion {
                document: version.document.map(|encoded| PolicyText::decode(&encoded)),
                version_id: version.version_id,
                is_default_version: version.is_default_version,
                create_date: version.create_date.map(|time| time.to_string()),
            })
            .collect(),
    }
}

fn tag(from: api::Tag) -> Tag {
    Tag {
        key: from.key,
        value: from.value,
    }
}
