//! Addresses that others than this host's processes may reach.

use std::fmt;
use std::net::SocketAddr;

/// An address that is not the loopback's. It may be right, so it is told and not refused.
pub(crate) enum Exposed {
    /// Of clients: bridged containers are served on one. Who comes from the network and was not redirected
    /// is closed ([`original`](credpin_wire::original)), and the redirect's rules keep them from the port at all.
    Clients(SocketAddr),
    /// Of who watches, which nothing keeps anybody from.
    Admin(SocketAddr),
}

impl Exposed {
    /// Those among where clients come in and where who watches does.
    pub(crate) fn among(listening: &[SocketAddr], admin: Option<SocketAddr>) -> Vec<Self> {
        let clients = listening.iter().copied().map(Self::Clients);
        let all = clients.chain(admin.map(Self::Admin));
        let exposed = |it: &Self| !it.address().ip().to_canonical().is_loopback();
        all.filter(exposed).collect()
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Clients(address) | Self::Admin(address) => *address,
        }
    }
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients(address) => write!(
                f,
                "{address} can be reached from other machines: the proxy closes what was not redirected to \
                 it, and the chain `port` of the redirect keeps it out altogether, so load that first \
                 (`credpin-proxy redirect install`), or listen on 127.0.0.1"
            ),
            Self::Admin(address) => write!(
                f,
                "{address} (`admin`) can be reached from other machines, whoever they are: the metrics name \
                 this host's roles; let your scraper alone through to it, or use 127.0.0.1 or a Unix socket"
            ),
        }
    }
}
