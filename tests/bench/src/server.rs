//! A server under test: its processes, from start to end, and what they cost.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tempfile::TempDir;

use crate::machine::Cpus;
use crate::message;

/// How long one may take until it answers. It only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that answers. Dropped, it is killed, with every process that it started.
pub struct Server {
    /// Where it answers.
    pub at: SocketAddr,
    /// From the start of its process to its first whole answer.
    pub started_in: Duration,
    child: Child,
    /// It goes with the server.
    _home: TempDir,
}

/// Memory of all processes of a server, in bytes, as `/proc/PID/smaps_rollup` has it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Memory {
    /// What is in RAM. Pages that several processes share count for each of them.
    pub resident: u64,
    /// Of it, what is not from files: heap and stacks.
    pub anonymous: u64,
}

impl Server {
    /// Starts the program that `command` makes, given an address to listen on and a directory of its
    /// own, on the servers' CPU, and waits until it hands out a session token.
    pub fn start(
        cpus: Cpus,
        command: impl FnOnce(SocketAddr, &TempDir) -> Result<Command>,
    ) -> Result<Self> {
        Self::launch(command, |command| cpus.on_servers(|| command.spawn()))
    }

    /// The same, on every CPU.
    pub fn start_everywhere(
        cpus: Cpus,
        command: impl FnOnce(SocketAddr, &TempDir) -> Result<Command>,
    ) -> Result<Self> {
        Self::launch(command, |command| cpus.everywhere(|| command.spawn()))
    }

    fn launch(
        command: impl FnOnce(SocketAddr, &TempDir) -> Result<Command>,
        spawn: impl FnOnce(&mut Command) -> Result<io::Result<Child>>,
    ) -> Result<Self> {
        let home = tempfile::tempdir().context("cannot make a directory for a server")?;
        // Free until somebody else asks for one in this very moment.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let at = free.local_addr()?;
        drop(free);
        let mut command = command(at, &home)?;
        let complaints = home.path().join("stderr");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&complaints)?);
        let request = message::put_token(at);
        let begun = Instant::now();
        let child = spawn(&mut command)?
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut server = Self {
            at,
            started_in: Duration::ZERO,
            child,
            _home: home,
        };
        while !answers(at, &request) {
            if server.child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(complaints).unwrap_or_default();
                bail!(
                    "{} gives no answer:\n{said}",
                    command.get_program().display()
                );
            }
        }
        server.started_in = begun.elapsed();
        Ok(server)
    }

    /// The CPU time that its processes have used so far.
    pub fn cpu(&self) -> Result<Duration> {
        let mut ticks = 0;
        for id in self.processes()? {
            let stat = stat(id).context("a process of a server is gone")?;
            // utime and stime; proc_pid_stat(5) counts from 1, and the name is the second.
            for field in [14, 15] {
                let field = stat.get(field - 3);
                let field = field.and_then(|field| field.parse::<u64>().ok());
                ticks += field.context("a process without a CPU time")?;
            }
        }
        let ticks = Duration::from_millis(ticks * 1000);
        Ok(ticks / u32::try_from(clock_ticks_per_second())?)
    }

    /// The memory that its processes use now.
    pub fn memory(&self) -> Result<Memory> {
        let mut memory = Memory::default();
        for id in self.processes()? {
            let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))
                .context("cannot read a server's smaps_rollup")?;
            let bytes = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
                kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
            };
            memory.resident += bytes("Rss:");
            memory.anonymous += bytes("Anonymous:");
        }
        Ok(memory)
    }

    /// The ids of its processes: the one that was started, and those that it started.
    fn processes(&self) -> Result<Vec<u32>> {
        let own = self.child.id();
        let mut processes = vec![own];
        for entry in fs::read_dir("/proc").context("cannot list processes")? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.parse().ok());
            // Others come and go.
            let parent = id
                .and_then(stat)
                .and_then(|stat| stat.get(4 - 3)?.parse().ok());
            if let Some(id) = id
                && parent == Some(own)
            {
                processes.push(id);
            }
        }
        Ok(processes)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // None of them has been waited for, so the ids are still theirs.
        for id in self.processes().unwrap_or_default() {
            let id = i32::try_from(id).ok().and_then(Pid::from_raw);
            if let Some(id) = id {
                kill_process(id, Signal::KILL).ok();
            }
        }
        self.child.wait().ok();
    }
}

/// The fields of `/proc/ID/stat` from the third on, if there is such a process.
fn stat(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(after_name(&stat).into_iter().map(str::to_owned).collect())
}

/// The fields of such a line from the third on. The second is the name, which may hold anything, in
/// parentheses.
fn after_name(stat: &str) -> Vec<&str> {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().collect()
}

/// Whether who listens at `at` answers `request` with 200.
fn answers(at: SocketAddr, request: &[u8]) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(&status == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_hides_no_field() {
        let stat = "17 (a ) b) S 1 42 42 0";
        assert_eq!(after_name(stat), ["S", "1", "42", "42", "0"]);
    }
}
