//! The clients that can be told where the metadata service is, all asked in one way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use credpin_mock_imds::{Schedule, State};
use serde_json::Value;

use crate::credentials::Credentials;
use crate::gate::presigned_by;
use crate::imds_client::{Found, ImdsClient};
use crate::process::Launch;
use crate::tools::Tools;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// boto3's default chain.
    Boto3,
    /// The AWS CLI's default chain.
    AwsCli,
    /// The AWS SDK for JavaScript: `@smithy/credential-provider-imds`.
    Javascript,
    /// The AWS SDK for Rust: `aws-config`'s readers of the metadata service.
    AwsConfig,
    /// `object_store`'s S3 client.
    ObjectStore,
    /// What the EC2 User Guide tells people to type.
    Curl,
}

/// One that was started.
#[derive(Debug)]
pub enum Started<'a> {
    /// Keeps running, as a server does.
    Stays(Box<ImdsClient>),
    /// Runs once for each command.
    EachTime(Script<'a>),
}

/// What runs commands.
pub struct Script<'a> {
    client: Client,
    tools: &'a Tools,
    endpoint: String,
    imds: Arc<State>,
}

impl Client {
    /// Starts it, told that the metadata service is at `endpoint`. `imds` is who answers there in the
    /// end: for a client that shows no secret, only what was issued can tell which one it has.
    pub fn start(self, tools: &Tools, endpoint: String, imds: Arc<State>) -> Result<Started<'_>> {
        let launch = match self {
            Self::Boto3 => tools.boto3()?,
            Self::Javascript => tools.javascript()?,
            Self::AwsConfig => tools.rust_sdk()?,
            Self::ObjectStore => tools.object_store()?,
            Self::AwsCli | Self::Curl => {
                return Ok(Started::EachTime(Script {
                    client: self,
                    tools,
                    endpoint,
                    imds,
                }));
            }
        };
        let client = ImdsClient::start(launch.imds(&endpoint))?;
        Ok(Started::Stays(Box::new(client)))
    }

    /// Whether it tells the region of the metadata service.
    pub fn tells_region(self) -> bool {
        !matches!(self, Self::AwsCli | Self::Javascript | Self::ObjectStore)
    }

    /// When credentials are renewed, so that it renews them within a test.
    pub fn schedule(self) -> Schedule {
        match self {
            // It renews what has less than five minutes to live, and what has more it keeps.
            Self::ObjectStore => Schedule {
                lifetime: Duration::from_mins(4),
                overlap: Duration::from_mins(1),
            },
            _ => Schedule::default(),
        }
    }
}

impl Started<'_> {
    /// Has it look for credentials, afresh.
    pub async fn look(&self) -> Result<Found> {
        match self {
            Self::Stays(client) => client.look().await,
            Self::EachTime(script) if script.client == Client::AwsCli => script.aws_cli().await,
            Self::EachTime(script) => script.curl().await,
        }
    }
}

impl Script<'_> {
    /// The CLI tells its credentials to nobody: what it presigns shows the key and the token, and that
    /// it has the secret too.
    async fn aws_cli(&self) -> Result<Found> {
        let presign = self.tools.aws()?;
        let presign = presign.args(["s3", "presign", "s3://bucket/object"]);
        // In older regions the CLI still presigns with signature version 2.
        let presign = presign.region("eu-south-2").imds(&self.endpoint);
        let url = presign.finish().await?.success()?;
        let issued = self.imds.issued();
        let mut issued = issued.iter().map(Credentials::from);
        let credentials = issued.find(|one| presigned_by(url.trim(), one).is_ok_and(|by| by));
        Ok(Found {
            credentials: credentials.context("signed with what was never issued")?,
            region: None,
        })
    }

    async fn curl(&self) -> Result<Found> {
        let latest = format!("{}/latest", self.endpoint);
        let curl = |arguments: &[&str], path: &str| -> Result<Launch> {
            let curl = self.tools.system("curl", "curl")?;
            let curl = curl.args(["-q", "-g", "-s", "-S", "-f"]).args(arguments);
            Ok(curl.arg(format!("{latest}/{path}")).imds(&self.endpoint))
        };
        let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
        let token = curl(&["-X", "PUT", "-H", ttl], "api/token")?;
        let token = token.finish().await?.success()?;
        let session = format!("X-aws-ec2-metadata-token: {token}");
        let get = async |path: &str| curl(&["-H", &session], path)?.finish().await?.success();
        let roles = "meta-data/iam/security-credentials/";
        let role = get(roles).await?;
        let found: Value = serde_json::from_str(&get(&format!("{roles}{role}")).await?)?;
        let text = |key: &str| found[key].as_str().map(str::to_owned);
        Ok(Found {
            credentials: Credentials {
                access_key_id: text("AccessKeyId").context("no key")?,
                secret_access_key: text("SecretAccessKey").context("no secret")?,
                token: text("Token"),
            },
            region: Some(get("meta-data/placement/region").await?),
        })
    }
}

impl fmt::Debug for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.client).finish()
    }
}
