//! The credentials of this host's own role, for what the proxy itself sends to AWS.

use std::net::Ipv4Addr;
use std::sync::Arc;

use credpin_ledger::{AwsCredential, Consumer, Credentials};
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::credential::{self, Credential, Document, Unreadable};
use crate::headers::{TOKEN, TOKEN_TTL};
use crate::path::CanonicalPath;
use crate::recorder::{Asked, NotRecorded, Recorder};
use crate::upstream::{Upstream, UpstreamError};

/// Gets them as a client of its own would, and for it as for any client: each is on record, for the
/// proxy's own process, before it is used (invariant 1).
pub(crate) struct OwnRole {
    upstream: Upstream,
    recorder: Arc<Recorder>,
    clock: Clock,
    consumer: Consumer,
}

/// This host has no credentials for the proxy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnRoleError {
    #[error("the metadata service cannot be asked for them")]
    Upstream(#[from] UpstreamError),
    #[error("the metadata service answers {0}: give the instance an instance profile")]
    Refused(StatusCode),
    #[error("the metadata service names no role: give the instance an instance profile")]
    NoRole,
    #[error("what the metadata service gives cannot be understood")]
    Unreadable(#[from] Unreadable),
    #[error("the metadata service has none: {0}")]
    Error(String),
    #[error("they are not on record")]
    NotRecorded(#[from] NotRecorded),
}

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// Enough for the few requests that follow.
const SESSION_SECONDS: &str = "60";

impl OwnRole {
    pub(crate) fn new(upstream: Upstream, recorder: Arc<Recorder>, clock: Clock) -> Self {
        Self {
            upstream,
            recorder,
            clock,
            consumer: this_process(),
        }
    }

    /// The same, in the form in which the record store asks for them.
    pub(crate) fn credentials(self: &Arc<Self>) -> Credentials {
        let own = Arc::clone(self);
        Credentials::new(move || {
            let own = Arc::clone(&own);
            async move { own.credential().await.map_err(Into::into) }
        })
    }

    async fn credential(&self) -> Result<AwsCredential, OwnRoleError> {
        let (role, credential) = self.ask().await?;
        let asked = Asked {
            role,
            consumer: self.consumer.clone(),
            now: self.clock.now(),
        };
        let proof = self.recorder.record(&credential, asked).await?;
        keys(&credential.release(&proof))
    }

    /// The role's name and its credentials, which are not on record yet.
    async fn ask(&self) -> Result<(String, Credential), OwnRoleError> {
        let ttl = HeaderValue::from_static(SESSION_SECONDS);
        let path = path("/latest/api/token")?;
        let session = self.upstream.ask(Method::PUT, &path, (TOKEN_TTL, ttl));
        let session = session.await?;
        if session.status != StatusCode::OK {
            return Err(OwnRoleError::Refused(session.status));
        }
        let token = HeaderValue::from_bytes(session.body.trim_ascii());
        let mut token = token.map_err(|_| OwnRoleError::NoRole)?;
        token.set_sensitive(true);
        let roles = self.get(ROLES, &token).await?;
        let role = String::from_utf8_lossy(&roles);
        let role = role.lines().next().unwrap_or_default().trim().to_owned();
        let body = self.get(&format!("{ROLES}{role}"), &token).await?;
        match credential::parse(body)? {
            Document::Credential(credential) => Ok((role, credential)),
            Document::Error(why) => Err(OwnRoleError::Error(why)),
        }
    }

    async fn get(
        &self,
        text: &str,
        token: &HeaderValue,
    ) -> Result<Zeroizing<Vec<u8>>, OwnRoleError> {
        let token = (TOKEN, token.clone());
        let answered = self.upstream.ask(Method::GET, &path(text)?, token).await?;
        if answered.status == StatusCode::OK {
            Ok(answered.body)
        } else {
            Err(OwnRoleError::Refused(answered.status))
        }
    }
}

fn path(text: &str) -> Result<CanonicalPath, OwnRoleError> {
    // A part of it is a role's name, which comes from the metadata service.
    CanonicalPath::parse(text).map_err(|_| OwnRoleError::NoRole)
}

/// What signs a request. These are copies, which live as long as the request that they sign; the
/// allocator overwrites them then.
fn keys(document: &[u8]) -> Result<AwsCredential, OwnRoleError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Keys {
        access_key_id: String,
        secret_access_key: String,
        token: String,
    }
    let keys: Keys = serde_json::from_slice(document).map_err(|_| Unreadable::Field("secret"))?;
    Ok(AwsCredential {
        key_id: keys.access_key_id,
        secret_key: keys.secret_access_key,
        token: Some(keys.token),
    })
}

/// How the proxy itself is named on record, beside others of the loopback.
fn this_process() -> Consumer {
    let exe = std::env::current_exe().ok();
    Consumer {
        uid: Some(rustix::process::geteuid().as_raw()),
        exe: exe.map(|exe| exe.to_string_lossy().into_owned()),
        ..Consumer::at(Ipv4Addr::LOCALHOST.into())
    }
}
