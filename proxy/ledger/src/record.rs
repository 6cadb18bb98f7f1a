//! One line of the ledger: which credential was handed out, where, to whom.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the record format that this build writes and reads.
pub const SCHEMA: u32 = 1;

/// One credential seen for the first time on a host, or one more consumer of it.
///
/// As JSON it is one flat object a line. Times are RFC 3339 in UTC, addresses are text. It names a
/// credential by its access key id, which is public (CloudTrail prints it), and never holds more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Always [`SCHEMA`]; a reader refuses what it does not know.
    pub schema: u32,
    /// Why this line was written.
    pub kind: Kind,
    /// When the host made this record.
    pub time: Timestamp,
    /// The host's boot id (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// Counts from 1 within a boot; a gap is a lost record.
    pub seq: u64,
    /// Where the host is, as its metadata service says.
    #[serde(flatten)]
    pub host: Host,
    /// The role's name, as in `iam/security-credentials/ROLE`.
    pub role: String,
    /// The access key id: `ASIA` and 16 more.
    pub access_key_id: String,
    /// `LastUpdated` of the credential document.
    pub issued: Timestamp,
    /// `Expiration` of the credential document.
    pub expires: Timestamp,
    /// Who asked for it.
    pub consumer: Consumer,
    /// The IMDS version of the request that it was handed out to.
    pub imds_version: ImdsVersion,
    /// Version of the proxy that wrote this.
    pub proxy_version: String,
}

/// Why a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The host hands this credential out for the first time.
    Issued,
    /// A consumer that had not asked before gets a credential that is already on record.
    Consumer,
}

/// What a host says about itself. Evidence for a person, never the source of an address in a
/// policy (invariant 3): what metadata did not say is absent, not guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Account id, twelve digits.
    pub account: String,
    /// Region, as `eu-west-1`.
    pub region: String,
    /// Availability zone, as `eu-west-1a`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// `i-…`
    pub instance_id: String,
    /// `vpc-…` of the primary interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// `subnet-…` of the primary interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// MAC of the primary interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Private IPv4 addresses of the primary interface, the primary one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_ipv4s: Vec<Ipv4Addr>,
    /// IPv6 addresses of the primary interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6s: Vec<Ipv6Addr>,
    /// Public IPv4 addresses of the primary interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_ipv4s: Vec<Ipv4Addr>,
    /// ARN of the instance profile (`iam/info`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<String>,
}

/// Who asked. Every field but `peer` is present only where it could be established.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Consumer {
    /// The address that the request came from.
    pub peer: IpAddr,
    /// User id of the asking process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Name of that user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Path of its executable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Its cgroup's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// systemd unit, from the cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Container or pod, from the cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

impl Consumer {
    /// Who asked, as far as an address tells.
    pub fn at(peer: IpAddr) -> Self {
        Self {
            peer,
            uid: None,
            user: None,
            exe: None,
            cgroup: None,
            unit: None,
            container: None,
        }
    }

    /// Whether a record of `other` says who this is. The cgroup does not count, for everybody can
    /// have ever new ones below their own; nor does an executable that could not be found out this
    /// time.
    pub fn is_said_by(&self, other: &Self) -> bool {
        self.peer == other.peer
            && self.uid == other.uid
            && self.user == other.user
            && self.unit == other.unit
            && self.container == other.container
            && (self.exe.is_none() || self.exe == other.exe)
    }
}

/// Which IMDS version a request used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ImdsVersion {
    /// No session token.
    #[serde(rename = "1")]
    V1,
    /// With a session token.
    #[serde(rename = "2")]
    V2,
}
