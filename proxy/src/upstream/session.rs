//! The proxy's own session with the metadata service: one, for all that it asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::{Answered, Lane, Outgoing, Upstream, UpstreamError};
use crate::flight::{Flight, Landing};
use crate::headers::TOKEN_TTL;
use crate::jitter::jittered;
use crate::path::CanonicalPath;

/// The session, and what was last heard about sessions.
pub(crate) struct Session {
    known: Mutex<Known>,
    /// After a renewal that failed or was refused: until then, no client's request starts another.
    retry_at: Mutex<Option<Instant>>,
    flight: Flight<Result<Known, UpstreamError>>,
}

/// How the metadata service stands to a request for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It gives sessions, or cannot be asked. Own ones are issued then too: who has one can be
    /// served from what is cached.
    Gives,
    /// It answers with this status: it is switched off, or knows no sessions.
    Refuses(StatusCode),
}

#[derive(Clone)]
enum Known {
    /// Nothing was asked yet.
    Nothing,
    Token(Arc<Held>),
    Refused(StatusCode),
    /// It could not be asked, and nothing better is known.
    Away,
}

struct Held {
    token: HeaderValue,
    renew: Instant,
    until: Instant,
}

/// The longest that there are.
const SECONDS: u32 = 21_600;
const LIFE: Duration = Duration::from_secs(SECONDS as u64);
/// Renewed when so much of it is over.
const RENEW: Duration = Duration::from_secs(SECONDS as u64 / 5 * 4);
/// SDKs give a request for a session one second.
const PATIENCE: Duration = Duration::from_millis(250);
/// Between renewals that clients' requests start, where the last one failed or was refused.
const RETRY: Duration = Duration::from_secs(1);

impl Session {
    pub(super) fn new() -> Self {
        Self {
            known: Mutex::new(Known::Nothing),
            retry_at: Mutex::default(),
            flight: Flight::new(),
        }
    }

    fn known(&self) -> Known {
        self.lock().clone()
    }

    /// Whether a renewal has failed, or was refused, only just now.
    fn is_spared(&self) -> bool {
        let retry_at = *self.retry_at();
        retry_at.is_some_and(|at| Instant::now() < at)
    }

    /// No panic can leave it half changed, so a poisoned lock is as good as any.
    fn retry_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.retry_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client that asks for a session is to be told. It waits a moment only where nothing is
/// known, or where the last word was a refusal, which may be over.
pub(super) async fn standing(upstream: &Upstream) -> Standing {
    match upstream.0.session.known() {
        Known::Token(held) if Instant::now() < held.renew => {}
        Known::Token(_) | Known::Away | Known::Refused(_) if upstream.0.session.is_spared() => {}
        // Who waits for it is whoever asks something next.
        Known::Token(_) | Known::Away => drop(renew(upstream)),
        Known::Nothing | Known::Refused(_) => {
            // What came of it is known now, or there was no time.
            let _ = Box::pin(timeout(PATIENCE, renew(upstream).wait())).await;
        }
    }
    match upstream.0.session.known() {
        Known::Refused(status) => Standing::Refuses(status),
        Known::Token(_) | Known::Away | Known::Nothing => Standing::Gives,
    }
}

/// Sends a request, in the proxy's session if it is to be in one. A session that is refused is renewed
/// once. Where there are none to be had, the metadata service decides about a request without.
pub(super) fn send(
    upstream: &Upstream,
    outgoing: Outgoing,
    lane: Lane,
) -> impl Future<Output = Result<Answered, UpstreamError>> {
    let Outgoing {
        mut request,
        in_session,
    } = outgoing;
    // Not an `async fn`, which would keep room for its arguments twice.
    async move {
        let held = if in_session {
            held(upstream).await?
        } else {
            None
        };
        if let Some(held) = &held {
            request.put_into(&held.token);
        }
        let answered = upstream.send(&request, lane).await?;
        let Some(held) = held.filter(|_| answered.status == StatusCode::UNAUTHORIZED) else {
            return Ok(answered);
        };
        forget(upstream, &held);
        // Seldom needed, and large: in a box it takes no room in what answers every request.
        let again = async {
            let Some(held) = self::held(upstream).await? else {
                return Ok(answered);
            };
            request.put_into(&held.token);
            upstream.send(&request, lane).await
        };
        Box::pin(again).await
    }
}

/// The session that is good now; nothing where the metadata service gives none.
async fn held(upstream: &Upstream) -> Result<Option<Arc<Held>>, UpstreamError> {
    let now = Instant::now();
    match upstream.0.session.known() {
        Known::Token(held) if now < held.until => {
            if held.renew <= now && !upstream.0.session.is_spared() {
                drop(renew(upstream));
            }
            return Ok(Some(held));
        }
        Known::Refused(_) if upstream.0.session.is_spared() => return Ok(None),
        _ => {}
    }
    match Box::pin(renew(upstream).wait()).await {
        Some(Ok(Known::Token(held))) => Ok(Some(held)),
        Some(Ok(_)) | None => Ok(None),
        Some(Err(error)) => Err(error),
    }
}

fn forget(upstream: &Upstream, refused: &Arc<Held>) {
    let mut known = upstream.0.session.lock();
    if matches!(&*known, Known::Token(held) if Arc::ptr_eq(held, refused)) {
        *known = Known::Away;
    }
}

fn renew(upstream: &Upstream) -> Landing<Result<Known, UpstreamError>> {
    let own = upstream.clone();
    upstream.0.session.flight.start(|| async move {
        let renewed = ask(&own).await;
        let given = matches!(renewed, Ok(Known::Token(_)));
        let retry_at = (!given).then(|| Instant::now() + jittered(RETRY));
        *own.0.session.retry_at() = retry_at;
        let mut known = own.0.session.lock();
        match &renewed {
            Ok(new) => *known = new.clone(),
            Err(error) => {
                warn!(
                    error = error as &dyn std::error::Error,
                    "the metadata service gives the proxy no session"
                );
                // An old one may still be good.
                if !matches!(&*known, Known::Token(held) if Instant::now() < held.until) {
                    *known = Known::Away;
                }
            }
        }
        renewed
    })
}

async fn ask(upstream: &Upstream) -> Result<Known, UpstreamError> {
    let path = CanonicalPath::parse("/latest/api/token").expect("it is canonical");
    let asked = Instant::now();
    let answered = upstream.ask(Method::PUT, &path, (TOKEN_TTL.clone(), SECONDS.into()));
    let Answered { status, body, .. } = answered.await?;
    let no_session = || UpstreamError::NoSession {
        upstream: upstream.url().clone(),
        status,
    };
    let passing = status == StatusCode::TOO_MANY_REQUESTS;
    if (status.is_redirection() || status.is_client_error()) && !passing {
        return Ok(Known::Refused(status));
    }
    if status != StatusCode::OK {
        return Err(no_session());
    }
    let mut token = HeaderValue::from_bytes(body.trim_ascii()).map_err(|_| no_session())?;
    token.set_sensitive(true);
    Ok(Known::Token(Arc::new(Held {
        token,
        renew: asked + RENEW,
        until: asked + LIFE,
    })))
}

#[cfg(test)]
mod tests {
    use credpin_mock_imds::MockImds;

    use super::*;
    use crate::config::Config;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn it_is_renewed_when_four_fifths_of_it_are_over_and_nobody_waits_for_it() {
        let imds = MockImds::builder().start().await.unwrap();
        let config = Config {
            upstream: imds.endpoint().parse().unwrap(),
            ..Config::default()
        };
        let upstream = Upstream::new(&config, Metrics::new());
        let sessions = || {
            let seen = imds.handle().requests();
            seen.iter().filter(|it| it.method == Method::PUT).count()
        };
        let token = async || held(&upstream).await.unwrap().unwrap().token.clone();
        let first = token().await;
        // Only for these moments: while time stands still, timeouts do not wait for sockets.
        let pass = async |time| {
            tokio::time::pause();
            tokio::time::advance(time).await;
            tokio::time::resume();
        };
        pass(RENEW / 10 * 9).await;
        assert_eq!((token().await, sessions()), (first.clone(), 1));
        pass(RENEW / 10).await;
        assert_eq!(token().await, first, "it is good yet");
        while token().await == first {
            tokio::task::yield_now().await;
        }
        assert_eq!(sessions(), 2);
    }
}
