//! What of the connections one consumer may have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::identity::Seen;
use credpin_wire::Ends;
use credpin_wire::original::is_this_host;

/// How many connections each consumer has, and how many it may have.
pub(crate) struct Shares {
    each: usize,
    /// For all peers on the network together: whoever has many addresses, or many containers, leaves
    /// room for the host's own processes.
    peers: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    by: HashMap<Key, usize>,
    peers: usize,
}

/// One connection of a consumer, as long as it lasts.
pub(crate) struct Share(Option<(Key, Arc<Shares>)>);

/// Whose share it is. Users of this host have one each, root too; who comes from elsewhere has one
/// by its address, since what a user is there is not the same user here.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    User(u32),
    Peer(IpAddr),
    /// All processes of this host whose user is not known, where that of others is.
    Unknown,
}

impl Share {
    /// A connection that nobody counts.
    pub(crate) fn free() -> Self {
        Self(None)
    }
}

impl Shares {
    /// Of `all` connections so many for each. A share of one, or half of all if that is less, is not for
    /// peers.
    pub(crate) fn new(each: usize, all: usize) -> Self {
        Self {
            each,
            peers: all - each.min(all / 2),
            taken: Mutex::default(),
        }
    }

    /// One more connection for the consumer, unless it has its share.
    pub(crate) fn take(shares: &Arc<Self>, ends: &Ends, seen: Seen) -> Option<Share> {
        let Some(key) = Key::of(ends, seen) else {
            return Some(Share::free());
        };
        let mut taken = shares.lock();
        let is_peer = matches!(key, Key::Peer(_));
        let has = taken.by.get(&key).copied().unwrap_or_default();
        if has >= shares.each || (is_peer && taken.peers >= shares.peers) {
            return None;
        }
        taken.by.insert(key, has + 1);
        taken.peers += usize::from(is_peer);
        Some(Share(Some((key, Arc::clone(shares)))))
    }

    /// No panic can leave the counts half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    /// Nothing for a process of this host where nobody's user can be known: over the loopback, and by
    /// the redirect, they all are one address, so a share would let any of them lock out the others.
    fn of(ends: &Ends, seen: Seen) -> Option<Self> {
        if !is_this_host(ends) {
            return Some(Self::Peer(ends.peer.ip().to_canonical()));
        }
        match seen {
            Seen::Nothing => None,
            Seen::Socket { uid: Some(uid), .. } => Some(Self::User(uid)),
            Seen::Socket { uid: None, .. } | Seen::Failed | Seen::Nobody => Some(Self::Unknown),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((key, shares)) = self.0.take() {
            let mut taken = shares.lock();
            taken.peers -= usize::from(matches!(key, Key::Peer(_)));
            if let Some(count) = taken.by.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    taken.by.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_on_the_network_has_a_share_and_who_is_not_known_here_has_one_with_others() {
        let shares = Arc::new(Shares::new(2, 100));
        let take_seen = |peer: &str, local: &str, seen| {
            let ends = Ends {
                peer: peer.parse().unwrap(),
                local: local.parse().unwrap(),
                original: Some("169.254.169.254:80".parse().unwrap()),
            };
            Shares::take(&shares, &ends, seen)
        };
        let take = |peer: &str, local: &str| take_seen(peer, local, Seen::Nobody);
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
        assert!(shares.lock().by.is_empty());
        let here = [
            ("127.0.0.9:1", "127.0.0.1:9337"),
            ("10.0.1.5:1", "127.0.0.1:9337"),
            ("[::1]:1", "[::1]:9337"),
            ("10.0.1.5:1", "10.0.1.5:9337"),
        ];
        for seen in [Seen::Nobody, Seen::Failed] {
            let take = |(peer, local): &(&str, &str)| take_seen(peer, local, seen);
            let held: Vec<_> = here.iter().map(take).collect();
            assert_eq!(held.iter().flatten().count(), 2, "one for all of them");
        }
        for (peer, local) in here {
            let take = |_| take_seen(peer, local, Seen::Nothing);
            let held: Vec<_> = (0..9).map(take).collect();
            assert!(held.iter().all(Option::is_some), "{peer}");
        }
    }

    #[test]
    fn however_many_peers_there_are_a_share_is_left_for_this_host() {
        let shares = Arc::new(Shares::new(4, 16));
        let peer = |n: u8| {
            let ends = Ends {
                peer: ([172, 17, 0, n], 1).into(),
                local: ([172, 17, 0, 1], 9337).into(),
                original: Some(([169, 254, 169, 254], 80).into()),
            };
            Shares::take(&shares, &ends, Seen::Nobody)
        };
        let held: Vec<_> = (2..100).filter_map(peer).collect();
        assert_eq!(held.len(), 12);
        let ends = Ends {
            peer: ([127, 0, 0, 1], 1).into(),
            local: ([127, 0, 0, 1], 9337).into(),
            original: None,
        };
        let own: Vec<_> = (0..9)
            .filter_map(|_| Shares::take(&shares, &ends, Seen::Failed))
            .collect();
        assert_eq!(own.len(), 4);
        drop(held);
        assert!(peer(2).is_some());
        for (each, all, peers) in [(256, 1024, 768), (1024, 1024, 512), (1, 1, 1)] {
            assert_eq!(Shares::new(each, all).peers, peers, "{each} of {all}");
        }
    }
}
