//! What it takes to decide about an account of a million instances, in memory.

use std::process::Command;

use anyhow::Result;
use serde::Deserialize;

use super::{Bench, run::answer};
use crate::contender::Name;
use crate::report::{Goal, Row};
use crate::sample::median;

const INSTANCES: u32 = 1_000_000;
const FEWER: u32 = 10_000;
/// Few instances take so little time that one run says little.
const RUNS_OF_FEWER: usize = 5;

/// Of what `fleet decide` prints.
#[derive(Deserialize)]
struct Decided {
    from_nothing_s: f64,
    roles_written: u32,
    roles_held: u32,
    nothing_changed_s: f64,
    one_in_a_hundred_s: f64,
    roles_changed: u32,
    peak_mib: f64,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut fewer = Vec::new();
    for _ in 0..RUNS_OF_FEWER {
        fewer.push(decide(bench, FEWER)?.one_in_a_hundred_s / f64::from(FEWER));
    }
    let decided = decide(bench, INSTANCES)?;
    let each = decided.one_in_a_hundred_s / f64::from(INSTANCES);
    let ours = |figure: f64| [(Name::Credpin, figure)].into();
    let of = |goal: Goal, figure: f64| goal.of(Some(figure));
    Ok(vec![
        Row::new(
            "decide about 1,000,000 instances, one role in a hundred changed",
            "s",
        )
        .figures(ours(decided.one_in_a_hundred_s))
        .goal(of(Goal::at_most(2.0), decided.one_in_a_hundred_s))
        .goal(Goal::at_most(2.0).times_bare(
            "the time of each of 10,000",
            median(&fewer).map(|few| each / few),
        ))
        .note(format!(
            "{} of 10,000 roles are written, on all CPUs",
            decided.roles_changed
        )),
        Row::new("  the same, nothing changed", "s").figures(ours(decided.nothing_changed_s)),
        Row::new("  the same from nothing, every role written", "s")
            .figures(ours(decided.from_nothing_s))
            .goal(of(Goal::at_most(15.0), decided.from_nothing_s))
            .note(format!(
                "{} roles are written and {} held",
                decided.roles_written, decided.roles_held
            )),
        Row::new("  memory, the account's too", "MiB")
            .figures(ours(decided.peak_mib))
            .goal(of(Goal::at_most(1536.0), decided.peak_mib)),
    ])
}

fn decide(bench: &Bench, instances: u32) -> Result<Decided> {
    let mut command = Command::new(&bench.fleet);
    command.args(["decide", "--instances", &instances.to_string()]);
    bench.cpus.everywhere(|| answer(command))?
}
