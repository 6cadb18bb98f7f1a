//! Whether the upstream is the proxy itself: each request would come back to it, for ever.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use http::uri::Authority;

/// Whether a connection to `upstream` arrives where `listen` is, as far as the two tell. That a
/// wildcard takes in an address of this host is known of the loopback's only: the config is read without touching the world.
pub(super) fn reaches(upstream: &Authority, listen: SocketAddr) -> bool {
    let (host, port) = (upstream.host(), upstream.port_u16().unwrap_or(80));
    let listening = listen.ip().to_canonical();
    listen.port() == port
        && addresses(host).into_iter().any(|upstream| {
            let any = listening.is_unspecified() && upstream.is_loopback();
            any || listening == upstream
        })
}

/// Whether a connection to `upstream` arrives at one of `listening`. Asks the kernel what a wildcard
/// takes in: only an address of this host can be bound.
pub(crate) fn is_served(upstream: &Authority, listening: &[SocketAddr]) -> bool {
    let port = upstream.port_u16().unwrap_or(80);
    let wildcard = |listen: &SocketAddr| listen.port() == port && listen.ip().is_unspecified();
    let is_ours = |address| UdpSocket::bind((address, 0)).is_ok();
    listening.iter().any(|listen| reaches(upstream, *listen))
        || (listening.iter().any(wildcard) && addresses(upstream.host()).into_iter().any(is_ours))
}

/// The addresses that a host of a URL is. An unspecified one leads to the loopback (Linux, ip(7)).
fn addresses(host: &str) -> Vec<IpAddr> {
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return loopback.to_vec();
    }
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    match address.map(|address| address.to_canonical()) {
        Some(address) if address.is_unspecified() => loopback.to_vec(),
        Some(address) => vec![address],
        None => Vec::new(),
    }
}
