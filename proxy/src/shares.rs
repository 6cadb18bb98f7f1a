//! What of the connections one peer may have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connection::Ends;

/// How many connections each peer on the network has, and how many it may have.
///
/// The host's own processes have no share: over the loopback, and by the redirect, they all are one
/// address, so a share would let any of them lock out the others.
pub(crate) struct Shares {
    each: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of a peer, as long as it lasts.
pub(crate) struct Share(Option<(IpAddr, Arc<Shares>)>);

impl Shares {
    pub(crate) fn new(each: usize) -> Self {
        Self {
            each,
            taken: Mutex::default(),
        }
    }

    /// One more connection for the peer, unless it has its share.
    pub(crate) fn take(shares: &Arc<Self>, ends: Ends) -> Option<Share> {
        if is_this_host(ends) {
            return Some(Share(None));
        }
        let peer = ends.peer.ip().to_canonical();
        let mut taken = shares.lock();
        let count = taken.entry(peer).or_default();
        if *count >= shares.each {
            return None;
        }
        *count += 1;
        Some(Share(Some((peer, Arc::clone(shares)))))
    }

    /// No panic can leave the counts half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((peer, shares)) = self.0.take() {
            let mut taken = shares.lock();
            if let Some(count) = taken.get_mut(&peer) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(&peer);
                }
            }
        }
    }
}

/// Whether the other end is a process of this host. By the redirect it has the host's own address,
/// and ours is then a loopback's.
fn is_this_host(ends: Ends) -> bool {
    let (peer, local) = (
        ends.peer.ip().to_canonical(),
        ends.local.ip().to_canonical(),
    );
    peer.is_loopback() || local.is_loopback() || peer == local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_on_the_network_has_a_share_and_the_host_itself_all() {
        let shares = Arc::new(Shares::new(2));
        let take = |peer: &str, local: &str| {
            let (peer, local) = (peer.parse().unwrap(), local.parse().unwrap());
            Shares::take(&shares, Ends { peer, local })
        };
        let bridge = "172.17.0.1:9337";
        let held = [
            take("172.17.0.2:1", bridge),
            take("[::ffff:172.17.0.2]:2", bridge),
        ];
        assert!(held.iter().all(Option::is_some));
        assert!(take("172.17.0.2:3", bridge).is_none());
        assert!(take("172.17.0.3:1", bridge).is_some());
        drop(held);
        assert!(take("172.17.0.2:3", bridge).is_some());
        assert!(shares.lock().is_empty());
        for (peer, local) in [
            ("127.0.0.9:1", "127.0.0.1:9337"),
            ("10.0.1.5:1", "127.0.0.1:9337"),
            ("[::1]:1", "[::1]:9337"),
            ("10.0.1.5:1", "10.0.1.5:9337"),
        ] {
            let held: Vec<_> = (0..9).map(|_| take(peer, local)).collect();
            assert!(held.iter().all(Option::is_some), "{peer}");
        }
    }
}
