//! What it takes to make a record durable, beside the least that the disk takes for it.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Bench, Figures};
use crate::contender::Name;
use crate::report::{Goal, Row};
use crate::sample::median;

/// Each run appends a thousand records, and as many bare lines in turn with them.
const RUNS: usize = 3;

/// Of what the ledger's example prints.
#[derive(Deserialize)]
struct Timed {
    /// A record, from the call to its proof, in microseconds.
    ledger_p99_us: f64,
    /// A write and an fdatasync of as many bytes in the same run, and nothing else.
    bare_p99_us: f64,
    p99_ratio: f64,
    clients: u32,
    /// When so many clients ask at the same time.
    clients_records_per_second: f64,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let (mut tail, mut together) = (Figures::default(), Figures::default());
    let (mut bare, mut ratios, mut clients) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        let timed = run(bench)?;
        tail.add(Name::Credpin, timed.ledger_p99_us);
        together.add(Name::Credpin, timed.clients_records_per_second);
        bare.push(timed.bare_p99_us);
        ratios.push(timed.p99_ratio);
        clients = timed.clients;
    }
    let bare = median(&bare).unwrap_or(f64::NAN);
    let ratio = median(&ratios);
    Ok(vec![
        Row::new("a record made durable, p99", "µs")
            .figures(tail.medians())
            .note(format!(
                "a bare write and fdatasync on the same disk takes {bare:.0} µs"
            ))
            .goal(Goal::at_most(2.0).times_bare("a bare fdatasync", ratio)),
        Row::new("  asked for by many at once", "records/s")
            .figures(together.medians())
            .note(format!("{clients} clients, each waiting for its proof")),
    ])
}

fn run(bench: &Bench) -> Result<Timed> {
    let program = &bench.durable;
    let mut command = Command::new(program);
    command.arg(&bench.disk).stderr(Stdio::inherit());
    let output = bench.cpus.everywhere(|| command.output())?;
    let output = output.with_context(|| {
        format!(
            "cannot run {}: build it, or name it with --durable",
            program.display()
        )
    })?;
    ensure!(output.status.success(), "{} failed", program.display());
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} printed something else", program.display()))
}
