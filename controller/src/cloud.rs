//! The two sides of a cloud: what is seen of it, and what is written to its IAM.
//!
//! ```text
//!  aws ─┐                      ┌──▶ credpin_core::plan
//!       ├─▶ shapes ─▶ estate ──┘
//!  dir ─┘
//! ```
//!
//! Reading and writing are different traits: what plans never holds the one that writes. [`dir`]
//! keeps a cloud in a directory; `aws`, behind the feature of that name, is the real one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use credpin_core::{
    estate::Gap,
    id::{Arn, PolicyName, RegionName, RoleName, VersionId},
};
use thiserror::Error;

#[cfg(feature = "aws")]
pub mod aws;
pub mod contain;
pub mod dir;
pub mod estate;
pub mod shapes;

use shapes::{ec2, iam};

/// Everything that was seen in one go, as AWS says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// What each region answered.
    pub regions: BTreeMap<RegionName, ec2::Region>,
    /// What IAM answered.
    pub iam: IamView,
    /// What did not answer.
    pub gaps: BTreeSet<Gap>,
}

/// What is seen of IAM.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IamView {
    /// Roles and customer managed policies.
    pub details: iam::GetAccountAuthorizationDetails,
    /// Tags of our policies that are not on their role: they may have been released.
    pub policy_tags: BTreeMap<PolicyName, iam::ListPolicyTags>,
    /// Who is asking, where that is known.
    pub caller: Option<iam::GetCallerIdentity>,
}

/// Calls to AWS by name, as `DescribeInstances`.
pub type Calls = BTreeMap<String, u64>;

/// A cloud that can be seen. It never fails as a whole: what does not answer is a [`Gap`].
pub trait Observe {
    /// Sees all: EC2 in every region, and IAM.
    fn observe(&self) -> impl Future<Output = Observation> + Send;

    /// Sees IAM alone.
    fn observe_iam(&self) -> impl Future<Output = Observation> + Send;

    /// Calls made to AWS so far, retries too.
    fn calls(&self) -> Calls;
}

/// A policy to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPolicy<'a> {
    /// The role that it is for.
    pub role: &'a RoleName,
    /// Its name; its path is [`credpin_core::plan::POLICY_PATH`].
    pub name: &'a PolicyName,
    /// The ARN that it will have.
    pub arn: &'a Arn,
    /// Its document, as JSON.
    pub document: &'a str,
    /// Its tags.
    pub tags: &'a [(&'a str, &'a str)],
}

/// An IAM that can be written to. Each method is one call that changes one thing.
pub trait WriteIam {
    /// The tags of a policy: `ListPolicyTags`, read before the first write to it.
    fn policy_tags(
        &self,
        policy: &Arn,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, CallError>> + Send;

    /// The document that a policy has in force, read before each write to it: `GetPolicy` and
    /// `GetPolicyVersion`.
    fn document_in_force(
        &self,
        policy: &Arn,
    ) -> impl Future<Output = Result<String, CallError>> + Send;

    /// `CreatePolicy`
    fn create_policy(
        &self,
        policy: &NewPolicy<'_>,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `CreatePolicyVersion`, in force at once.
    fn create_version(
        &self,
        policy: &Arn,
        document: &str,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `DeletePolicyVersion`
    fn delete_version(
        &self,
        policy: &Arn,
        version: &VersionId,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `SetDefaultPolicyVersion`
    fn set_default_version(
        &self,
        policy: &Arn,
        version: &VersionId,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `AttachRolePolicy`
    fn attach(
        &self,
        role: &RoleName,
        policy: &Arn,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `DetachRolePolicy`
    fn detach(
        &self,
        role: &RoleName,
        policy: &Arn,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `TagPolicy`, with one tag.
    fn tag_policy(
        &self,
        policy: &Arn,
        key: &str,
        value: &str,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Lets `time` pass, in which all of IAM comes to have what was written. A cloud that shows its
    /// writes at once takes no time.
    fn settle(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// `UntagPolicy`, of one tag.
    fn untag_policy(
        &self,
        policy: &Arn,
        key: &str,
    ) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// A call that was not carried out, or may not have been.
#[derive(Debug, Error)]
#[error("{call} on {on} failed: {why}")]
pub struct CallError {
    /// The call, as `CreatePolicy`.
    pub call: &'static str,
    /// What it was made on.
    pub on: String,
    /// What came back, in a line.
    pub why: String,
    /// Whether what it was made on does not exist.
    pub not_found: bool,
}
