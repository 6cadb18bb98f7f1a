//! Lists of many addresses cut to a few prefixes, beside `iprange` where it is installed.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Bench, Figures, run};
use crate::contender::Name;
use crate::report::{Goal, Row};
use crate::sample::median;

/// Of what `fleet cover` prints.
#[derive(Deserialize)]
struct Covered {
    addresses: u32,
    lossless_s: f64,
    cover_s: f64,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let home = tempfile::tempdir().context("cannot make a directory for lists")?;
    let list = home.path().join("list");
    let (mut cover, mut lossless, mut ratios) = <(Figures, Figures, Vec<f64>)>::default();
    let mut addresses = 0;
    for _ in 0..bench.rounds.min(3) {
        let mut command = Command::new(&bench.fleet);
        command.args(["cover", "--to"]).arg(&list);
        let covered: Covered = bench.cpus.on_servers(|| run::answer(command))??;
        cover.add(Name::Credpin, covered.cover_s);
        lossless.add(Name::Credpin, covered.lossless_s);
        addresses = covered.addresses;
        if run::is_installed("iprange") {
            let mut command = Command::new("iprange");
            command.arg(&list);
            let theirs = bench.cpus.on_servers(|| run::timed(command, &[0]))??;
            ratios.push(theirs.as_secs_f64() / covered.lossless_s);
        }
    }
    fs::remove_file(&list).ok();
    let ours = |figures: &Figures| figures.medians().get(&Name::Credpin).copied();
    let row = Row::new("  joined where that loses nothing, from text to text", "s")
        .figures(lossless.medians())
        .goal(Goal::at_least(2.0).times_bare("the speed of iprange", median(&ratios)));
    Ok(vec![
        Row::new("a list of 1,000,000 random addresses in 300 prefixes", "s")
            .figures(cover.medians())
            .goal(Goal::at_most(1.0).of(ours(&cover)))
            .note(format!("{addresses} addresses, on one CPU")),
        if ratios.is_empty() {
            row.note("iprange is not installed, so it is measured beside nothing".to_owned())
        } else {
            row
        },
    ])
}
