//! Between whom a connection is, by address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use credpin_ledger::Consumer;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The client.
    pub peer: SocketAddr,
    /// Where it came in.
    pub local: SocketAddr,
    /// Where the client connected to, if a redirect sent it here.
    pub original: Option<SocketAddr>,
}

impl Ends {
    /// Where the client's own socket says that it is connected to.
    pub fn destination(&self) -> SocketAddr {
        self.original.unwrap_or(self.local)
    }

    /// Who is at the other end, as far as the address tells. A process can call from any address of
    /// 127.0.0.0/8, so they all are one consumer: this host.
    pub fn by_address(&self) -> Consumer {
        let peer = match self.peer.ip().to_canonical() {
            IpAddr::V4(peer) if peer.is_loopback() => Ipv4Addr::LOCALHOST.into(),
            peer => peer,
        };
        Consumer::at(peer)
    }
}
