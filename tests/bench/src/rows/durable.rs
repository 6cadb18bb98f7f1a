//! What it takes to make a record durable, beside the least that a disk takes for it.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Bench;
use crate::contender::Name;
use crate::report::{Goal, Row};

/// What the ledger's example prints: times in microseconds, of both in the same run.
#[derive(Deserialize)]
struct Durable {
    /// A record, from the call to its proof.
    record_p99_us: f64,
    /// A write and an fdatasync of as many bytes, and nothing else.
    bare_p99_us: f64,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let program = &bench.durable;
    let output = Command::new(program).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| {
        format!(
            "cannot run {}: build it, or name it with --durable",
            program.display()
        )
    })?;
    ensure!(output.status.success(), "{} failed", program.display());
    let timed: Durable = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} printed something else", program.display()))?;
    let bare = format!(
        "a bare write and fdatasync on the same disk took {:.0} µs",
        timed.bare_p99_us
    );
    let ratio = timed.record_p99_us / timed.bare_p99_us;
    Ok(vec![
        Row::new("a record made durable, p99", "µs")
            .figures([(Name::Credpin, timed.record_p99_us)].into())
            .note(bare),
        Row::new("  as a multiple of a bare write and fdatasync", "x")
            .figures([(Name::Credpin, ratio)].into())
            .goal(Goal::at_most(2.0).of(Some(ratio))),
    ])
}
