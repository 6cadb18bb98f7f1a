//! Where a connection was meant to go, before the redirect sent it here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::ends::Ends;

/// Where IMDS is (Amazon EC2 User Guide, "Instance metadata and user data").
pub(crate) const IMDS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Why a connection is closed before a byte of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stray {
    /// A redirect sent it here that is not for the metadata service.
    #[error("it was redirected here on its way to something else than the metadata service")]
    Elsewhere,
    /// It came from another machine, or a container, right to a port of the proxy.
    #[error("it came from the network and was not redirected")]
    Network,
}

/// The address that the client connected to, where it is another than the one it came to: what the
/// kernel's connection tracking remembers (`SO_ORIGINAL_DST`, `IP6T_SO_ORIGINAL_DST`). Nothing
/// without a redirect, or where no connections are tracked.
pub(crate) fn destination(stream: &TcpStream, local: SocketAddr) -> Option<SocketAddr> {
    let socket = SockRef::from(stream);
    // An IPv4 client of a socket on [::] is tracked as what it is.
    let original = if local.ip().to_canonical().is_ipv4() {
        socket.original_dst_v4()
    } else {
        socket.original_dst_v6()
    };
    let original = original.ok()?.as_socket()?;
    (original.port() != local.port() || original.ip() != local.ip().to_canonical())
        .then_some(original)
}

/// Only who asked for the metadata service, and processes of this host, are served. Whoever else
/// reaches the port can write the `Host` that the guard wants, so `Host` is not what keeps them out.
pub fn check(ends: &Ends) -> Result<(), Stray> {
    match ends.original {
        Some(original) if IMDS.contains(&original.ip()) && original.port() == 80 => Ok(()),
        Some(_) => Err(Stray::Elsewhere),
        None if is_this_host(ends) => Ok(()),
        None => Err(Stray::Network),
    }
}

/// Whether the other end is a process of this host. By the redirect it has the host's own address,
/// and ours is then a loopback's: without one no packet from the network should come to it, but
/// with `net.ipv4.conf.*.route_localnet` some do.
pub fn is_this_host(ends: &Ends) -> bool {
    let (peer, local) = (
        ends.peer.ip().to_canonical(),
        ends.local.ip().to_canonical(),
    );
    let redirected = ends.original.is_some() && local.is_loopback();
    peer.is_loopback() || peer == local || redirected
}

impl Stray {
    /// The rule's name in the metrics.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::Network => "network",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_for_the_metadata_service_or_is_this_host_is_served() {
        let check = |peer: &str, local: &str, original: Option<&str>| {
            check(&Ends {
                peer: peer.parse().unwrap(),
                local: local.parse().unwrap(),
                original: original.map(|original| original.parse().unwrap()),
            })
        };
        let imds = Some("169.254.169.254:80");
        let imds_v6 = Some("[fd00:ec2::254]:80");
        for (peer, local, original) in [
            ("127.0.0.1:1", "127.0.0.1:9337", None),
            ("[::1]:1", "[::1]:9337", None),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:9337", None),
            ("10.0.1.5:1", "10.0.1.5:9337", None),
            ("10.0.1.5:1", "127.0.0.1:9337", imds),
            ("[::ffff:172.17.0.2]:1", "[::ffff:172.17.0.1]:9337", imds),
            ("[fd00::2]:1", "[fd00::1]:9337", imds_v6),
        ] {
            assert_eq!(check(peer, local, original), Ok(()), "{peer} {local}");
        }
        for (peer, local) in [
            ("10.0.1.6:1", "10.0.1.5:9337"),
            ("10.0.1.6:1", "127.0.0.1:9337"),
            ("[fd00::2]:1", "[fd00::1]:9337"),
            ("[::ffff:172.17.0.2]:1", "[::ffff:172.17.0.1]:9337"),
        ] {
            let found = check(peer, local, None);
            assert_eq!(found, Err(Stray::Network), "{peer} {local}");
            for other in ["169.254.169.254:81", "169.254.169.253:80", "10.0.1.7:80"] {
                let found = check(peer, local, Some(other));
                assert_eq!(found, Err(Stray::Elsewhere), "{peer} {other}");
            }
        }
    }
}
