//! Programs that read the metadata service: nobody's own, as people use them.
//!
//! Each runs for as long as its test, is asked for a credential and looks for one each time, which
//! renews what it had. One that says so tells the region too, which is read from the metadata service:
//!
//! ```text
//!   in:  {"id": 1}
//!   out: {"id": 1, "credentials": {"access_key_id": …, "secret_access_key": …, "token": …}, "region": …}
//!        {"id": 1, "error": …}
//! ```

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::credentials::Credentials;
use crate::peer::Peer;
use crate::process::Launch;
use crate::tools::Tools;

/// A client that keeps running.
#[derive(Debug)]
pub struct ImdsClient(Peer);

/// What a client found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The role's credentials.
    pub credentials: Credentials,
    /// The region, from those that read it.
    pub region: Option<String>,
}

#[derive(Serialize)]
struct Question {}

#[derive(Deserialize)]
struct Answer {
    credentials: Option<Credentials>,
    region: Option<String>,
    error: Option<String>,
}

impl ImdsClient {
    /// Starts one that was told where the metadata service is.
    pub fn start(launch: Launch) -> Result<Self> {
        Peer::start(launch).map(Self)
    }

    /// Has it look.
    pub async fn look(&self) -> Result<Found> {
        let answer: Answer = self.0.ask(&Question {}).await?;
        if let Some(error) = answer.error {
            bail!("the client failed: {error}");
        }
        Ok(Found {
            credentials: answer.credentials.context("no credentials")?,
            region: answer.region,
        })
    }
}

/// The clients, as programs about to start.
impl Tools {
    /// boto3.
    pub fn boto3(&self) -> Result<Launch> {
        self.python("imds_boto3.py")
    }

    /// The AWS SDK for JavaScript.
    pub fn javascript(&self) -> Result<Launch> {
        self.node("imds.mjs")
    }

    /// The AWS SDK for Rust.
    pub fn rust_sdk(&self) -> Result<Launch> {
        self.example("client-aws-config")
    }

    /// The `object_store` crate.
    pub fn object_store(&self) -> Result<Launch> {
        self.example("client-object-store")
    }

    /// The `ec2-metadata` package, which knows the real address only.
    pub fn ec2_metadata(&self) -> Result<Launch> {
        self.python("imds_ec2_metadata.py")
    }
}
