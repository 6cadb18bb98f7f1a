//! Addresses that others than this host's processes may reach.

use std::fmt;
use std::net::SocketAddr;

/// An address of clients that is not the loopback's. It may be right: bridged containers are served
/// on one. Then it is the redirect's rules that keep the network out, and nothing else does, since
/// whoever reaches it can write the `Host` that the guard wants.
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
            "{} can be reached from other machines, and who reaches it gets this host's credentials: \
             only the chain `port` of the redirect keeps them out, so load that first \
             (`credpin-proxy redirect install`), or listen on 127.0.0.1",
            self.0
        )
    }
}
