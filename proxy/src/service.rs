//! One request, from its arrival to its answer.

use std::error::Error;
use std::sync::Arc;

use credpin_ledger::ImdsVersion;
use http::{Method, Request, StatusCode};
use tokio::time::Instant;
use tracing::error;

use crate::answer::{self, Answer};
use crate::cache::{Cache, Class, Found, Held, Said, Trouble};
use crate::clock::Clock;
use crate::connection::Connection;
use crate::gate::Gate;
use crate::guard::Admitted;
use crate::headers::{TOKEN, TOKEN_TTL};
use crate::latency;
use crate::launch_gate::{LaunchGate, Passage};
use crate::metrics::Metrics;
use crate::path::CanonicalPath;
use crate::recorder::{Asked, Recorder};
use crate::session::{Sessions, Ttl};
use crate::upstream::{Outgoing, Standing, Upstream};

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

/// A request that was taken in, and what is left to be done about it.
///
/// What is decided takes no time, and is decided before anything is kept for as long as an answer takes: the
/// less that is, the less each request costs.
pub(crate) struct Taken {
    began: Instant,
    /// What it is for, in the metrics.
    class: &'static str,
    /// How long the session is good that it is in, in seconds.
    session: Option<u32>,
    next: Next,
}

enum Next {
    /// Nothing: this is the answer.
    Answered(Box<Answer>),
    /// A session is asked for.
    Issue(Ttl),
    /// It goes on to the metadata service; with the role whose credential it asks for, if it does.
    Forward(Outgoing, Option<String>, ImdsVersion),
    /// What is kept is asked.
    Recall(CanonicalPath, Class, ImdsVersion),
}

impl Service {
    /// What becomes of a request.
    pub(crate) fn take<B>(&self, request: Request<B>, connection: &Connection) -> Taken {
        let began = Instant::now();
        let (mut head, _) = request.into_parts();
        let (class, session, next) = match self.gate.admit(&mut head, connection) {
            Ok(admitted) => {
                let class = latency::class(&admitted.path);
                let (session, next) = self.next(admitted, connection);
                (class, session, next)
            }
            Err(refusal) => {
                let class = latency::class_of_refused(&head.uri);
                let refused = answer::refused(refusal, &head.uri);
                (class, None, Next::Answered(Box::new(refused)))
            }
        };
        Taken {
            began,
            class,
            session,
            next,
        }
    }

    /// What becomes of one that goes on, and how long its session is good yet.
    fn next(&self, mut admitted: Admitted, connection: &Connection) -> (Option<u32>, Next) {
        if admitted.method == Method::PUT {
            let next = match Ttl::asked(&admitted.headers) {
                Some(ttl) => Next::Issue(ttl),
                None => Next::Answered(Box::new(self.no_session("ttl", StatusCode::BAD_REQUEST))),
            };
            return (None, next);
        }
        let Some(token) = admitted.headers.remove(&TOKEN) else {
            return (None, self.onwards(&admitted, false));
        };
        let left = match self.sessions.check(token.as_bytes(), connection.consumer()) {
            Ok(left) => left,
            Err(invalid) => {
                let refused = self.no_session(invalid.reason(), StatusCode::UNAUTHORIZED);
                return (None, Next::Answered(Box::new(refused)));
            }
        };
        let class = Class::of(&admitted.path);
        let next = if admitted.method != Method::GET || class == Class::Volatile {
            self.onwards(&admitted, true)
        } else {
            Next::Recall(admitted.path, class, admitted.version)
        };
        (Some(left), next)
    }

    /// For the metadata service itself; `in_session`: with the proxy's own token in the place of the
    /// client's.
    fn onwards(&self, admitted: &Admitted, in_session: bool) -> Next {
        // HEAD has no body, so it gives nothing away.
        let is_get = admitted.method == Method::GET;
        let role = admitted.path.credential().filter(|_| is_get);
        let outgoing = self.upstream.outgoing(admitted, in_session);
        Next::Forward(
            outgoing,
            role.map(|name| name.to_string()),
            admitted.version,
        )
    }

    /// Does it.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` keeps room for its arguments twice"
    )]
    pub(crate) fn answer(
        self: Arc<Self>,
        taken: Taken,
        connection: Arc<Connection>,
    ) -> impl Future<Output = Answer> {
        async move {
            let mut answer = match taken.next {
                Next::Answered(answer) => *answer,
                Next::Issue(ttl) => self.issue(ttl, &connection).await,
                Next::Forward(outgoing, role, version) => {
                    let answered = self.upstream.forward(outgoing).await;
                    match Said::of(role, answered) {
                        // Mostly it is cached, so this is seldom needed: in a box it takes no room.
                        Said::Credential(held) => {
                            Box::pin(self.release(&held, None, version, &connection)).await
                        }
                        Said::Content(answer) | Said::Excuse(answer) | Said::No(answer) => {
                            self.end("passed", answer)
                        }
                        Said::Trouble(trouble) => self.excuse(trouble),
                    }
                }
                Next::Recall(path, class, version) => match self.cache.get(&path, class).await {
                    Found::Credential(held) => {
                        let kept = Some((&path, class));
                        self.release(&held, kept, version, &connection).await
                    }
                    Found::Answer(outcome, answer) => self.end(outcome, answer),
                },
            };
            if let Some(left) = taken.session {
                // IMDS says how long the session lasts yet. The client's, not the proxy's own.
                let headers = answer.headers_mut().iter_mut();
                for (_, seconds) in headers.filter(|(name, _)| *name == TOKEN_TTL) {
                    *seconds = left.into();
                }
            }
            let latency = &self.metrics.latency;
            latency.observe(taken.class, answer.status(), taken.began.elapsed());
            answer
        }
    }

    /// What a client gets that asks for a session: one of the proxy's own, or the refusal of a
    /// metadata service that gives none.
    async fn issue(&self, ttl: Ttl, connection: &Connection) -> Answer {
        if let Standing::Refuses(status) = self.upstream.standing().await {
            return self.no_session("upstream", status);
        }
        let token = self.sessions.issue(ttl, connection.consumer());
        self.metrics.sessions_issued.inc();
        self.end("session", answer::session(token, ttl.seconds()))
    }

    fn no_session(&self, reason: &'static str, status: StatusCode) -> Answer {
        self.metrics.session_refused(reason);
        self.end("no-session", answer::error(status))
    }

    /// What a client gets where the metadata service did not say what it asked for.
    fn excuse(&self, trouble: Trouble) -> Answer {
        self.cache.tell_of(&trouble);
        let (outcome, answer) = trouble.into_answer();
        self.end(outcome, answer)
    }

    /// A credential goes out once it is on record for who asked, and else it does not. A role's first
    /// one waits at the launch gate, if there is one; `kept` is where it is cached, so that one which was
    /// rotated meanwhile is not what goes out.
    async fn release(
        &self,
        held: &Held,
        kept: Option<(&CanonicalPath, Class)>,
        imds_version: ImdsVersion,
        connection: &Connection,
    ) -> Answer {
        if let Some(gate) = &self.launch_gate {
            // Only the first waits, so it takes no room in what answers every request.
            match Box::pin(gate.pass(&held.role)).await {
                Passage::AtOnce => {}
                Passage::Later => {
                    if let Some((path, class)) = kept {
                        let newest = self.newest(path, class, imds_version, connection);
                        return Box::pin(newest).await;
                    }
                }
                Passage::Refused => {
                    let answer = answer::error(StatusCode::SERVICE_UNAVAILABLE);
                    return self.end("not-admitted", answer);
                }
            }
        }
        self.hand_out(held, imds_version, connection).await
    }

    /// What is at `path` now that its credential may go out.
    async fn newest(
        &self,
        path: &CanonicalPath,
        class: Class,
        imds_version: ImdsVersion,
        connection: &Connection,
    ) -> Answer {
        match self.cache.get(path, class).await {
            Found::Credential(held) => self.hand_out(&held, imds_version, connection).await,
            Found::Answer(outcome, answer) => self.end(outcome, answer),
        }
    }

    async fn hand_out(
        &self,
        held: &Held,
        imds_version: ImdsVersion,
        connection: &Connection,
    ) -> Answer {
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
