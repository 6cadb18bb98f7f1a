//! Records to the store, beside the serving and never in its way.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use credpin_ledger::{RecordStore, Shipper, StoreError, StoreUrl, Writer};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::describe::Describer;
use crate::metrics::Metrics;

/// Ships what the ledger has, again and again.
pub(crate) struct Shipping {
    pub(crate) writer: Writer,
    pub(crate) url: StoreUrl,
    pub(crate) interval: Duration,
    pub(crate) describer: Arc<Describer>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

/// Between two tries while the store is away, at the most.
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// Opens the store. A directory can be a network's, which may hang: not on a thread of the runtime.
pub(crate) async fn open(url: &StoreUrl) -> Result<RecordStore, StoreError> {
    let url = url.clone();
    let opening = tokio::task::spawn_blocking(move || RecordStore::create(&url));
    opening
        .await
        .unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
}

impl Shipping {
    /// Runs until it is dropped.
    pub(crate) async fn run(&self) {
        let mut pause = self.interval;
        loop {
            sleep(pause).await;
            pause = if self.round().await {
                self.interval
            } else {
                (pause * 2).min(MAX_BACKOFF.max(self.interval))
            };
        }
    }

    /// Ships all there is; returns whether the store has it now.
    pub(crate) async fn round(&self) -> bool {
        let store = match open(&self.url).await {
            Ok(store) => store,
            Err(error) => {
                self.failed(&error);
                return false;
            }
        };
        let now = self.clock.now();
        let home = self.describer.host(now).await;
        let round = Shipper::new(self.writer.clone(), store).round(&home).await;
        for error in &round.errors {
            self.failed(error);
        }
        let pending = i64::try_from(round.pending).unwrap_or(i64::MAX);
        let lag = round
            .oldest
            .map_or(0, |oldest| now.duration_since(oldest).as_secs());
        self.metrics.segments_shipped.inc_by(round.shipped as u64);
        self.metrics.segments_pending.set(pending);
        self.metrics.ship_lag.set(lag.max(0));
        if round.shipped > 0 {
            info!(segments = round.shipped, store = %self.url, "shipped");
        }
        round.errors.is_empty()
    }

    fn failed(&self, error: &(dyn Error + 'static)) {
        self.metrics.ship_failures.inc();
        warn!(error, store = %self.url, "cannot ship records; they stay in the ledger");
    }
}
