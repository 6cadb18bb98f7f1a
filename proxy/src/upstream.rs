//! The real metadata service, and the proxy's own session with it.

use std::sync::Arc;
use std::time::Duration;

use credpin_wire::upstream::connection::{self, Connection, Unanswered};
use credpin_wire::upstream::pool::Pool;
use credpin_wire::upstream::request::Request;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::io;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use self::session::Session;
use self::shield::Shield;
use crate::config::Config;
use crate::guard::Admitted;
use crate::headers::end_to_end;
use crate::metrics::Metrics;
use crate::path::CanonicalPath;

mod session;
mod shield;
mod url;

pub(crate) use session::Standing;
pub(crate) use shield::Lane;
pub use url::{UpstreamUrl, UpstreamUrlError};

/// What the metadata service answered, whole.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    /// End to end. `Content-Length` only where there is no body to tell it by (HEAD).
    pub(crate) headers: HeaderMap,
    /// It may hold a credential.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// A request on its way.
pub(crate) struct Outgoing {
    request: Request,
    /// With the proxy's own token.
    in_session: bool,
}

/// The metadata service gave no answer that can be passed on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection, or it broke, or what came over it is not HTTP.
    #[error("the metadata service at {upstream} cannot be reached, or broke off")]
    Connection {
        /// Where it should be.
        upstream: UpstreamUrl,
        /// What happened.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// It took longer than `response-timeout`.
    #[error("the metadata service at {upstream} did not answer within {after:?}")]
    Timeout {
        /// Where it is.
        upstream: UpstreamUrl,
        /// How long it had.
        after: Duration,
    },
    /// The body is larger than any that the metadata service has.
    #[error("the metadata service at {upstream} sent more than {MAX_BODY} bytes")]
    TooLarge {
        /// Where it is.
        upstream: UpstreamUrl,
    },
    /// It was not asked: others were first, for longer than `upstream-wait`.
    #[error(
        "too many requests wait for the metadata service (upstream-rate, upstream-connections)"
    )]
    Crowded,
    /// It gives the proxy no session now.
    #[error("the metadata service at {upstream} answers {status} to a request for a session")]
    NoSession {
        /// Where it is.
        upstream: UpstreamUrl,
        /// What it says.
        status: StatusCode,
    },
}

/// A client of the metadata service. Clones share its session, its connections and its shield.
#[derive(Clone)]
pub(crate) struct Upstream(Arc<Inner>);

struct Inner {
    url: UpstreamUrl,
    connect_timeout: Duration,
    response_timeout: Duration,
    shield: Shield,
    pool: Pool,
    session: Session,
    metrics: Metrics,
}

/// User data has at most 16 KiB, and nothing else in the metadata service is longer. Being small,
/// bodies are taken whole, so that one that breaks off becomes a 503 and not half an answer.
const MAX_BODY: usize = 64 << 10;

impl Upstream {
    pub(crate) fn new(config: &Config, metrics: Metrics) -> Self {
        let url = config.upstream.clone();
        let connections = config.upstream_connections;
        Self(Arc::new(Inner {
            shield: Shield::new(config.upstream_rate, connections, config.upstream_wait),
            pool: Pool::new(url.address(), connections, config.connect_timeout),
            session: Session::new(),
            url,
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
            metrics,
        }))
    }

    /// Whether it can be connected to. Asks it nothing.
    pub(crate) async fn reach(&self) -> io::Result<()> {
        let connecting = TcpStream::connect(self.0.url.address());
        let connected = timeout(self.0.connect_timeout, connecting).await;
        connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map(drop)
    }

    pub(crate) fn url(&self) -> &UpstreamUrl {
        &self.0.url
    }

    /// How long a whole answer may take.
    pub(crate) fn response_timeout(&self) -> Duration {
        self.0.response_timeout
    }

    /// How it stands with sessions, for a client that wants one: see [`Standing`].
    pub(crate) async fn standing(&self) -> Standing {
        session::standing(self).await
    }

    /// What the guard let in, as it is sent on: without any token in it. `in_session`: with the proxy's own.
    pub(crate) fn outgoing(&self, admitted: &Admitted, in_session: bool) -> Outgoing {
        Outgoing {
            request: self.request(&admitted.method, &admitted.path, &admitted.headers),
            in_session,
        }
    }

    /// Sends it.
    pub(crate) fn forward(
        &self,
        outgoing: Outgoing,
    ) -> impl Future<Output = Result<Answered, UpstreamError>> {
        session::send(self, outgoing, Lane::Client)
    }

    /// What is at `path`, in the proxy's own session.
    pub(crate) async fn get(
        &self,
        path: &CanonicalPath,
        lane: Lane,
    ) -> Result<Answered, UpstreamError> {
        let outgoing = Outgoing {
            request: self.request(&Method::GET, path, &HeaderMap::new()),
            in_session: true,
        };
        session::send(self, outgoing, lane).await
    }

    /// A request of the proxy itself outside of its session.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &CanonicalPath,
        header: (HeaderName, HeaderValue),
    ) -> Result<Answered, UpstreamError> {
        let headers = HeaderMap::from_iter([header]);
        let request = self.request(&method, path, &headers);
        self.send(&request, Lane::Own).await
    }

    fn request(&self, method: &Method, path: &CanonicalPath, headers: &HeaderMap) -> Request {
        Request::new(method, path, self.0.url.authority(), headers)
    }

    async fn send(&self, request: &Request, lane: Lane) -> Result<Answered, UpstreamError> {
        let Some(place) = self.0.shield.pass(lane).await else {
            self.0.metrics.shielded.inc();
            return Err(UpstreamError::Crowded);
        };
        let begun = place.since;
        let answered = self.exchange(request, begun).await;
        self.0.metrics.upstream_took(begun.elapsed());
        answered
    }

    /// One request, for which there is a place since `begun`: now.
    async fn exchange(&self, request: &Request, begun: Instant) -> Result<Answered, UpstreamError> {
        let until = begun + self.0.response_timeout;
        // A connection that was kept can have been closed meanwhile. What is asked of the metadata
        // service can be asked twice.
        if let Some(mut connection) = self.0.pool.reuse(begun) {
            match connection.ask(request, MAX_BODY, until).await {
                Err(Unanswered::NoHead(_)) => {}
                answered => return self.done(connection, request, begun, answered),
            }
        }
        // Seldom needed, and large: in a box it takes no room in what answers every request.
        Box::pin(self.exchange_on_a_new_connection(request, begun)).await
    }

    async fn exchange_on_a_new_connection(
        &self,
        request: &Request,
        begun: Instant,
    ) -> Result<Answered, UpstreamError> {
        let until = begun + self.0.response_timeout;
        let opened = timeout_at(until, self.0.pool.open()).await;
        let opened = opened.map_err(|_| self.late())?;
        let mut connection = opened.map_err(|error| self.broken(error))?;
        let answered = connection.ask(request, MAX_BODY, until).await;
        self.done(connection, request, begun, answered)
    }

    fn done(
        &self,
        connection: Box<Connection>,
        request: &Request,
        begun: Instant,
        answered: Result<connection::Answered, Unanswered>,
    ) -> Result<Answered, UpstreamError> {
        let (head, body) = match answered {
            Ok(answered) => answered,
            Err(Unanswered::NoHead(broken) | Unanswered::NoBody(broken)) => {
                return Err(self.broken(broken));
            }
            Err(Unanswered::Late) => return Err(self.late()),
            Err(Unanswered::TooLarge) => {
                let upstream = self.0.url.clone();
                return Err(UpstreamError::TooLarge { upstream });
            }
        };
        self.0.pool.give_back(connection, begun);
        let mut headers = end_to_end(head.headers);
        if !request.is_head() {
            headers.remove(CONTENT_LENGTH);
        }
        Ok(Answered {
            status: head.status,
            headers,
            body,
        })
    }

    fn late(&self) -> UpstreamError {
        UpstreamError::Timeout {
            upstream: self.0.url.clone(),
            after: self.0.response_timeout,
        }
    }

    fn broken(&self, source: impl std::error::Error + Send + Sync + 'static) -> UpstreamError {
        UpstreamError::Connection {
            upstream: self.0.url.clone(),
            source: Arc::new(source),
        }
    }
}

impl UpstreamError {
    /// The kind's name in the metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Connection { .. } => "connection",
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } => "too-large",
            Self::Crowded => "crowded",
            Self::NoSession { .. } => "no-session",
        }
    }
}
