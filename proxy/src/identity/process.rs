//! The processes behind a socket, where this process may look into others: that takes
//! `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH` (the drop-in `identity.conf`).
//!
//! All of it is bounded in work and time, and all that fails gives less identity.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::thread::{CapabilitySet, capabilities};

use super::local::Local;
use super::place;
use super::row::Row;
use super::socket::Tuple;

/// Looks for one client's processes.
pub(crate) struct Search {
    deadline: Instant,
    /// Entries of `/proc` that may still be looked at.
    left: usize,
}

/// A network namespace that is not this one.
#[derive(Default)]
struct Network {
    pids: Vec<u32>,
    /// One of them is in this process's own user namespace. Who is in one below cannot bring that about:
    /// to enter a network takes `CAP_SYS_ADMIN` in one's own user namespace too (setns(2)).
    is_ours: bool,
}

/// A client in another network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    pub(crate) uid: u32,
    /// The path of its cgroup, and its executable.
    pub(crate) cgroup: Option<String>,
    pub(crate) exe: Option<String>,
}

/// A client waits for its first answer meanwhile: some milliseconds, on a host that is very busy this
/// long.
const TIME: Duration = Duration::from_millis(250);
const ENTRIES: usize = 1 << 16;

/// Whether this process may look into others.
pub(crate) fn may_look() -> bool {
    let needed = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

impl Search {
    pub(crate) fn begin() -> Self {
        Self {
            deadline: Instant::now() + TIME,
            left: ENTRIES,
        }
    }

    /// The executable of who has the socket `inode` open, among the processes of the cgroup whose
    /// folder and path are given.
    pub(crate) fn executable(&mut self, folder: &Path, path: &str, inode: u32) -> Option<String> {
        let members = fs::read_to_string(folder.join("cgroup.procs")).ok()?;
        let members = members.lines().filter_map(|pid| pid.parse().ok());
        let in_container = place::read(path).container.is_some();
        self.executable_among(members, inode, in_container)
    }

    /// The client whose connection is `tuple`, in whatever other network namespace has its address.
    ///
    /// In a user namespace everybody can make a network, and in it a connection between the same
    /// addresses. So those that this host's own users made come first, and of two in one class that have
    /// such a connection neither is believed.
    pub(crate) fn elsewhere(&mut self, tuple: Tuple) -> Option<Elsewhere> {
        let networks = self.networks()?.into_values();
        let (ours, theirs): (Vec<_>, Vec<_>) = networks.partition(|network| network.is_ours);
        let mut found = self.having(ours, tuple)?;
        if found.is_empty() {
            found = self.having(theirs, tuple)?;
        }
        let [(pids, row)] = found.try_into().ok()?;
        let mut holders = Vec::new();
        for pid in pids {
            if self.holds(pid, row.inode)? {
                holders.push(pid);
            }
        }
        let cgroups = holders.iter().map(|pid| cgroup(*pid));
        let cgroup = the_same(cgroups);
        let in_container = cgroup.as_deref().map(place::read);
        let in_container = in_container.is_some_and(|place| place.container.is_some());
        Some(Elsewhere {
            uid: row.uid,
            exe: the_same(holders.iter().map(|pid| executable(*pid, in_container))),
            cgroup,
        })
    }

    /// The connection where there is one, with the processes of its network.
    fn having(&mut self, networks: Vec<Network>, tuple: Tuple) -> Option<Vec<(Vec<u32>, Row)>> {
        let mut having = Vec::new();
        for Network { pids, .. } in networks {
            if !self.may_have(&pids, tuple)? {
                continue;
            }
            for row in self.rows(&pids, tuple)? {
                having.push((pids.clone(), row));
            }
        }
        Some(having)
    }

    /// All who have the socket open have to run the same: one who starts a trusted program with a
    /// socket of its own open in it is not that program.
    fn executable_among(
        &mut self,
        pids: impl Iterator<Item = u32>,
        inode: u32,
        in_container: bool,
    ) -> Option<String> {
        let mut holders = Vec::new();
        for pid in pids {
            if self.holds(pid, inode)? {
                holders.push(executable(pid, in_container));
            }
        }
        the_same(holders.into_iter())
    }

    /// Whether a process has the socket open; nothing if the search has taken too long.
    fn holds(&mut self, pid: u32, inode: u32) -> Option<bool> {
        let wanted = format!("socket:[{inode}]");
        let Ok(open) = fs::read_dir(of(pid, "fd")) else {
            return self.step().map(|()| false); // It ended.
        };
        for entry in open.flatten() {
            self.step()?;
            let target = fs::read_link(entry.path());
            if target.is_ok_and(|target| target.as_os_str() == wanted.as_str()) {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The processes of each network namespace but this one.
    fn networks(&mut self) -> Option<HashMap<PathBuf, Network>> {
        let own = fs::read_link("/proc/self/ns/net").ok()?;
        let own_users = fs::read_link("/proc/self/ns/user").ok()?;
        let mut networks: HashMap<_, Network> = HashMap::new();
        for entry in fs::read_dir("/proc").ok()?.flatten() {
            self.step()?;
            let pid = entry.file_name().to_str().and_then(|pid| pid.parse().ok());
            let Some(pid) = pid else {
                continue;
            };
            if let Ok(namespace) = fs::read_link(of(pid, "ns/net"))
                && namespace != own
            {
                let network = networks.entry(namespace).or_default();
                network.pids.push(pid);
                let users = || fs::read_link(of(pid, "ns/user"));
                network.is_ours = network.is_ours || users().is_ok_and(|it| it == own_users);
            }
        }
        Some(networks)
    }

    /// Whether the namespace of `pids` has the client's address. Where that cannot be read it may.
    fn may_have(&mut self, pids: &[u32], tuple: Tuple) -> Option<bool> {
        let mut local = Local::new(tuple.source().ip());
        let Some(routes) = open(pids, local.file()) else {
            return Some(true);
        };
        for line in routes.lines() {
            self.step()?;
            match line {
                Ok(line) if local.says(&line) => return Some(true),
                Ok(_) => {}
                Err(_) => return Some(true),
            }
        }
        Some(false)
    }

    /// The connection, if it is among those of the namespace of `pids`. A socket of IPv6 can speak IPv4.
    fn rows(&mut self, pids: &[u32], tuple: Tuple) -> Option<Vec<Row>> {
        let tables = match tuple.source() {
            SocketAddr::V4(_) => &["net/tcp", "net/tcp6"][..],
            SocketAddr::V6(_) => &["net/tcp6"],
        };
        for table in tables {
            let Some(table) = open(pids, table) else {
                continue;
            };
            for line in table.lines() {
                self.step()?;
                let Ok(line) = line else {
                    break;
                };
                let row = Row::read(&line).filter(|row| row.tuple == tuple && row.inode != 0);
                // In one namespace no two connections are alike.
                if let Some(row) = row {
                    return Some(vec![row]);
                }
            }
        }
        Some(vec![])
    }

    fn step(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        (Instant::now() < self.deadline).then_some(())
    }
}

/// The path of a process's executable. Who is in a container runs what the container has at that
/// path. Of others it is known only if it is the file that this host has there: whoever mounts a file
/// over another in a namespace of their own shows the other's path, and so does a file that was
/// replaced since.
fn executable(pid: u32, in_container: bool) -> Option<String> {
    let link = of(pid, "exe");
    let path = fs::read_link(&link).ok()?;
    let text = path.to_str()?.to_owned();
    if in_container {
        return Some(text);
    }
    let (running, there) = (fs::metadata(&link).ok()?, fs::metadata(&path).ok()?);
    let same = running.dev() == there.dev() && running.ino() == there.ino();
    same.then_some(text)
}

/// The path of a process's cgroup of version 2 (cgroups(7), `/proc/PID/cgroup`).
fn cgroup(pid: u32) -> Option<String> {
    let cgroups = fs::read_to_string(of(pid, "cgroup")).ok()?;
    let mut lines = cgroups.lines();
    lines.find_map(|line| line.strip_prefix("0::").map(str::to_owned))
}

/// A file of a namespace, by the first of its processes that lives.
fn open(pids: &[u32], what: &str) -> Option<BufReader<fs::File>> {
    let file = pids
        .iter()
        .find_map(|pid| fs::File::open(of(*pid, what)).ok())?;
    Some(BufReader::new(file))
}

fn of(pid: u32, what: &str) -> PathBuf {
    format!("/proc/{pid}/{what}").into()
}

/// What all say; nothing if they differ, or if one says nothing.
fn the_same(mut all: impl Iterator<Item = Option<String>>) -> Option<String> {
    let first = all.next()??;
    all.all(|other| other.as_ref() == Some(&first))
        .then_some(first)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Looking at ourselves takes no capability.
    #[test]
    fn the_executable_behind_a_socket_is_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let inode = u32::try_from(rustix::fs::fstat(&stream).unwrap().st_ino).unwrap();
        let find = |inode| {
            let us = std::iter::once(std::process::id());
            Search::begin().executable_among(us, inode, false)
        };
        let own = std::env::current_exe().unwrap();
        assert_eq!(find(inode).as_deref(), own.to_str());
        drop(stream);
        assert_eq!(find(inode), None);
    }

    #[test]
    fn a_search_ends() {
        let us = || std::iter::once(std::process::id());
        let (deadline, left) = (Instant::now() + TIME, 1);
        let mut search = Search { deadline, left };
        assert_eq!(search.holds(std::process::id(), 0), None);
        assert_eq!(search.executable_among(us(), 0, false), None);
    }

    #[test]
    fn holders_that_differ_are_nobody() {
        let all = |all: &[Option<&str>]| the_same(all.iter().map(|one| one.map(str::to_owned)));
        assert_eq!(all(&[Some("a"), Some("a")]).as_deref(), Some("a"));
        assert_eq!(all(&[Some("a"), Some("b")]), None);
        assert_eq!(all(&[Some("a"), None]), None);
        assert_eq!(all(&[]), None);
    }
}
