//! What CloudTrail says of a call.
//!
//! ```text
//!  a file, in pieces ──▶ Reader ──▶ Event ──▶ whoever folds them
//!                                     └──▶ Issue: the key that the call handed out
//! ```
//!
//! Names and presence of fields follow the CloudTrail User Guide, "CloudTrail record contents" and
//! "CloudTrail userIdentity element". Every field may be missing, null, or of another type than
//! last year: then it is nothing, and the rest of the record is read all the same. Only a text
//! that is no JSON stops a [`Reader`]. An event borrows from the bytes that it was read from, and
//! what nobody asks for is passed over.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

mod issue;
mod lenient;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use issue::is_eks;
pub use issue::{How, Issue};
pub use reader::{Broken, Reader};

use lenient::{lenient, raw, text};

/// Text of a record, most often as it stands in the file.
pub type Text<'a> = Option<Cow<'a, str>>;

/// One call, as CloudTrail recorded it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    /// `eventVersion`, as `1.11`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub event_version: Text<'a>,
    /// `eventID`: one record each, so the same in all copies of a record.
    #[serde(default, borrow, deserialize_with = "text", rename = "eventID")]
    pub event_id: Text<'a>,
    /// `sharedEventID`: the same in the records that one call left in several accounts.
    #[serde(default, borrow, deserialize_with = "text", rename = "sharedEventID")]
    pub shared_event_id: Text<'a>,
    /// `eventTime`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub event_time: Text<'a>,
    /// `eventSource`, as `sts.amazonaws.com`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub event_source: Text<'a>,
    /// `eventName`, as `AssumeRole`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub event_name: Text<'a>,
    /// `eventCategory`: `Management`, `Data`, `NetworkActivity`, `Insight`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub event_category: Text<'a>,
    /// `awsRegion`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub aws_region: Text<'a>,
    /// `sourceIPAddress`: an address, a service's name, or `AWS Internal`.
    #[serde(default, borrow, deserialize_with = "text", rename = "sourceIPAddress")]
    pub source_ip_address: Text<'a>,
    /// `userAgent`: whatever the caller chose to say.
    #[serde(default, borrow, deserialize_with = "text")]
    pub user_agent: Text<'a>,
    /// `errorCode`; none where the call was done.
    #[serde(default, borrow, deserialize_with = "text")]
    pub error_code: Text<'a>,
    /// `errorMessage`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub error_message: Text<'a>,
    /// `vpcEndpointId`, where the call came by one.
    #[serde(default, borrow, deserialize_with = "text")]
    pub vpc_endpoint_id: Text<'a>,
    /// `recipientAccountId`: in whose trail the record is.
    #[serde(default, borrow, deserialize_with = "text")]
    pub recipient_account_id: Text<'a>,
    /// `sessionCredentialFromConsole`: `true` where a console session made the call.
    #[serde(default, borrow, deserialize_with = "text")]
    pub session_credential_from_console: Text<'a>,
    /// `userIdentity`.
    #[serde(default, borrow, deserialize_with = "lenient")]
    pub user_identity: Identity<'a>,
    /// `requestParameters`, unread: each API has its own.
    #[serde(default, borrow, deserialize_with = "raw")]
    pub request_parameters: Option<&'a RawValue>,
    /// `responseElements`, unread; null where the call only reads, or was denied.
    #[serde(default, borrow, deserialize_with = "raw")]
    pub response_elements: Option<&'a RawValue>,
}

/// Who called, by `userIdentity`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity<'a> {
    /// `type`: `IAMUser`, `AssumedRole`, `Root`, `FederatedUser`, `AWSService`, `AWSAccount`, …
    #[serde(default, borrow, deserialize_with = "text", rename = "type")]
    pub kind: Text<'a>,
    /// `principalId`: `AIDA…` of a user, `AROA…:SESSION` of a role's session.
    #[serde(default, borrow, deserialize_with = "text")]
    pub principal_id: Text<'a>,
    /// `arn`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub arn: Text<'a>,
    /// `accountId`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub account_id: Text<'a>,
    /// `accessKeyId`, with which the call was signed.
    #[serde(default, borrow, deserialize_with = "text")]
    pub access_key_id: Text<'a>,
    /// `userName`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub user_name: Text<'a>,
    /// `identityProvider`, of sessions that began with SAML or a web identity.
    #[serde(default, borrow, deserialize_with = "text")]
    pub identity_provider: Text<'a>,
    /// `invokedBy`: the service that made the call.
    #[serde(default, borrow, deserialize_with = "text")]
    pub invoked_by: Text<'a>,
    /// `sessionContext`; temporary credentials only.
    #[serde(default, borrow, deserialize_with = "lenient")]
    pub session_context: Session<'a>,
    /// `inScopeOf`: the Lambda function or ECS task that the credentials were issued to.
    #[serde(default, borrow, deserialize_with = "lenient")]
    pub in_scope_of: Scope<'a>,
}

/// `sessionContext`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session<'a> {
    /// `sessionIssuer`: the role, or the user, that the session is of.
    #[serde(default, borrow, deserialize_with = "lenient")]
    pub session_issuer: Issuer<'a>,
    /// `attributes`.
    #[serde(default, borrow, deserialize_with = "lenient")]
    pub attributes: Attributes<'a>,
    /// `webIdFederationData`.
    #[serde(default, borrow, deserialize_with = "lenient")]
    pub web_id_federation_data: Federation<'a>,
    /// `sourceIdentity`, which stays through role chaining.
    #[serde(default, borrow, deserialize_with = "text")]
    pub source_identity: Text<'a>,
    /// `ec2RoleDelivery`: `1.0` or `2.0`, the version of IMDS that delivered the credentials.
    #[serde(default, borrow, deserialize_with = "text")]
    pub ec2_role_delivery: Text<'a>,
    /// `ec2IssuedInVpc`: the VPC that they were delivered in.
    #[serde(default, borrow, deserialize_with = "text")]
    pub ec2_issued_in_vpc: Text<'a>,
}

/// `sessionIssuer`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issuer<'a> {
    /// `type`: `Role`, `IAMUser`, `Root`, `FederatedUser`.
    #[serde(default, borrow, deserialize_with = "text", rename = "type")]
    pub kind: Text<'a>,
    /// `arn`: a role's, with its path.
    #[serde(default, borrow, deserialize_with = "text")]
    pub arn: Text<'a>,
    /// `userName`: a role's name.
    #[serde(default, borrow, deserialize_with = "text")]
    pub user_name: Text<'a>,
}

/// `attributes` of a session.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attributes<'a> {
    /// `creationDate`: when the credentials were issued.
    #[serde(default, borrow, deserialize_with = "text")]
    pub creation_date: Text<'a>,
    /// `mfaAuthenticated`: `true` or `false`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub mfa_authenticated: Text<'a>,
}

/// `webIdFederationData`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Federation<'a> {
    /// `federatedProvider`: the provider's name or ARN.
    #[serde(default, borrow, deserialize_with = "text")]
    pub federated_provider: Text<'a>,
}

/// `inScopeOf`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope<'a> {
    /// `issuerType`, as `AWS::Lambda::Function`.
    #[serde(default, borrow, deserialize_with = "text")]
    pub issuer_type: Text<'a>,
    /// `credentialsIssuedTo`: its ARN.
    #[serde(default, borrow, deserialize_with = "text")]
    pub credentials_issued_to: Text<'a>,
}

impl Event<'_> {
    /// When it was.
    pub fn time(&self) -> Option<Timestamp> {
        self.event_time.as_deref()?.parse().ok()
    }

    /// The key that signed it.
    pub fn key(&self) -> Option<&str> {
        let key = self.user_identity.access_key_id.as_deref()?;
        is_key(key).then_some(key)
    }

    /// The service that was called, as `sts`.
    pub fn service(&self) -> Option<&str> {
        let source = self.event_source.as_deref()?;
        Some(source.strip_suffix(".amazonaws.com").unwrap_or(source))
    }

    /// Whether it failed for want of permission (CloudTrail spells it in several ways).
    pub fn is_denied(&self) -> bool {
        self.error_code.as_deref().is_some_and(|code| {
            code.contains("AccessDenied")
                || code.contains("Unauthorized")
                || code == "Forbidden"
                || code == "AuthorizationError"
        })
    }

    /// Whether a service made the call, for itself or on somebody's behalf.
    pub fn is_by_service(&self) -> bool {
        self.user_identity.invoked_by.is_some()
            || self.user_identity.kind.as_deref() == Some("AWSService")
            || self.source_ip_address.as_deref() == Some("AWS Internal")
    }

    /// Whether its version is one whose meaning is known: 1.x. Others are read, and counted.
    pub fn is_of_known_version(&self) -> bool {
        let version = self.event_version.as_deref().unwrap_or_default();
        version.strip_prefix("1.").is_some_and(|minor| {
            !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit())
        })
    }
}

impl Identity<'_> {
    /// The name of the role's session: an instance's id where EC2 delivered the credentials.
    pub fn session_name(&self) -> Option<&str> {
        let (_, name) = self.principal_id.as_deref()?.split_once(':')?;
        Some(name)
    }

    /// The instance that the credentials were delivered to. Who assumes a role may name the session
    /// as an instance, so a record that says by which IMDS they were delivered is worth more.
    pub fn instance(&self) -> Option<&str> {
        let name = self.session_name()?;
        let issuer = self.session_context.session_issuer.kind.as_deref();
        (is_instance(name) && issuer.is_none_or(|kind| kind == "Role")).then_some(name)
    }
}

/// Whether `text` looks like an access key's id (IAM User Guide, "IAM identifiers": `AKIA…` are
/// long-lived, `ASIA…` temporary).
pub fn is_key(text: &str) -> bool {
    (16..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.get(2..4) == Some("IA")
}

/// Whether `text` looks like an instance's id.
pub fn is_instance(text: &str) -> bool {
    text.strip_prefix("i-")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Something that is made of events, in any order, by several threads.
///
/// The same events give the same whole, however they were shared out and in whatever order they
/// came.
pub trait Fold: Sized {
    /// Takes one event in.
    fn event(&mut self, event: &Event<'_>);

    /// Takes in what another one was made of.
    fn merge(&mut self, other: Self);
}
