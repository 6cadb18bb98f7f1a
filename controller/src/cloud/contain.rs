//! What a cut needs of IAM, beside [`super::WriteIam`]: whom a credential belongs to, and the policies and
//! switches that end it. Only `revoke` uses it.

use std::collections::BTreeMap;

use credpin_core::{
    cut::{On, Role, User},
    id::{AccessKeyId, AccountId, Arn, PolicyName, RoleName, UserName},
};

use thiserror::Error;

use super::CallError;

/// A cut's policy that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCut<'a> {
    /// Its name; its path is [`credpin_core::cut::CUT_PATH`].
    pub name: &'a PolicyName,
    /// Its document, as JSON.
    pub document: &'a str,
    /// What it is for, in a line.
    pub description: &'a str,
    /// Its tags.
    pub tags: &'a [(&'a str, &'a str)],
}

/// A cut that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The policy's name.
    pub name: PolicyName,
    /// Its ARN.
    pub arn: Arn,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it is on anybody: one whose making was cut short is not, and denies nothing.
    pub attached: bool,
}

/// Why a cut is not on its principal.
#[derive(Debug, Error)]
pub enum PutError {
    /// As many managed policies are attached to it as may be (IAM User Guide, "IAM and AWS STS quotas").
    #[error(
        "{on} has as many managed policies attached as it may: detach one that it can do without, or have \
         the quota raised (Service Quotas, IAM), and say the same again"
    )]
    NoPlace {
        /// The principal.
        on: On,
        /// What IAM said.
        #[source]
        refused: CallError,
    },
    /// IAM did not answer, or refused.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// An IAM in which credentials can be cut off. Each method is one call, but for [`Self::standing`].
pub trait Contain {
    /// The account: `GetCallerIdentity`.
    fn account(&self) -> impl Future<Output = Result<AccountId, CallError>> + Send;

    /// A role: `GetRole`.
    fn role(&self, name: &RoleName) -> impl Future<Output = Result<Role, CallError>> + Send;

    /// A user: `GetUser`.
    fn user(&self, name: &UserName) -> impl Future<Output = Result<User, CallError>> + Send;

    /// Whose a long-lived key is: `GetAccessKeyLastUsed`.
    fn owner(&self, key: &AccessKeyId) -> impl Future<Output = Result<UserName, CallError>> + Send;

    /// A user's long-lived keys, and whether each works: `ListAccessKeys`.
    fn keys(
        &self,
        user: &UserName,
    ) -> impl Future<Output = Result<Vec<(AccessKeyId, bool)>, CallError>> + Send;

    /// The policy of a cut: `GetPolicy` and `GetPolicyVersion`.
    fn document(&self, cut: &Arn) -> impl Future<Output = Result<String, CallError>> + Send;

    /// The cuts that there are: `ListPolicies`, and `ListPolicyTags` of each.
    fn standing(&self) -> impl Future<Output = Result<Vec<Standing>, CallError>> + Send;

    /// `CreatePolicy`; gives the ARN. One that is there already is no error: a cut's name says what it is.
    fn create_cut(&self, cut: &NewCut<'_>) -> impl Future<Output = Result<Arn, CallError>> + Send;

    /// `DeletePolicy`
    fn delete_cut(&self, cut: &Arn) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `AttachRolePolicy` or `AttachUserPolicy`
    fn put_on(&self, on: &On, cut: &Arn) -> impl Future<Output = Result<(), PutError>> + Send;

    /// `DetachRolePolicy` or `DetachUserPolicy`
    fn take_off(&self, on: &On, cut: &Arn) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `UpdateAccessKey`
    fn set_key(
        &self,
        user: &UserName,
        key: &AccessKeyId,
        active: bool,
    ) -> impl Future<Output = Result<(), CallError>> + Send;
}
