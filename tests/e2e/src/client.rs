//! A real client, honest or a thief: boto3, told nothing but where it stands and where AWS is.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::credentials::Credentials;
use crate::process::Launch;
use crate::tools::Tools;

/// boto3 at a position. Each call is a process of its own, as a script on the host would be.
#[derive(Clone, Debug)]
pub struct Client {
    tools: Tools,
    source: Ipv4Addr,
    endpoint: Option<String>,
    imds: Option<String>,
    region: String,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The call's result.
    Done(Value),
    /// An AWS error answer, or boto3's own exception where there was no answer (then without a status).
    Failed {
        /// Such as `AccessDenied`.
        code: String,
        /// The message for people.
        message: String,
        /// The HTTP status.
        status: Option<u16>,
    },
}

#[derive(Deserialize)]
struct Said {
    ok: bool,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    status: Option<u16>,
    #[serde(flatten)]
    more: Value,
}

impl Client {
    /// A client that connects from a loopback address, which stands for a position (see
    /// [`Gate::place`](crate::gate::Gate::place)).
    pub fn at(tools: &Tools, source: Ipv4Addr) -> Self {
        Self {
            tools: tools.clone(),
            source,
            endpoint: None,
            imds: None,
            region: "eu-west-1".into(),
        }
    }

    /// Where it sends AWS API calls: a door of the gate.
    #[must_use]
    pub fn through(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// The metadata service of the host it runs on. A client without one has no credentials of its own.
    #[must_use]
    pub fn on_host(mut self, imds: impl Into<String>) -> Self {
        self.imds = Some(imds.into());
        self
    }

    /// The region it signs for (eu-west-1 if not said).
    #[must_use]
    pub fn in_region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// What the default credential chain finds: on a host, the role's credentials. This is the theft.
    pub async fn take(&self) -> Result<Credentials> {
        match self.run(self.launch()?.arg("--take")).await? {
            Said { ok: true, more, .. } => Ok(serde_json::from_value(more)?),
            Said { code, message, .. } => bail!("no credentials to take: {code}: {message}"),
        }
    }

    /// Makes a call, such as `"dynamodb", "list_tables", {}`, with the default credential chain.
    pub async fn call(&self, service: &str, call: &str, params: &Value) -> Result<Outcome> {
        let launch = self.launch()?.args([service, call, &params.to_string()]);
        Ok(self.run(launch).await?.into())
    }

    /// Makes a call with these credentials and no others.
    pub async fn call_with(
        &self,
        credentials: &Credentials,
        service: &str,
        call: &str,
        params: &Value,
    ) -> Result<Outcome> {
        let launch = self
            .launch()?
            .args(["--use", service, call, &params.to_string()])
            .stdin(serde_json::to_vec(credentials)?);
        Ok(self.run(launch).await?.into())
    }

    /// Presigns a call with these credentials, for somebody else to make by opening the URL.
    pub async fn presign(
        &self,
        credentials: &Credentials,
        service: &str,
        call: &str,
        params: &Value,
    ) -> Result<String> {
        let launch = self
            .launch()?
            .args(["--use", "--sign", service, call, &params.to_string()])
            .stdin(serde_json::to_vec(credentials)?);
        let said = self.run(launch).await?;
        let url = said.more["url"].as_str();
        Ok(url.context("client.py printed no URL")?.to_owned())
    }

    /// Opens a URL, with no credentials.
    pub async fn open(&self, url: &str) -> Result<Outcome> {
        Ok(self.run(self.launch()?.args(["--open", url])).await?.into())
    }

    fn launch(&self) -> Result<Launch> {
        let mut launch = self
            .tools
            .python("client.py")?
            .source(self.source)
            .region(&self.region);
        if let Some(endpoint) = &self.endpoint {
            launch = launch.endpoint(endpoint);
        }
        if let Some(imds) = &self.imds {
            launch = launch.imds(imds);
        }
        Ok(launch)
    }

    async fn run(&self, launch: Launch) -> Result<Said> {
        let printed = launch.finish().await?.success()?;
        serde_json::from_str(&printed).context("client.py printed something else")
    }
}

impl Outcome {
    /// Whether the call went through.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// The error's code, if it failed.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Done(_) => None,
            Self::Failed { code, .. } => Some(code),
        }
    }
}

impl From<Said> for Outcome {
    fn from(said: Said) -> Self {
        if said.ok {
            Self::Done(said.more["result"].clone())
        } else {
            Self::Failed {
                code: said.code,
                message: said.message,
                status: said.status,
            }
        }
    }
}
