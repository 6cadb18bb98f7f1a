//! How long clients wait, by what they ask for and what becomes of it.

use std::time::Duration;

use http::{StatusCode, Uri};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::path::CanonicalPath;

/// The time from a request's head to its answer. A clone counts into the same.
#[derive(Clone)]
pub(crate) struct Latency(Family<Kind, Histogram, Buckets>);

/// What was asked for and how it went: few words each, none of a client's.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    class: &'static str,
    outcome: &'static str,
}

#[derive(Clone)]
struct Buckets;

/// Upper ends, in seconds: from the cache within a tenth of a millisecond, from the metadata service within
/// some, after a wait for either within seconds.
const SECONDS: [f64; 11] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0,
];

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS)
    }
}

impl Latency {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let family = Family::new_with_constructor(Buckets);
        registry.register(
            "request_seconds",
            "How long a client waited for its answer, by what it asked for and what became of it",
            family.clone(),
        );
        Self(family)
    }

    /// A request of `class` was answered with `status` after `time`.
    pub(crate) fn observe(&self, class: &'static str, status: StatusCode, time: Duration) {
        let outcome = match status.as_u16() {
            ..400 => "answered",
            400..500 => "refused",
            _ => "failed",
        };
        let kind = Kind { class, outcome };
        self.0.get_or_create(&kind).observe(time.as_secs_f64());
    }
}

/// What a request is for that the guard let in.
pub(crate) fn class(path: &CanonicalPath) -> &'static str {
    if path.credential().is_some() {
        return "credentials";
    }
    // Behind the version, which is `latest` or a date.
    let path = path.as_str();
    let below = path.trim_start_matches('/').split_once('/');
    match below.map_or("", |(_, below)| below) {
        "api/token" => "token",
        "user-data" => "user-data",
        below if below.starts_with("dynamic/instance-identity") => "identity",
        below if path.ends_with('/') && !below.starts_with("user-data") => "listing",
        _ => "other",
    }
}

/// What a request is for that the guard refused, be its path one or not.
pub(crate) fn class_of_refused(uri: &Uri) -> &'static str {
    CanonicalPath::parse(uri.path()).map_or("other", |path| class(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_told_by_the_canonical_path() {
        for (path, is) in [
            (
                "/latest/meta-data/iam/security-credentials/web",
                "credentials",
            ),
            (
                "//latest/meta-data/iam//security-credentials/web",
                "credentials",
            ),
            ("/latest/meta-data/iam/security-credentials/", "listing"),
            ("/latest/api/token", "token"),
            ("/2021-03-23/user-data", "user-data"),
            ("/latest/dynamic/instance-identity/document", "identity"),
            ("/latest/meta-data/", "listing"),
            ("/latest/meta-data/mac", "other"),
            ("/", "listing"),
            ("/%zz", "other"),
        ] {
            assert_eq!(class_of_refused(&path.parse().unwrap()), is, "{path}");
        }
    }

    #[test]
    fn an_answer_is_counted_once_in_its_class() {
        let mut registry = Registry::default();
        let latency = Latency::register(&mut registry);
        latency.observe("token", StatusCode::OK, Duration::from_micros(300));
        latency.observe("token", StatusCode::FORBIDDEN, Duration::from_millis(1));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "request_seconds_bucket{le=\"0.0002\",class=\"token\",outcome=\"answered\"} 0",
            "request_seconds_bucket{le=\"0.0005\",class=\"token\",outcome=\"answered\"} 1",
            "request_seconds_count{class=\"token\",outcome=\"refused\"} 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
