//! Whether a request goes on, and what is said about one that does not.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use tokio::time::Instant;
use tracing::warn;

use crate::access::{Access, LiveRules};
use crate::config::{Config, GuardMode};
use crate::connection::Connection;
use crate::guard::{self, Admitted, Circumstances};
use crate::head::Flaw;
use crate::metrics::Metrics;
use crate::path::CanonicalPath;
use crate::refusal::Refusal;
use crate::rules::Action;
use crate::shares::{Share, Shares};
use crate::throttle::Throttle;
use crate::who::Who;
use credpin_wire::original::{self, is_this_host};

/// Decides with the [guard], and tells the log and the metrics of each refusal. The client is told
/// its status only.
pub(crate) struct Gate {
    mode: GuardMode,
    user_agents: Vec<String>,
    shares: Arc<Shares>,
    access: Arc<Access>,
    metrics: Metrics,
    /// The log lines of each rule and class of consumer: a flood by one hides no other.
    lines: Mutex<HashMap<(&'static str, &'static str), Arc<Throttle>>>,
}

impl Gate {
    pub(crate) fn new(config: &Config, metrics: Metrics) -> Self {
        Self {
            mode: config.guard_mode,
            user_agents: config.user_agents.clone(),
            shares: Arc::new(Shares::new(
                config.consumer_connections,
                config.max_connections,
            )),
            access: Arc::new(Access::start(config)),
            metrics,
            lines: Mutex::default(),
        }
    }

    /// The rules, for who exchanges them.
    pub(crate) fn rules(&self) -> LiveRules {
        LiveRules::new(Arc::clone(&self.access))
    }

    /// A place for the connection, unless it is one that is closed at once. From then on it is known who
    /// is at its other end.
    pub(crate) async fn enter(&self, connection: &Connection) -> Option<Share> {
        if let Err(stray) = original::check(&connection.ends) {
            self.closed(stray.rule(), &stray, connection);
            return None;
        }
        let seen = self.access.see(connection);
        // Before anything that takes time: what waits is counted too.
        let share = Shares::take(&self.shares, &connection.ends, seen);
        if share.is_some() {
            self.access.identify(connection, seen).await;
        } else {
            self.access.identify_at_once(connection, seen);
            let why = "its consumer has as many connections as `consumer-connections` allows, or the network has";
            self.closed("connections", &why, connection);
        }
        share
    }

    /// The request as it goes on.
    pub(crate) fn admit(
        &self,
        head: &mut Parts,
        connection: &Connection,
    ) -> Result<Admitted, Refusal> {
        // The screen's word for a head that nobody shall read.
        let admitted = match head.extensions.get::<Flaw>() {
            Some(flaw) => Err(Refusal::from(*flaw)),
            None => self.guard(head, connection).and_then(|admitted| {
                self.authorize(&admitted, connection)?;
                Ok(admitted)
            }),
        };
        admitted.inspect_err(|refusal| self.refused(*refusal, connection))
    }

    fn guard(&self, head: &mut Parts, connection: &Connection) -> Result<Admitted, Refusal> {
        let circumstances = Circumstances {
            local: connection.ends.local,
            user_agents: &self.user_agents,
        };
        guard::admit(head, circumstances, |breach| match self.mode {
            GuardMode::Enforce => Err(breach),
            GuardMode::Warn => {
                self.warned(breach, connection);
                Ok(())
            }
        })
    }

    /// By who asks, once what is asked for can be read in one way only.
    fn authorize(&self, admitted: &Admitted, connection: &Connection) -> Result<(), Refusal> {
        if !self.access.is_near(connection) {
            match self.mode {
                GuardMode::Enforce => return Err(Refusal::Hops),
                GuardMode::Warn => self.warned(Refusal::Hops, connection),
            }
        }
        match self.access.decide(connection.consumer(), &admitted.path) {
            Some((_, Action::Deny)) => Err(Refusal::Rule),
            Some((number, Action::Warn)) => {
                self.noted(number, &admitted.path, connection);
                Ok(())
            }
            Some((_, Action::Allow)) | None => Ok(()),
        }
    }

    fn refused(&self, refusal: Refusal, connection: &Connection) {
        let (rule, class) = (refusal.rule(), class(connection));
        self.metrics.request("refused");
        self.metrics.refusal(rule, class);
        if let Some(left_out) = self.line(rule, class) {
            let consumer = Who(connection.consumer());
            warn!(rule, class, %consumer, left_out, "refused: {refusal}");
        }
    }

    fn warned(&self, breach: Refusal, connection: &Connection) {
        let (rule, class) = (breach.rule(), class(connection));
        self.metrics.warning(rule, class, connection.consumer());
        if let Some(left_out) = self.line(rule, class) {
            let consumer = Who(connection.consumer());
            warn!(rule, class, %consumer, left_out, "would be refused, but for guard.mode = \"warn\": {breach}");
        }
    }

    fn noted(&self, number: usize, path: &CanonicalPath, connection: &Connection) {
        let (rule, class) = (Refusal::Rule.rule(), class(connection));
        self.metrics.warning(rule, class, connection.consumer());
        if let Some(left_out) = self.line("rule-warns", class) {
            let consumer = Who(connection.consumer());
            warn!(rule, number, class, %consumer, %path, left_out, "a [[rule]] warns of a request");
        }
    }

    fn closed(&self, rule: &'static str, why: &dyn fmt::Display, connection: &Connection) {
        let class = class(connection);
        self.metrics.refusal(rule, class);
        if let Some(left_out) = self.line(rule, class) {
            let consumer = Who(connection.consumer());
            warn!(rule, class, %consumer, left_out, "a connection is closed: {why}");
        }
    }

    /// Whether a line may be written; if so, how many of its kind were left out before it.
    fn line(&self, rule: &'static str, class: &'static str) -> Option<u64> {
        // No panic can leave it half changed, so a poisoned lock is as good as any.
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let throttle = Arc::clone(lines.entry((rule, class)).or_default());
        drop(lines);
        throttle.pass(Instant::now())
    }
}

/// What kind of consumer it is, of four: a label that stays small whoever asks.
fn class(connection: &Connection) -> &'static str {
    let consumer = connection.consumer();
    match (&consumer.container, consumer.uid) {
        (Some(_), _) => "container",
        (None, Some(_)) => "process",
        (None, None) if is_this_host(&connection.ends) => "unknown",
        (None, None) => "network",
    }
}
