//! What the host says about itself, for its records.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use credpin_ledger::{Host, Prefix, Reach};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::time::timeout;
use tracing::warn;

use crate::flight::Flight;
use crate::path::CanonicalPath;
use crate::upstream::{Lane, Upstream, UpstreamError};

/// Asks the metadata service who this host is, in the proxy's own session.
///
/// A record is written when a credential is new, every few hours, so asking is rare. What cannot be
/// had is left empty, said so, and asked for again: a record with less in it is better than none,
/// and the name under which it is shipped completes it.
#[derive(Clone)]
pub(crate) struct Describer(Arc<Inner>);

struct Inner {
    upstream: Upstream,
    last: Mutex<Option<Described>>,
    /// Who asks at the same time shares one description.
    flight: Flight<Host>,
}

#[derive(Clone)]
struct Described {
    /// What is known; empty if nothing is.
    host: Host,
    at: Timestamp,
    /// How long it is good for.
    fresh: SignedDuration,
}

/// Addresses can change while the host runs (an Elastic IP address, a new secondary address).
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// After a description that failed: each that waits for one holds up a credential.
const RETRY: SignedDuration = SignedDuration::from_secs(10);
/// How long a credential is held up for a newer description than the one that is known. SDKs wait
/// for a second.
const PATIENCE: Duration = Duration::from_millis(500);

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
        Self(Arc::new(Inner {
            upstream,
            last: Mutex::default(),
            flight: Flight::new(),
        }))
    }

    /// The host, as far as it is known at `now`.
    pub(crate) async fn host(&self, now: Timestamp) -> Host {
        let known = self.last().clone();
        let patience = match &known {
            Some(described) if described.is_fresh(now) => return described.host.clone(),
            Some(_) => PATIENCE,
            None => self.0.upstream.response_timeout(),
        };
        let own = self.clone();
        let looking = self.0.flight.start(|| async move { own.look(now).await });
        let seen = timeout(patience, looking.wait()).await.ok().flatten();
        let known = || known.map(|described| described.host);
        seen.or_else(known).unwrap_or_default()
    }

    /// How far `host` reaches beyond what its description tells.
    pub(crate) async fn reach(&self, host: &Host) -> Result<Reach, UpstreamError> {
        const MACS: &str = "meta-data/network/interfaces/macs/";
        let interfaces = self.lines::<String>(MACS).await?.len();
        let mut delegated = Vec::new();
        if let Some(mac) = &host.mac {
            for leaf in ["ipv4-prefix", "ipv6-prefix"] {
                let leaf = format!("{MACS}{mac}/{leaf}");
                delegated.extend(self.lines::<Prefix>(&leaf).await?);
            }
        }
        Ok(Reach {
            interfaces,
            delegated,
        })
    }

    /// Asks, and keeps what is known now.
    async fn look(&self, now: Timestamp) -> Host {
        let within = self.0.upstream.response_timeout();
        let failed = match timeout(within, self.describe()).await {
            Ok(Ok(host)) if !host.instance_id.is_empty() => {
                return self.keep(host, now, FRESH);
            }
            Ok(Err(error)) => Some(error),
            Ok(Ok(_)) | Err(_) => None,
        };
        warn!(
            error = failed.as_ref().map(|error| error as &dyn std::error::Error),
            "the metadata service does not say which instance this is"
        );
        let known = self.last().clone();
        let host = known.map(|described| described.host);
        self.keep(host.unwrap_or_default(), now, RETRY)
    }

    fn keep(&self, host: Host, at: Timestamp, fresh: SignedDuration) -> Host {
        *self.last() = Some(Described {
            host: host.clone(),
            at,
            fresh,
        });
        host
    }

    /// No panic can leave it half changed, so a poisoned lock is as good as any.
    fn last(&self) -> MutexGuard<'_, Option<Described>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
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
        let answered = self.0.upstream.get(&path, Lane::Own).await?;
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
    /// Whether it need not be asked for again. A clock that went back makes it old, not young.
    fn is_fresh(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.at);
        !age.is_negative() && age < self.fresh
    }
}

#[cfg(test)]
mod tests {
    use credpin_mock_imds::{Fault, MockImds};

    use super::*;
    use crate::config::Config;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn who_asks_while_imds_hangs_is_told_what_is_known_and_does_not_wait_long() {
        let imds = MockImds::builder().start().await.unwrap();
        let config = Config {
            upstream: imds.endpoint().parse().unwrap(),
            response_timeout: Duration::from_hours(1),
            ..Config::default()
        };
        let describer = Describer::new(Upstream::new(&config, Metrics::new()));
        let now = Timestamp::constant(1_800_000_000, 0);
        let known = describer.host(now).await;
        assert!(!known.instance_id.is_empty());
        imds.handle().set_fault("/", Fault::Hang);
        for later in [now + FRESH, now - RETRY] {
            let told = timeout(Duration::from_secs(30), describer.host(later)).await;
            assert_eq!(told.expect("long before IMDS's time is over"), known);
        }
    }
}
