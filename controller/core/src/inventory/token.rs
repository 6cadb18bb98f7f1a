//! A token, as its host recorded it.

use std::net::IpAddr;

use credpin_ledger::{ImdsVersion, Record};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LONGEST;
use crate::lineage::short;

/// Consumers that are kept of a token; the ledger of an honest host has fewer.
const MOST: usize = 512;

/// What records tell of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The host's region.
    pub region: String,
    /// When it was issued; the earliest that is said.
    pub issued: Timestamp,
    /// When it expires; the latest that is said.
    pub expires: Timestamp,
    /// The last record of it.
    pub recorded: Timestamp,
    /// Who asked for it, each once and in order; 512 at most.
    pub consumers: Vec<Asker>,
    /// Whether there are more.
    pub more: bool,
}

/// Who asked for a token, and by which IMDS version. That it comes from another cgroup makes nobody
/// another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Asker {
    /// The IMDS version of the request.
    pub imds: ImdsVersion,
    /// The address that it came from.
    pub peer: IpAddr,
    /// User id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Name of that user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Path of the executable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// systemd unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Container or pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

impl Token {
    /// What one record tells.
    pub(super) fn of(record: &Record) -> Self {
        Self {
            region: record.host.region.clone(),
            issued: record.issued,
            expires: record.expires,
            recorded: record.time,
            consumers: vec![Asker::of(record)],
            more: false,
        }
    }

    /// Takes in what other records tell of it.
    pub fn merge(&mut self, other: Self) {
        if other.region < self.region {
            self.region = other.region;
        }
        self.issued = self.issued.min(other.issued);
        self.expires = self.expires.max(other.expires);
        self.recorded = self.recorded.max(other.recorded);
        let consumers = &mut self.consumers;
        consumers.extend(other.consumers);
        consumers.sort();
        consumers.dedup();
        self.more |= other.more || consumers.len() > MOST;
        // The first in order, so that it does not matter who came when.
        consumers.truncate(MOST);
    }

    /// When it is over: when it says so, but not later than a token can last.
    pub fn ends(&self) -> Timestamp {
        let longest = self.recorded.checked_add(LONGEST);
        self.expires.min(longest.unwrap_or(Timestamp::MAX))
    }
}

impl Asker {
    fn of(record: &Record) -> Self {
        let consumer = &record.consumer;
        let text = |known: &Option<String>| known.as_deref().map(text);
        Self {
            imds: record.imds_version,
            peer: consumer.peer,
            uid: consumer.uid,
            user: text(&consumer.user),
            exe: text(&consumer.exe),
            unit: text(&consumer.unit),
            container: text(&consumer.container),
        }
    }
}

/// A host's text, no longer than it may be.
pub(super) fn text(text: &str) -> String {
    short(text).to_owned()
}
