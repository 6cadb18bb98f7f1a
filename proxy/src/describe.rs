//! What the host says about itself, for its records.

use credpin_ledger::Host;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::warn;

use crate::path::CanonicalPath;
use crate::upstream::{Lane, Upstream, UpstreamError};

/// Asks the metadata service who this host is, in the proxy's own session.
///
/// A record is written when a credential is new, every few hours, so asking is rare. What cannot be
/// had is left empty, said so, and asked for again: a record with less in it is better than none,
/// and the name under which it is shipped completes it.
pub(crate) struct Describer {
    upstream: Upstream,
    last: Mutex<Option<Described>>,
}

struct Described {
    /// What is known; empty if nothing is.
    host: Host,
    /// Ask again after this.
    until: Timestamp,
}

/// Addresses can change while the host runs (an Elastic IP address, a new secondary address).
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// After a description that failed: each that waits for one holds up a credential.
const RETRY: SignedDuration = SignedDuration::from_secs(10);

/// The instance identity document (Amazon EC2 User Guide, "Instance identity documents").
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    account_id: String,
    region: String,
    availability_zone: Option<String>,
    instance_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    instance_profile_arn: Option<String>,
}

impl Describer {
    pub(crate) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            last: Mutex::const_new(None),
        }
    }

    /// The host, as far as it is known at `now`. Who asks at the same time shares one description.
    pub(crate) async fn host(&self, now: Timestamp) -> Host {
        let mut last = self.last.lock().await;
        if let Some(Described { host, until }) = &*last
            && now < *until
        {
            return host.clone();
        }
        let within = self.upstream.response_timeout();
        let failed = match timeout(within, self.describe()).await {
            Ok(Ok(host)) if !host.instance_id.is_empty() => {
                *last = Some(Described::new(host.clone(), now, FRESH));
                return host;
            }
            Ok(Err(error)) => Some(error),
            Ok(Ok(_)) | Err(_) => None,
        };
        warn!(
            error = failed.as_ref().map(|error| error as &dyn std::error::Error),
            "the metadata service does not say which instance this is"
        );
        let host = last.take().map(|last| last.host).unwrap_or_default();
        *last = Some(Described::new(host.clone(), now, RETRY));
        host
    }

    async fn describe(&self) -> Result<Host, UpstreamError> {
        let mut host = self.identity().await?;
        if let Some(info) = self.get("meta-data/iam/info").await? {
            let info: Option<Info> = serde_json::from_str(&info).ok();
            host.instance_profile = info.and_then(|info| info.instance_profile_arn);
        }
        host.mac = self.line("meta-data/mac").await?;
        let Some(mac) = host.mac.clone() else {
            return Ok(host);
        };
        let interface = |leaf| format!("meta-data/network/interfaces/macs/{mac}/{leaf}");
        host.vpc = self.line(&interface("vpc-id")).await?;
        host.subnet = self.line(&interface("subnet-id")).await?;
        host.private_ipv4s = self.lines(&interface("local-ipv4s")).await?;
        host.public_ipv4s = self.lines(&interface("public-ipv4s")).await?;
        host.ipv6s = self.lines(&interface("ipv6s")).await?;
        if host.account.is_empty() {
            host.account = self.line(&interface("owner-id")).await?.unwrap_or_default();
        }
        Ok(host)
    }

    /// Who this is: from the identity document, or without one from the single leaves.
    async fn identity(&self) -> Result<Host, UpstreamError> {
        let document = self.get("dynamic/instance-identity/document").await?;
        let identity: Option<Identity> = document.and_then(|text| serde_json::from_str(&text).ok());
        Ok(match identity {
            Some(identity) => Host {
                account: identity.account_id,
                region: identity.region,
                zone: identity.availability_zone,
                instance_id: identity.instance_id,
                ..Host::default()
            },
            None => Host {
                region: self
                    .line("meta-data/placement/region")
                    .await?
                    .unwrap_or_default(),
                zone: self.line("meta-data/placement/availability-zone").await?,
                instance_id: self
                    .line("meta-data/instance-id")
                    .await?
                    .unwrap_or_default(),
                ..Host::default()
            },
        })
    }

    /// The text at `latest/…`; nothing where there is none.
    async fn get(&self, leaf: &str) -> Result<Option<String>, UpstreamError> {
        // Parts of it come from the metadata service itself. What is no path there is nothing.
        let Ok(path) = CanonicalPath::parse(&format!("/latest/{leaf}")) else {
            return Ok(None);
        };
        let answered = self.upstream.get(&path, Lane::Own).await?;
        let text = String::from_utf8(answered.body.to_vec()).ok();
        Ok(text.filter(|_| answered.status == StatusCode::OK))
    }

    async fn line(&self, leaf: &str) -> Result<Option<String>, UpstreamError> {
        Ok(self.lines(leaf).await?.into_iter().next())
    }

    /// The lines of a leaf that are what they should be.
    async fn lines<T: std::str::FromStr>(&self, leaf: &str) -> Result<Vec<T>, UpstreamError> {
        let text = self.get(leaf).await?.unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(lines.filter_map(|line| line.parse().ok()).collect())
    }
}

impl Described {
    fn new(host: Host, now: Timestamp, fresh: SignedDuration) -> Self {
        let until = now.saturating_add(fresh).unwrap_or(now);
        Self { host, until }
    }
}
