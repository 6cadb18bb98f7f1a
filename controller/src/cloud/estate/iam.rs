//! Roles, and the policies under our path.

use std::collections::{BTreeMap, BTreeSet};

use credpin_core::{
    cut::CUT_PATH,
    estate::{LivePolicy, LiveVersion, Role},
    id::{Arn, PolicyName, RoleName},
    plan::{POLICY_PATH, RELEASED_TAG},
    trust,
};

use super::{
    Sorter,
    field::{FieldError, required},
};
use crate::cloud::{
    IamView,
    shapes::iam::{
        GetAccountAuthorizationDetails, ManagedPolicy, PolicyText, PolicyVersion, RoleDetail,
    },
};

pub(super) fn read(
    seen: &IamView,
    sorter: &mut Sorter<'_>,
) -> (BTreeMap<RoleName, Role>, BTreeMap<PolicyName, LivePolicy>) {
    let roles = sorter
        .each::<GetAccountAuthorizationDetails, _, _>(
            &seen.details.role_detail_list,
            |role| role.role_name.as_deref(),
            |shape| role(shape).map(Some),
        )
        .into_iter()
        .map(|role| (role.name.clone(), role))
        .collect();
    let policies = sorter
        .each::<GetAccountAuthorizationDetails, _, _>(
            seen.details
                .policies
                .iter()
                .filter(|policy| policy.path.as_deref() == Some(POLICY_PATH)),
            |policy| policy.arn.as_deref(),
            |shape| policy(shape, seen).map(Some),
        )
        .into_iter()
        .map(|policy| (policy.name.clone(), policy))
        .collect();
    (roles, policies)
}

/// Names of the policies that are cuts. One that cannot be read is none of ours.
pub(super) fn cuts(seen: &IamView) -> BTreeSet<PolicyName> {
    let policies = seen.details.policies.iter();
    policies
        .filter(|policy| policy.path.as_deref() == Some(CUT_PATH))
        .filter_map(ManagedPolicy::name)
        .collect()
}

fn role(shape: &RoleDetail) -> Result<Role, FieldError> {
    let trust = shape.assume_role_policy_document.as_ref();
    let trust = trust.map(PolicyText::as_str);
    Ok(Role {
        name: required("RoleName", shape.role_name.as_ref())?,
        id: required("RoleId", shape.role_id.as_ref())?,
        arn: required("Arn", shape.arn.as_ref())?,
        path: required("Path", shape.path.as_ref())?,
        tags: shape
            .tags
            .iter()
            .map(|tag| (tag.key.clone(), tag.value.clone()))
            .collect(),
        trusted: trust::trusted(trust),
        trusted_services: trust::trusted_services(trust),
        trusted_providers: trust::trusted_providers(trust),
        profiles: shape
            .instance_profile_list
            .iter()
            .map(|profile| required("InstanceProfileList.Arn", profile.arn.as_ref()))
            .collect::<Result<_, _>>()?,
        attached: shape
            .attached_managed_policies
            .iter()
            .map(|policy| {
                required(
                    "AttachedManagedPolicies.PolicyArn",
                    policy.policy_arn.as_ref(),
                )
            })
            .collect::<Result<_, _>>()?,
        // Only what a person is told depends on it: one that cannot be read counts as not known.
        last_used: shape
            .role_last_used
            .as_ref()
            .and_then(|used| used.last_used_date.as_deref()?.parse().ok()),
    })
}

fn policy(shape: &ManagedPolicy, seen: &IamView) -> Result<LivePolicy, FieldError> {
    let arn: Arn = required("Arn", shape.arn.as_ref())?;
    let name = shape
        .name()
        .ok_or_else(|| FieldError::new("Arn", format_args!("`{arn}` ends in no policy's name")))?;
    let released = seen
        .policy_tags
        .get(&name)
        .is_some_and(|answer| answer.tags.iter().any(|tag| tag.key == RELEASED_TAG));
    let mut versions = shape
        .policy_version_list
        .iter()
        .map(version)
        .collect::<Result<Vec<_>, _>>()?;
    versions.sort_by_key(|version| version.id.number());
    Ok(LivePolicy {
        name,
        arn,
        released,
        versions,
    })
}

fn version(shape: &PolicyVersion) -> Result<LiveVersion, FieldError> {
    Ok(LiveVersion {
        id: required("PolicyVersionList.VersionId", shape.version_id.as_ref())?,
        default: shape.is_default_version,
        // Only how long to wait depends on it: one that cannot be read counts as not known.
        created: shape
            .create_date
            .as_deref()
            .and_then(|time| time.parse().ok()),
        text: shape.document.as_ref().map(|text| text.as_str().to_owned()),
    })
}
