//! What earlier runs told and saw, so that a job that reads overlapping windows tells everything once.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Finding, Report};

const SCHEMA: u32 = 1;
/// How long it is known that a finding was told, after the last event that showed it. Longer than any
/// window that is read again ([`Known::read_from`]).
const TOLD: SignedDuration = SignedDuration::from_hours(24 * 30);
/// How long it is known where a key was used from, and who called `GetSessionToken`, after the last
/// time.
const SEEN: SignedDuration = SignedDuration::from_hours(24 * 90);
/// How far before the last event a run reads again. No temporary credential is good for longer than 36
/// hours (IAM User Guide, "Request temporary security credentials"), so the calls that made those in
/// use are in there; and files are delivered late.
const AGAIN: SignedDuration = SignedDuration::from_hours(36 + 4);

/// What a job keeps from run to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    schema: u32,
    /// The last event that was read.
    watermark: Option<Timestamp>,
    /// Findings that were told, by id; when each was last shown.
    told: BTreeMap<String, Timestamp>,
    /// Networks that long-lived keys were used from, and when each was last.
    pub(super) keys: BTreeMap<String, BTreeMap<String, Timestamp>>,
    /// Who called `GetSessionToken`, and when last.
    pub(super) principals: BTreeMap<String, Timestamp>,
}

/// A text that is not what a run keeps.
#[derive(Debug, Error)]
#[error(
    "not written by a run of this version; without it everything in the trail is told once more"
)]
pub struct KnownError(#[source] Option<serde_json::Error>);

impl Default for Known {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            watermark: None,
            told: BTreeMap::new(),
            keys: BTreeMap::new(),
            principals: BTreeMap::new(),
        }
    }
}

impl Known {
    /// What a run kept.
    pub fn parse(json: &[u8]) -> Result<Self, KnownError> {
        let known: Self = serde_json::from_slice(json).map_err(|error| KnownError(Some(error)))?;
        if known.schema == SCHEMA {
            Ok(known)
        } else {
            Err(KnownError(None))
        }
    }

    /// As it is kept.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and times have a JSON form")
    }

    /// From where a run reads: some way before `since`, or else before where the last one ended. None
    /// where neither is known.
    pub fn read_from(&self, since: Option<Timestamp>) -> Option<Timestamp> {
        since.or(self.watermark)?.checked_sub(AGAIN).ok()
    }

    /// Whether an earlier run told it.
    pub fn has_told(&self, finding: &Finding) -> bool {
        self.told.contains_key(&told_as(finding))
    }

    /// The same after a run at `now` that read to `last` and told what `report` has.
    #[must_use]
    pub fn after(mut self, report: &Report, last: Option<Timestamp>, now: Timestamp) -> Self {
        // A record that is dated in the future must not have the next runs pass over what comes before.
        self.watermark = self.watermark.max(last.map(|last| last.min(now)));
        for finding in &report.findings {
            // What stands, as a trust policy does, is shown by every look.
            latest(
                &mut self.told,
                told_as(finding),
                finding.last.unwrap_or(now),
            );
        }
        for (key, networks) in &report.networks {
            let known = self.keys.entry(key.clone()).or_default();
            for (network, at) in networks {
                latest(known, network.clone(), *at);
            }
        }
        for (principal, at) in &report.principals {
            latest(&mut self.principals, principal.clone(), *at);
        }
        self.forget(now)
    }

    /// The same, with what another run kept meanwhile.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.watermark = self.watermark.max(other.watermark);
        for (id, at) in other.told {
            latest(&mut self.told, id, at);
        }
        for (key, networks) in other.keys {
            let known = self.keys.entry(key).or_default();
            for (network, at) in networks {
                latest(known, network, at);
            }
        }
        for (principal, at) in other.principals {
            latest(&mut self.principals, principal, at);
        }
        self
    }

    /// A trail can be old, or stand still: what lies in it stays known as long as it may be read again.
    fn forget(mut self, now: Timestamp) -> Self {
        let Some(read) = self.watermark.map(|last| last.min(now)) else {
            return self;
        };
        let since = |age| read.checked_sub(age).unwrap_or(Timestamp::MIN);
        let (told, seen) = (since(TOLD), since(SEEN));
        self.told.retain(|_, at| *at >= told);
        for networks in self.keys.values_mut() {
            networks.retain(|_, at| *at >= seen);
        }
        self.keys.retain(|_, networks| !networks.is_empty());
        self.principals.retain(|_, at| *at >= seen);
        self
    }
}

/// What is accepted is told as such. When that ends, it has not been told yet.
fn told_as(finding: &Finding) -> String {
    match finding.accepted {
        Some(_) => format!("accepted {}", finding.id),
        None => finding.id.clone(),
    }
}

fn latest(times: &mut BTreeMap<String, Timestamp>, name: String, at: Timestamp) {
    let known = times.entry(name).or_insert(at);
    *known = (*known).max(at);
}
