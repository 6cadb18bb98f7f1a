//! What is installed on every host.

use std::fs;

use anyhow::Result;

use super::Bench;
use super::memory::mib;
use crate::contender::Name;
use crate::report::{Goal, Row};

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut row = Row::new("binary", "MiB");
    for ours in bench.chosen(&[Name::Credpin]) {
        let size = mib(fs::metadata(&ours.program)?.len());
        row = row.figures([(Name::Credpin, size)].into());
        row = row.goal(Goal::at_most(6.0).of(Some(size)));
    }
    Ok(vec![row])
}
