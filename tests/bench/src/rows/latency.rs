//! What a server in between adds to the time of an answer, at 1,000 requests a second.

use anyhow::Result;

use super::{Bench, Figures, turns};
use crate::contender::Name;
use crate::load::latencies;
use crate::message::EVENT;
use crate::report::{Goal, Row};
use crate::sample::quantile;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let servers = bench.start(&Name::ALL)?;
    // One a millisecond.
    let requests = usize::try_from(bench.turn.as_millis())?.max(1000);
    let (mut middle, mut tail) = (Figures::default(), Figures::default());
    for round in 0..bench.rounds {
        let direct = latencies(bench.upstream, EVENT, requests)?;
        for (name, server) in turns(&servers, round) {
            let through = latencies(server.at, EVENT, requests)?;
            let added = |at| Some(quantile(&through, at)? - quantile(&direct, at)?);
            middle.add(*name, added(0.5).unwrap_or(f64::NAN));
            tail.add(*name, added(0.99).unwrap_or(f64::NAN));
        }
    }
    // What is added is a small difference of two large figures: a single round's ratio says little.
    let medians = tail.medians();
    let ratio = medians.get(&Name::Nginx).zip(medians.get(&Name::Credpin));
    let ratio = ratio.map(|(theirs, ours)| ours / theirs);
    Ok(vec![
        Row::new("added to the p99 at 1,000 requests/s", "µs")
            .figures(medians)
            .goal(Goal::at_most(1.25).times(Name::Nginx, ratio)),
        Row::new("  added to the median", "µs").figures(middle.medians()),
    ])
}
