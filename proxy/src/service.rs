//! One request, from its arrival to its answer.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tracing::{error, warn};

use crate::answer::{self, Answer};
use crate::clock::Clock;
use crate::connection::Connection;
use crate::credential::{self, Credential, Document, zeroizing};
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::recorder::{Asked, NotRecorded, Recorded, Recorder};
use crate::upstream::{Answered, Upstream, UpstreamError};

/// Answers requests: guard, forward, record, reply.
pub(crate) struct Service {
    pub(crate) upstream: Upstream,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) gate: Gate,
}

impl Service {
    pub(crate) async fn answer<B>(&self, request: Request<B>, connection: &Connection) -> Answer {
        let (mut head, _) = request.into_parts();
        let admitted = match self.gate.admit(&head, connection) {
            Ok(admitted) => admitted,
            Err(refusal) => return answer::refused(refusal, &head.uri),
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
            Some(role) if is_get => self.release(role, answered, connection).await,
            _ => {
                self.metrics.request("passed");
                pass(answered)
            }
        }
    }

    /// A document of credentials goes out if it is understood and on record, and else it does not;
    /// with another status than 200 nothing that it might be does.
    async fn release(
        &self,
        role: String,
        mut answered: Answered,
        connection: &Connection,
    ) -> Answer {
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
        match self.record(role, &credential, connection).await {
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
        connection: &Connection,
    ) -> Result<Recorded, NotRecorded> {
        let asked = Asked {
            role,
            consumer: connection.consumer().clone(),
            now: self.clock.now(),
        };
        self.recorder.record(credential, asked).await
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
