//! A host as production has it: a metadata service, and `credpin-proxy`, the binary, in front.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result};
use credpin_mock_imds::{Host, MockImds, State};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{process::Running, tools::Tools};

/// The host. Dropped, its processes end.
#[derive(Debug)]
pub struct GuardedHost {
    imds: MockImds,
    proxy: Proxy,
}

/// The proxy, before any metadata service. Dropped, it ends.
#[derive(Debug)]
pub struct Proxy {
    process: Running,
    address: SocketAddr,
    folder: TempDir,
}

impl GuardedHost {
    /// Starts it; its proxy ships its records to `store` (`file:///…`).
    pub async fn start(tools: &Tools, host: Host, store: &str) -> Result<Self> {
        let imds = MockImds::builder().host(host).start().await?;
        let (upstream, flags) = (imds.endpoint(), ["--records", store]);
        let proxy = Proxy::start(tools, &upstream, "127.0.0.1:0", &flags).await?;
        Ok(Self { imds, proxy })
    }

    /// Starts a proxy before this metadata service; it listens at this address.
    pub async fn before(tools: &Tools, imds: MockImds, listen: &str) -> Result<Self> {
        let proxy = Proxy::start(tools, &imds.endpoint(), listen, &[]).await?;
        Ok(Self { imds, proxy })
    }

    /// What clients on the host are told: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.proxy.address)
    }

    /// The proxy.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The metadata service behind the proxy.
    pub fn imds(&self) -> Arc<State> {
        self.imds.handle()
    }

    /// Where the metadata service itself is, for a client that goes around the proxy.
    pub fn imds_address(&self) -> SocketAddr {
        self.imds.addr()
    }

    /// The access key ids of the credentials that are on record, oldest first.
    pub fn recorded(&self) -> Result<Vec<String>> {
        let records = credpin_ledger::scan(&self.folder().join("ledger"))?;
        Ok(records
            .into_iter()
            .map(|record| record.access_key_id)
            .collect())
    }

    /// Where the proxy keeps its ledger.
    pub fn folder(&self) -> &Path {
        self.proxy.folder.path()
    }

    /// Stops the proxy as systemd does, so that it ships what it has.
    pub async fn stop(&mut self) -> Result<()> {
        let status = self.proxy.process.terminate().await?;
        anyhow::ensure!(
            status.success(),
            "the proxy ended with {status}: {}",
            self.proxy.process.complaint()
        );
        Ok(())
    }
}

impl Proxy {
    /// Starts one before this metadata service, with these flags; it listens at this address.
    pub async fn start(
        tools: &Tools,
        upstream: &str,
        listen: &str,
        flags: &[&str],
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut process = tools
            .binary("credpin-proxy")?
            .args(["run", "--listen", listen, "--upstream", upstream])
            .arg("--ledger")
            .arg(folder.path().join("ledger"))
            .args(flags)
            // A change upstream is noticed soon, and nothing is left on this machine.
            .env("CREDPIN_PROXY_CACHE_RECHECK", "1s")
            .env("CREDPIN_PROXY_SESSION_KEY", "off")
            .spawn()?;
        let (_, stdout) = process.pipes()?;
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready).await?;
        let address = ready
            .split_once("ready on ")
            .and_then(|(_, rest)| rest.split_once(','))
            .and_then(|(address, _)| address.parse().ok())
            .with_context(|| process.complaint())?;
        Ok(Self {
            process,
            address,
            folder,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
