//! Which consumer may have what: the hop limit, and the operator's [rules](Rules).

use std::sync::{Arc, PoisonError, RwLock};

use credpin_ledger::Consumer;
use tracing::{info, warn};

use crate::config::Config;
use crate::connection::Connection;
use crate::identity::{Identifier, Seen};
use crate::path::CanonicalPath;
use crate::rules::{Action, Rules};

/// Decides by who asks. Rules can be exchanged while it does.
pub(crate) struct Access {
    identifier: Identifier,
    hop_limit: u8,
    rules: RwLock<Arc<Rules>>,
}

/// From this hop limit on everybody is served whom the network lets through: nothing tells how far
/// beyond this host's network namespace a consumer is.
const FURTHER: u8 = 2;

/// The rules of a proxy that runs.
#[derive(Clone)]
pub struct LiveRules(Arc<Access>);

impl LiveRules {
    pub(crate) fn new(access: Arc<Access>) -> Self {
        Self(access)
    }

    /// From now on these rules decide, for connections that are open already too.
    pub fn replace(&self, rules: &Rules) {
        self.0.replace(rules);
    }
}

impl Access {
    /// Finds out what can be known of consumers here, and says so in the log.
    pub(crate) fn start(config: &Config) -> Self {
        let identifier = Identifier::start();
        info!("{}", identifier.reach());
        let access = Self {
            identifier,
            hop_limit: config.hop_limit,
            rules: RwLock::default(),
        };
        access.replace(&config.rules);
        access
    }

    /// What the kernel says at once of the connection's other end. Call it early: a client that has
    /// closed its socket is nobody's.
    pub(crate) fn see(&self, connection: &Connection) -> Seen {
        self.identifier.see(connection.ends)
    }

    /// Finds out who is at the other end of the connection, if nobody did yet.
    pub(crate) async fn identify(&self, connection: &Connection, seen: Seen) {
        connection.identify(&self.identifier, seen).await;
    }

    /// The same as far as it is known without a wait.
    pub(crate) fn identify_at_once(&self, connection: &Connection, seen: Seen) {
        connection.identify_at_once(&self.identifier, seen);
    }

    /// Whether who is at the other end is within the hop limit.
    ///
    /// Replies come from this host itself, so the hop limit of an IP packet, by which IMDS keeps its
    /// tokens from containers, holds back none of them: this one does. IMDS's packet would just not
    /// arrive, and the client would wait; it is told 403, so that it need not.
    pub(crate) fn is_near(&self, connection: &Connection) -> bool {
        self.hop_limit >= FURTHER || connection.hops() <= self.hop_limit
    }

    /// What the rules say: the number of the one that decides, from 1, and what it decides.
    pub(crate) fn decide(
        &self,
        consumer: &Consumer,
        path: &CanonicalPath,
    ) -> Option<(usize, Action)> {
        // No panic can leave it half changed, so a poisoned lock is as good as any.
        let rules = Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner));
        rules.decide(consumer, path)
    }

    fn replace(&self, rules: &Rules) {
        if rules.name_an_executable() && !self.identifier.reach().executable {
            warn!(
                "a [[rule]] names an `exe`, and this process may not see executables, so it matches \
                 nobody: install the drop-in identity.conf, or name a user or a unit"
            );
        }
        let mut current = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(rules.clone());
    }
}
