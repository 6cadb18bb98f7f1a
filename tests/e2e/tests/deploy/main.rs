//! What is installed works as it is: the units, the policies and the sample configs of
//! `deploy/`, and the commands that `docs/` tells people to type.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod accounts;
mod athena;
mod bucket;
mod docs;
mod iam;
mod samples;
mod systemd;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A file or folder of the repository.
fn at(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap().join(path)
}

/// The text of a file of the repository.
fn text(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A program of the system, which never goes missing in silence.
fn program(name: &str, package: &str) -> Command {
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = env::split_paths(&path).any(|folder| folder.join(name).is_file());
    assert!(
        found,
        "{name} is missing: install it (Debian: apt-get install {package})"
    );
    let mut command = Command::new(name);
    command.env_clear().env("PATH", path).env("LANG", "C.UTF-8");
    command
}

/// What a program printed, where it ended well and had nothing to complain of.
fn output(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&stderr);
    assert!(
        status.success() && complaint.is_empty(),
        "{command:?}: {status}\n{complaint}"
    );
    String::from_utf8(stdout).unwrap()
}
