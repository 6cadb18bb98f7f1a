//! What a server holds in RAM.

use anyhow::Result;

use super::{Bench, Figures};
use crate::contender::Name;
use crate::load;
use crate::message;
use crate::report::{Goal, Row};
use crate::server::Memory;

const CONNECTIONS: usize = 1000;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let (mut idle, mut busy) = (Figures::default(), Figures::default());
    let mut own = [0.0; 2];
    for (name, server) in bench.start(&[Name::Credpin, Name::Nginx])? {
        let before = server.memory()?;
        let path = message::credentials();
        let during = load::held(server.at, &path, CONNECTIONS, || server.memory())?;
        idle.add(name, mib(before.resident));
        busy.add(name, mib(during.resident));
        if name == Name::Credpin {
            own = [before, during].map(|memory: Memory| mib(memory.anonymous));
        }
    }
    let anonymous = |own: f64| {
        format!("{own:.1} MiB of ours are heap and stacks, the rest is the program's file")
    };
    let row = |what, figures: &Figures, limit, own| {
        let medians = figures.medians();
        let ours = medians.get(&Name::Credpin).copied();
        Row::new(what, "MiB")
            .figures(medians)
            .goal(Goal::at_most(limit).of(ours))
            .note(anonymous(own))
    };
    Ok(vec![
        row("memory, idle", &idle, 8.0, own[0]),
        row(
            "memory, 1,000 connections on cached credentials",
            &busy,
            25.0,
            own[1],
        ),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
