//! Addresses that others than this host's processes may reach.

use std::fmt;
use std::net::SocketAddr;

/// An address of clients that is not the loopback's. It may be right: bridged containers are served
/// on one. Who comes from the network and was not redirected is closed ([`original`](crate::original)),
/// and the redirect's rules keep them from the port at all.
pub(crate) struct Exposed(SocketAddr);

impl Exposed {
    /// Those among `listening`.
    pub(crate) fn among(listening: &[SocketAddr]) -> Vec<Self> {
        let exposed = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
        listening
            .iter()
            .filter(exposed)
            .copied()
            .map(Self)
            .collect()
    }
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} can be reached from other machines: the proxy closes what was not redirected to it, and \
             the chain `port` of the redirect keeps it out altogether, so load that first \
             (`credpin-proxy redirect install`), or listen on 127.0.0.1",
            self.0
        )
    }
}
