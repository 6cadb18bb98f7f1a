//! What the proxy is told to do: file, environment and flags, read without touching the world.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use credpin_ledger::StoreUrl;

use self::value::{
    admin, age, cgroup, count, directory, duration, hops, listen, one, parse, path, store, texts,
    unless_off, user,
};
use crate::rules::Rules;
use crate::upstream::UpstreamUrl;

mod file;
pub(crate) mod itself;
mod rule;
mod value;

/// Every setting of the proxy. An empty file is a valid one: every setting has a safe default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `listen`: where clients are served. Default `127.0.0.1:9337`.
    pub listen: Vec<SocketAddr>,
    /// `upstream`: the metadata service. Default `http://169.254.169.254`.
    pub upstream: UpstreamUrl,
    /// `admin`: where `/healthz`, `/readyz` and `/metrics` are. Off by default: what is not open
    /// cannot be asked by a request that a server was tricked into.
    pub admin: Option<AdminAddress>,
    /// `ledger`: the directory of the ledger. Default `/var/lib/credpin/ledger`.
    pub ledger: PathBuf,
    /// `records`: the record store to ship to. None by default: records stay on the host.
    pub records: Option<StoreUrl>,
    /// `ship-interval`: between two shipments. Default one minute.
    pub ship_interval: Duration,
    /// `on-ledger-failure`: what to do with a credential that cannot be recorded. Default `serve`.
    pub on_ledger_failure: OnLedgerFailure,
    /// `ledger-timeout`: a write that takes longer has failed. Default five seconds.
    pub ledger_timeout: Duration,
    /// `connect-timeout`: for a connection to the metadata service. Default one second.
    pub connect_timeout: Duration,
    /// `response-timeout`: for its whole answer. Default five seconds.
    pub response_timeout: Duration,
    /// `upstream-rate`: requests a second to the metadata service, at most. Default 100, far below
    /// the 1024 packets a second that it takes from an instance.
    pub upstream_rate: usize,
    /// `upstream-connections`: to the metadata service at a time, at most. Default 16.
    pub upstream_connections: usize,
    /// `upstream-wait`: a request that has to wait longer for one of these gets 503. Default two
    /// seconds.
    pub upstream_wait: Duration,
    /// `cache-recheck`: how soon a change upstream of what is cached is noticed. Default one minute.
    pub cache_recheck: Duration,
    /// `session-key`: the file on tmpfs that holds the key of sessions, so that they stay valid when
    /// the proxy restarts. Default `/run/credpin-proxy/session.key`; `off` keeps it in memory only.
    pub session_key: Option<PathBuf>,
    /// `session-binding`: of whom else a session is worthless. Default `none`.
    pub session_binding: SessionBinding,
    /// `max-connections`: of clients; more wait. Default 1024.
    pub max_connections: usize,
    /// `consumer-connections`: of one consumer at a time; further ones are closed. Default 256.
    pub consumer_connections: usize,
    /// `hop-limit`: network hops from a consumer to this host, at most, itself counted; 1 means the
    /// host's own network namespace. Default 1.
    pub hop_limit: u8,
    /// `guard.mode`: default `enforce`.
    pub guard_mode: GuardMode,
    /// `guard.user-agents`: what `User-Agent` has to begin with, one of these. None by default: any.
    pub user_agents: Vec<String>,
    /// `launch-gate.wait`: how long the first credential of a role is held until the role's pin admits
    /// this host. Off by default. Wants `records`, where the controller says so.
    pub launch_gate_wait: Option<Duration>,
    /// `launch-gate.then`: what becomes of it when that is over. Default `serve`.
    pub launch_gate_then: AfterWait,
    /// `launch-gate.max-age`: how old what is published may be, or it is as if nothing were. Default a week.
    pub launch_gate_max_age: Option<Duration>,
    /// `drain`: how long clients on open connections are still answered once the proxy is told to
    /// stop. Default two seconds.
    pub drain: Duration,
    /// `proxy-user`: whose requests the redirect lets through. Default `credpin-proxy`.
    pub proxy_user: String,
    /// `proxy-cgroup`: the cgroup below the root of all whose processes alone the redirect lets through,
    /// where it is there when that is loaded. Default that of the shipped units' slice.
    pub proxy_cgroup: Option<String>,
    /// `on-proxy-down`: what the redirect does while the proxy stays down. Default `block`.
    pub on_proxy_down: OnProxyDown,
    /// `[[rule]]`: who may read what. None by default: everybody everything. In the file only.
    pub rules: Rules,
    /// `log-format`: default `text`.
    pub log_format: LogFormat,
    /// `log-level`: default `info`.
    pub log_level: LogLevel,
}

/// Where who watches the proxy comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// At an address and port.
    Tcp(SocketAddr),
    /// At the path of a Unix socket, written `unix:/path`.
    Unix(PathBuf),
}

/// What becomes of a credential whose record cannot be made durable (invariant 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLedgerFailure {
    /// It is served; the record is held in memory and written later, and the proxy says so loudly.
    Serve,
    /// It is refused with 503.
    Refuse,
}

/// What becomes of a role's first credential when its pin did not admit this host in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterWait {
    /// It is served, and the log says so.
    Serve,
    /// It is refused with 503 until the pin admits the host.
    Refuse,
}

/// Of whom else a session is worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionBinding {
    /// Of nobody on this host.
    None,
    /// Of another user.
    Uid,
    /// Of another container, or of who is in none.
    Container,
}

/// What the guard does with a request that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardMode {
    /// Refuses it.
    Enforce,
    /// Lets it pass and counts it, unless it can be read in two ways.
    Warn,
}

/// What the redirect does while the proxy stays down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnProxyDown {
    /// Nobody reaches the metadata service.
    Block,
    /// Everybody reaches it, unguarded and unrecorded.
    Bypass,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The least important log lines that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLevel(pub tracing::level_filters::LevelFilter);

/// One setting as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where.
    pub origin: Origin,
    /// Its key, as in the file: `ship-interval`.
    pub key: String,
    /// Its values: one, or for a list several.
    pub values: Vec<String>,
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file, at a line and column, both from 1.
    File(PathBuf, usize, usize),
    /// In a variable of the environment.
    Environment(String),
    /// As a flag, by its name without dashes.
    Flag(String),
}

/// One thing that is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub origin: Origin,
    /// The key of the setting; empty if it has none.
    pub key: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Everything that is wrong, at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

/// What every variable of the environment that is a setting begins with.
const ENVIRONMENT: &str = "CREDPIN_PROXY_";
/// Names the file and is no setting.
const CONFIG: &str = "CREDPIN_PROXY_CONFIG";

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::LOCALHOST, 9337).into()],
            upstream: UpstreamUrl::default(),
            admin: None,
            ledger: "/var/lib/credpin/ledger".into(),
            records: None,
            ship_interval: Duration::from_mins(1),
            on_ledger_failure: OnLedgerFailure::Serve,
            ledger_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(5),
            upstream_rate: 100,
            upstream_connections: 16,
            upstream_wait: Duration::from_secs(2),
            cache_recheck: Duration::from_mins(1),
            session_key: Some("/run/credpin-proxy/session.key".into()),
            session_binding: SessionBinding::None,
            max_connections: 1024,
            consumer_connections: 256,
            hop_limit: 1,
            guard_mode: GuardMode::Enforce,
            user_agents: Vec::new(),
            launch_gate_wait: None,
            launch_gate_then: AfterWait::Serve,
            launch_gate_max_age: Some(Duration::from_hours(7 * 24)),
            drain: Duration::from_secs(2),
            proxy_user: "credpin-proxy".to_owned(),
            proxy_cgroup: Some("system.slice/system-credpin.slice".to_owned()),
            on_proxy_down: OnProxyDown::Block,
            rules: Rules::default(),
            log_format: LogFormat::Text,
            log_level: LogLevel(tracing::level_filters::LevelFilter::INFO),
        }
    }
}

impl Config {
    /// Reads the settings of the file (its name and text), then of the environment, then of the
    /// flags; a later one wins. All mistakes are reported, those that a later one hides too.
    pub fn resolve(
        file: Option<(&Path, &str)>,
        environment: &BTreeMap<String, String>,
        flags: &[Setting],
    ) -> Result<Self, Mistakes> {
        let (config, mistakes) = Self::read(file, environment, flags);
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(Mistakes(mistakes))
        }
    }

    /// The settings that are right, and the default of each that is not: for what has to be done
    /// although there are mistakes.
    pub fn as_far_as_right(
        file: Option<(&Path, &str)>,
        environment: &BTreeMap<String, String>,
        flags: &[Setting],
    ) -> Self {
        Self::read(file, environment, flags).0
    }

    fn read(
        file: Option<(&Path, &str)>,
        environment: &BTreeMap<String, String>,
        flags: &[Setting],
    ) -> (Self, Vec<Mistake>) {
        let mut mistakes = Vec::new();
        let (mut settings, mut rules) = (Vec::new(), Rules::default());
        if let Some((name, text)) = file {
            match file::read(name, text) {
                Ok(read) => {
                    settings.extend(read.settings);
                    rules = read.rules;
                    mistakes.extend(read.mistakes);
                }
                Err(syntax) => mistakes.push(syntax),
            }
        }
        settings.extend(environment.iter().filter_map(from_environment));
        settings.extend(flags.iter().cloned());
        let mut config = Self {
            rules,
            ..Self::default()
        };
        let written: Vec<_> = settings
            .iter()
            .map(|setting| (setting.key.clone(), setting.origin.clone()))
            .collect();
        for Setting {
            origin,
            key,
            values,
        } in settings
        {
            let values: Vec<&str> = values.iter().map(|value| value.trim()).collect();
            if let Err(message) = config.set(&key, &values) {
                mistakes.push(Mistake {
                    origin,
                    key,
                    message,
                });
            }
        }
        mistakes.extend(config.contradictions(&written));
        (config, mistakes)
    }

    fn set(&mut self, key: &str, values: &[&str]) -> Result<(), String> {
        match key {
            "listen" => self.listen = listen(values)?,
            "upstream" => self.upstream = parse(one(values)?)?,
            "admin" => self.admin = unless_off(one(values)?, admin)?,
            "ledger" => self.ledger = directory(one(values)?)?,
            "records" => self.records = unless_off(one(values)?, store)?,
            "ship-interval" => self.ship_interval = duration(one(values)?)?,
            "on-ledger-failure" => self.on_ledger_failure = parse(one(values)?)?,
            "ledger-timeout" => self.ledger_timeout = duration(one(values)?)?,
            "connect-timeout" => self.connect_timeout = duration(one(values)?)?,
            "response-timeout" => self.response_timeout = duration(one(values)?)?,
            "upstream-rate" => self.upstream_rate = count(one(values)?)?,
            "upstream-connections" => self.upstream_connections = count(one(values)?)?,
            "upstream-wait" => self.upstream_wait = duration(one(values)?)?,
            "cache-recheck" => self.cache_recheck = duration(one(values)?)?,
            "session-key" => self.session_key = unless_off(one(values)?, path)?,
            "session-binding" => self.session_binding = parse(one(values)?)?,
            "max-connections" => self.max_connections = count(one(values)?)?,
            "consumer-connections" => self.consumer_connections = count(one(values)?)?,
            "hop-limit" => self.hop_limit = hops(one(values)?)?,
            "guard.mode" => self.guard_mode = parse(one(values)?)?,
            "guard.user-agents" => self.user_agents = texts(values)?,
            "launch-gate.wait" => self.launch_gate_wait = unless_off(one(values)?, duration)?,
            "launch-gate.then" => self.launch_gate_then = parse(one(values)?)?,
            "launch-gate.max-age" => {
                self.launch_gate_max_age = unless_off(one(values)?, age)?;
            }
            "drain" => self.drain = duration(one(values)?)?,
            "proxy-user" => self.proxy_user = user(one(values)?)?,
            "proxy-cgroup" => self.proxy_cgroup = unless_off(one(values)?, cgroup)?,
            "on-proxy-down" => self.on_proxy_down = parse(one(values)?)?,
            "log-format" => self.log_format = parse(one(values)?)?,
            "log-level" => self.log_level = parse(one(values)?)?,
            _ => {
                return Err(format!(
                    "there is no such setting; there are: {}",
                    KEYS.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// What is wrong with settings that are each well-formed. Each is told of the one that was
    /// written last, which one of them was: the defaults go together.
    fn contradictions(&self, written: &[(String, Origin)]) -> Vec<Mistake> {
        let told = |keys: [&str; 2], message: String| {
            let mut last = written.iter().rev();
            let (key, origin) = last.find(|(key, _)| keys.contains(&key.as_str()))?.clone();
            Some(Mistake {
                origin,
                key,
                message,
            })
        };
        let itself = |listen: &SocketAddr| itself::reaches(self.upstream.address(), *listen);
        let itself = self.listen.iter().any(itself).then(|| {
            format!(
                "the upstream {} is where the proxy itself listens: name the real metadata service",
                self.upstream
            )
        });
        let admin = match &self.admin {
            Some(AdminAddress::Tcp(address)) => Some(address),
            _ => None,
        };
        let mut wanted = self.listen.iter().chain(admin).enumerate();
        let twice = wanted.find_map(|(at, address)| {
            let mut before = self.listen.iter().take(at);
            before.find(|other| same_socket(**other, *address))
        });
        let twice = twice.map(|address| {
            format!(
                "{address} is named twice: each of `listen` and `admin` takes a port of its own"
            )
        });
        let blind = (self.launch_gate_wait.is_some() && self.records.is_none()).then(|| {
            "the launch gate reads in the record store whom a pin admits: name it, `records`"
                .to_owned()
        });
        [
            blind.and_then(|message| told(["launch-gate.wait", "records"], message)),
            itself.and_then(|message| told(["upstream", "listen"], message)),
            twice.and_then(|message| told(["admin", "listen"], message)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Whether two sockets cannot both be had. What a wildcard of IPv6 takes in of IPv4 is the kernel's
/// to say. Port 0 is a new one each time.
fn same_socket(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.is_ipv4() == other.is_ipv4()
        && (one.ip().is_unspecified() || other.ip().is_unspecified());
    one.port() != 0
        && one.port() == other.port()
        && (any || one.ip().to_canonical() == other.ip().to_canonical())
}

/// Every key of [`Config::set`].
const KEYS: [&str; 30] = [
    "listen",
    "upstream",
    "admin",
    "ledger",
    "records",
    "ship-interval",
    "on-ledger-failure",
    "ledger-timeout",
    "connect-timeout",
    "response-timeout",
    "upstream-rate",
    "upstream-connections",
    "upstream-wait",
    "cache-recheck",
    "session-key",
    "session-binding",
    "max-connections",
    "consumer-connections",
    "hop-limit",
    "guard.mode",
    "guard.user-agents",
    "launch-gate.wait",
    "launch-gate.then",
    "launch-gate.max-age",
    "drain",
    "proxy-user",
    "proxy-cgroup",
    "on-proxy-down",
    "log-format",
    "log-level",
];

fn from_environment((name, value): (&String, &String)) -> Option<Setting> {
    let key = name.strip_prefix(ENVIRONMENT).filter(|_| name != CONFIG)?;
    let spelt = |known: &&&str| known.to_ascii_uppercase().replace(['-', '.'], "_") == key;
    let known = KEYS.iter().find(spelt).map(|known| (*known).to_owned());
    Some(Setting {
        origin: Origin::Environment(name.clone()),
        key: known.unwrap_or_else(|| key.to_ascii_lowercase().replace('_', "-")),
        values: value.split(',').map(str::to_owned).collect(),
    })
}

impl FromStr for OnLedgerFailure {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "serve" => Ok(Self::Serve),
            "refuse" => Ok(Self::Refuse),
            _ => Err("write serve or refuse"),
        }
    }
}

impl FromStr for AfterWait {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "serve" => Ok(Self::Serve),
            "refuse" => Ok(Self::Refuse),
            _ => Err("write serve or refuse"),
        }
    }
}

impl FromStr for SessionBinding {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "uid" => Ok(Self::Uid),
            "container" => Ok(Self::Container),
            _ => Err("write none, uid or container"),
        }
    }
}

impl FromStr for GuardMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "warn" => Ok(Self::Warn),
            _ => Err("write enforce or warn"),
        }
    }
}

impl FromStr for OnProxyDown {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "block" => Ok(Self::Block),
            "bypass" => Ok(Self::Bypass),
            _ => Err("write block or bypass"),
        }
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("write text or json"),
        }
    }
}

impl FromStr for LogLevel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = ["error", "warn", "info", "debug", "trace"].contains(&text);
        let level = text.parse().ok().filter(|_| named);
        level
            .map(Self)
            .ok_or("write error, warn, info, debug or trace")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, line, column) => write!(f, "{}:{line}:{column}", file.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        // A variable and a flag have the key's name already; a syntax error has none.
        if matches!(self.origin, Origin::File(..)) && !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests;
