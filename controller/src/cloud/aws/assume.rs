//! Another account: its role assumed, its calls counted and slowed down apart from those of others.

use std::time::SystemTime;

use aws_credential_types::provider::{error::CredentialsError, future};
use aws_sdk_sts::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use credpin_core::id::AccountId;

use super::{Aws, Counter, OpenError, iam, why};
use crate::account::Account;

/// What sessions of the controller are called in the accounts that it works on; CloudTrail shows it.
const SESSION: &str = "credpin";

impl Aws {
    /// The account `account`, come by with the credentials of this one. Whether they lead there is asked
    /// first: to plan for one account and write to another must not happen.
    ///
    /// The role is assumed for an hour, and anew when that is over.
    pub async fn in_account(&self, account: &Account) -> Result<Self, OpenError> {
        let mut config = self.config.clone();
        let mut role = None;
        let counter = Counter::default();
        if let Some(named) = &account.role {
            let region = config.region().map(AsRef::as_ref).unwrap_or_default();
            let arn = named.arn(&account.id, partition(region));
            let assumed = Assumed {
                sts: Self::sts(&config, Some(&account.id), &counter),
                role: arn.clone(),
                external_id: account.external_id.clone(),
            };
            let provider = SharedCredentialsProvider::new(assumed);
            config = config.into_builder().credentials_provider(provider).build();
            role = Some(arn);
        }
        let regions = account.regions.clone();
        let regions = regions.unwrap_or_else(|| self.regions.clone());
        let aws = Self::with(config, regions, Some(account.id.clone()), counter);
        let caller = iam::caller(&aws.sts).await;
        let caller = caller.map_err(|why| match role {
            Some(role) => OpenError::NotAssumed { role, why },
            None => OpenError::NobodyKnown(why),
        })?;
        if caller.account == account.id.as_str() {
            Ok(aws)
        } else {
            Err(OpenError::Elsewhere {
                wanted: account.id.clone(),
                found: caller.account,
            })
        }
    }
}

/// A role that is assumed, and anew when that is over: who asks keeps the answer. The SDK's own way to it
/// takes no interceptor, and its calls would not be counted.
#[derive(Debug)]
struct Assumed {
    /// With the credentials that the role is assumed with.
    sts: aws_sdk_sts::Client,
    role: String,
    external_id: Option<String>,
}

impl Assumed {
    async fn assume(&self) -> Result<Credentials, CredentialsError> {
        let call = self.sts.assume_role().role_arn(&self.role);
        let call = call
            .role_session_name(SESSION)
            .set_external_id(self.external_id.clone());
        let answer = call.send().await;
        let answer = answer.map_err(|error| CredentialsError::provider_error(why(&error)))?;
        let nothing = || CredentialsError::unhandled("STS answers without credentials");
        let credentials = answer.credentials.ok_or_else(nothing)?;
        let until = SystemTime::try_from(credentials.expiration);
        Ok(Credentials::new(
            credentials.access_key_id,
            credentials.secret_access_key,
            Some(credentials.session_token),
            Some(until.map_err(CredentialsError::unhandled)?),
            "credpin",
        ))
    }
}

impl ProvideCredentials for Assumed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

/// The partition that a region is of (AWS General Reference, "Amazon Resource Names").
fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// What calls are slowed down together when AWS throttles one: by default all of a process, by service and
/// region. AWS throttles by account, and what one does must not slow down another.
pub(super) fn throttled_together(
    service: &str,
    place: &str,
    account: Option<&AccountId>,
) -> String {
    let account = account.map(AccountId::as_str).unwrap_or_default();
    format!("{service} {place} {account}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_of_the_partition_of_the_region_that_is_asked_in() {
        for (region, found) in [
            ("eu-west-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
        ] {
            assert_eq!(partition(region), found);
        }
    }
}
