//! The servers that are measured, each set up the same way: one worker, keep-alive on both sides, no
//! log of requests.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tempfile::TempDir;

use crate::machine::Cpus;
use crate::server::Server;

/// Connections that a server takes, and open files that it may have for them and to the upstream.
const CONNECTIONS: usize = 2048;

/// A program that can stand between the load and the upstream.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Who.
    pub name: Name,
    /// Its binary.
    pub program: PathBuf,
    /// What it says of its version.
    pub version: String,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// Ours.
    Credpin,
    /// nginx; with `proxy_cache` on the paths that ours caches.
    Nginx,
    /// haproxy, which caches nothing here.
    Haproxy,
    /// The library that ours is made with, and [nothing else](crate::bare).
    Hyper,
}

impl Name {
    /// All, in the order of the table's columns.
    pub const ALL: [Self; 4] = [Self::Credpin, Self::Nginx, Self::Haproxy, Self::Hyper];
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Credpin => "credpin",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Hyper => "hyper",
        })
    }
}

impl Contender {
    /// Ours, at `program`.
    pub fn credpin(program: &Path) -> Result<Self> {
        let version = version(program, "--version").with_context(|| {
            format!(
                "{} does not run: build it, or name it with --proxy",
                program.display()
            )
        })?;
        Ok(Self {
            name: Name::Credpin,
            program: program.to_owned(),
            version,
        })
    }

    /// Of the others those that are installed.
    pub fn installed() -> Vec<Self> {
        let others = [(Name::Nginx, "nginx"), (Name::Haproxy, "haproxy")];
        let found = others.into_iter().filter_map(|(name, program)| {
            // Debian has both in sbin, which not everybody has in their PATH.
            let places = ["", "/usr/sbin/", "/usr/local/sbin/"];
            places.into_iter().find_map(|place| {
                let program = PathBuf::from(format!("{place}{program}"));
                let version = version(&program, "-v").ok()?;
                Some(Self {
                    name,
                    program,
                    version,
                })
            })
        });
        found.collect()
    }

    /// This program itself, as the bare library.
    pub fn bare() -> Result<Self> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        Ok(Self {
            name: Name::Hyper,
            program,
            version: "alone".to_owned(),
        })
    }

    /// Starts it in front of `upstream`.
    pub fn start(&self, cpus: Cpus, upstream: SocketAddr) -> Result<Server> {
        Server::start(cpus, |at, home| {
            let mut command = Command::new(&self.program);
            let (arguments, text): (&[_], _) = match self.name {
                Name::Credpin => (&["run", "--config"], credpin(at, upstream, home)),
                Name::Nginx => (&["-e", "stderr", "-c"], nginx(at, upstream, home)),
                Name::Haproxy => (&["-db", "-f"], haproxy(at, upstream)),
                Name::Hyper => {
                    command.args(["--bare", &at.to_string(), &upstream.to_string()]);
                    return Ok(command);
                }
            };
            let config = home.path().join("config");
            fs::write(&config, text)?;
            command.args(arguments);
            command.arg(&config);
            Ok(command)
        })
    }
}

/// The shield is raised: what is measured is the way through, not the wait for it.
fn credpin(at: SocketAddr, upstream: SocketAddr, home: &TempDir) -> String {
    format!(
        r#"listen = ["{at}"]
upstream = "http://{upstream}"
ledger = "{ledger}"
session-key = "off"
upstream-rate = 1000000
upstream-connections = 64
max-connections = {CONNECTIONS}
consumer-connections = {CONNECTIONS}
log-level = "warn"
"#,
        ledger = home.path().join("ledger").display()
    )
}

fn nginx(at: SocketAddr, upstream: SocketAddr, home: &TempDir) -> String {
    let home = home.path().display();
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        "{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {CONNECTIONS};
pid {home}/pid;
error_log stderr error;
events {{ worker_connections {CONNECTIONS}; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    proxy_cache_path {home}/cache keys_zone=imds:1m use_temp_path=off;
    upstream imds {{
        server {upstream};
        keepalive 64;
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {at};
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        location / {{ proxy_pass http://imds; }}
        location /latest/meta-data/iam/ {{
            proxy_pass http://imds;
            proxy_cache imds;
            proxy_cache_valid 200 1h;
        }}
    }}
}}
"
    )
}

fn haproxy(at: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
    maxconn {CONNECTIONS}
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    http-reuse always
listen imds
    bind {at}
    server imds {upstream}
"
    )
}

/// The version in the first line that `program` prints: its first word that begins with a digit, or
/// follows a slash.
fn version(program: &Path, flag: &str) -> Result<String> {
    let output = Command::new(program).arg(flag).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let words = said.split([' ', '/', '\n', '-']);
    let version = words
        .into_iter()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    match version {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => bail!("{} does not say its version", program.display()),
    }
}
