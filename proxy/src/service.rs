//! One request, from its arrival to its answer.

use std::error::Error;
use std::sync::Arc;

use credpin_ledger::ImdsVersion;
use http::{Method, Request, StatusCode};
use tokio::time::Instant;
use tracing::error;

use crate::answer::{self, Answer};
use crate::cache::{Cache, Class, Found, Held, Said};
use crate::clock::Clock;
use crate::connection::Connection;
use crate::gate::Gate;
use crate::guard::Admitted;
use crate::headers::{TOKEN, TOKEN_TTL};
use crate::latency;
use crate::launch_gate::LaunchGate;
use crate::metrics::Metrics;
use crate::recorder::{Asked, Recorder};
use crate::session::{Sessions, Ttl};
use crate::upstream::{Standing, Upstream};

/// Answers requests: guard, session, cache or forward, record, reply.
pub(crate) struct Service {
    pub(crate) upstream: Upstream,
    pub(crate) sessions: Sessions,
    pub(crate) cache: Cache,
    pub(crate) recorder: Arc<Recorder>,
    /// Where the config asks for one.
    pub(crate) launch_gate: Option<LaunchGate>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) gate: Gate,
}

impl Service {
    pub(crate) async fn answer<B>(&self, request: Request<B>, connection: &Connection) -> Answer {
        let began = Instant::now();
        let (class, answer) = match self.admit(request, connection) {
            (class, Ok(admitted)) => (class, self.answer_admitted(admitted, connection).await),
            (class, Err(refused)) => (class, refused),
        };
        let latency = &self.metrics.latency;
        latency.observe(class, answer.status(), began.elapsed());
        answer
    }

    /// What is asked for, and what of it goes on; or the refusal.
    fn admit<B>(
        &self,
        request: Request<B>,
        connection: &Connection,
    ) -> (&'static str, Result<Box<Admitted>, Answer>) {
        let (mut head, _) = request.into_parts();
        match self.gate.admit(&mut head, connection) {
            // In a box, since what answers a request holds it in several places, one after the other.
            Ok(admitted) => (latency::class(&admitted.path), Ok(Box::new(admitted))),
            Err(refusal) => {
                let class = latency::class_of_refused(&head.uri);
                (class, Err(answer::refused(refusal, &head.uri)))
            }
        }
    }

    async fn answer_admitted(
        &self,
        mut admitted: Box<Admitted>,
        connection: &Connection,
    ) -> Answer {
        if admitted.method == Method::PUT {
            return self.new_session(&admitted, connection).await;
        }
        let Some(token) = admitted.headers.remove(&TOKEN) else {
            return self.forward(admitted, false, connection).await;
        };
        let left = match self.sessions.check(token.as_bytes(), connection.consumer()) {
            Ok(left) => left,
            Err(invalid) => {
                self.metrics.session_refused(invalid.reason());
                return self.end("no-session", answer::error(StatusCode::UNAUTHORIZED));
            }
        };
        let class = Class::of(&admitted.path);
        let mut answer = if admitted.method != Method::GET || class == Class::Volatile {
            self.forward(admitted, true, connection).await
        } else {
            match self.cache.get(&admitted.path, class).await {
                Found::Credential(held) => self.release(&held, admitted.version, connection).await,
                Found::Answer(outcome, answer) => self.end(outcome, answer),
            }
        };
        // IMDS says how long the session lasts yet. The client's, not the proxy's own.
        let headers = answer.headers_mut().iter_mut();
        for (_, seconds) in headers.filter(|(name, _)| *name == TOKEN_TTL) {
            *seconds = left.into();
        }
        answer
    }

    /// What a client gets that asks for a session: one of the proxy's own, or the refusal of a
    /// metadata service that gives none.
    async fn new_session(&self, admitted: &Admitted, connection: &Connection) -> Answer {
        let refused = |reason, status| {
            self.metrics.session_refused(reason);
            self.end("no-session", answer::error(status))
        };
        let Some(ttl) = Ttl::asked(&admitted.headers) else {
            return refused("ttl", StatusCode::BAD_REQUEST);
        };
        if let Standing::Refuses(status) = self.upstream.standing().await {
            return refused("upstream", status);
        }
        let token = self.sessions.issue(ttl, connection.consumer());
        self.metrics.sessions_issued.inc();
        self.end("session", answer::session(token, ttl.seconds()))
    }

    /// A request that is for the metadata service itself; `in_session`: with the proxy's own token
    /// in the place of the client's.
    async fn forward(
        &self,
        admitted: Box<Admitted>,
        in_session: bool,
        connection: &Connection,
    ) -> Answer {
        // HEAD has no body, so it gives nothing away.
        let is_get = admitted.method == Method::GET;
        let role = admitted.path.credential().filter(|_| is_get);
        let (role, version) = (role.map(|name| name.to_string()), admitted.version);
        let answered = self.upstream.forward(&admitted, in_session).await;
        match Said::of(role, answered) {
            Said::Credential(held) => self.release(&held, version, connection).await,
            Said::Content(answer) | Said::Excuse(answer) | Said::No(answer) => {
                self.end("passed", answer)
            }
            Said::Trouble(trouble) => {
                self.cache.tell_of(&trouble);
                let (outcome, answer) = trouble.into_answer();
                self.end(outcome, answer)
            }
        }
    }

    /// A credential goes out once it is on record for who asked, and else it does not. A role's first
    /// one waits at the launch gate, if there is one.
    async fn release(
        &self,
        held: &Held,
        imds_version: ImdsVersion,
        connection: &Connection,
    ) -> Answer {
        if let Some(gate) = &self.launch_gate
            // Only the first waits, so it takes no room in what answers every request.
            && !Box::pin(gate.lets_pass(&held.role)).await
        {
            let answer = answer::error(StatusCode::SERVICE_UNAVAILABLE);
            return self.end("not-admitted", answer);
        }
        let asked = Asked {
            role: &held.role,
            consumer: connection.consumer(),
            imds_version,
            now: self.clock.now(),
        };
        match self.recorder.record(&held.credential, asked).await {
            Ok(proof) => self.end("released", held.release(&proof)),
            Err(error) => {
                error!(
                    error = &error as &dyn Error,
                    "a credential is not given out"
                );
                let answer = answer::error(StatusCode::SERVICE_UNAVAILABLE);
                self.end("not-recorded", answer)
            }
        }
    }

    fn end(&self, outcome: &'static str, answer: Answer) -> Answer {
        self.metrics.request(outcome);
        answer
    }
}

#[cfg(test)]
mod tests;
