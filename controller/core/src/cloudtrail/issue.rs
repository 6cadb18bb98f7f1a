//! Calls that hand out a key, and which.

use std::{borrow::Cow, fmt};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{Event, Text, is_instance, is_key, lenient::lenient, lenient::text};

/// How a key came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// `iam:CreateAccessKey`, or before the trail begins: good until it is deactivated.
    LongLived,
    /// EC2 assumed the role and delivered the key to an instance.
    Ec2,
    /// `sts:AssumeRole`.
    AssumeRole,
    /// `sts:AssumeRoleWithSAML`.
    Saml,
    /// IAM Identity Center signed somebody in to an account.
    IdentityCenter,
    /// `sts:AssumeRoleWithWebIdentity`.
    WebIdentity,
    /// `sts:GetSessionToken` with MFA.
    SessionTokenWithMfa,
    /// `sts:GetSessionToken` without.
    SessionToken,
    /// `sts:GetFederationToken`.
    FederationToken,
    /// `sts:AssumeRoot`.
    AssumeRoot,
    /// A sign-in to the console.
    Console,
    /// Lambda, for a function.
    Lambda,
    /// ECS, for a task.
    Ecs,
    /// EKS, for a pod.
    Eks,
    /// Another service, for itself.
    Service,
    /// The trail does not tell.
    Unknown,
}

/// A key that a call handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue<'a> {
    /// Its id.
    pub key: Cow<'a, str>,
    /// How.
    pub how: How,
    /// When it ends; none where the record does not tell, and for long-lived ones.
    pub expires: Option<Timestamp>,
    /// The role that was assumed, by ARN.
    pub role: Text<'a>,
    /// ARN of the session, or of the user whose key it is.
    pub session: Text<'a>,
    /// The source identity that was set, or carried on.
    pub source_identity: Text<'a>,
    /// The MFA device that was used, by serial number.
    pub mfa: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(default, borrow, deserialize_with = "text")]
    role_arn: Text<'a>,
    #[serde(default, borrow, deserialize_with = "text")]
    role_session_name: Text<'a>,
    #[serde(default, borrow, deserialize_with = "text")]
    target_principal: Text<'a>,
    #[serde(default, borrow, deserialize_with = "text")]
    source_identity: Text<'a>,
    #[serde(default, borrow, deserialize_with = "text")]
    serial_number: Text<'a>,
    #[serde(default, borrow, deserialize_with = "text")]
    duration_seconds: Text<'a>,
    #[serde(default, borrow, deserialize_with = "text", rename = "principalArn")]
    provider: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(default, borrow, deserialize_with = "lenient")]
    credentials: Credentials<'a>,
    #[serde(default, borrow, deserialize_with = "lenient")]
    access_key: Credentials<'a>,
    #[serde(default, borrow, deserialize_with = "lenient")]
    assumed_role_user: User<'a>,
    #[serde(default, borrow, deserialize_with = "lenient")]
    federated_user: User<'a>,
    #[serde(default, borrow, deserialize_with = "text")]
    source_identity: Text<'a>,
    #[serde(default, borrow, deserialize_with = "text")]
    provider: Text<'a>,
}

/// Of what a record holds of credentials, the session token is passed over.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials<'a> {
    #[serde(default, borrow, deserialize_with = "text")]
    access_key_id: Text<'a>,
    #[serde(default, borrow, deserialize_with = "text")]
    expiration: Text<'a>,
    #[serde(default, borrow, deserialize_with = "text")]
    user_name: Text<'a>,
}

#[derive(Default, Deserialize)]
struct User<'a> {
    #[serde(default, borrow, deserialize_with = "text")]
    arn: Text<'a>,
}

impl<'a> Event<'a> {
    /// The key that it handed out. Calls that were denied hand out none.
    pub fn issue(&self) -> Option<Issue<'a>> {
        let name = self.event_name.as_deref()?;
        if !matches!(
            name,
            "AssumeRole"
                | "AssumeRoleWithSAML"
                | "AssumeRoleWithWebIdentity"
                | "AssumeRoleForPodIdentity"
                | "AssumeRoot"
                | "GetSessionToken"
                | "GetFederationToken"
                | "CreateAccessKey"
        ) {
            return None;
        }
        let response: Response<'a> = serde_json::from_str(self.response_elements?.get()).ok()?;
        let request: Request<'a> = self
            .request_parameters
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        let how = self.how(name, &request, &response);
        let handed_out = if how == How::LongLived {
            response.access_key
        } else {
            response.credentials
        };
        let key = handed_out.access_key_id.filter(|key| is_key(key))?;
        let stated = handed_out.expiration.as_deref().and_then(expiration);
        let session = match how {
            How::LongLived => self.user(handed_out.user_name.as_deref()),
            _ => response
                .assumed_role_user
                .arn
                .or(response.federated_user.arn),
        };
        Some(Issue {
            key,
            how,
            expires: stated.or_else(|| self.after(request.duration_seconds.as_deref()?)),
            role: request.role_arn.or(request.target_principal),
            session,
            source_identity: response.source_identity.or(request.source_identity),
            mfa: request.serial_number,
        })
    }

    fn how(&self, name: &str, request: &Request<'_>, response: &Response<'_>) -> How {
        let by = self.user_identity.invoked_by.as_deref();
        let is_aws = self.user_identity.kind.as_deref() == Some("AWSService");
        let session = request.role_session_name.as_deref().unwrap_or_default();
        match name {
            "CreateAccessKey" => How::LongLived,
            "AssumeRole" if is_aws => match by.unwrap_or_default() {
                "ec2.amazonaws.com" if is_instance(session) => How::Ec2,
                "lambda.amazonaws.com" => How::Lambda,
                "ecs-tasks.amazonaws.com" => How::Ecs,
                "pods.eks.amazonaws.com" => How::Eks,
                _ => How::Service,
            },
            "AssumeRole" => How::AssumeRole,
            "AssumeRoleWithSAML" => {
                let provider = request.provider.as_deref().unwrap_or_default();
                if provider.contains(":saml-provider/AWSSSO_") {
                    How::IdentityCenter
                } else {
                    How::Saml
                }
            }
            "AssumeRoleWithWebIdentity" => {
                let own = self.user_identity.identity_provider.as_deref();
                let provider = own.or(response.provider.as_deref()).unwrap_or_default();
                if is_eks(provider) {
                    How::Eks
                } else {
                    How::WebIdentity
                }
            }
            "AssumeRoleForPodIdentity" => How::Eks,
            "AssumeRoot" => How::AssumeRoot,
            "GetFederationToken" => How::FederationToken,
            _ if request.serial_number.is_some() => How::SessionTokenWithMfa,
            _ => How::SessionToken,
        }
    }

    /// ARN of the user called `name`, or of the caller, of the same account.
    fn user(&self, name: Option<&str>) -> Text<'a> {
        let caller = self.user_identity.arn.as_deref().unwrap_or_default();
        let partition = caller.split(':').nth(1).unwrap_or("aws");
        let account = self.user_identity.account_id.as_deref()?;
        Some(format!("arn:{partition}:iam::{account}:user/{}", name?).into())
    }

    fn after(&self, seconds: &str) -> Option<Timestamp> {
        let duration = SignedDuration::from_secs(seconds.parse().ok()?);
        self.time()?.checked_add(duration).ok()
    }
}

/// Whether a web identity's provider is an EKS cluster's (Amazon EKS User Guide, "IAM roles for
/// service accounts": `oidc.eks.REGION.amazonaws.com/id/…`).
pub(crate) fn is_eks(provider: &str) -> bool {
    provider.contains("oidc.eks.") || provider.contains("oidc-eks.")
}

/// When credentials end, in the forms that CloudTrail has had: `Oct 2, 2019, 11:12:29 PM` (in UTC;
/// the blank before `PM` may be a narrow one), without the second comma, and RFC 3339.
fn expiration(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let plain = text.replace(['\u{202f}', '\u{a0}'], " ").replace(',', "");
    let time = DateTime::strptime("%b %d %Y %I:%M:%S %p", &plain).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            How::LongLived => "long-lived key",
            How::Ec2 => "EC2 role delivery",
            How::AssumeRole => "AssumeRole",
            How::Saml => "AssumeRoleWithSAML",
            How::IdentityCenter => "Identity Center",
            How::WebIdentity => "AssumeRoleWithWebIdentity",
            How::SessionTokenWithMfa => "GetSessionToken with MFA",
            How::SessionToken => "GetSessionToken without MFA",
            How::FederationToken => "GetFederationToken",
            How::AssumeRoot => "AssumeRoot",
            How::Console => "console",
            How::Lambda => "Lambda",
            How::Ecs => "ECS",
            How::Eks => "EKS",
            How::Service => "AWS service",
            How::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiration_is_read_in_each_form_that_cloudtrail_has_had() {
        let wanted: Timestamp = "2019-10-02T23:12:29Z".parse().unwrap();
        for text in [
            "Oct 2, 2019, 11:12:29 PM",
            "Oct 2, 2019, 11:12:29\u{202f}PM",
            "Oct 2, 2019 11:12:29 PM",
            "2019-10-02T23:12:29Z",
        ] {
            assert_eq!(expiration(text), Some(wanted), "{text}");
        }
        assert_eq!(expiration("soon"), None);
    }
}
