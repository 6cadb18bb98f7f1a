//! The mock of the metadata service, under the load of a whole test fleet.

use std::process::Command;

use anyhow::{Context, Result};

use super::memory::mib;
use super::{Bench, Figures};
use crate::contender::Name;
use crate::pairs::{self, Carried};
use crate::report::{Goal, Row};
use crate::server::Server;

/// After so many requests it has reached its size.
const SETTLED: u64 = 1_000_000;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let (mut kept, mut each) = <(Figures, Figures)>::default();
    let (keeps, closes) = (start(bench, true)?, start(bench, false)?);
    for _ in 0..bench.rounds {
        let rate = pairs::rate(keeps.at, Carried::Kept, bench.turn)?;
        kept.add(Name::Credpin, rate);
        let rate = pairs::rate(closes.at, Carried::Each, bench.turn)?;
        each.add(Name::Credpin, rate);
    }
    drop((keeps, closes));

    let mut grown = Figures::default();
    let (settled, after) = sizes(bench)?;
    grown.add(Name::Credpin, after - settled);
    let ours = |figures: &Figures| figures.medians().get(&Name::Credpin).copied();
    Ok(vec![
        Row::new("mock: token and credential, connections kept", "pairs/s")
            .figures(kept.medians())
            .goal(Goal::at_least(20_000.0).of(ours(&kept)))
            .note("the mock and its load share all CPUs".to_owned()),
        Row::new("  a connection for each request", "pairs/s").figures(each.medians()),
        Row::new("  memory that more requests take", "MiB")
            .figures(grown.medians())
            .goal(Goal::at_most(1.0).of(ours(&grown)))
            .note(format!(
                "{settled:.1} MiB after {} requests, {after:.1} MiB after {}",
                SETTLED.min(bench.requests),
                bench.requests
            )),
    ])
}

/// What the mock holds in RAM after the first requests, and after all.
fn sizes(bench: &Bench) -> Result<(f64, f64)> {
    let server = start(bench, true)?;
    let first = SETTLED.min(bench.requests);
    let resident = || anyhow::Ok(mib(server.memory()?.resident));
    pairs::ask(server.at, first / 2)?;
    let settled = resident()?;
    pairs::ask(server.at, (bench.requests - first) / 2)?;
    Ok((settled, resident()?))
}

fn start(bench: &Bench, keep_alive: bool) -> Result<Server> {
    let started = Server::start_everywhere(bench.cpus, |at, _| {
        let mut command = Command::new(&bench.mock);
        command
            .args(["--imdsv2", "--hostname"])
            .arg(at.ip().to_string())
            .args(["--port", &at.port().to_string()]);
        if keep_alive {
            command.arg("--keep-alive");
        }
        Ok(command)
    });
    started.context("build the mock, or name it with --mock")
}
