//! What is measured, a row of the table each, and how the contenders take turns.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::contender::{Contender, Name};
use crate::machine::Cpus;
use crate::report::Row;
use crate::sample::median;
use crate::server::Server;

mod cached;
mod cover;
mod decide;
mod durable;
mod identity;
mod latency;
mod memory;
mod mock;
mod passed;
mod plan;
mod run;
mod size;
mod start;
mod trail;

/// What a run measures, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Who runs where.
    pub cpus: Cpus,
    /// Ours first, then the others that are installed.
    pub contenders: Vec<Contender>,
    /// The stand-in for IMDS.
    pub upstream: SocketAddr,
    /// How often each contender has its turn.
    pub rounds: usize,
    /// How long each turn under load is.
    pub turn: Duration,
    /// The program that times how long it takes to find out who asks: the proxy's example `identify`.
    pub identify: PathBuf,
    /// The program that times records being made durable: the ledger's example `durable`.
    pub durable: PathBuf,
    /// A directory on the disk that it writes to.
    pub disk: PathBuf,
    /// The mock of the metadata service.
    pub mock: PathBuf,
    /// How many requests the mock gets while its memory is watched.
    pub requests: u64,
    /// The controller.
    pub controller: PathBuf,
    /// The programs that make accounts, and time what decides about them, and that make trails.
    pub fleet: PathBuf,
    /// See above.
    pub trail: PathBuf,
}

/// What there is to measure.
pub const NAMES: [&str; 15] = [
    "cached", "passed", "latency", "identity", "memory", "start", "size", "durable", "mock",
    "decide", "plan", "cover", "replay", "trace", "long",
];

type Measure = fn(&Bench) -> Result<Vec<Row>>;

/// How, in the same order.
const MEASURES: [Measure; NAMES.len()] = [
    cached::measure,
    passed::measure,
    latency::measure,
    identity::measure,
    memory::measure,
    start::measure,
    size::measure,
    durable::measure,
    mock::measure,
    decide::measure,
    plan::measure,
    cover::measure,
    trail::replay,
    trail::trace,
    trail::long,
];

impl Bench {
    /// Measures the rows that `wanted` says yes to, by the names in [`NAMES`]. `begin` is told what
    /// comes next.
    pub fn measure(
        &self,
        wanted: impl Fn(&str) -> bool,
        mut begin: impl FnMut(&str),
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (name, measure) in NAMES.into_iter().zip(MEASURES) {
            if wanted(name) {
                begin(name);
                let measured = measure(self).with_context(|| format!("cannot measure {name}"))?;
                rows.extend(measured);
            }
        }
        Ok(rows)
    }

    /// Starts those of the contenders that are among `names`.
    fn start(&self, names: &[Name]) -> Result<Vec<(Name, Server)>> {
        let chosen = self.chosen(names);
        let started = chosen.map(|who| Ok((who.name, who.start(self.cpus, self.upstream)?)));
        started.collect()
    }

    fn chosen(&self, names: &[Name]) -> impl Iterator<Item = &Contender> {
        let all = self.contenders.iter();
        all.filter(|contender| names.contains(&contender.name))
    }
}

/// The figures of each contender, one a round.
#[derive(Debug, Default)]
struct Figures(BTreeMap<Name, Vec<f64>>);

impl Figures {
    fn add(&mut self, name: Name, figure: f64) {
        self.0.entry(name).or_default().push(figure);
    }

    /// The median of each.
    fn medians(&self) -> BTreeMap<Name, f64> {
        let medians = self.0.iter();
        let medians = medians.filter_map(|(name, figures)| Some((*name, median(figures)?)));
        medians.collect()
    }

    /// Ours as a multiple of `other`'s: the median of the rounds' ratios.
    fn ratio(&self, other: Name) -> Option<f64> {
        let (ours, theirs) = (self.0.get(&Name::Credpin)?, self.0.get(&other)?);
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        median(&ratios)
    }
}

/// `items`, beginning with another one in each round: whoever is first meets a machine that was idle.
fn turns<T>(items: &[T], round: usize) -> impl Iterator<Item = &T> {
    items.iter().cycle().skip(round).take(items.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_rounds_and_not_of_medians() {
        let mut figures = Figures::default();
        // The machine became slower, for both: only the ratio of a round tells who is faster.
        for (ours, theirs) in [(100.0, 50.0), (60.0, 30.0), (20.0, 10.0)] {
            figures.add(Name::Credpin, ours);
            figures.add(Name::Nginx, theirs);
        }
        assert_eq!(figures.ratio(Name::Nginx), Some(2.0));
        assert_eq!(figures.ratio(Name::Haproxy), None);
        assert_eq!(figures.medians().get(&Name::Credpin), Some(&60.0));
    }

    #[test]
    fn everybody_is_first_once() {
        let order = |round| turns(&["a", "b", "c"], round).copied().collect::<String>();
        assert_eq!([order(0), order(1), order(2)], ["abc", "bca", "cab"]);
    }
}
