//! A whole plan from files of the AWS CLI, beside what it takes to read them at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::memory::mib;
use super::{Bench, run};
use crate::contender::Name;
use crate::report::{Goal, Row};

const INSTANCES: u32 = 100_000;

/// What is asked for: a pin for every role, whatever it takes.
const CONFIG: &str = "mode = \"enforce\"\nallow-launch-gap = true\npolicy-quota = 10000\n\
    without-replay = true\n";

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let home =
        tempfile::tempdir_in(&bench.disk).context("cannot make a directory for an account")?;
    let cloud = home.path().join("cloud");
    let mut write = Command::new(&bench.fleet);
    write
        .args(["write", "--instances", &INSTANCES.to_string()])
        .arg(&cloud);
    bench.cpus.everywhere(|| run::timed(write, &[0]))??;
    let config = home.path().join("credpin.toml");
    fs::write(&config, CONFIG)?;

    let mut plan = Command::new(&bench.controller);
    plan.args(["plan", "--cloud"])
        .arg(format!("dir:{}", cloud.display()))
        .arg("--config")
        .arg(&config);
    // There are changes, or something is held.
    let ours = bench.cpus.everywhere(|| run::timed(plan, &[2, 3]))??;
    let files = files(&cloud)?;
    let size: u64 = files
        .iter()
        .filter_map(|it| fs::metadata(it).ok())
        .map(|it| it.len())
        .sum();
    let mut row = Row::new("plan of 100,000 instances, from files of the AWS CLI", "s")
        .figures([(Name::Credpin, ours.as_secs_f64())].into())
        .note(format!("{:.0} MiB of JSON, on all CPUs", mib(size)));
    if run::is_installed("jq") {
        let mut jq = Command::new("jq");
        jq.arg("empty").args(&files);
        let theirs = bench.cpus.everywhere(|| run::timed(jq, &[0]))??;
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        row = row
            .goal(Goal::at_most(0.5).times_bare("jq empty", Some(ratio)))
            .note(format!("jq empty takes {:.1} s", theirs.as_secs_f64()));
    } else {
        row = row.note("jq is not installed, so it is measured beside nothing".to_owned());
    }
    Ok(vec![row])
}

/// All files below `folder`.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}
