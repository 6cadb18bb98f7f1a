//! Records to the store, beside the serving and never in its way.

use std::error::Error;
use std::sync::PoisonError;
use std::time::Duration;

use credpin_ledger::{Host, RecordStore, Shipper, StoreError, Writer};
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::describe::Describer;
use crate::jitter::jittered;
use crate::metrics::Metrics;
use crate::records::Records;

/// Ships what the ledger has, again and again.
pub(crate) struct Shipping {
    pub(crate) writer: Writer,
    pub(crate) records: Records,
    pub(crate) interval: Duration,
    pub(crate) describer: Describer,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    /// Open while there is something to ship: the roots of TLS alone take megabytes.
    pub(crate) store: Mutex<Option<RecordStore>>,
    /// The time of the oldest record that was not in the store after the last round.
    pub(crate) oldest: std::sync::Mutex<Option<Timestamp>>,
}

/// Between two tries while the store is away, at the most.
const MAX_BACKOFF: Duration = Duration::from_mins(5);

impl Shipping {
    /// Runs until it is dropped.
    pub(crate) async fn run(&self) {
        let mut pause = self.interval;
        loop {
            sleep(jittered(pause)).await;
            pause = if self.round().await {
                self.interval
            } else {
                (pause * 2).min(MAX_BACKOFF.max(self.interval))
            };
        }
    }

    /// Ships all there is; returns whether the store has it now.
    pub(crate) async fn round(&self) -> bool {
        let now = self.clock.now();
        let home = self.describer.host(now).await;
        let open = || self.open(&home);
        let round = Shipper::new(self.writer.clone()).round(&home, open).await;
        if round.shipped + round.pending == 0 {
            *self.store.lock().await = None;
        }
        for error in &round.errors {
            self.failed(error);
        }
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.shipping.shipped.inc_by(round.shipped as u64);
        self.metrics.shipping.pending.set(gauge(round.pending));
        self.metrics.shipping.stuck.set(gauge(round.stuck));
        // A round that did not get as far as the segments has nothing new to say of them.
        if round.oldest.is_some() || round.errors.is_empty() {
            *self.oldest() = round.oldest;
        }
        if round.shipped > 0 {
            info!(segments = round.shipped, store = %self.records.url, "shipped");
        }
        round.errors.is_empty()
    }

    /// Puts into the metrics how far behind the store is: more by the second while it is away.
    pub(crate) fn tell(&self) {
        let now = self.clock.now();
        let lag = self
            .oldest()
            .map_or(0, |oldest| now.duration_since(oldest).as_secs());
        self.metrics.shipping.lag.set(lag.max(0));
    }

    /// No panic can leave it half changed, so a poisoned lock is as good as any.
    fn oldest(&self) -> std::sync::MutexGuard<'_, Option<Timestamp>> {
        self.oldest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store, open already or now.
    async fn open(&self, home: &Host) -> Result<RecordStore, StoreError> {
        let mut kept = self.store.lock().await;
        if let Some(store) = &*kept {
            return Ok(store.clone());
        }
        let store = self.records.open(home).await?;
        *kept = Some(store.clone());
        Ok(store)
    }

    fn failed(&self, error: &(dyn Error + 'static)) {
        self.metrics.shipping.failures.inc();
        warn!(error, store = %self.records.url, "cannot ship records; they stay in the ledger");
    }
}
