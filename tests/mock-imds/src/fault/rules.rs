//! Which fault a request meets.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::Serialize;

use super::{Fault, FaultSpec};
use crate::derive::Key;
use crate::path::Path;

/// A fault that is set, and how often it happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultStatus {
    /// The fault.
    #[serde(flatten)]
    pub spec: FaultSpec,
    /// How many requests met it. One whose count is used up stays listed.
    pub hits: u64,
}

/// The faults that are set, those of longer prefixes first.
pub(crate) struct Faults {
    rules: Vec<Rule>,
    key: Key,
}

struct Rule {
    prefix: Path,
    spec: FaultSpec,
    /// The requests that it was tried on: the number of the next draw.
    tried: u64,
    hits: u64,
    /// The second that is counted for a throttle, and the requests in it.
    second: (i64, u32),
}

impl Faults {
    /// What is drawn by lot is derived from `key`.
    pub(crate) fn new(key: Key) -> Self {
        let rules = Vec::new();
        Self { rules, key }
    }

    /// Sets a fault, in place of the one at the same prefix.
    pub(crate) fn set(&mut self, spec: FaultSpec) {
        let prefix = Path::parse(&spec.path);
        self.rules.retain(|rule| rule.prefix != prefix);
        self.rules.push(Rule {
            prefix,
            spec,
            tried: 0,
            hits: 0,
            second: (i64::MIN, 0),
        });
        self.rules
            .sort_by_key(|rule| Reverse(rule.prefix.segments().len()));
    }

    /// Takes back the fault at `prefix`; false where there is none.
    pub(crate) fn remove(&mut self, prefix: &Path) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.prefix != *prefix);
        self.rules.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn list(&self) -> Vec<FaultStatus> {
        let status = |rule: &Rule| FaultStatus {
            spec: rule.spec.clone(),
            hits: rule.hits,
        };
        self.rules.iter().map(status).collect()
    }

    /// The fault that a request for `path` meets, which is counted. The longest prefix decides; where
    /// its fault does not happen this time, the next longest.
    pub(crate) fn decide(&mut self, path: &Path, now: Timestamp) -> Option<Fault> {
        let Self { rules, key } = self;
        rules
            .iter_mut()
            .filter(|rule| path.is_within(&rule.prefix) && rule.spec.fault.concerns(path))
            .find_map(|rule| rule.decide(key, now))
    }
}

impl Rule {
    fn decide(&mut self, key: &Key, now: Timestamp) -> Option<Fault> {
        let used_up = self
            .spec
            .count
            .is_some_and(|count| self.hits >= count.get());
        let happens = !used_up && self.is_drawn(key) && self.is_too_fast(now);
        happens.then(|| {
            self.hits += 1;
            self.spec.fault
        })
    }

    fn is_drawn(&mut self, key: &Key) -> bool {
        let Some(probability) = self.spec.probability else {
            return true;
        };
        let context: [&[u8]; 3] = [
            b"fault",
            self.spec.path.as_bytes(),
            &self.tried.to_be_bytes(),
        ];
        self.tried += 1;
        let drawn = key
            .bytes(&context)
            .take(4)
            .fold(0, |bits, byte| bits << 8 | u32::from(byte));
        probability.happens(drawn)
    }

    /// True also for what is no throttle.
    fn is_too_fast(&mut self, now: Timestamp) -> bool {
        let Fault::Throttle(rate) = self.spec.fault else {
            return true;
        };
        let (second, requests) = &mut self.second;
        if *second != now.as_second() {
            (*second, *requests) = (now.as_second(), 0);
        }
        *requests = requests.saturating_add(1);
        *requests > rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
    const ROLE: &str = "/latest/meta-data/iam/security-credentials/web";
    const OWN: &str =
        "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance";

    fn faults(seed: u64, specs: &[&str]) -> Faults {
        let mut faults = Faults::new(Key::from_seed(seed, "i-1"));
        for spec in specs {
            faults.set(spec.parse().unwrap());
        }
        faults
    }

    fn at(faults: &mut Faults, path: &str) -> Option<Fault> {
        faults.decide(&Path::parse(path), NOW)
    }

    #[test]
    fn the_most_specific_prefix_decides() {
        let mut faults = faults(1, &["/latest/meta-data/iam:hang", "/:cut", "/:close"]);
        assert_eq!(
            at(&mut faults, "/latest/meta-data/iam/info"),
            Some(Fault::Hang)
        );
        assert_eq!(at(&mut faults, "/latest/user-data"), Some(Fault::Close));
        assert!(faults.remove(&Path::parse("/")));
        assert!(!faults.remove(&Path::parse("/")));
        assert_eq!(at(&mut faults, "/latest/user-data"), None);
        faults.clear();
        assert_eq!(at(&mut faults, "/latest/meta-data/iam"), None);
    }

    #[test]
    fn a_count_is_used_up_and_the_next_prefix_takes_over() {
        let mut faults = faults(1, &["/latest:404:count=2", "/:close"]);
        let met: Vec<_> = (0..3).map(|_| at(&mut faults, "/latest")).collect();
        let missing = Fault::Status(http::StatusCode::NOT_FOUND);
        assert_eq!(met, [Some(missing), Some(missing), Some(Fault::Close)]);
        let hits: Vec<_> = faults.list().iter().map(|status| status.hits).collect();
        assert_eq!(hits, [2, 1]);
    }

    #[test]
    fn chance_is_as_likely_as_said_and_the_same_with_the_same_seed() {
        let draw = |seed, specs: &[&str]| -> Vec<bool> {
            let mut faults = faults(seed, specs);
            (0..10_000)
                .map(|_| at(&mut faults, "/latest").is_some())
                .collect()
        };
        let drawn = draw(1, &["/latest:hang:p=0.2"]);
        let hits = drawn.iter().filter(|hit| **hit).count();
        // Ten standard deviations: 40 each.
        assert!((1_600..2_400).contains(&hits), "{hits}");
        assert_eq!(drawn, draw(1, &["/latest:hang:p=0.2", "/1.0:hang:p=0.5"]));
        assert_ne!(drawn, draw(2, &["/latest:hang:p=0.2"]));
        assert!(draw(1, &["/latest:hang:p=1"]).iter().all(|hit| *hit));
    }

    #[test]
    fn a_throttle_lets_so_many_pass_each_second() {
        let mut faults = faults(1, &["/:throttle=2"]);
        let path = Path::parse("/");
        for second in 0..3 {
            let now = Timestamp::from_second(NOW.as_second() + second).unwrap();
            let met: Vec<_> = (0..4)
                .map(|_| faults.decide(&path, now).is_some())
                .collect();
            assert_eq!(met, [false, false, true, true]);
        }
        assert_eq!(faults.list()[0].hits, 6);
    }

    #[test]
    fn what_concerns_credentials_is_met_by_nothing_else() {
        for (spec, concerned) in [
            ("/:expired:count=1", ROLE),
            ("/:unparsable:count=1", ROLE),
            ("/:unparsable:count=1", OWN),
            (
                "/:no-role:count=1",
                "/1.0/meta-data/iam/security-credentials/",
            ),
        ] {
            let mut faults = faults(1, &[spec]);
            for other in ["/", "/latest/api/token", "/latest/meta-data/iam/info"] {
                assert_eq!(at(&mut faults, other), None, "{spec} {other}");
            }
            assert!(at(&mut faults, concerned).is_some(), "{spec}");
        }
    }
}
