//! The AWS account of the tests: `moto_server`, which plays IAM, EC2 and STS on a loopback port.
//!
//! What moto 5.2 does not do as AWS does: it enforces no policy size, gives an instance profile only to
//! the first of several instances of one call, puts NAT gateways and interface endpoints at private
//! addresses outside their subnets, and hands out Elastic IPs of 127.0.0.0/8 unless asked for others.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use http_body_util::Full;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdin;

use crate::credentials::Credentials;
use crate::http::exchange;
use crate::process::{Launch, Running};
use crate::tools::Tools;

/// A running moto with an account of its own. Dropped, it ends.
#[derive(Debug)]
pub struct Moto {
    tools: Tools,
    port: u16,
    // The server lives as long as its stdin is open.
    _stdin: ChildStdin,
    _process: Running,
}

#[derive(Deserialize)]
struct Ready {
    port: u16,
}

impl Moto {
    /// Starts it, and waits until it says that it accepts connections.
    pub async fn start(tools: &Tools) -> Result<Self> {
        let mut process = tools.python("moto_server.py")?.spawn()?;
        let (stdin, stdout) = process.pipes()?;
        let mut said = String::new();
        BufReader::new(stdout)
            .read_line(&mut said)
            .await
            .context("cannot read what moto said")?;
        let Ready { port } = serde_json::from_str(&said).with_context(|| process.complaint())?;
        Ok(Self {
            tools: tools.clone(),
            port,
            _stdin: stdin,
            _process: process,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lets a program act in this account, with the account's credentials.
    pub fn admit(&self, launch: Launch) -> Launch {
        launch
            .endpoint(&self.endpoint())
            .credentials(&Credentials::of_moto())
    }

    /// The same, in the account of these credentials.
    pub fn admit_as(&self, launch: Launch, credentials: &Credentials) -> Launch {
        launch.endpoint(&self.endpoint()).credentials(credentials)
    }

    /// Empties the account.
    pub async fn reset(&self) -> Result<()> {
        self.post("/moto-api/reset", String::new()).await
    }

    /// Has it carry out state machines, which it else only keeps.
    pub async fn execute_state_machines(&self) -> Result<()> {
        let config = r#"{"stepfunctions": {"execute_state_machine": true}}"#;
        self.post("/moto-api/config", config.into()).await
    }

    async fn post(&self, path: &str, body: String) -> Result<()> {
        let request = hyper::Request::post(path)
            .header("host", "127.0.0.1")
            .header("connection", "close")
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .body(Full::from(body))?;
        let moto = SocketAddr::from(([127, 0, 0, 1], self.port));
        let status = exchange(moto, request)
            .await
            .with_context(|| format!("cannot post to {path} of moto"))?
            .status();
        ensure!(status.is_success(), "moto answered {status} to {path}");
        Ok(())
    }

    /// Writes the account as a directory cloud, with the real AWS CLI.
    pub async fn dump(&self, folder: &Path, regions: &[&str]) -> Result<()> {
        let dump = self.tools.dump_account()?.arg(folder).args(regions);
        self.admit(dump).finish().await?.success()?;
        Ok(())
    }
}
