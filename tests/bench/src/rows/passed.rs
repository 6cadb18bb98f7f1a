//! Requests that go through to the metadata service, each of them.

use anyhow::Result;

use super::cached::CONNECTIONS;
use super::{Bench, Figures, turns};
use crate::contender::Name;
use crate::load;
use crate::message::EVENT;
use crate::report::{Goal, Row};

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let servers = bench.start(&Name::ALL)?;
    let (mut rates, mut cpu, mut busy) = <(Figures, Figures, Figures)>::default();
    for round in 0..bench.rounds {
        for (name, server) in turns(&servers, round) {
            let done = load::throughput(server, EVENT, CONNECTIONS, bench.turn)?;
            rates.add(*name, done.rate);
            cpu.add(*name, done.cpu);
            busy.add(*name, done.busy);
        }
    }
    // As a multiple of what theirs takes, less is better: the targets turned over.
    Ok(vec![
        Row::new("pass-through, 64 connections", "requests/s")
            .figures(rates.medians())
            .busy(&busy.medians())
            .goal(Goal::at_least(0.85).times(Name::Nginx, rates.ratio(Name::Nginx)))
            .goal(Goal::at_least(0.9).times(Name::Haproxy, rates.ratio(Name::Haproxy))),
        Row::new("  CPU time a request", "µs")
            .figures(cpu.medians())
            .goal(Goal::at_most(1.0 / 0.85).times(Name::Nginx, cpu.ratio(Name::Nginx)))
            .goal(Goal::at_most(1.0 / 0.9).times(Name::Haproxy, cpu.ratio(Name::Haproxy))),
    ])
}
