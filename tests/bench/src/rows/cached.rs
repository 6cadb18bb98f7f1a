//! Credentials that do not have to be asked for again.

use anyhow::Result;

use super::{Bench, Figures, turns};
use crate::contender::Name;
use crate::load;
use crate::message;
use crate::report::{Goal, Row};

/// Connections at a time.
pub(super) const CONNECTIONS: usize = 64;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let servers = bench.start(&[Name::Credpin, Name::Nginx])?;
    let (mut rates, mut cpu, mut busy) = <(Figures, Figures, Figures)>::default();
    for round in 0..bench.rounds {
        for (name, server) in turns(&servers, round) {
            let path = message::credentials();
            let done = load::throughput(server, &path, CONNECTIONS, bench.turn)?;
            rates.add(*name, done.rate);
            cpu.add(*name, done.cpu);
            busy.add(*name, done.busy);
        }
    }
    Ok(vec![
        Row::new("cached credentials, 64 connections", "requests/s")
            .figures(rates.medians())
            .busy(&busy.medians())
            .goal(Goal::at_least(1.2).times(Name::Nginx, rates.ratio(Name::Nginx))),
        Row::new("  CPU time a request", "µs").figures(cpu.medians()),
    ])
}
