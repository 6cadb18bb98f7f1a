//! Several hosts at once: a listener and a state each, served until one signal.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::Hosts;
use crate::clock::Clock;
use crate::server::run;
use crate::state::{Settings, State};

/// Where a host's service is to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address.
    pub hostname: String,
    /// 0 takes a free one.
    pub port: u16,
}

/// Hosts that listen, and are not served yet. What is sent to them waits until they are.
pub struct Fleet(Vec<Member>);

struct Member {
    listener: TcpListener,
    addr: SocketAddr,
    state: Arc<State>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct FleetError {
    /// The address.
    pub address: Address,
    /// What the system said.
    pub source: io::Error,
}

impl Fleet {
    /// Listens for all of them, or for none.
    pub async fn bind(
        hosts: impl IntoIterator<Item = (Address, Settings)>,
    ) -> Result<Self, FleetError> {
        let mut members = Vec::new();
        for (address, settings) in hosts {
            let bound = TcpListener::bind((address.hostname.as_str(), address.port)).await;
            let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (addr, listener) = bound.map_err(|source| FleetError { address, source })?;
            members.push(Member {
                listener,
                addr,
                state: Arc::new(State::new(settings)),
            });
        }
        Ok(Self(members))
    }

    /// Each host's address, with the port that it has, and its state; in the order given.
    pub fn members(&self) -> impl Iterator<Item = (SocketAddr, &Arc<State>)> {
        self.0.iter().map(|member| (member.addr, &member.state))
    }

    /// For their admin API.
    pub fn hosts(&self) -> Hosts {
        self.members()
            .map(|(addr, state)| (addr, Arc::clone(state)))
            .collect()
    }

    /// Serves them all until `shutdown` resolves, as [`run`] does for one. Dropping the future cuts
    /// everything at once.
    pub async fn run(self, clock: Arc<dyn Clock>, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(());
        let mut running = JoinSet::new();
        for Member {
            listener, state, ..
        } in self.0
        {
            let mut stopped = stopped.clone();
            running.spawn(run(listener, state, Arc::clone(&clock), async move {
                // The sender is never used: dropping it is the signal.
                let _ = stopped.changed().await;
            }));
        }
        shutdown.await;
        drop(stop);
        while running.join_next().await.is_some() {}
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|member| member.addr))
            .finish()
    }
}

/// As a message names it: `127.0.0.1 port 1338`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.hostname, self.port)
    }
}
