//! The command: arguments, the run, and the table.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use credpin_bench::bare;
use credpin_bench::contender::Contender;
use credpin_bench::machine::{self, Cpus, Machine};
use credpin_bench::report::Report;
use credpin_bench::rows::{Bench, NAMES};
use credpin_bench::upstream;
use jiff::Timestamp;

/// Measures credpin-proxy, beside nginx and haproxy where they are installed, and the controller.
///
/// Everything is on loopback, and every server is started and ended by this command. Leave the
/// machine alone meanwhile: what else runs on it is measured too.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Measure these only, and not everything
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = NAMES)]
    only: Vec<String>,

    /// How often each server has its turn
    #[arg(long, default_value_t = 7)]
    rounds: usize,

    /// Seconds of each turn under load
    #[arg(long, default_value_t = 3.0)]
    turn: f64,

    /// The proxy to measure [default: the one that `make bench` builds]
    #[arg(long, value_name = "FILE")]
    proxy: Option<PathBuf>,

    /// The proxy's example `identify` [default: the one that `make bench` builds]
    #[arg(long, value_name = "FILE")]
    identify: Option<PathBuf>,

    /// The ledger's example `durable` [default: the one that `make bench` builds]
    #[arg(long, value_name = "FILE")]
    durable: Option<PathBuf>,

    /// A directory on the disk that records are written to [default: where the proxy is]
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,

    /// The mock to measure [default: the one that `make bench` builds]
    #[arg(long, value_name = "FILE")]
    mock: Option<PathBuf>,

    /// Requests that the mock gets while its memory is watched
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    requests: u64,

    /// The controller to measure [default: the one that `make bench` builds]
    #[arg(long, value_name = "FILE")]
    controller: Option<PathBuf>,

    /// Be what is measured as `hyper`, at the first address and in front of the second
    #[arg(long, hide = true, num_args = 2, value_name = "ADDRESS")]
    bare: Option<Vec<SocketAddr>>,
}

/// Both ends of each connection that is held, and some.
const OPEN_FILES: u64 = 8192;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    if let Some([at, upstream]) = arguments.bare.as_deref() {
        return bare::run(*at, *upstream);
    }
    let turn = Duration::try_from_secs_f64(arguments.turn).context("--turn is no time")?;
    let proxy = built(arguments.proxy, "dist/credpin-proxy")?;
    let disk = match &arguments.disk {
        Some(disk) => disk.clone(),
        None => proxy.parent().unwrap_or(Path::new(".")).to_owned(),
    };
    let identify = built(arguments.identify, "release/examples/identify")?;
    let durable = built(arguments.durable, "release/examples/durable")?;

    machine::open_files(OPEN_FILES)?;
    let machine = Machine::this()?;
    let cpus = Cpus::take()?;
    let mut contenders = vec![Contender::credpin(&proxy)?];
    contenders.extend(Contender::installed());
    contenders.push(Contender::bare()?);
    #[expect(clippy::disallowed_methods, reason = "the edge")]
    let now = Timestamp::now();
    let bench = Bench {
        cpus,
        contenders,
        upstream: upstream::start(now)?,
        rounds: arguments.rounds.max(1),
        turn,
        identify,
        durable,
        disk,
        mock: built(arguments.mock, "release/credpin-mock-imds")?,
        requests: arguments.requests,
        controller: built(arguments.controller, "release/credpin")?,
        fleet: built(None, "release/fleet")?,
        trail: built(None, "release/trail")?,
    };
    let only = &arguments.only;
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    let rows = bench.measure(wanted, |name| eprintln!("bench: measuring {name}"))?;
    let report = Report {
        machine,
        versions: Report::versions(&bench.contenders),
        rounds: bench.rounds,
        turn: arguments.turn,
        rows,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// The file that is named, or what cargo built as `path` beside this program.
fn built(named: Option<PathBuf>, path: &str) -> Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named);
    }
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let target = own
        .ancestors()
        .nth(2)
        .context("this program is in no target directory")?;
    Ok(target.join(path))
}
