//! Accounts of any size: writes them, and times what decides about them.

use std::{fmt::Write as _, fs, net::Ipv4Addr, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use credpin_core::{
    estate::Estate,
    pin::Cover,
    plan::{self, Outcome, Plan},
    settings::{Mode, Settings},
};
use credpin_e2e::{
    fleet::{self, Fleet},
    trail::Dice,
};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

/// An account of any size, the same one each time.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write it as the AWS CLI prints it, for `--cloud dir:`
    Write {
        /// Where to
        folder: PathBuf,
        #[command(flatten)]
        size: Size,
    },
    /// Time a plan of it: from nothing, with nothing to change, and with a hundredth changed
    Decide {
        #[command(flatten)]
        size: Size,
    },
    /// Time lists of random addresses: joined where that loses nothing, and cut to few prefixes
    Cover {
        /// How many
        #[arg(long, default_value_t = 1_000_000)]
        addresses: usize,
        /// Into how many prefixes
        #[arg(long, default_value_t = 300)]
        prefixes: usize,
        /// Write them to this file too, one a line
        #[arg(long)]
        to: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Size {
    /// How many; a hundredth as many roles, and a five hundredth as many VPCs
    #[arg(long, default_value_t = 100_000)]
    instances: usize,
    /// Another seed makes another account
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Seconds, and what came of them.
#[derive(Serialize)]
struct Decided {
    instances: usize,
    from_nothing_s: f64,
    roles_written: usize,
    roles_held: usize,
    nothing_changed_s: f64,
    one_in_a_hundred_s: f64,
    roles_changed: usize,
    peak_mib: f64,
}

#[derive(Serialize)]
struct Covered {
    addresses: usize,
    lossless_s: f64,
    cover_s: f64,
    strangers: Option<u64>,
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Write { folder, size } => size.fleet().write(&folder),
        What::Decide { size } => print(&decide(size.fleet())?),
        What::Cover {
            addresses,
            prefixes,
            to,
        } => print(&cover(addresses, prefixes, to)?),
    }
}

fn print(result: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(result)?);
    Ok(())
}

impl Size {
    fn fleet(&self) -> Fleet {
        let instances = self.instances;
        Fleet {
            instances,
            roles: instances.div_ceil(100),
            vpcs: instances.div_ceil(500),
            regions: instances.div_ceil(100_000),
            seed: self.seed,
        }
    }
}

fn decide(fleet: Fleet) -> Result<Decided> {
    let mut estate = fleet.estate();
    let (first, from_nothing_s) = timed(|| planned(&estate))?;
    let of = |plan: &Plan, outcome| plan.roles.iter().filter(|it| it.outcome == outcome).count();
    let (roles_written, roles_held) = (of(&first, Outcome::Change), of(&first, Outcome::Held));
    fleet::pinned(&mut estate, &first);
    drop(first);
    let nothing_changed_s = timed(|| planned(&estate))?.1;
    fleet::move_gateways(&mut estate, fleet, 100);
    forget_peak()?;
    let (changed, one_in_a_hundred_s) = timed(|| planned(&estate))?;
    Ok(Decided {
        instances: fleet.instances,
        from_nothing_s,
        roles_written,
        roles_held,
        nothing_changed_s,
        one_in_a_hundred_s,
        roles_changed: of(&changed, Outcome::Change),
        peak_mib: peak_mib()?,
    })
}

fn planned(estate: &Estate) -> Result<Plan> {
    let settings = Settings {
        mode: Mode::Enforce,
        without_replay: true,
        allow_launch_gap: true,
        policy_quota: Some(usize::MAX),
        ..Settings::default()
    };
    let now: Timestamp = "2026-11-27T12:00:00Z".parse()?;
    Ok(plan::plan(estate, &[], &settings, now))
}

fn cover(addresses: usize, prefixes: usize, to: Option<PathBuf>) -> Result<Covered> {
    let mut dice = Dice::new(1);
    let random = |_| {
        let bits = u32::try_from(dice.roll() >> 32).expect("32 bits of 64");
        IpNet::V4(Ipv4Addr::from(bits).into())
    };
    let nets: Vec<IpNet> = (0..addresses).map(random).collect();
    let lines: Vec<_> = nets.iter().map(|net| net.addr().to_string()).collect();
    let text = lines.join("\n") + "\n";
    if let Some(path) = to {
        fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let (joined, lossless_s) = timed(|| joined(&text))?;
    drop((joined, text));
    let (cover, cover_s) = timed(|| {
        let cover = Cover::new(&nets, prefixes);
        let list = cover.list(prefixes).context("no list of that length")?;
        anyhow::ensure!(list.len() <= prefixes, "the list is too long");
        Ok(cover)
    })?;
    Ok(Covered {
        addresses,
        lossless_s,
        cover_s,
        strangers: cover.strangers(prefixes),
    })
}

/// The addresses of a text, joined where that loses nothing, as text in order.
fn joined(text: &str) -> Result<String> {
    let net = |line: &str| anyhow::Ok(IpNet::V4(line.parse::<Ipv4Addr>()?.into()));
    let nets: Vec<IpNet> = text.lines().map(net).collect::<Result<_>>()?;
    let mut joined = IpNet::aggregate(&nets);
    joined.sort_unstable();
    let mut lines = String::with_capacity(text.len());
    for net in joined {
        writeln!(lines, "{net}")?;
    }
    Ok(lines)
}

fn timed<T>(what: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let begun = Instant::now();
    let made = what()?;
    Ok((made, begun.elapsed().as_secs_f64()))
}

/// Lets the kernel measure the peak from now on (`proc_pid_clear_refs(5)`).
fn forget_peak() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")
}

/// The most memory that this process had.
fn peak_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.context("the kernel tells no peak of memory")?.parse()?;
    Ok(kib / 1024.0)
}
