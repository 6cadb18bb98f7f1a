//! One request, from its arrival to its answer.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use credpin_ledger::Consumer;
use http::header::CONTENT_ENCODING;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::answer::{self, Answer};
use crate::clock::Clock;
use crate::credential::{self, Credential, Document, zeroizing};
use crate::guard;
use crate::metrics::Metrics;
use crate::path::CanonicalPath;
use crate::recorder::{Asked, NotRecorded, Recorded, Recorder};
use crate::refusal::Refusal;
use crate::throttle::Throttle;
use crate::upstream::{Answered, Upstream, UpstreamError};

/// Answers requests: guard, forward, record, reply.
pub(crate) struct Service {
    pub(crate) upstream: Upstream,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    /// The log lines about them.
    pub(crate) refusals: Throttle,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl Service {
    pub(crate) async fn answer<B>(&self, request: Request<B>, ends: Ends) -> Answer {
        let (mut head, _) = request.into_parts();
        let admitted = match guard::admit(&head, ends.local) {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse(refusal, &head, ends),
        };
        let credential = admitted.path.credential().map(|name| name.to_string());
        let is_get = admitted.method == Method::GET;
        let extensions = std::mem::take(&mut head.extensions);
        let answered = match self.upstream.forward(admitted, extensions).await {
            Ok(answered) => answered,
            Err(error) => return self.upstream_failed(&error),
        };
        match credential {
            // HEAD has no body, so it gives nothing away.
            Some(role) if is_get => self.release(role, answered, ends).await,
            _ => {
                self.metrics.request("passed");
                pass(answered)
            }
        }
    }

    /// A document of credentials goes out if it is understood and on record, and else it does not;
    /// with another status than 200 nothing that it might be does.
    async fn release(&self, role: String, mut answered: Answered, ends: Ends) -> Answer {
        if let Some(answer) = answer::in_place_of(answered.status, &answered.headers) {
            self.metrics.request("passed");
            return answer;
        }
        // A part of a document (206), or one that is encoded, cannot be read here but could there.
        let plain = !answered.headers.contains_key(CONTENT_ENCODING);
        if answered.status != StatusCode::OK || !plain {
            return self.unreadable(&format!("status {}, encoded: {}", answered.status, !plain));
        }
        let body = std::mem::take(&mut answered.body);
        let credential = match credential::parse(body) {
            Ok(Document::Credential(credential)) => credential,
            Ok(Document::Error(body)) => {
                self.metrics.request("passed");
                return reply(answered, body.into());
            }
            Err(error) => return self.unreadable(&error.to_string()),
        };
        match self.record(role, &credential, ends).await {
            Ok(proof) => {
                self.metrics.request("released");
                reply(answered, credential.release(&proof))
            }
            Err(error) => {
                error!(
                    error = &error as &dyn Error,
                    "a credential is not given out"
                );
                self.metrics.request("not-recorded");
                answer::error(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    async fn record(
        &self,
        role: String,
        credential: &Credential,
        ends: Ends,
    ) -> Result<Recorded, NotRecorded> {
        let asked = Asked {
            role,
            consumer: consumer(ends.peer),
            now: self.clock.now(),
        };
        self.recorder.record(credential, asked).await
    }

    fn refuse(&self, refusal: Refusal, head: &Parts, ends: Ends) -> Answer {
        self.metrics.request("refused");
        self.metrics.refusal(refusal.rule());
        if let Some(left_out) = self.refusals.pass(Instant::now()) {
            warn!(rule = refusal.rule(), consumer = %ends.peer.ip(), left_out, "refused: {refusal}");
        }
        match refusal {
            Refusal::Method => {
                let path = CanonicalPath::parse(head.uri.path());
                answer::method_not_allowed(path.is_ok_and(|path| path.is_token()))
            }
            _ => answer::error(refusal.status()),
        }
    }

    fn upstream_failed(&self, error: &UpstreamError) -> Answer {
        self.metrics.request("upstream-failed");
        self.metrics.upstream_failure(error.kind());
        warn!(
            error = error as &dyn Error,
            "no answer from the metadata service"
        );
        answer::error(StatusCode::SERVICE_UNAVAILABLE)
    }

    fn unreadable(&self, why: &str) -> Answer {
        self.metrics.request("unreadable");
        self.metrics.unreadable.inc();
        error!(
            why,
            "a credential document is not understood, and not given out"
        );
        answer::error(StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// Who asks, as far as the socket tells. A process can call from any address of 127.0.0.0/8, so they
/// all are one consumer: this host.
fn consumer(peer: SocketAddr) -> Consumer {
    let peer = match peer.ip().to_canonical() {
        IpAddr::V4(peer) if peer.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        peer => peer,
    };
    Consumer::at(peer)
}

fn pass(mut answered: Answered) -> Answer {
    let body = zeroizing(std::mem::take(&mut answered.body));
    reply(answered, body)
}

fn reply(answered: Answered, body: Bytes) -> Answer {
    let mut answer = Answer::new(Full::new(body));
    *answer.status_mut() = answered.status;
    *answer.headers_mut() = answered.headers;
    *answer.extensions_mut() = answered.extensions;
    answer
}

#[cfg(test)]
mod tests;
