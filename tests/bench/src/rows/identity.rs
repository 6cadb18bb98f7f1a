//! What it takes to find out who asks, once a connection.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Bench, Figures};
use crate::contender::Name;
use crate::report::{Goal, Row};

const RUNS: usize = 3;

/// Of what the proxy's example prints.
#[derive(Deserialize)]
struct Timed {
    count: u32,
    p50_us: f64,
    p99_us: f64,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let (mut middle, mut tail, mut count) = (Figures::default(), Figures::default(), 0);
    for _ in 0..RUNS {
        let timed = run(bench)?;
        middle.add(Name::Credpin, timed.p50_us);
        tail.add(Name::Credpin, timed.p99_us);
        count = timed.count;
    }
    let medians = tail.medians();
    let ours = medians.get(&Name::Credpin).copied();
    Ok(vec![
        Row::new("user and cgroup of who asks, p99", "µs")
            .figures(medians)
            .note(format!("of {count} look-ups, as once for each connection"))
            .goal(Goal::at_most(100.0).of(ours)),
        Row::new("  median", "µs").figures(middle.medians()),
    ])
}

fn run(bench: &Bench) -> Result<Timed> {
    let program = &bench.identify;
    let mut command = Command::new(program);
    command.stderr(Stdio::inherit());
    let output = bench.cpus.on_servers(|| command.output())?;
    let output = output.with_context(|| {
        format!(
            "cannot run {}: build it, or name it with --identify",
            program.display()
        )
    })?;
    ensure!(output.status.success(), "{} failed", program.display());
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} printed something else", program.display()))
}
