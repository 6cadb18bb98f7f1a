//! Who is at the other end of a connection, as far as the kernel tells.
//!
//! ```text
//!  connection ──▶ socket ──▶ uid, inode ──▶ user's name        passwd.rs
//!                socket.rs ──▶ cgroup id ──▶ its path ──▶ unit, container
//!                                           cgroup.rs    place.rs
//! ```
//!
//! None of it takes a capability. What cannot be found out is left out, and never an error: a
//! consumer with less identity is still on record by its address, and no rule that names what is not
//! known matches it.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use credpin_ledger::Consumer;
use tracing::debug;

use crate::connection::Ends;
use crate::original::is_this_host;

use self::cgroup::Cgroups;
use self::passwd::Passwd;
use self::socket::{Sockets, Tuple};

mod cgroup;
mod passwd;
mod place;
mod socket;

/// What was found out about the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) consumer: Consumer,
    /// Network hops to it, this host itself counted: 1 is a process in this network namespace, 2
    /// is anything further, since how far it is beyond that nothing tells.
    pub(crate) hops: u8,
}

/// What can be found out here about who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The user, by `sock_diag`. Without it the network address alone tells who asks.
    pub user: bool,
    /// The cgroup, and with it the unit and the container.
    pub cgroup: bool,
    /// The executable, which takes capabilities.
    pub executable: bool,
}

/// Finds out who asks.
#[derive(Debug)]
pub(crate) struct Identifier {
    sockets: Option<Sockets>,
    cgroups: Option<Cgroups>,
    users: Passwd,
    /// The id that stands for users that have none in our user namespace.
    nobody: Option<u32>,
}

impl Identifier {
    /// Tries what works here. The kernel says that there is no such connection also where it cannot
    /// look one up, so it is tried on a connection to itself.
    pub(crate) fn start() -> Self {
        let sockets = Sockets::open().ok().filter(|sockets| finds_us(sockets));
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok();
        Self {
            sockets,
            cgroups: mountinfo.as_deref().and_then(Cgroups::of),
            users: Passwd::of("/etc/passwd".into()),
            nobody: nobody(),
        }
    }

    /// What can be found out here.
    pub(crate) fn reach(&self) -> Reach {
        Reach {
            user: self.sockets.is_some(),
            cgroup: self.sockets.is_some() && self.cgroups.is_some(),
            executable: false,
        }
    }

    /// Who is at the other end. Its socket has to be open still, so this is for the time that it waits
    /// for an answer.
    pub(crate) async fn identify(&self, ends: Ends) -> Identity {
        let mut consumer = ends.by_address();
        let Some(sockets) = &self.sockets else {
            let hops = if is_this_host(&ends) { 1 } else { 2 };
            return Identity { consumer, hops };
        };
        let tuple = Tuple::new(ends.peer, ends.destination());
        let socket = sockets.find(tuple).unwrap_or_else(|error| {
            debug!(%error, "the kernel does not say whose a socket is");
            None
        });
        // Not among this namespace's sockets, whatever its address claims.
        let Some(socket) = socket else {
            return Identity { consumer, hops: 2 };
        };
        consumer.uid = Some(socket.uid).filter(|uid| Some(*uid) != self.nobody);
        consumer.user = consumer.uid.and_then(|uid| self.users.name(uid));
        if let Some((cgroups, id)) = self.cgroups.as_ref().zip(socket.cgroup)
            && let Some(path) = cgroups.path(id).await
        {
            let place = place::read(&path);
            consumer.cgroup = Some(path.to_string());
            consumer.unit = place.unit;
            consumer.container = place.container;
        }
        Identity { consumer, hops: 1 }
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
/// as one (user_namespaces(7), `/proc/sys/kernel/overflowuid`): as a user that they are not.
fn nobody() -> Option<u32> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if map.split_whitespace().eq(["0", "0", "4294967295"]) {
        return None;
    }
    let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid");
    let overflow = overflow.ok().and_then(|uid| uid.trim().parse().ok());
    Some(overflow.unwrap_or(65534))
}
