//! Whether a request goes on, and what is said about one that does not.

use http::request::Parts;
use tokio::time::Instant;
use tracing::warn;

use crate::connection::Connection;
use crate::guard::{self, Admitted};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::throttle::Throttle;

/// Decides with the [guard], and tells the log and the metrics of each refusal. The client is told
/// its status only.
pub(crate) struct Gate {
    metrics: Metrics,
    /// The log lines about refusals.
    refusals: Throttle,
}

impl Gate {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            refusals: Throttle::default(),
        }
    }

    /// The request as it goes on.
    pub(crate) fn admit(&self, head: &Parts, connection: &Connection) -> Result<Admitted, Refusal> {
        let admitted = guard::admit(head, connection.ends.local);
        admitted.inspect_err(|refusal| self.refused(*refusal, connection))
    }

    fn refused(&self, refusal: Refusal, connection: &Connection) {
        self.metrics.request("refused");
        self.metrics.refusal(refusal.rule());
        if let Some(left_out) = self.refusals.pass(Instant::now()) {
            let consumer = connection.consumer().peer;
            warn!(rule = refusal.rule(), %consumer, left_out, "refused: {refusal}");
        }
    }
}
