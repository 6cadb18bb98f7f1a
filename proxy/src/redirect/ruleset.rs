//! The text of the redirect's rules, made of the settings and nothing else.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::cgroup::Cgroup;
use crate::config::{Config, OnProxyDown};

/// Where the metadata service is (Amazon EC2 User Guide, "Access instance metadata for an EC2
/// instance"): over IPv4, and on Nitro instances over IPv6.
const IMDS_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const IMDS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// There must be a table before one can be deleted; so this takes it away whether it is there or not.
pub(super) const REMOVAL: &str = "table inet credpin\ndelete table inet credpin\n";

/// An empty chain, which a table has while the proxy is down: who looks sees it, and so do we.
const DOWN: &str = "proxy_is_down";

/// What becomes of requests for the metadata service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They go through the proxy.
    Through,
    /// The proxy is down and stays so.
    Down(OnProxyDown),
}

/// What a table is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// The proxy's, and where its processes are if that is to be looked at: who passes.
    user: String,
    cgroup: Option<Cgroup>,
    /// Where requests of the host's own processes go, by the address that they were for. For which
    /// there is none they are refused.
    own: Vec<(IpAddr, u16)>,
    /// The same, of containers behind a bridge.
    bridged: Vec<(IpAddr, u16)>,
    ports: BTreeSet<u16>,
}

/// The settings allow for no redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesetError {
    /// A port that is another one at each start.
    #[error("`listen` names port 0, a new one at each start: the redirect takes one that stays")]
    NoPort,
    /// The host's own processes could not be served.
    #[error(
        "`listen` names no address that this host's own processes can be sent to: \
         name 127.0.0.1, [::1], 0.0.0.0 or [::]"
    )]
    NoLoopback,
}

impl Mode {
    /// All there are.
    pub const ALL: [Self; 3] = [
        Self::Through,
        Self::Down(OnProxyDown::Block),
        Self::Down(OnProxyDown::Bypass),
    ];
}

impl Ruleset {
    /// The rules for a proxy with this config.
    pub fn of(config: &Config) -> Result<Self, RulesetError> {
        let listen = &config.listen;
        let ports: BTreeSet<u16> = listen.iter().map(SocketAddr::port).collect();
        if ports.contains(&0) {
            return Err(RulesetError::NoPort);
        }
        let rules = Self {
            user: config.proxy_user.clone(),
            cgroup: None,
            own: ways(listen, takes_own),
            bridged: ways(listen, takes_bridged),
            ports,
        };
        if rules.own.is_empty() {
            return Err(RulesetError::NoLoopback);
        }
        Ok(rules)
    }

    /// The same, but only the processes of `cgroup` pass.
    #[must_use]
    pub fn within(self, cgroup: Cgroup) -> Self {
        let cgroup = Some(cgroup);
        Self { cgroup, ..self }
    }

    /// Whom they let through.
    pub fn passes(&self) -> Passes<'_> {
        Passes(self)
    }

    /// What `nft -f` takes: one transaction that replaces whatever table of ours there is.
    pub fn text(&self, mode: Mode) -> String {
        let mut chains = match mode {
            Mode::Through => self.through(),
            Mode::Down(_) => vec![Chain::plain(format!("{mode}."), DOWN, vec![])],
        };
        if mode != Mode::Down(OnProxyDown::Bypass) {
            chains.extend(self.nobody_past());
        }
        chains.extend(self.port());
        let chains: Vec<_> = chains.iter().map(Chain::to_string).collect();
        let chains = chains.join("\n");
        format!("{REMOVAL}\ntable inet credpin {{\n{chains}}}\n")
    }

    fn through(&self) -> Vec<Chain> {
        let mut own = vec![self.pass()];
        own.extend(redirects("", &self.own));
        let mut chains = vec![Chain::at(
            "type nat hook output priority -100",
            "This host's own processes, those in containers with the host's network included. The\n\
             proxy itself is the only one who passes.",
            "own",
            own,
        )];
        if !self.bridged.is_empty() {
            chains.push(Chain::at(
                "type nat hook prerouting priority -100",
                "Containers behind a bridge: docker0, podman0, cni0 and their like, whatever their names.\n\
                 They arrive at the bridge's own address.",
                "bridged",
                redirects("meta iifkind \"bridge\" ", &self.bridged),
            ));
        }
        chains
    }

    /// What the chains before sent elsewhere no longer has these addresses.
    fn nobody_past(&self) -> [Chain; 2] {
        let is = |how| format!("meta skuid {how}\"{}\" ", self.user);
        let mut past_own = refusals(&is("!= "));
        if self.cgroup.is_some() {
            // Not by "!=", which is true of nobody who is less deep in the tree.
            past_own.push(self.pass());
            past_own.extend(refusals(&is("")));
        }
        [
            Chain::at(
                "type filter hook output priority 0",
                "Whoever is still on the way to the metadata service, on an older connection too, and is\n\
                 not the proxy, is refused.",
                "past_own",
                past_own,
            ),
            Chain::at(
                "type filter hook forward priority 0",
                "The same for those whose packets this host passes on: a container, a pod behind a bare\n\
                 veth, a virtual machine.",
                "past_passing",
                refusals(""),
            ),
        ]
    }

    fn pass(&self) -> String {
        let cgroup = self.cgroup.as_ref();
        let cgroup = cgroup.map_or(String::new(), |cgroup| format!("{cgroup} "));
        format!("meta skuid \"{}\" {cgroup}accept", self.user)
    }

    fn port(&self) -> [Chain; 2] {
        let ports: Vec<_> = self.ports.iter().map(u16::to_string).collect();
        let ports = ports.join(", ");
        let redirected = IMDS.map(|imds| format!("ct status dnat ct original {} accept", to(imds)));
        let rest = "drop".to_owned();
        [
            Chain::at(
                "type filter hook input priority 0",
                "The proxy's port is open to this host, and to who was redirected to it: not to the\n\
                 network, where a forged Host header would make any machine look like a client of ours.",
                "port",
                vec![format!(
                    "tcp dport {{ {ports} }} iif != \"lo\" jump from_elsewhere"
                )],
            ),
            Chain::plain(
                "Those who come to it from elsewhere.".to_owned(),
                "from_elsewhere",
                redirected.into_iter().chain([rest]).collect(),
            ),
        ]
    }
}

/// A chain of the table, with what people should know of it.
struct Chain {
    comment: String,
    name: &'static str,
    /// A hook's type and priority, or a rule.
    lines: Vec<String>,
}

impl Chain {
    /// One that the kernel has packets go through.
    fn at(hook: &str, comment: &str, name: &'static str, rules: Vec<String>) -> Self {
        let hook = format!("{hook}; policy accept;");
        let lines = [hook].into_iter().chain(rules).collect();
        Self::plain(comment.to_owned(), name, lines)
    }

    fn plain(comment: String, name: &'static str, lines: Vec<String>) -> Self {
        Self {
            comment,
            name,
            lines,
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.comment.lines() {
            writeln!(f, "\t# {line}")?;
        }
        writeln!(f, "\tchain {} {{", self.name)?;
        for line in &self.lines {
            writeln!(f, "\t\t{line}")?;
        }
        writeln!(f, "\t}}")
    }
}

const IMDS: [IpAddr; 2] = [IpAddr::V4(IMDS_V4), IpAddr::V6(IMDS_V6)];

/// Whether a loaded table, as nft lists it, is that of a proxy that is down.
pub(super) fn is_down(table: &str) -> bool {
    let down = format!("chain {DOWN} {{");
    table.lines().any(|line| line.trim() == down)
}

/// For each address of the metadata service the first socket that takes what is sent its way.
fn ways(listen: &[SocketAddr], takes: fn(IpAddr, IpAddr) -> bool) -> Vec<(IpAddr, u16)> {
    let way = |imds: &IpAddr| {
        let socket = listen.iter().find(|socket| takes(socket.ip(), *imds))?;
        Some((*imds, socket.port()))
    };
    IMDS.iter().filter_map(way).collect()
}

/// What is redirected on its way out arrives at the loopback's own address.
fn takes_own(listening: IpAddr, imds: IpAddr) -> bool {
    let loopback = match imds {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    listening.to_canonical() == loopback || takes_any(listening, imds)
}

/// What is redirected on its way in arrives at the first address of the interface it came by, and
/// which one that is only the host's network knows.
fn takes_bridged(listening: IpAddr, imds: IpAddr) -> bool {
    let listening = listening.to_canonical();
    let one = listening.is_ipv4() == imds.is_ipv4() && !listening.is_loopback();
    one && !listening.is_unspecified() || takes_any(listening, imds)
}

/// `[::]` takes IPv4 as well, as sockets do by default (`net.ipv6.bindv6only`).
fn takes_any(listening: IpAddr, imds: IpAddr) -> bool {
    listening.is_unspecified() && (listening.is_ipv6() || imds.is_ipv4())
}

fn redirects(who: &str, ways: &[(IpAddr, u16)]) -> Vec<String> {
    let line = |(imds, port): &(IpAddr, u16)| {
        format!("{who}{} tcp dport 80 redirect to :{port}", to(*imds))
    };
    ways.iter().map(line).collect()
}

fn refusals(who: &str) -> Vec<String> {
    IMDS.map(|imds| format!("{who}{} tcp dport 80 reject with tcp reset", to(imds)))
        .into()
}

fn to(imds: IpAddr) -> String {
    let family = if imds.is_ipv4() { "ip" } else { "ip6" };
    format!("{family} daddr {imds}")
}

/// Whom a [`Ruleset`] lets through, in words.
#[derive(Clone, Copy, Debug)]
pub struct Passes<'a>(&'a Ruleset);

impl fmt::Display for Passes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ruleset { user, cgroup, .. } = self.0;
        if cgroup.is_some() {
            write!(
                f,
                "only user {user} passes it, and only in the cgroup `proxy-cgroup`"
            )
        } else {
            write!(
                f,
                "whoever is user {user} passes it, and so does root in a container of the host's network \
                 who takes that user's id"
            )
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Through => "requests for the metadata service go through the proxy",
            Self::Down(OnProxyDown::Block) => {
                "requests for the metadata service are refused (on-proxy-down = \"block\")"
            }
            Self::Down(OnProxyDown::Bypass) => {
                "everybody reaches the metadata service past the proxy, unguarded and unrecorded \
                 (on-proxy-down = \"bypass\")"
            }
        })
    }
}

#[cfg(test)]
mod tests;
