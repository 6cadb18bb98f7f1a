//! One connection of a client, and who is at its other end.

use credpin_ledger::Consumer;
use credpin_wire::Ends;
use tokio::sync::OnceCell;

use crate::identity::{Identifier, Identity, Seen};

/// A connection, as long as it is open. What is found out about its other end is found out once.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) ends: Ends,
    by_address: Consumer,
    identity: OnceCell<Identity>,
}

impl Connection {
    pub(crate) fn new(ends: Ends) -> Self {
        Self {
            ends,
            by_address: ends.by_address(),
            identity: OnceCell::new(),
        }
    }

    /// Finds out who is at the other end, once.
    pub(crate) async fn identify(&self, identifier: &Identifier, seen: Seen) {
        let identity = || identifier.identify(self.ends, seen);
        self.identity.get_or_init(identity).await;
    }

    /// The same without a wait, for a connection that is closed at once.
    pub(crate) fn identify_at_once(&self, identifier: &Identifier, seen: Seen) {
        // Who is known already stays who it is.
        let _ = self.identity.set(identifier.at_once(self.ends, seen));
    }

    /// Who asks, as far as it could be established.
    pub(crate) fn consumer(&self) -> &Consumer {
        let identity = self.identity.get();
        identity.map_or(&self.by_address, |identity| &identity.consumer)
    }

    /// Network hops to who asks, as [`Identity::hops`]; as far as could be if nobody looked.
    pub(crate) fn hops(&self) -> u8 {
        self.identity
            .get()
            .map_or(u8::MAX, |identity| identity.hops)
    }
}
