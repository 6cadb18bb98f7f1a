//! The clients that can be told where the metadata service is, all asked in one way.

use anyhow::{Context, Result};
use credpin_e2e::credentials::Credentials;
use credpin_e2e::gate::presigned_by;
use credpin_e2e::guarded::GuardedHost;
use credpin_e2e::imds_client::{Found, ImdsClient};
use credpin_e2e::process::Launch;
use credpin_e2e::tools::Tools;
use serde_json::Value;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Boto3,
    AwsCli,
    Javascript,
    AwsConfig,
    ObjectStore,
    Curl,
}

/// One on a host.
pub(crate) enum Started<'a> {
    /// Keeps running, as a server does.
    Stays(Box<ImdsClient>),
    /// Runs once for each command, as a script does.
    EachTime(Client, &'a Tools, &'a GuardedHost),
}

impl Client {
    pub(crate) fn start<'a>(self, tools: &'a Tools, host: &'a GuardedHost) -> Result<Started<'a>> {
        let launch = match self {
            Self::Boto3 => tools.boto3()?,
            Self::Javascript => tools.javascript()?,
            Self::AwsConfig => tools.rust_sdk()?,
            Self::ObjectStore => tools.object_store()?,
            Self::AwsCli | Self::Curl => return Ok(Started::EachTime(self, tools, host)),
        };
        let client = ImdsClient::start(launch.imds(&host.endpoint()))?;
        Ok(Started::Stays(Box::new(client)))
    }

    /// Whether it tells the region of the metadata service.
    pub(crate) fn tells_region(self) -> bool {
        !matches!(self, Self::AwsCli | Self::Javascript | Self::ObjectStore)
    }
}

impl Started<'_> {
    /// Has it look for credentials, afresh.
    pub(crate) async fn look(&self) -> Result<Found> {
        match self {
            Self::Stays(client) => client.look().await,
            Self::EachTime(Client::AwsCli, tools, host) => aws_cli(tools, host).await,
            Self::EachTime(_, tools, host) => curl(tools, host).await,
        }
    }
}

/// The CLI tells its credentials to nobody: what it presigns shows the key and the token, and that it
/// has the secret too.
async fn aws_cli(tools: &Tools, host: &GuardedHost) -> Result<Found> {
    let presign = tools.aws()?.args(["s3", "presign", "s3://bucket/object"]);
    // In older regions the CLI still presigns with signature version 2.
    let presign = presign.region("eu-south-2").imds(&host.endpoint());
    let url = presign.finish().await?.success()?;
    let issued = host.imds().issued();
    let mut issued = issued.iter().map(Credentials::from);
    let credentials = issued.find(|one| presigned_by(url.trim(), one).is_ok_and(|by| by));
    Ok(Found {
        credentials: credentials.context("signed with what was never issued")?,
        region: None,
    })
}

/// What the EC2 User Guide tells people to type.
async fn curl(tools: &Tools, host: &GuardedHost) -> Result<Found> {
    let latest = format!("{}/latest", host.endpoint());
    let curl = |arguments: &[&str], path: &str| -> Result<Launch> {
        let curl = tools.system("curl", "curl")?;
        let curl = curl.args(["-q", "-g", "-s", "-S", "-f"]).args(arguments);
        Ok(curl.arg(format!("{latest}/{path}")).imds(&host.endpoint()))
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
