//! The command line.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "what is written here is what --help prints"
)]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{Config, Mistake, Mistakes, Origin, Setting};

/// Guards the instance metadata service and records each credential that it hands out.
///
/// Settings come from the file, then from CREDPIN_PROXY_* variables (CREDPIN_PROXY_SHIP_INTERVAL for
/// `ship-interval`), then from flags; a later one wins. An empty file is a valid one.
#[derive(Debug, Parser)]
#[command(name = "credpin-proxy", version)]
#[command(after_help = "\
Exit codes: 0 done; 1 it failed, a setting is wrong, or `check` found something (FAIL); 64 bad usage: \
a flag that there is not, or a value that a flag does not take.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the proxy can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve clients until SIGTERM or SIGINT; then finish what has begun
    Run(Flags),
    /// Look whether all that the proxy needs is there, and change nothing: one line each
    ///
    /// A line begins with ok, mind (it may be right, if somebody meant it), FAIL, or - for what cannot
    /// be told before something else is mended. Exit 1 if one is FAIL, else 0. Run it as the user whose
    /// the ledger is.
    Check {
        /// As a JSON array of what was found
        #[arg(long)]
        json: bool,
        /// What is looked at.
        #[command(flatten)]
        flags: Flags,
    },
    /// List what this host has handed out, newest first
    ///
    /// Lines of the ledger that are no record are left out, and told on stderr.
    Ledger {
        /// As a JSON array of records
        #[arg(long)]
        json: bool,
        /// Where the ledger is.
        #[command(flatten)]
        flags: Flags,
    },
    /// The nftables rules that send every request for the metadata service through the proxy
    #[command(subcommand)]
    Redirect(Redirect),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What can be done about the redirect. It takes root's rights.
#[derive(Debug, Subcommand)]
pub enum Redirect {
    /// Print the rules that `install` would load, and say whether they are
    ///
    /// The rules go to stdout and can be loaded with `nft -f`, the rest to stderr. Exit 0 if just these
    /// rules are loaded, else 1.
    Show(Flags),
    /// Load the rules, all at once, in the place of those that are loaded
    Install {
        /// Do what `on-proxy-down` says, if the redirect is on: for the unit that runs when the proxy fails
        #[arg(long, conflicts_with = "if_down")]
        proxy_down: bool,
        /// Only take back what --proxy-down did: for the proxy's own unit
        #[arg(long)]
        if_down: bool,
        /// What the rules are made of.
        #[command(flatten)]
        flags: Flags,
    },
    /// Take the rules away: whoever asks the metadata service reaches it
    Remove,
}

/// The settings that have flags.
#[derive(Args, Debug, Default)]
pub struct Flags {
    /// The config file [default: /etc/credpin/proxy.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "CREDPIN_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where to serve clients; may be repeated [default: 127.0.0.1:9337]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<String>,
    /// The metadata service [default: http://169.254.169.254]
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// The ledger's directory [default: /var/lib/credpin/ledger]
    #[arg(long, value_name = "DIR")]
    pub ledger: Option<String>,
    /// The record store to ship to, file:///dir or s3://bucket/prefix [default: off]
    #[arg(long, value_name = "URL")]
    pub records: Option<String>,
    /// Where /healthz, /readyz and /metrics are: an address, or unix:/path [default: off]
    #[arg(long, value_name = "ADDR:PORT")]
    pub admin: Option<String>,
}

/// A config could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file that was named cannot be read.
    #[error("cannot read the config file {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What is written is wrong.
    #[error("the settings are wrong:\n{0}")]
    Mistakes(Mistakes),
}

impl LoadError {
    /// Whether the command line alone is to blame.
    pub fn is_bad_usage(&self) -> bool {
        let flag = |mistake: &Mistake| matches!(mistake.origin, Origin::Flag(_));
        matches!(self, Self::Mistakes(mistakes) if mistakes.0.iter().all(flag))
    }
}

const DEFAULT_FILE: &str = "/etc/credpin/proxy.toml";

impl Flags {
    /// Reads the file and puts `environment` and these flags over it. Only a file that is named
    /// must be there.
    pub fn load(&self, environment: &BTreeMap<String, String>) -> Result<Config, LoadError> {
        let file = self.file();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound && self.config.is_none() => None,
            Err(source) => {
                let file = file.to_owned();
                return Err(LoadError::Read { file, source });
            }
        };
        let named = text.as_deref().map(|text| (file, text));
        Config::resolve(named, environment, &self.settings()).map_err(LoadError::Mistakes)
    }

    /// What is right of the same; all of it the default where the file cannot be read.
    pub fn load_what_is_right(&self, environment: &BTreeMap<String, String>) -> Config {
        let text = std::fs::read_to_string(self.file()).ok();
        let named = text.as_deref().map(|text| (self.file(), text));
        Config::as_far_as_right(named, environment, &self.settings())
    }

    /// The config file, whether it is there or not.
    pub fn file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
    }

    fn settings(&self) -> Vec<Setting> {
        let single = [
            ("upstream", &self.upstream),
            ("ledger", &self.ledger),
            ("records", &self.records),
            ("admin", &self.admin),
        ];
        let mut settings: Vec<Setting> = single
            .into_iter()
            .filter_map(|(key, value)| Some(setting(key, vec![value.clone()?])))
            .collect();
        if !self.listen.is_empty() {
            settings.push(setting("listen", self.listen.clone()));
        }
        settings
    }
}

fn setting(key: &str, values: Vec<String>) -> Setting {
    Setting {
        origin: Origin::Flag(key.to_owned()),
        key: key.to_owned(),
        values,
    }
}
