//! A host and what is around it, each in a network of its own:
//!
//! ```text
//!     container --- bridge7 -+
//!                            host --- metadata (169.254.169.254, fd00:ec2::254)
//!     stranger ----- veth-s -+
//! ```
//!
//! The host's proxy is the real one, run as its own user; what answers at `metadata` is the mock. The
//! stranger is a machine on the host's network that sends its packets by way of the host.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use credpin_e2e::namespace::{Family, Namespace};
use credpin_e2e::process::{Finished, Launch, Running};
use credpin_e2e::tools::Tools;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

const ROLE: &str = "/latest/meta-data/iam/security-credentials/example-role";
/// The proxy's user: one that every machine has.
pub(crate) const PROXY: &str = "nobody";

pub(crate) struct World {
    pub(crate) tools: Tools,
    pub(crate) host: Namespace,
    pub(crate) container: Namespace,
    pub(crate) stranger: Namespace,
    _metadata: Namespace,
    _imds: Running,
    folder: TempDir,
    proxy: Option<Running>,
}

/// Who answered a request for a credential without a session, which the proxy never gives out and
/// the mock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The proxy: it refused.
    Proxy,
    /// The metadata service itself: it gave the credential.
    Metadata,
    /// The kernel: it refused the connection at once.
    Refused,
    /// Nobody.
    Nobody,
}

impl World {
    /// All but the redirect, with a proxy that runs.
    pub(crate) async fn build() -> Result<Self> {
        let tools = Tools::find()?;
        let host = Namespace::new(&tools).await?;
        let (container, stranger, metadata) = (
            host.beside().await?,
            host.beside().await?,
            host.beside().await?,
        );
        host.ip("link add bridge7 type bridge").await?;
        host.ip("link set bridge7 up").await?;
        host.wire("veth-c", &container).await?;
        host.ip("link set veth-c master bridge7").await?;
        host.wire("veth-s", &stranger).await?;
        host.wire("veth-m", &metadata).await?;
        for (interface, far, net) in [
            ("bridge7", &container, 0),
            ("veth-s", &stranger, 1),
            ("veth-m", &metadata, 2),
        ] {
            host.ip(&format!("address add 10.9.{net}.1/24 dev {interface}"))
                .await?;
            host.ip(&format!(
                "address add fd99:{net}::1/64 dev {interface} nodad"
            ))
            .await?;
            far.ip(&format!("address add 10.9.{net}.2/24 dev eth0"))
                .await?;
            far.ip(&format!("address add fd99:{net}::2/64 dev eth0 nodad"))
                .await?;
        }
        metadata
            .ip("address add 169.254.169.254/32 dev eth0")
            .await?;
        metadata
            .ip("address add fd00:ec2::254/128 dev eth0 nodad")
            .await?;
        for (from, way) in [(&host, "2"), (&container, "0"), (&stranger, "1")] {
            // The host sends straight to it, the others by way of the host.
            let last = if way == "2" { 2 } else { 1 };
            from.ip(&format!("route add 169.254.169.254 via 10.9.{way}.{last}"))
                .await?;
            from.ip(&format!("route add fd00:ec2::254 via fd99:{way}::{last}"))
                .await?;
        }
        for net in [0, 1] {
            metadata
                .ip(&format!("route add 10.9.{net}.0/24 via 10.9.2.1"))
                .await?;
            metadata
                .ip(&format!("route add fd99:{net}::/64 via fd99:2::1"))
                .await?;
        }
        host.set("ipv4/ip_forward", "1").await?;
        host.set("ipv6/conf/all/forwarding", "1").await?;

        let imds = tools
            .binary("credpin-mock-imds")?
            .args(["--hostname", "::", "--port", "80"]);
        let mut imds = metadata.inside(imds).spawn()?;
        first_line(&mut imds).await?;
        let folder = TempDir::new()?;
        let mut world = Self {
            tools,
            host,
            container,
            stranger,
            _metadata: metadata,
            _imds: imds,
            folder,
            proxy: None,
        };
        world.configure("block", PROXY)?;
        world.make_ledger().await?;
        world.start_proxy().await?;
        Ok(world)
    }

    /// Writes the config file, with these two settings.
    pub(crate) fn configure(&self, on_proxy_down: &str, proxy_user: &str) -> Result<()> {
        self.write_config(on_proxy_down, proxy_user, 2)
    }

    /// Starts the proxy again, with this hop limit.
    pub(crate) async fn set_hop_limit(&mut self, hop_limit: u8) -> Result<()> {
        self.write_config("block", PROXY, hop_limit)?;
        self.stop_proxy().await?;
        self.start_proxy().await
    }

    fn write_config(&self, on_proxy_down: &str, proxy_user: &str, hop_limit: u8) -> Result<()> {
        let ledger = self.folder.path().join("ledger");
        let text = format!(
            "listen = [\"[::]:9337\"]\nledger = \"{}\"\nsession-key = \"off\"\nhop-limit = {hop_limit}\n\
             on-proxy-down = \"{on_proxy_down}\"\nproxy-user = \"{proxy_user}\"\n",
            ledger.display()
        );
        Ok(fs::write(self.folder.path().join("proxy.toml"), text)?)
    }

    /// The same settings, with this one more.
    pub(crate) fn set_proxy_cgroup(&self, name: &str) -> Result<()> {
        let file = self.folder.path().join("proxy.toml");
        let text = fs::read_to_string(&file)?;
        Ok(fs::write(
            file,
            format!("{text}proxy-cgroup = \"{name}\"\n"),
        )?)
    }

    pub(crate) async fn start_proxy(&mut self) -> Result<()> {
        self.start(self.proxy("run")?.as_user(PROXY)).await
    }

    /// Starts the proxy again, as a process of this cgroup.
    pub(crate) async fn restart_proxy_in(&mut self, cgroup: &Path) -> Result<()> {
        self.stop_proxy().await?;
        self.start(self.proxy("run")?.as_user(PROXY).in_cgroup(cgroup))
            .await
    }

    /// The same, so that it sees who is behind a bridge.
    pub(crate) async fn restart_proxy_seeing(&mut self) -> Result<()> {
        self.stop_proxy().await?;
        let proxy = self.proxy("run")?;
        self.start(proxy.as_user_who_sees_processes(PROXY)).await
    }

    async fn start(&mut self, proxy: Launch) -> Result<()> {
        let mut proxy = self.host.inside(proxy).spawn()?;
        first_line(&mut proxy).await?;
        self.proxy = Some(proxy);
        Ok(())
    }

    pub(crate) async fn stop_proxy(&mut self) -> Result<()> {
        let mut proxy = self.proxy.take().context("the proxy does not run")?;
        let status = proxy.terminate().await?;
        ensure!(status.success(), "{status}: {}", proxy.complaint());
        Ok(())
    }

    /// `credpin-proxy redirect` with these words, as root on the host.
    pub(crate) async fn redirect(&self, words: &str) -> Result<Finished> {
        let mut launch = self.tools.binary("credpin-proxy")?.arg("redirect");
        launch = launch.args(words.split(' '));
        if words != "remove" {
            launch = launch
                .arg("--config")
                .arg(self.folder.path().join("proxy.toml"));
        }
        self.host.inside(launch).finish().await
    }

    /// The same, which must be well, and prints nothing but what it logs, returned.
    pub(crate) async fn redirected(&self, words: &str) -> Result<String> {
        let done = self.redirect(words).await?;
        let said = done.stderr.clone();
        ensure!(done.success()?.is_empty());
        Ok(said)
    }

    /// `nft` with these words on the host.
    pub(crate) async fn nft(&self, words: &str) -> Result<String> {
        let nft = self.tools.system("nft", "nftables")?.args(words.split(' '));
        self.host.inside(nft).finish().await?.success()
    }

    /// Asks the metadata service for a credential without a session, with curl.
    pub(crate) async fn ask(&self, from: &Namespace, family: Family) -> Result<Answered> {
        self.ask_at(from, family, family.imds()).await
    }

    /// The same, as the proxy's user, in this cgroup if it is one.
    pub(crate) async fn ask_as_proxy(
        &self,
        cgroup: Option<&Path>,
        family: Family,
    ) -> Result<Answered> {
        let mut curl = self.curl(family.imds())?.as_user(PROXY);
        if let Some(cgroup) = cgroup {
            curl = curl.in_cgroup(cgroup);
        }
        answered(self.host.client(curl, family).await?).await
    }

    /// The same, sent to somebody else by a client that says it is for the metadata service.
    pub(crate) async fn ask_at(
        &self,
        from: &Namespace,
        family: Family,
        authority: &str,
    ) -> Result<Answered> {
        let forged = format!("Host: {}", family.imds());
        let curl = self.curl(authority)?.args(["-H", &forged]);
        answered(from.client(curl, family).await?).await
    }

    /// The id of the credential that boto3's default chain finds.
    pub(crate) async fn take(&self, from: &Namespace, family: Family) -> Result<String> {
        let client = self.tools.python("client.py")?.arg("--take");
        let taken = from
            .client(client, family)
            .await?
            .finish()
            .await?
            .success()?;
        let taken: Value = serde_json::from_str(&taken)?;
        let id = taken["access_key_id"].as_str();
        id.map(str::to_owned).with_context(|| taken.to_string())
    }

    /// What the host's ledger says.
    pub(crate) async fn ledger(&self) -> Result<Value> {
        let ledger = self.proxy("ledger")?.arg("--json");
        let listed = self
            .host
            .inside(ledger.as_user(PROXY))
            .finish()
            .await?
            .success()?;
        Ok(serde_json::from_str(&listed)?)
    }

    fn proxy(&self, command: &str) -> Result<Launch> {
        let proxy = self
            .tools
            .binary("credpin-proxy")?
            .args([command, "--config"]);
        Ok(proxy.arg(self.folder.path().join("proxy.toml")))
    }

    /// The status that who asks for a session gets, with curl.
    pub(crate) async fn session(&self, from: &Namespace, family: Family) -> Result<String> {
        let curl = self.tools.system("curl", "curl")?;
        let options = ["-q", "-g", "-s", "-o", "/dev/null", "-w", "%{http_code}"];
        let put = [
            "-X",
            "PUT",
            "-H",
            "X-aws-ec2-metadata-token-ttl-seconds: 60",
        ];
        let url = format!("http://{}/latest/api/token", family.imds());
        let curl = curl.args(options).args(put).args(["--max-time", "20"]);
        let asked = from.client(curl.arg(url), family).await?;
        asked.finish().await?.success()
    }

    fn curl(&self, authority: &str) -> Result<Launch> {
        let curl = self.tools.system("curl", "curl")?;
        let options = [
            "-q",
            "-g",
            "-s",
            "-S",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
        ];
        let patience = ["--connect-timeout", "2", "--max-time", "20"];
        let url = format!("http://{authority}{ROLE}");
        Ok(curl.args(options).args(patience).arg(url))
    }

    async fn make_ledger(&self) -> Result<()> {
        let install = self.tools.system("install", "coreutils")?;
        let install = install.args(["-d", "-m", "700", "-o", PROXY]);
        let install = install.arg(self.folder.path().join("ledger"));
        self.host
            .inside(install)
            .finish()
            .await?
            .success()
            .map(drop)
    }
}

async fn answered(curl: Launch) -> Result<Answered> {
    let done = curl.finish().await?;
    match (done.status.code(), &*done.stdout) {
        (Some(0), "200") => Ok(Answered::Metadata),
        (Some(0), "401") => Ok(Answered::Proxy),
        // CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT.
        (Some(7), _) => Ok(Answered::Refused),
        (Some(28), _) => Ok(Answered::Nobody),
        _ => anyhow::bail!("{done:?}"),
    }
}

async fn first_line(running: &mut Running) -> Result<()> {
    let (_, stdout) = running.pipes()?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    ensure!(line.contains("ready on"), "{}", running.complaint());
    Ok(())
}
