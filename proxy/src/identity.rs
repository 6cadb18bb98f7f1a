//! Who is at the other end of a connection, as far as the kernel tells.
//!
//! ```text
//!  connection ──▶ socket ──▶ uid, inode ──▶ user's name        passwd.rs
//!                socket.rs ──▶ cgroup id ──▶ its path ──▶ unit, container
//!                                           cgroup.rs    place.rs
//! ```
//!
//! None of it takes a capability. With some, the processes can be looked at too: for the executable,
//! and for who is in another network namespace (process.rs, local.rs, row.rs). What cannot be found out is left out, and never an error: a
//! consumer with less identity is still on record by its address, and no rule that names what is not
//! known matches it.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use credpin_ledger::Consumer;
use tokio::task::spawn_blocking;
use tracing::debug;

use credpin_wire::Ends;
use credpin_wire::original::is_this_host;

pub use self::measure::measure;

use self::cgroup::Cgroups;
use self::passwd::Passwd;
use self::process::Search;
use self::socket::{Socket, Sockets, Tuple};

mod cgroup;
mod local;
mod measure;
mod passwd;
mod place;
mod process;
mod row;
mod socket;

/// What was found out about the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) consumer: Consumer,
    /// Network hops to it, this host itself counted: 1 is a process in this network namespace, 2
    /// is anything further, since how far it is beyond that nothing tells.
    pub(crate) hops: u8,
}

/// What the kernel says at once about the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing of any connection: `sock_diag` does not work here.
    Nothing,
    /// Nothing of this one, since it failed.
    Failed,
    /// No process of this network namespace has that connection open.
    Nobody,
    /// A socket, and its user if it is one that we know.
    Socket { socket: Socket, uid: Option<u32> },
}

/// What can be found out here about who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The user, by `sock_diag`. Without it the network address alone tells who asks.
    user: bool,
    /// The cgroup, and with it the unit and the container.
    cgroup: bool,
    /// The executable, which takes capabilities.
    pub(crate) executable: bool,
}

/// Finds out who asks.
#[derive(Debug)]
pub(crate) struct Identifier {
    sockets: Option<Sockets>,
    cgroups: Option<Cgroups>,
    users: Passwd,
    may_look: bool,
    /// The id that stands for users that have none in our user namespace.
    nobody: Option<u32>,
}

impl Identifier {
    /// Tries what works here. The kernel says that there is no such connection also where it cannot
    /// look one up, so it is tried on a connection to itself.
    pub(crate) fn start() -> Self {
        let sockets = Sockets::open().ok().filter(finds_us);
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok();
        Self {
            sockets,
            cgroups: mountinfo.as_deref().and_then(Cgroups::of),
            users: Passwd::of("/etc/passwd".into()),
            may_look: process::may_look(),
            nobody: nobody(),
        }
    }

    /// What can be found out here.
    pub(crate) fn reach(&self) -> Reach {
        Reach {
            user: self.sockets.is_some(),
            cgroup: self.sockets.is_some() && self.cgroups.is_some(),
            executable: self.may_look,
        }
    }

    /// Whose socket is at the other end. It has to be open still, so this is for the time that its
    /// process waits for an answer.
    pub(crate) fn see(&self, ends: Ends) -> Seen {
        let Some(sockets) = &self.sockets else {
            return Seen::Nothing;
        };
        match sockets.find(Tuple::new(ends.peer, ends.destination())) {
            Ok(Some(socket)) => {
                let uid = Some(socket.uid).filter(|uid| Some(*uid) != self.nobody);
                Seen::Socket { socket, uid }
            }
            Ok(None) => Seen::Nobody,
            Err(error) => {
                debug!(%error, "the kernel does not say whose a socket is");
                Seen::Failed
            }
        }
    }

    /// Who is at the other end, as far as it is known without a wait.
    pub(crate) fn at_once(&self, ends: Ends, seen: Seen) -> Identity {
        let mut consumer = ends.by_address();
        let hops = match seen {
            Seen::Nothing | Seen::Failed => {
                if is_this_host(&ends) {
                    1
                } else {
                    2
                }
            }
            // Not among this namespace's sockets, whatever its address claims.
            Seen::Nobody => 2,
            Seen::Socket { uid, .. } => {
                consumer.uid = uid;
                consumer.user = uid.and_then(|uid| self.users.name(uid));
                1
            }
        };
        Identity { consumer, hops }
    }

    /// Who is at the other end, of which `seen` is known.
    pub(crate) async fn identify(&self, ends: Ends, seen: Seen) -> Identity {
        let Identity { mut consumer, hops } = self.at_once(ends, seen);
        let Seen::Socket { socket, .. } = seen else {
            if self.may_look && seen == Seen::Nobody {
                let tuple = Tuple::new(ends.peer, ends.destination());
                self.look_elsewhere(tuple, &mut consumer).await;
            }
            return Identity { consumer, hops };
        };
        if let Some((cgroups, id)) = self.cgroups.as_ref().zip(socket.cgroup)
            && let Some(path) = cgroups.path(id).await
        {
            if self.may_look {
                let folder = cgroups.folder(&path);
                let (path, inode) = (path.to_string(), socket.inode);
                let find = move || Search::begin().executable(&folder, &path, inode);
                consumer.exe = spawn_blocking(find).await.ok().flatten();
            }
            in_cgroup(&mut consumer, path.to_string());
        }
        Identity { consumer, hops }
    }

    /// Who asks from another network namespace of this host, as a bridged container does.
    async fn look_elsewhere(&self, tuple: Tuple, consumer: &mut Consumer) {
        let find = move || Search::begin().elsewhere(tuple);
        let Some(found) = spawn_blocking(find).await.ok().flatten() else {
            return;
        };
        consumer.uid = Some(found.uid);
        consumer.user = self.users.name(found.uid);
        consumer.exe = found.exe;
        if let Some(path) = found.cgroup {
            in_cgroup(consumer, path);
        }
    }
}

fn in_cgroup(consumer: &mut Consumer, path: String) {
    let place = place::read(&path);
    consumer.cgroup = Some(path);
    consumer.unit = place.unit;
    consumer.container = place.container;
}

impl Reach {
    /// Whether more than the address is known.
    pub(crate) fn user(self) -> bool {
        self.user
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (known, unknown): (Vec<_>, Vec<_>) = [
            (self.user, "user"),
            (self.cgroup, "unit and container"),
            (self.executable, "executable"),
        ]
        .into_iter()
        .partition(|(known, _)| *known);
        let join = |what: Vec<(bool, &'static str)>| {
            let words: Vec<_> = what.into_iter().map(|(_, word)| word).collect();
            words.join(", ")
        };
        write!(f, "of who asks is known: address")?;
        if !known.is_empty() {
            write!(f, ", {}", join(known))?;
        }
        if !unknown.is_empty() {
            write!(f, "; not known: {}", join(unknown))?;
        }
        Ok(())
    }
}

fn finds_us(sockets: &Sockets) -> bool {
    let connection = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let tuple = Tuple::new(stream.local_addr()?, stream.peer_addr()?);
        sockets.find(tuple)
    };
    matches!(connection(), Ok(Some(_)))
}

/// In a user namespace that does not have every user (systemd's `PrivateUsers=`) the others are shown
/// as one (`user_namespaces(7)`, `/proc/sys/kernel/overflowuid`): as a user that they are not.
fn nobody() -> Option<u32> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if map.split_whitespace().eq(["0", "0", "4294967295"]) {
        return None;
    }
    let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid");
    let overflow = overflow.ok().and_then(|uid| uid.trim().parse().ok());
    Some(overflow.unwrap_or(65534))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_kernel_fails_to_answer_the_addresses_tell_who_is_near() {
        let identifier = Identifier::start();
        let hops = |peer: &str, seen| {
            let ends = Ends {
                peer: peer.parse().unwrap(),
                local: "172.17.0.1:9337".parse().unwrap(),
                original: None,
            };
            identifier.at_once(ends, seen).hops
        };
        for seen in [Seen::Nothing, Seen::Failed] {
            assert_eq!(hops("172.17.0.1:5", seen), 1, "{seen:?}");
            assert_eq!(hops("172.17.0.2:5", seen), 2, "{seen:?}");
        }
        assert_eq!(hops("172.17.0.1:5", Seen::Nobody), 2);
    }
}
