//! A host as production has it: a metadata service, and `credpin-proxy`, the binary, in front.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use credpin_mock_imds::{Host, MockImds, State};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{process::Running, tools::Tools};

/// The host. Dropped, its processes end.
#[derive(Debug)]
pub struct GuardedHost {
    imds: MockImds,
    proxy: Running,
    endpoint: String,
    folder: TempDir,
}

impl GuardedHost {
    /// Starts it; its proxy ships its records to `store` (`file:///…`).
    pub async fn start(tools: &Tools, host: Host, store: &str) -> Result<Self> {
        let imds = MockImds::builder().host(host).start().await?;
        Self::before(tools, imds, "127.0.0.1:0", &["--records", store]).await
    }

    /// Starts a proxy before this metadata service, at this address and with these flags.
    pub async fn before(
        tools: &Tools,
        imds: MockImds,
        listen: &str,
        flags: &[&str],
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut proxy = tools
            .binary("credpin-proxy")?
            .args(["run", "--listen", listen, "--upstream", &imds.endpoint()])
            .arg("--ledger")
            .arg(folder.path().join("ledger"))
            .args(flags)
            // A change upstream is noticed soon, and nothing is left on this machine.
            .env("CREDPIN_PROXY_CACHE_RECHECK", "1s")
            .env("CREDPIN_PROXY_SESSION_KEY", "off")
            .spawn()?;
        let (_, stdout) = proxy.pipes()?;
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready).await?;
        let address = ready
            .split_once("ready on ")
            .and_then(|(_, rest)| rest.split_once(','))
            .map(|(address, _)| address.to_owned())
            .with_context(|| proxy.complaint())?;
        Ok(Self {
            imds,
            proxy,
            endpoint: format!("http://{address}"),
            folder,
        })
    }

    /// What clients on the host are told: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The metadata service behind the proxy.
    pub fn imds(&self) -> Arc<State> {
        self.imds.handle()
    }

    /// The access key ids of the credentials that are on record, oldest first.
    pub fn recorded(&self) -> Result<Vec<String>> {
        let records = credpin_ledger::scan(&self.folder.path().join("ledger"))?;
        Ok(records
            .into_iter()
            .map(|record| record.access_key_id)
            .collect())
    }

    /// Where the proxy keeps its ledger.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops the proxy as systemd does, so that it ships what it has.
    pub async fn stop(&mut self) -> Result<()> {
        let status = self.proxy.terminate().await?;
        anyhow::ensure!(
            status.success(),
            "the proxy ended with {status}: {}",
            self.proxy.complaint()
        );
        Ok(())
    }
}
