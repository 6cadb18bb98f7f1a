//! Record stores in S3: the client, and whose credentials it signs with.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, CredentialProvider, ObjectStore, RetryConfig};

pub use object_store::aws::AwsCredential;

use crate::client::Connector;
use crate::store::Naming;
use crate::sts::Who;
use crate::{Access, Bucket, Endpoint, StoreError};

/// The credentials of an AWS session, asked for anew with each request that is signed, so that they
/// live no longer than that.
#[derive(Clone)]
pub struct Credentials(Arc<Ask>);

type Ask = dyn Fn() -> Asked + Send + Sync;
type Asked = BoxFuture<'static, Result<AwsCredential, BoxError>>;
type Opened = (Arc<dyn ObjectStore>, Option<Arc<dyn Naming>>);
type BoxError = Box<dyn Error + Send + Sync>;

/// A segment is small and a round is tried again: nothing is gained by waiting long.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);
const RETRIES: usize = 2;
const RETRY: Duration = Duration::from_secs(10);

impl Credentials {
    /// Those that `ask` gives.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<AwsCredential, BoxError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    pub(crate) async fn ask(&self) -> Result<AwsCredential, BoxError> {
        (self.0)().await
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AwsCredential>>>
    where
        'a: 'b,
        Self: 'b,
    {
        let failed = |source| object_store::Error::Generic {
            store: "the host's credentials",
            source,
        };
        Box::pin(async move { self.ask().await.map(Arc::new).map_err(failed) })
    }
}

/// A client of `bucket`, and who says under which name to write there. Sends nothing.
pub(crate) fn open(bucket: &Bucket, access: &Access) -> Result<Opened, StoreError> {
    let failed = |source: object_store::Error| StoreError::S3 {
        bucket: bucket.name.clone(),
        source: source.into(),
    };
    let (builder, who) = match access {
        Access::Variables(variables) => (with_variables(bucket, variables), None),
        Access::Nobody { region } => {
            let region = region_of(bucket, region)?;
            (explicit(bucket, region).with_skip_signature(true), None)
        }
        Access::Host {
            credentials,
            region: home,
        } => {
            let region = region_of(bucket, home)?;
            // Of the STS of two regions the host's own is the one that it can reach from inside its VPC.
            let home = if home.is_empty() { region } else { home };
            let who = Who::new(bucket, home, credentials).map_err(failed)?;
            let signing = Arc::new(credentials.clone());
            (explicit(bucket, region).with_credentials(signing), who)
        }
    };
    let client = builder
        .with_http_connector(Connector)
        .build()
        .map_err(failed)?;
    let prefix = Path::from(bucket.prefix.as_str());
    let naming = who.map(|who| Arc::new(who) as Arc<dyn Naming>);
    Ok((Arc::new(PrefixStore::new(client, prefix)), naming))
}

/// As S3 clients do, which take what the variables do not say from the container or the instance.
fn with_variables(bucket: &Bucket, variables: &[(String, String)]) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in variables {
        if let Ok(key) = name.to_ascii_lowercase().parse()
            && name.starts_with("AWS_")
        {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(region) = &bucket.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder
            .with_endpoint(endpoint.as_str())
            .with_allow_http(endpoint.is_http());
    }
    builder.with_bucket_name(&bucket.name)
}

/// Nothing of it comes from anywhere but here.
fn explicit(bucket: &Bucket, region: &str) -> AmazonS3Builder {
    let Bucket { name, endpoint, .. } = bucket;
    let suffix = dns_suffix(region);
    // A certificate for *.s3.… has no room for a dot. At another endpoint a name of the bucket's own
    // need not exist.
    let (url, in_host) = match endpoint {
        Some(endpoint) => (endpoint.as_str().to_owned(), false),
        None if name.contains('.') => (format!("https://s3.{region}.{suffix}"), false),
        None => (format!("https://{name}.s3.{region}.{suffix}"), true),
    };
    AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_region(region)
        .with_endpoint(url)
        .with_virtual_hosted_style_request(in_host)
        .with_client_options(options(endpoint.as_ref()))
        .with_retry(RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY,
            ..RetryConfig::default()
        })
}

fn region_of<'a>(bucket: &'a Bucket, host: &'a str) -> Result<&'a str, StoreError> {
    match &bucket.region {
        Some(region) => Ok(region),
        None if !host.is_empty() => Ok(host),
        None => Err(StoreError::NoRegion {
            bucket: bucket.name.clone(),
        }),
    }
}

pub(crate) fn options(endpoint: Option<&Endpoint>) -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout(ANSWER)
        .with_allow_http(endpoint.is_some_and(Endpoint::is_http))
}

/// What the names of AWS's endpoints end with in a region (botocore, `partitions.json`).
pub(crate) fn dns_suffix(region: &str) -> &'static str {
    let of = |prefix| region.starts_with(prefix);
    match region {
        _ if of("cn-") => "amazonaws.com.cn",
        _ if of("eusc-") => "amazonaws.eu",
        _ if of("us-iso-") => "c2s.ic.gov",
        _ if of("us-isob-") => "sc2s.sgov.gov",
        _ if of("us-isof-") => "csp.hci.ic.gov",
        _ if of("eu-isoe-") => "cloud.adc-e.uk",
        _ => "amazonaws.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_asks_the_sts_of_its_own_region_wherever_the_bucket_is() {
        let asked = |url: &str, home: &str| {
            let credentials = Credentials::new(|| async { Err("none".into()) });
            let access = Access::Host {
                credentials,
                region: home.into(),
            };
            let crate::StoreUrl::S3(bucket) = url.parse().unwrap() else {
                panic!("{url}");
            };
            let (_, naming) = open(&bucket, &access).unwrap();
            naming.map(|naming| format!("{naming:?}"))
        };
        for (url, home, says) in [
            (
                "s3://bucket",
                "eu-west-1",
                "https://sts.eu-west-1.amazonaws.com\"",
            ),
            (
                "s3://bucket?region=us-east-1",
                "eu-west-1",
                "https://sts.eu-west-1.amazonaws.com\"",
            ),
            (
                "s3://bucket?region=us-east-1",
                "",
                "https://sts.us-east-1.amazonaws.com\"",
            ),
            (
                "s3://bucket",
                "cn-north-1",
                "https://sts.cn-north-1.amazonaws.com.cn\"",
            ),
            (
                "s3://bucket",
                "eusc-de-east-1",
                "https://sts.eusc-de-east-1.amazonaws.eu\"",
            ),
        ] {
            let asked = asked(url, home).unwrap();
            assert!(asked.contains(says), "{url} from {home}: {asked}");
        }
        assert!(asked("s3://bucket?sts=off", "eu-west-1").is_none());
    }
}
