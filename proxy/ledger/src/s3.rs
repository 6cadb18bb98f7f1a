//! Record stores in S3: the client, whose credentials it signs with, and under whose name it writes.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use object_store::aws::{AmazonS3Builder, AwsAuthorizer};
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, CredentialProvider, ObjectStore, RetryConfig};

pub use object_store::aws::AwsCredential;

use crate::store::Naming;
use crate::store_answer::code_of;
use crate::{Access, Bucket, Endpoint, StoreError, Sts, UserId, WhoError};

/// The credentials of an AWS session, asked for anew with each request that is signed, so that they
/// live no longer than that.
#[derive(Clone)]
pub struct Credentials(Arc<Ask>);

type Ask = dyn Fn() -> Asked + Send + Sync;
type Asked = BoxFuture<'static, Result<AwsCredential, BoxError>>;
type Opened = (Arc<dyn ObjectStore>, Option<Arc<dyn Naming>>);
type BoxError = Box<dyn Error + Send + Sync>;

/// A host may write under its `aws:userid`, which only STS tells.
#[derive(Debug)]
struct Who {
    client: HttpClient,
    sts: String,
    region: String,
    credentials: Credentials,
    /// The last answer, and the access key id that it was about: a host's role can be exchanged.
    known: Mutex<Option<(String, UserId)>>,
}

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

    async fn ask(&self) -> Result<AwsCredential, BoxError> {
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
    // reqwest takes the process's TLS provider; an error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
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
            region,
        } => {
            let region = region_of(bucket, region)?;
            let who = Who::new(bucket, region, credentials).map_err(failed)?;
            let signing = Arc::new(credentials.clone());
            (explicit(bucket, region).with_credentials(signing), who)
        }
    };
    let client = builder.build().map_err(failed)?;
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

fn options(endpoint: Option<&Endpoint>) -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout(ANSWER)
        .with_allow_http(endpoint.is_some_and(Endpoint::is_http))
}

/// AWS General Reference, "AWS service endpoints": China's have a suffix of their own.
fn dns_suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

impl Who {
    fn new(
        bucket: &Bucket,
        region: &str,
        credentials: &Credentials,
    ) -> object_store::Result<Option<Self>> {
        let (sts, endpoint) = match &bucket.sts {
            Sts::Off => return Ok(None),
            Sts::Aws => (format!("https://sts.{region}.{}", dns_suffix(region)), None),
            Sts::At(endpoint) => (endpoint.as_str().to_owned(), Some(endpoint)),
        };
        Ok(Some(Self {
            client: ReqwestConnector::default().connect(&options(endpoint))?,
            sts,
            region: region.to_owned(),
            credentials: credentials.clone(),
            known: Mutex::default(),
        }))
    }

    /// `aws:userid` of the credentials that this host has now.
    async fn current(&self) -> Result<UserId, WhoError> {
        let credential = self
            .credentials
            .ask()
            .await
            .map_err(WhoError::Credentials)?;
        // No panic can leave it half changed, so a poisoned lock is as good as any.
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((key_id, user)) = &*known()
            && *key_id == credential.key_id
        {
            return Ok(user.clone());
        }
        let user = self.ask(&credential).await?;
        *known() = Some((credential.key_id, user.clone()));
        Ok(user)
    }

    /// STS API Reference, `GetCallerIdentity`: needs no permission, and no policy can deny it.
    async fn ask(&self, credential: &AwsCredential) -> Result<UserId, WhoError> {
        let sts = || self.sts.clone();
        let failed = |source| WhoError::Unreachable { sts: sts(), source };
        let body = "Action=GetCallerIdentity&Version=2011-06-15".to_owned();
        let mut request = http::Request::post(format!("{}/", self.sts))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(HttpRequestBody::from(body))
            .map_err(|error| failed(error.into()))?;
        AwsAuthorizer::new(credential, "sts", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| failed(error.into()))?;
        let answered = async {
            let response = self.client.execute(request).await?;
            let status = response.status();
            Ok::<_, object_store::client::HttpError>((status, response.into_body().bytes().await?))
        };
        let (status, body) = answered.await.map_err(|error| failed(error.into()))?;
        let text = String::from_utf8_lossy(&body);
        if !status.is_success() {
            return Err(WhoError::Refused {
                sts: sts(),
                status: status.as_u16(),
                code: code_of(&text).unwrap_or_default().to_owned(),
            });
        }
        match user_id(&text) {
            Some(user @ UserId::Session { .. }) => Ok(user),
            _ => Err(WhoError::NotAnInstance { sts: sts() }),
        }
    }
}

impl Naming for Who {
    fn user(&self) -> BoxFuture<'_, Result<UserId, WhoError>> {
        Box::pin(self.current())
    }
}

fn user_id(body: &str) -> Option<UserId> {
    let (_, rest) = body.split_once("<UserId>")?;
    let (user, _) = rest.split_once("</UserId>")?;
    user.parse().ok()
}
