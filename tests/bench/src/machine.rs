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
}

/// What the numbers were measured on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The model of its CPUs, as the kernel names it.
    pub cpu: String,
    /// How many of them there are for this.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
}

impl Cpus {
    /// Takes the last CPU for the servers and the first for the rest, where this thread, and what it
    /// starts, runs from now on.
    pub fn take() -> Result<Self> {
        let all = available()?;
        let (Some(rest), Some(server)) = (all.first(), all.last()) else {
            anyhow::bail!("the kernel names no CPU that this may run on");
        };
        let cpus = Self {
            server: *server,
            rest: *rest,
        };
        pin(cpus.rest)?;
        Ok(cpus)
    }

    /// Runs `start` on the servers' CPU: the processes that it starts stay there.
    pub(crate) fn on_servers<T>(self, start: impl FnOnce() -> T) -> Result<T> {
        pin(self.server)?;
        let started = start();
        pin(self.rest)?;
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
            cpus: available()?.len(),
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

fn available() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("cannot tell which CPUs this may run on")?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect())
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on CPU {cpu}"))
}
