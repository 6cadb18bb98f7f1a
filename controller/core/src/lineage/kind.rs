//! How a key was made, by the call that made it or else by how it was used.

use jiff::{SignedDuration, Timestamp};

use super::{Ends, Seen};
use crate::cloudtrail::How;

/// A role's session lasts twelve hours at the most (IAM User Guide, "Update the maximum session
/// duration for a role"), one of `GetSessionToken` and `GetFederationToken` 36.
pub(crate) const LONGEST_ROLE_SESSION: SignedDuration = SignedDuration::from_hours(12);
const LONGEST_SESSION: SignedDuration = SignedDuration::from_hours(36);

impl Seen {
    /// How `key` was made.
    pub(super) fn how(&self, key: &str) -> How {
        let role = self.who.role.as_deref().unwrap_or_default();
        let is = |kind: &str| self.who.kind.as_deref() == Some(kind);
        match &self.born {
            Some(born) if born.how != How::Service => born.how,
            _ if key.starts_with("AKIA") => How::LongLived,
            _ if self.hints.console => How::Console,
            _ if self.hints.lambda => How::Lambda,
            _ if self.hints.ecs => How::Ecs,
            _ if self.hints.eks => How::Eks,
            _ if self.hints.web_identity => How::WebIdentity,
            _ if self.hints.ec2 => How::Ec2,
            Some(born) => born.how,
            _ if role.contains(":role/aws-reserved/sso.amazonaws.com/") => How::IdentityCenter,
            _ if is("FederatedUser") => How::FederationToken,
            _ if is("IAMUser") && self.hints.mfa => How::SessionTokenWithMfa,
            _ if is("IAMUser") => How::SessionToken,
            _ if is("AssumedRole") => How::AssumeRole,
            _ => How::Unknown,
        }
    }

    /// When `key` ends, as far as the trail tells.
    pub(super) fn ends(&self, key: &str, how: How) -> Ends {
        if how == How::LongLived || key.starts_with("AKIA") {
            return Ends::Never;
        }
        if let Some(at) = self.born.as_ref().and_then(|born| born.expires) {
            return Ends::At(at);
        }
        let longest = match how {
            How::SessionToken | How::SessionTokenWithMfa | How::FederationToken | How::Unknown => {
                LONGEST_SESSION
            }
            _ => LONGEST_ROLE_SESSION,
        };
        let begun = self.created.or_else(|| self.born.as_ref()?.at);
        match begun.and_then(|begun: Timestamp| begun.checked_add(longest).ok()) {
            Some(at) => Ends::AtTheLatest(at),
            None => Ends::Unknown,
        }
    }
}
