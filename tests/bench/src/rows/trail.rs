//! CloudTrail read: history against pins, a key traced, and a trail that is larger than memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::memory::mib;
use super::plan::files;
use super::{Bench, Figures, run};
use crate::contender::Name;
use crate::report::{Goal, Row};
use crate::sample::median;

/// Before compression, in millions of bytes.
const MEGABYTES: u32 = 256;
/// How often the same files are read as a long trail.
const TIMES: u32 = 40;
/// Over how many keys the calls are spread.
const KEYS: &str = "1000";
/// One of them.
const KEY: &str = "ASIA0000000000000001";

pub(super) fn replay(bench: &Bench) -> Result<Vec<Row>> {
    let trail = Trail::new(bench)?;
    let rates = |plan: &str, cloud: bool| {
        let mut rates = Figures::default();
        for _ in 0..bench.rounds.min(3) {
            let mut command = trail.command(bench, &["replay", "--plan"]);
            command.arg(trail.path(plan));
            if cloud {
                command
                    .arg("--cloud")
                    .arg(format!("dir:{}", trail.path("cloud").display()));
            }
            // What a trail without data events leaves unseen is no pass.
            let taken = bench.cpus.on_servers(|| run::timed(command, &[2]))??;
            rates.add(Name::Credpin, f64::from(MEGABYTES) / taken.as_secs_f64());
        }
        anyhow::Ok(rates)
    };
    let (known, unknown) = (rates("plan.json", true)?, rates("gone.json", false)?);
    let goal = |rates: &Figures| {
        let ours = rates.medians().get(&Name::Credpin).copied();
        Goal::at_least(300.0).of(ours)
    };
    Ok(vec![
        Row::new("replay of CloudTrail, one CPU", "MB/s")
            .goal(goal(&known))
            .figures(known.medians())
            .note("bytes before compression; gunzip included".to_owned()),
        Row::new("  of hosts that are gone: every call unknown", "MB/s")
            .goal(goal(&unknown))
            .figures(unknown.medians()),
    ])
}

pub(super) fn trace(bench: &Bench) -> Result<Vec<Row>> {
    let trail = Trail::new(bench)?;
    let (mut rates, mut ratios) = <(Figures, Vec<f64>)>::default();
    let with_jq = run::is_installed("jq") && run::is_installed("zcat");
    for round in 0..bench.rounds.min(3) {
        let command = trail.command(bench, &["trace", KEY, "--json"]);
        let ours = bench.cpus.on_servers(|| run::timed(command, &[0]))??;
        rates.add(Name::Credpin, f64::from(MEGABYTES) / ours.as_secs_f64());
        // It takes long, and once is enough to tell.
        if with_jq && round == 0 {
            let question = format!(
                r#"find "$0" -name '*.gz' -exec zcat {{}} + | jq -c '.Records[] | select(.userIdentity.accessKeyId == "{KEY}") | [.eventTime, .eventName, .sourceIPAddress]'"#
            );
            let mut jq = Command::new("sh");
            jq.args(["-c", &question]).arg(trail.path("trail"));
            let theirs = bench.cpus.on_servers(|| run::timed(jq, &[0]))??;
            ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
        }
    }
    let ours = rates.medians().get(&Name::Credpin).copied();
    Ok(vec![
        Row::new("a key traced in CloudTrail, one CPU", "MB/s")
            .figures(rates.medians())
            .goal(Goal::at_least(300.0).of(ours))
            .goal(Goal::at_least(5.0).times_bare("zcat | jq", median(&ratios)))
            .note("bytes before compression; gunzip included".to_owned()),
    ])
}

pub(super) fn long(bench: &Bench) -> Result<Vec<Row>> {
    let trail = Trail::new(bench)?;
    trail.repeat()?;
    let command = trail.command(bench, &["trace", KEY, "--json"]);
    let (taken, peak) = bench.cpus.everywhere(|| run::peak(command, &[0]))??;
    let bytes = f64::from(MEGABYTES * TIMES) / 1e3;
    Ok(vec![
        Row::new("memory, a key traced in 10 GB of CloudTrail", "MiB")
            .figures([(Name::Credpin, mib(peak))].into())
            .goal(Goal::at_most(256.0).of(Some(mib(peak))))
            .note(format!(
                "{bytes:.1} GB before compression in {:.1} s, on all CPUs: {TIMES} times the same files, each \
                 as of another day",
                taken.as_secs_f64()
            )),
    ])
}

/// A trail in a directory, and plans that its calls are of.
struct Trail(tempfile::TempDir);

impl Trail {
    fn new(bench: &Bench) -> Result<Self> {
        let home =
            tempfile::tempdir_in(&bench.disk).context("cannot make a directory for a trail")?;
        let mut write = Command::new(&bench.trail);
        write
            .args(["bulk", "--keys", KEYS])
            .args(["--megabytes", &MEGABYTES.to_string()])
            .arg("--plans")
            .arg(home.path())
            .arg(home.path().join("trail"));
        bench.cpus.everywhere(|| run::timed(write, &[0]))??;
        Ok(Self(home))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, bench: &Bench, words: &[&str]) -> Command {
        let mut command = Command::new(&bench.controller);
        command
            .arg(words[0])
            .arg("--cloudtrail")
            .arg(self.path("trail"));
        command.args(&words[1..]);
        command
    }

    /// The same files once more for each of many days: hard links, so that they take no room. What is
    /// in them is older than copies are looked for, so all of it is read in.
    fn repeat(&self) -> Result<()> {
        let trail = self.path("trail");
        let all = files(&trail)?;
        for day in 1..TIMES {
            let folder = trail.join(format!("again-{day}"));
            fs::create_dir(&folder)?;
            for file in &all {
                fs::hard_link(file, folder.join(again(file, day)?))?;
            }
        }
        Ok(())
    }
}

/// The name of a file, as if it had been delivered in another month.
fn again(file: &Path, day: u32) -> Result<String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let (before, after) = name
        .split_once("_202605")
        .context("a file of another month")?;
    let (year, month) = (2027 + day / 12, 1 + day % 12);
    Ok(format!("{before}_{year}{month:02}{after}"))
}
