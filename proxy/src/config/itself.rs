//! Whether the upstream is the proxy itself: each request would come back to it, for ever.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Whether a connection to `upstream` arrives where `listen` is, as far as the two tell. That a
/// wildcard takes in an address of this host is known of the loopback's only: the config is read without touching the world.
pub(super) fn reaches(upstream: SocketAddr, listen: SocketAddr) -> bool {
    let listening = listen.ip().to_canonical();
    listen.port() == upstream.port()
        && addresses(upstream).into_iter().any(|upstream| {
            let any = listening.is_unspecified() && upstream.is_loopback();
            any || listening == upstream
        })
}

/// Whether a connection to `upstream` arrives at one of `listening`. Asks the kernel what a wildcard
/// takes in: only an address of this host can be bound.
pub(crate) fn is_served(upstream: SocketAddr, listening: &[SocketAddr]) -> bool {
    let wildcard =
        |listen: &SocketAddr| listen.port() == upstream.port() && listen.ip().is_unspecified();
    let is_ours = |address| UdpSocket::bind((address, 0)).is_ok();
    listening.iter().any(|listen| reaches(upstream, *listen))
        || (listening.iter().any(wildcard) && addresses(upstream).into_iter().any(is_ours))
}

/// Where a connection to `upstream` leads: an unspecified address to the loopback (Linux, ip(7)).
fn addresses(upstream: SocketAddr) -> Vec<IpAddr> {
    match upstream.ip().to_canonical() {
        address if address.is_unspecified() => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        address => vec![address],
    }
}
