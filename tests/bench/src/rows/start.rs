//! From the start of the process to its first answer.

use anyhow::Result;

use super::{Bench, Figures, turns};
use crate::contender::Name;
use crate::report::{Goal, Row};

/// A start is short, and one that met a busy disk says little.
const STARTS: usize = 15;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut taken = Figures::default();
    let contenders: Vec<_> = bench.chosen(&Name::ALL).collect();
    for round in 0..STARTS {
        for contender in turns(&contenders, round) {
            let server = contender.start(bench.cpus, bench.upstream)?;
            taken.add(contender.name, server.started_in.as_secs_f64() * 1e3);
        }
    }
    let medians = taken.medians();
    let ours = medians.get(&Name::Credpin).copied();
    let row = Row::new("start to first answer", "ms").figures(medians);
    Ok(vec![row.goal(Goal::at_most(20.0).of(ours))])
}
