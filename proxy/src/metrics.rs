//! What the proxy counts. No label has a secret, an access key id or anything a client sent.
//! There are only so many labels, whoever asks and however often.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use credpin_ledger::{Consumer, Kind};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::latency::Latency;
use crate::who::Program;

/// The counters, shared by all who count. A clone counts into the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) latency: Latency,
    requests: Family<Outcome, Counter>,
    refusals: Family<Rule, Counter>,
    warnings: Family<Rule, Counter>,
    warned: Family<Warned, Counter>,
    /// How many of these there are.
    warned_labels: Arc<AtomicUsize>,
    upstream_failures: Family<Failure, Counter>,
    upstream_seconds: Histogram,
    pub(crate) shielded: Counter,
    cached: Family<Cached, Counter>,
    credential_seconds: Family<Role, Gauge<i64, AtomicI64>>,
    pub(crate) sessions_issued: Counter,
    sessions_refused: Family<Reason, Counter>,
    issued: Family<IssuedAs, Counter>,
    launch_gate: Family<Outcome, Counter>,
    pub(crate) consumers_left_out: Counter,
    pub(crate) unreadable: Counter,
    pub(crate) ledger_failures: Counter,
    held: Gauge<i64, AtomicI64>,
    waiting: Gauge<i64, AtomicI64>,
    ledger_lag: Gauge<f64, AtomicU64>,
    ledger_seconds: Histogram,
    pub(crate) shipping: Shipping,
    pub(crate) started: Gauge<i64, AtomicI64>,
    registry: Arc<Registry>,
}

/// How far the ledger's segments are on their way to the record store.
#[derive(Clone)]
pub(crate) struct Shipping {
    pub(crate) failures: Counter,
    pub(crate) shipped: Counter,
    pub(crate) pending: Gauge<i64, AtomicI64>,
    pub(crate) stuck: Gauge<i64, AtomicI64>,
    pub(crate) lag: Gauge<i64, AtomicI64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Rule {
    rule: &'static str,
    consumer: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Warned {
    rule: &'static str,
    consumer: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failure {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct IssuedAs {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Cached {
    class: &'static str,
    result: &'static str,
}

/// The name of a role whose credentials were there.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Role {
    role: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Programs that are told apart in the metrics, each for each rule that it breaks.
const MOST_WARNED: usize = 256;
/// All others.
const OTHERS: &str = "others";

/// Upper ends, in seconds: the metadata service answers within a millisecond or so, and throttled
/// within some seconds.
const UPSTREAM_SECONDS: [f64; 10] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Upper ends, in seconds: a sync takes a millisecond or so, that of a busy disk much longer, and what
/// is held in memory waits until the disk is back.
const LEDGER_SECONDS: [f64; 11] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0,
];

/// A new metric, of the kind that its field has.
macro_rules! register {
    ($all:ident, $name:literal, $help:literal) => {{
        let metric = Default::default();
        $all.register($name, $help, Clone::clone(&metric));
        metric
    }};
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut all = Registry::with_prefix("credpin_proxy");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        all.register("build", "Which proxy this is", version);
        Self {
            latency: Latency::register(&mut all),
            requests: register!(all, "requests", "Requests, by what became of them"),
            refusals: register!(
                all,
                "refusals",
                "Requests refused and connections closed, by rule and class of consumer"
            ),
            warnings: register!(
                all,
                "warnings",
                "Requests that passed a rule in guard.mode = warn, by rule and class of consumer"
            ),
            warned: register!(all, "warned_consumers", "The same, by rule and consumer"),
            warned_labels: Arc::default(),
            upstream_failures: register!(
                all,
                "upstream_failures",
                "Requests that the metadata service did not answer"
            ),
            upstream_seconds: histogram(
                &mut all,
                "upstream_seconds",
                "How long the metadata service took to answer, or was waited for",
                UPSTREAM_SECONDS,
            ),
            shielded: register!(
                all,
                "upstream_shielded",
                "Requests not sent to the metadata service, since too many were before them"
            ),
            cached: register!(
                all,
                "cache_requests",
                "Requests for what can be cached, by class, and whether it was"
            ),
            credential_seconds: register!(
                all,
                "credential_seconds_to_expiry",
                "How long the cached credentials of a role are good; below 0: expired"
            ),
            sessions_issued: register!(all, "sessions_issued", "Session tokens given to clients"),
            sessions_refused: register!(
                all,
                "sessions_refused",
                "Requests for a session, or with a token, that were refused"
            ),
            issued: register!(
                all,
                "credentials_issued",
                "Records written: credentials new to this host, and new consumers of one"
            ),
            launch_gate: register!(all, "launch_gate", "Decisions of the launch gate"),
            consumers_left_out: register!(
                all,
                "consumers_left_out",
                "Deliveries to consumers that are not on record, since their credential has so many"
            ),
            unreadable: register!(
                all,
                "credential_documents_unreadable",
                "Credential documents that were not understood, and so not passed on"
            ),
            ledger_failures: register!(
                all,
                "ledger_failures",
                "Records that could not be made durable"
            ),
            held: register!(
                all,
                "records_held",
                "Records that only memory has: the ledger failed"
            ),
            waiting: register!(
                all,
                "records_waiting",
                "Deliveries whose record is not durable yet: on its way to the disk, or held"
            ),
            ledger_lag: register!(
                all,
                "ledger_lag_seconds",
                "How long the oldest of these has waited"
            ),
            ledger_seconds: histogram(
                &mut all,
                "ledger_seconds",
                "From a delivery that needs a record until that is durable",
                LEDGER_SECONDS,
            ),
            shipping: Shipping::register(&mut all),
            started: register!(
                all,
                "start_time_seconds",
                "When the proxy started, in seconds since 1970"
            ),
            registry: Arc::new(all),
        }
    }

    pub(crate) fn request(&self, outcome: &'static str) {
        self.requests.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn refusal(&self, rule: &'static str, consumer: &'static str) {
        let rule = Rule { rule, consumer };
        self.refusals.get_or_create(&rule).inc();
    }

    /// A request of `consumer`, which is of this class, passed a rule all the same.
    pub(crate) fn warning(&self, rule: &'static str, class: &'static str, consumer: &Consumer) {
        let of = |consumer| Rule { rule, consumer };
        self.warnings.get_or_create(&of(class)).inc();
        let mut warned = Warned {
            rule,
            consumer: Program(consumer).to_string(),
        };
        if self.warned.get(&warned).is_none()
            && self.warned_labels.fetch_add(1, Ordering::Relaxed) >= MOST_WARNED
        {
            self.warned_labels.fetch_sub(1, Ordering::Relaxed);
            OTHERS.clone_into(&mut warned.consumer);
        }
        self.warned.get_or_create(&warned).inc();
    }

    pub(crate) fn upstream_failure(&self, kind: &'static str) {
        self.upstream_failures
            .get_or_create(&Failure { kind })
            .inc();
    }

    pub(crate) fn upstream_took(&self, time: Duration) {
        self.upstream_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn cached(&self, class: &'static str, result: &'static str) {
        self.cached.get_or_create(&Cached { class, result }).inc();
    }

    /// All credentials that there are: whose, and the seconds for which it is good.
    pub(crate) fn set_credentials(&self, all: impl Iterator<Item = (String, i64)>) {
        self.credential_seconds.clear();
        for (role, seconds) in all {
            let role = Role { role };
            self.credential_seconds.get_or_create(&role).set(seconds);
        }
    }

    pub(crate) fn session_refused(&self, reason: &'static str) {
        self.sessions_refused
            .get_or_create(&Reason { reason })
            .inc();
    }

    /// What the launch gate decided.
    pub(crate) fn launch_gate(&self, outcome: &'static str) {
        self.launch_gate.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn issued(&self, kind: Kind) {
        let kind = match kind {
            Kind::Issued => "issued",
            Kind::Consumer => "consumer",
        };
        self.issued.get_or_create(&IssuedAs { kind }).inc();
    }

    pub(crate) fn set_held(&self, records: usize) {
        self.held.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// A record became durable so long after the delivery that needs it.
    pub(crate) fn recorded_after(&self, time: Duration) {
        self.ledger_seconds.observe(time.as_secs_f64());
    }

    /// So many deliveries wait for their record, the first of them for so long.
    pub(crate) fn set_backlog(&self, records: usize, longest: Duration) {
        self.waiting.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.ledger_lag.set(longest.as_secs_f64());
    }

    /// All of them, in the text format of `OpenMetrics`.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Shipping {
    fn register(all: &mut Registry) -> Self {
        Self {
            failures: register!(
                all,
                "ship_failures",
                "Segments that could not be shipped, each try counted"
            ),
            shipped: register!(
                all,
                "segments_shipped",
                "Segments shipped to the record store"
            ),
            pending: register!(
                all,
                "segments_pending",
                "Segments that are not in the record store"
            ),
            stuck: register!(
                all,
                "segments_stuck",
                "Of these, segments that no later try ships either: damaged, or their name is taken"
            ),
            lag: register!(
                all,
                "ship_lag_seconds",
                "Age of the oldest record that is not in the record store"
            ),
        }
    }
}

/// A new histogram with these upper ends, in seconds.
fn histogram<const N: usize>(
    all: &mut Registry,
    name: &str,
    help: &str,
    seconds: [f64; N],
) -> Histogram {
    let histogram = Histogram::new(seconds);
    all.register(name, help, histogram.clone());
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_consumers_are_warned_of_only_so_many_are_told_apart() {
        let metrics = Metrics::new();
        let mut consumer = Consumer::at([127, 0, 0, 1].into());
        for uid in (0..1000).chain([7]) {
            consumer.uid = Some(uid);
            metrics.warning("no-token", "process", &consumer);
        }
        let text = metrics.text().unwrap();
        let of = |line: &&str| line.starts_with("credpin_proxy_warned_consumers_total{");
        assert_eq!(text.lines().filter(of).count(), MOST_WARNED + 1);
        for (who, times) in [("uid=7", 2), ("others", 1000 - MOST_WARNED)] {
            let line = format!("{{rule=\"no-token\",consumer=\"{who}\"}} {times}\n");
            assert!(text.contains(&line), "{line}");
        }
    }
}
