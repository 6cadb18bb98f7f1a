//! AWS itself. The only module that names an AWS SDK crate.
//!
//! Configured as every AWS tool is, by environment and profile, `AWS_ENDPOINT_URL*` included. Every
//! list is read page by page to its end; a page that fails leaves what was seen and a gap. Calls are
//! retried in the SDK's adaptive mode, which slows down when AWS says so, and every attempt is
//! counted where it leaves.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_iam::{
    config::retry::RetryPartition,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use credpin_core::{
    estate::Gap,
    id::{AccountId, RegionName},
};
use futures::future::join_all;
use thiserror::Error;
use tracing::warn;

use super::{
    Calls, Observation, Observe,
    shapes::{Answer, ec2 as shape},
};
use crate::config::Regions;

/// Reads every page of a call, in the order that AWS gives them: `Ok` once there are no more.
macro_rules! pages {
    ($call:expr, |$page:ident| $take:expr) => {{
        let mut pages = $call.into_paginator().send();
        loop {
            match pages.next().await {
                None => break Ok(()),
                Some(Ok($page)) => $take,
                Some(Err(error)) => break Err(crate::cloud::aws::why(&error)),
            }
        }
    }};
}

mod assume;
mod contain;
mod count;
mod ec2;
mod iam;
mod organization;
mod write;

use assume::throttled_together;
use count::Counter;

/// The most that EC2 and IAM give at once.
const PAGE: i32 = 1000;
/// Attempts a call, before it counts as failed.
const ATTEMPTS: u32 = 6;

/// An account of AWS.
#[derive(Clone, Debug)]
pub struct Aws {
    /// Where it is one of several.
    account: Option<AccountId>,
    regions: Regions,
    config: SdkConfig,
    counter: Counter,
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
}

/// What is missing to begin.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Nobody named a region to ask IAM and STS in.
    #[error("no region to begin with: set AWS_REGION to any region of your partition")]
    NoRegion,
    /// The account's role cannot be had.
    #[error(
        "cannot act as {role}: {why}; the role must be there, its trust policy must name who runs credpin \
         (with `external-id`, where it asks for one), and who runs credpin must be allowed sts:AssumeRole"
    )]
    NotAssumed {
        /// Its ARN.
        role: String,
        /// What STS says.
        why: String,
    },
    /// There are no credentials, or they are no good.
    #[error("cannot tell whose credentials there are: {0}")]
    NobodyKnown(String),
    /// The credentials are another account's.
    #[error(
        "the credentials are those of account {found}, not {wanted}: name a `role` to be assumed in \
         [[account]], or run credpin in that account"
    )]
    Elsewhere {
        /// The account that was meant.
        wanted: AccountId,
        /// The account that they are of.
        found: String,
    },
}

/// Adaptive: throttled once, the client sends slower by itself, since IAM's rates cannot be raised.
fn retries() -> RetryConfig {
    RetryConfig::adaptive().with_max_attempts(ATTEMPTS)
}

impl Aws {
    /// The account that the environment gives credentials for.
    pub async fn open(regions: Regions) -> Result<Self, OpenError> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_mins(1))
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .retry_config(retries())
            .timeout_config(timeouts)
            .load()
            .await;
        // IAM and STS are asked in some region too: which one a partition's endpoint needs follows
        // from the first that is looked at.
        let config = match &regions {
            Regions::Only(names) if config.region().is_none() => {
                let first = names.first().ok_or(OpenError::NoRegion)?.to_string();
                config
                    .into_builder()
                    .region(aws_config::Region::new(first))
                    .build()
            }
            Regions::All if config.region().is_none() => return Err(OpenError::NoRegion),
            _ => config,
        };
        Ok(Self::with(config, regions, None, Counter::default()))
    }

    fn with(
        config: SdkConfig,
        regions: Regions,
        account: Option<AccountId>,
        counter: Counter,
    ) -> Self {
        let together = |service| throttled_together(service, "", account.as_ref());
        let iam = aws_sdk_iam::config::Builder::from(&config)
            .retry_partition(RetryPartition::new(together("iam")))
            .interceptor(counter.clone())
            .build();
        Self {
            regions,
            iam: aws_sdk_iam::Client::from_conf(iam),
            sts: Self::sts(&config, account.as_ref(), &counter),
            account,
            config,
            counter,
        }
    }

    fn sts(
        config: &SdkConfig,
        account: Option<&AccountId>,
        counter: &Counter,
    ) -> aws_sdk_sts::Client {
        let together = throttled_together("sts", "", account);
        let config = aws_sdk_sts::config::Builder::from(config)
            .retry_partition(RetryPartition::new(together))
            .interceptor(counter.clone());
        aws_sdk_sts::Client::from_conf(config.build())
    }

    fn ec2(&self, region: Option<&RegionName>) -> aws_sdk_ec2::Client {
        let place = region.map(RegionName::as_str).unwrap_or_default();
        let together = throttled_together("ec2", place, self.account.as_ref());
        let mut config = aws_sdk_ec2::config::Builder::from(&self.config)
            .retry_partition(RetryPartition::new(together))
            .interceptor(self.counter.clone());
        if let Some(region) = region {
            config = config.region(aws_config::Region::new(region.to_string()));
        }
        aws_sdk_ec2::Client::from_conf(config.build())
    }

    async fn region_names(&self) -> Result<Vec<RegionName>, Gap> {
        match &self.regions {
            Regions::Only(names) => {
                self.warn_of_regions_beside(names).await;
                Ok(names.clone())
            }
            Regions::All => ec2::enabled_regions(&self.ec2(None))
                .await
                .map_err(|why| gap(None, "DescribeRegions", why)),
        }
    }

    /// Says which enabled regions are left out. That this cannot be told holds nothing up.
    async fn warn_of_regions_beside(&self, looked_at: &[RegionName]) {
        match ec2::enabled_regions(&self.ec2(None)).await {
            Ok(enabled) => {
                let others: Vec<&str> = enabled
                    .iter()
                    .filter(|name| !looked_at.contains(name))
                    .map(RegionName::as_str)
                    .collect();
                if !others.is_empty() {
                    warn!(
                        "enabled and not looked at: {}; hosts there would be locked out by their role's pin",
                        others.join(", ")
                    );
                }
            }
            Err(why) => {
                warn!("which enabled regions are not looked at is unknown: DescribeRegions: {why}");
            }
        }
    }

    async fn region(&self, name: &RegionName) -> (shape::Region, Vec<Gap>) {
        let (region, failed) = ec2::region(&self.ec2(Some(name))).await;
        let gaps = failed
            .into_iter()
            .map(|(call, why)| gap(Some(name), call, why))
            .collect();
        (region, gaps)
    }
}

impl Observe for Aws {
    async fn observe(&self) -> Observation {
        let regions = async {
            let names = self.region_names().await?;
            let seen = join_all(names.iter().map(|name| self.region(name))).await;
            Ok::<_, Gap>(names.into_iter().zip(seen).collect::<Vec<_>>())
        };
        let (mut seen, regions) = tokio::join!(self.observe_iam(), regions);
        match regions {
            Ok(regions) => {
                for (name, (region, gaps)) in regions {
                    seen.regions.insert(name, region);
                    seen.gaps.extend(gaps);
                }
            }
            Err(gap) => {
                seen.gaps.insert(gap);
            }
        }
        seen
    }

    async fn observe_iam(&self) -> Observation {
        let (iam, failed) = iam::view(&self.iam, &self.sts).await;
        Observation {
            iam,
            gaps: failed
                .into_iter()
                .map(|(call, why)| gap(None, call, why))
                .collect(),
            ..Observation::default()
        }
    }

    fn calls(&self) -> Calls {
        self.counter.calls()
    }
}

/// A call that failed, with the reason.
type Failed = (&'static str, String);

/// Keeps the failure of the call that `A` answers.
fn note<A: Answer>(result: Result<(), String>, failed: &mut Vec<Failed>) {
    if let Err(why) = result {
        failed.push((A::CALL, why));
    }
}

fn gap(region: Option<&RegionName>, call: &str, why: String) -> Gap {
    Gap {
        region: region.cloned(),
        what: call.to_owned(),
        why,
    }
}

/// What went wrong, in a line: AWS's own code and message where it answered at all.
fn why<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let text = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(error).to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use aws_config::retry::RetryMode;

    use super::*;

    #[test]
    fn calls_are_retried_in_adaptive_mode() {
        assert_eq!(retries().mode(), RetryMode::Adaptive);
        assert_eq!(retries().max_attempts(), ATTEMPTS);
    }
}
