//! The credentials of this host's own role, for what the proxy itself sends to AWS.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use credpin_ledger::{AwsCredential, Consumer, Credentials, ImdsVersion};
use http::StatusCode;
use http_body_util::BodyExt;
use serde::Deserialize;

use crate::answer::Answer;
use crate::cache::{Cache, Class, Found, Held};
use crate::clock::Clock;
use crate::credential::Unreadable;
use crate::path::CanonicalPath;
use crate::recorder::{Asked, NotRecorded, Recorder};

/// Gets them as a client of its own would, and for it as for any client: each is on record, for the
/// proxy's own process, before it is used (invariant 1).
pub(crate) struct OwnRole {
    cache: Cache,
    recorder: Arc<Recorder>,
    clock: Clock,
    consumer: Consumer,
}

/// This host has no credentials for the proxy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnRoleError {
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

impl OwnRole {
    pub(crate) fn new(cache: Cache, recorder: Arc<Recorder>, clock: Clock) -> Self {
        Self {
            cache,
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
        let held = self.held().await?;
        let asked = Asked {
            role: &held.role,
            consumer: &self.consumer,
            imds_version: ImdsVersion::V2,
            now: self.clock.now(),
        };
        let proof = self.recorder.record(&held.credential, asked).await?;
        keys(&held.credential.release(&proof))
    }

    /// The credentials of the role, which may not be on record yet.
    async fn held(&self) -> Result<Arc<Held>, OwnRoleError> {
        let Found::Answer(_, roles) = self.cache.get(&path(ROLES)?, Class::Role).await else {
            return Err(OwnRoleError::NoRole);
        };
        let roles = content(roles).await?;
        let roles = String::from_utf8_lossy(&roles);
        let role = roles.lines().next().unwrap_or_default().trim();
        let path = path(&format!("{ROLES}{role}"))?;
        match self.cache.get(&path, Class::Credential).await {
            Found::Credential(held) => Ok(held),
            Found::Answer(_, answer) => {
                let why = content(answer).await?;
                Err(OwnRoleError::Error(String::from_utf8_lossy(&why).into()))
            }
        }
    }
}

/// The body of an answer that has one which says something.
async fn content(answer: Answer) -> Result<Bytes, OwnRoleError> {
    if answer.status() != StatusCode::OK {
        return Err(OwnRoleError::Refused(answer.status()));
    }
    let Ok(body) = answer.into_body().collect().await;
    Ok(body.to_bytes())
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
pub(crate) fn this_process() -> Consumer {
    let exe = std::env::current_exe().ok();
    Consumer {
        uid: Some(rustix::process::geteuid().as_raw()),
        exe: exe.map(|exe| exe.to_string_lossy().into_owned()),
        ..Consumer::at(Ipv4Addr::LOCALHOST.into())
    }
}
