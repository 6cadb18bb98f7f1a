//! One connection of a client, and who is at its other end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use credpin_ledger::Consumer;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Where the client connected to, if a redirect sent it here.
    pub(crate) original: Option<SocketAddr>,
}

/// A connection, as long as it is open. What is found out about its other end is found out once.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) ends: Ends,
    consumer: Consumer,
}

impl Connection {
    pub(crate) fn new(ends: Ends) -> Self {
        let consumer = by_address(ends.peer);
        Self { ends, consumer }
    }

    /// Who asks, as far as it could be established.
    pub(crate) fn consumer(&self) -> &Consumer {
        &self.consumer
    }
}

/// Who asks, as far as the address tells. A process can call from any address of 127.0.0.0/8, so
/// they all are one consumer: this host.
fn by_address(peer: SocketAddr) -> Consumer {
    let peer = match peer.ip().to_canonical() {
        IpAddr::V4(peer) if peer.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        peer => peer,
    };
    Consumer::at(peer)
}
