//! The program nft, which loads and lists tables. It takes root's rights.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

/// nft did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// A program could not be started.
    #[error("cannot run {program}: install the package {package}, and have /usr/sbin in PATH")]
    Run {
        /// nft, or unshare.
        program: &'static str,
        /// Its name in most distributions.
        package: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It ran, and refused.
    #[error("{tried}: {said}{}", hint(said))]
    Refused {
        /// What was tried.
        tried: &'static str,
        /// What it said on stderr.
        said: String,
    },
}

impl NftError {
    /// Whether there is no such program.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Run { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Loads `rules`: all of them or none.
pub(super) fn load(rules: &str) -> Result<(), NftError> {
    let mut nft = Command::new("nft");
    let tried = "nft does not load the redirect";
    run(NFT, nft.args(["-f", "-"]), rules, tried).map(drop)
}

/// The table that is loaded, as nft tells it.
pub(super) fn loaded() -> Result<Option<String>, NftError> {
    let (mut all, mut one) = (Command::new("nft"), Command::new("nft"));
    let tried = "nft does not list what is loaded";
    let tables = run(NFT, all.args(["list", "tables"]), "", tried)?;
    if !tables.lines().any(|line| line == "table inet credpin") {
        return Ok(None);
    }
    run(
        NFT,
        one.args(["list", "table", "inet", "credpin"]),
        "",
        tried,
    )
    .map(Some)
}

/// `rules` as nft tells them once they are loaded: it has its own way to write things, and users as
/// numbers. They are loaded for that in a network namespace in which there is nothing else.
pub(super) fn told(rules: &str) -> Result<String, NftError> {
    let program = "nft -f - && nft list table inet credpin";
    let mut unshare = Command::new("unshare");
    let tried = "cannot try the rules in a network namespace of their own";
    run(
        ("unshare", "util-linux"),
        unshare.args(["--net", "sh", "-c", program]),
        rules,
        tried,
    )
}

const NFT: (&str, &str) = ("nft", "nftables");

fn run(
    (program, package): (&'static str, &'static str),
    command: &mut Command,
    input: &str,
    tried: &'static str,
) -> Result<String, NftError> {
    let Output {
        status,
        stdout,
        stderr,
    } = fed(command, input).map_err(|source| NftError::Run {
        program,
        package,
        source,
    })?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr);
    // Below its first line nft quotes what it was given.
    let said = said.lines().next().unwrap_or("no reason told").to_owned();
    Err(NftError::Refused { tried, said })
}

fn fed(command: &mut Command, input: &str) -> io::Result<Output> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read to the end says why on stderr.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

fn hint(said: &str) -> &'static str {
    if said.contains("not permitted") {
        "; run it as root"
    } else if said.contains("User does not exist") {
        "; the redirect lets `proxy-user` through, so make that user first (systemd-sysusers)"
    } else {
        ""
    }
}
