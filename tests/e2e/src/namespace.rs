//! Networks that lead nowhere else: here the metadata service's own address may be asked, because
//! somebody else has it.
//!
//! A [`Namespace`] lasts as long as the process that holds it, which ends with the test. Processes run in
//! it as root; where the test is not root, in a user namespace that has the users of this machine.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::ChildStdin;

use crate::process::{Launch, Running};
use crate::tools::Tools;

/// What to do where none can be made.
const HELP: &str = "run this as root, or have unshare and newuidmap (Debian: apt-get install util-linux \
    uidmap), lines for this user in /etc/subuid and /etc/subgid, and unprivileged user namespaces";

/// A network namespace, empty but for its loopback.
#[derive(Debug)]
pub struct Namespace {
    tools: Tools,
    holder: Running,
    /// The holder ends when this does, so also when the test is killed.
    _stdin: ChildStdin,
    /// How another process gets in.
    entry: Vec<String>,
}

/// Over which protocol the metadata service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The metadata service's address, as in a URL.
    pub fn imds(self) -> &'static str {
        match self {
            Self::V4 => "169.254.169.254",
            Self::V6 => "[fd00:ec2::254]",
        }
    }
}

impl Namespace {
    /// A new one. Its loopback is up, and nothing else is there.
    pub async fn new(tools: &Tools) -> Result<Self> {
        let mut unshare = vec!["--net"];
        let mut nsenter = vec!["--net"];
        if !rustix::process::geteuid().is_root() {
            unshare.extend(["--user", "--map-root-user", "--map-auto"]);
            nsenter.push("--user");
        }
        let holder = tools.system("cat", "coreutils")?;
        let holder = holder.by("unshare", unshare.into_iter().chain(["--"]));
        Self::held_by(tools, holder, &nsenter).await
    }

    /// A new one that has the metadata service's addresses, for whoever is to answer there.
    pub async fn with_imds_addresses(tools: &Tools) -> Result<Self> {
        let namespace = Self::new(tools).await?;
        for address in ["169.254.169.254/32", "fd00:ec2::254/128"] {
            // Nobody else has it: usable at once.
            let words = format!("address add {address} dev lo nodad");
            namespace.ip(&words).await?;
        }
        Ok(namespace)
    }

    /// Another one that can be wired to this one.
    pub async fn beside(&self) -> Result<Self> {
        let holder = self.tools.system("cat", "coreutils")?;
        let holder = self.inside(holder.by("unshare", ["--net", "--"]));
        let user = self.entry.iter().any(|part| part == "--user");
        let nsenter = if user {
            &["--net", "--user"][..]
        } else {
            &["--net"]
        };
        Self::held_by(&self.tools, holder, nsenter).await
    }

    async fn held_by(tools: &Tools, holder: Launch, nsenter: &[&str]) -> Result<Self> {
        let mut holder = holder.spawn()?;
        // cat gives it back: so it is cat by now, and where it should be.
        let (mut stdin, stdout) = holder.pipes()?;
        let mut line = String::new();
        if stdin.write_all(b"here\n").await.is_ok() {
            BufReader::new(stdout).read_line(&mut line).await.ok();
        }
        ensure!(
            line == "here\n",
            "cannot make a network namespace: {}; {HELP}",
            holder.complaint()
        );
        let mut entry = vec!["--target".to_owned(), holder.id()?.to_string()];
        entry.extend(nsenter.iter().map(|&part| part.to_owned()));
        entry.push("--".to_owned());
        let namespace = Self {
            tools: tools.clone(),
            holder,
            _stdin: stdin,
            entry,
        };
        namespace.ip("link set lo up").await?;
        Ok(namespace)
    }

    /// A program in this network, which finds no metadata service by itself.
    #[must_use]
    pub fn inside(&self, launch: Launch) -> Launch {
        launch.by("nsenter", &self.entry)
    }

    /// A program in this network, which finds the metadata service where every program looks for it.
    /// Fails if anything could leave.
    pub async fn client(&self, launch: Launch, family: Family) -> Result<Launch> {
        for family in ["-4", "-6"] {
            let routes = self.ip(&format!("{family} route show default")).await?;
            ensure!(
                routes.is_empty(),
                "there is a way out of the namespace: {routes}"
            );
        }
        Ok(self.inside(launch).imds_at_its_usual_address(family))
    }

    /// What `ip` prints, told what to do in words.
    pub async fn ip(&self, words: &str) -> Result<String> {
        let ip = self.tools.system("ip", "iproute2")?.args(words.split(' '));
        let done = self.inside(ip).finish().await?.success();
        done.with_context(|| format!("ip {words}"))
    }

    /// Sets a setting of the kernel's network, such as `ipv4/ip_forward`.
    pub async fn set(&self, setting: &str, value: &str) -> Result<()> {
        let tee = self.tools.system("tee", "coreutils")?;
        let tee = tee.arg(format!("/proc/sys/net/{setting}")).stdin(value);
        self.inside(tee).finish().await?.success().map(drop)
    }

    /// Lays a wire to another one: an interface here, and its far end `eth0` there. Both are up.
    pub async fn wire(&self, interface: &str, to: &Self) -> Result<()> {
        let far = to.holder.id()?;
        self.ip(&format!(
            "link add {interface} type veth peer name eth0 netns {far}"
        ))
        .await?;
        self.ip(&format!("link set {interface} up")).await?;
        to.ip("link set eth0 up").await.map(drop)
    }
}
