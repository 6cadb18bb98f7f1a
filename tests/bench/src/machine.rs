//! The machine: who runs on which of its CPUs, and what it is.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

/// Which CPU is for whom.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    /// For the server that is measured, whole.
    server: usize,
    /// For the load and the upstream. On a machine with one CPU it is the same one.
    rest: usize,
    /// What there is.
    all: CpuSet,
}

/// What the numbers were measured on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The model of its CPUs, as the kernel names it.
    pub cpu: String,
    /// How many of them there are for this.
    pub cpus: u32,
    /// The kernel's release.
    pub kernel: String,
}

impl Cpus {
    /// Takes the last CPU for the servers and the first for the rest, where this thread, and what it
    /// starts, runs from now on.
    pub fn take() -> Result<Self> {
        let all = available()?;
        let mut each = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
        let rest = each.next().context("the kernel names no CPU to run on")?;
        let server = each.next_back().unwrap_or(rest);
        one(rest)?;
        Ok(Self { server, rest, all })
    }

    /// Runs `start` on the servers' CPU: the processes that it starts stay there.
    pub(crate) fn on_servers<T>(self, start: impl FnOnce() -> T) -> Result<T> {
        one(self.server)?;
        let started = start();
        one(self.rest)?;
        Ok(started)
    }

    /// Runs `start` on every CPU: the processes that it starts go where they like.
    pub(crate) fn everywhere<T>(self, start: impl FnOnce() -> T) -> Result<T> {
        pin(&self.all)?;
        let started = start();
        one(self.rest)?;
        Ok(started)
    }
}

impl Machine {
    /// This one. To be asked before [`Cpus::take`].
    pub fn this() -> Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let model = info.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        Ok(Self {
            cpu: model.unwrap_or_else(|| "unknown".into()),
            cpus: available()?.count(),
            kernel: rustix::system::uname().release().to_string_lossy().into(),
        })
    }
}

/// Lets this process, and what it starts, have `files` open files.
pub fn open_files(files: u64) -> Result<()> {
    let limit = Rlimit {
        current: Some(files),
        maximum: Some(files),
    };
    setrlimit(Resource::Nofile, limit)
        .with_context(|| format!("cannot have {files} open files: raise the limit (ulimit -n)"))
}

fn available() -> Result<CpuSet> {
    sched_getaffinity(None).context("cannot tell which CPUs this may run on")
}

fn one(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    pin(&set)
}

fn pin(set: &CpuSet) -> Result<()> {
    sched_setaffinity(None, set).context("cannot choose the CPU to run on")
}
