//! The real metadata service, and the proxy's own session with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use tokio::io;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use self::pool::{Connection, Pool};
use self::session::Session;
use self::shield::Shield;
use crate::config::Config;
use crate::guard::Admitted;
use crate::headers::{TOKEN, end_to_end};
use crate::metrics::Metrics;
use crate::path::CanonicalPath;

mod pool;
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
    /// How hyper remembers the spelling of header names.
    pub(crate) extensions: Extensions,
    /// It may hold a credential.
    pub(crate) body: Zeroizing<Vec<u8>>,
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

/// How far an answer did not come.
enum Unanswered {
    NoHead(hyper::Error),
    NoBody(UpstreamError),
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

    /// Sends on what the guard let in, without any token in it. `in_session`: with the proxy's own.
    pub(crate) async fn forward(
        &self,
        admitted: Admitted,
        extensions: Extensions,
        in_session: bool,
    ) -> Result<Answered, UpstreamError> {
        let mut request = self.request(admitted.method, &admitted.path);
        request.headers_mut().extend(admitted.headers);
        request.headers_mut().remove(TOKEN);
        *request.extensions_mut() = extensions;
        if in_session {
            session::send(self, request, Lane::Client).await
        } else {
            self.send(&request, Lane::Client).await
        }
    }

    /// What is at `path`, in the proxy's own session.
    pub(crate) async fn get(
        &self,
        path: &CanonicalPath,
        lane: Lane,
    ) -> Result<Answered, UpstreamError> {
        session::send(self, self.request(Method::GET, path), lane).await
    }

    /// A request of the proxy itself outside of its session.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &CanonicalPath,
        header: (HeaderName, HeaderValue),
    ) -> Result<Answered, UpstreamError> {
        let mut request = self.request(method, path);
        request.headers_mut().insert(header.0, header.1);
        self.send(&request, Lane::Own).await
    }

    fn request(&self, method: Method, path: &CanonicalPath) -> Request<Empty<Bytes>> {
        let host = HeaderValue::from_str(self.0.url.authority().as_str());
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.uri_mut() = (path.as_str().parse())
            .expect("a canonical path is made of characters that a URI may have");
        let headers = request.headers_mut();
        headers.insert(HOST, host.expect("an authority is visible ASCII"));
        request
    }

    async fn send(
        &self,
        request: &Request<Empty<Bytes>>,
        lane: Lane,
    ) -> Result<Answered, UpstreamError> {
        let Some(_place) = self.0.shield.pass(lane).await else {
            self.0.metrics.shielded.inc();
            return Err(UpstreamError::Crowded);
        };
        let (begun, after) = (Instant::now(), self.0.response_timeout);
        let answered = timeout(after, self.exchange(request)).await;
        self.0.metrics.upstream_took(begun.elapsed());
        answered.unwrap_or_else(|_| {
            let upstream = self.0.url.clone();
            Err(UpstreamError::Timeout { upstream, after })
        })
    }

    /// One request, for which there is a place.
    async fn exchange(&self, request: &Request<Empty<Bytes>>) -> Result<Answered, UpstreamError> {
        // A connection that was kept can have been closed meanwhile. What is asked of the metadata
        // service can be asked twice.
        if let Some(mut connection) = self.0.pool.reuse().await {
            match self.answer(&mut connection, request).await {
                Err(Unanswered::NoHead(_)) => {}
                answered => return self.done(connection, answered),
            }
        }
        let opened = self.0.pool.open().await;
        let mut connection = opened.map_err(|error| self.broken(error))?;
        let answered = self.answer(&mut connection, request).await;
        self.done(connection, answered)
    }

    fn done(
        &self,
        connection: Connection,
        answered: Result<Answered, Unanswered>,
    ) -> Result<Answered, UpstreamError> {
        match answered {
            Ok(answered) => {
                self.0.pool.give_back(connection);
                Ok(answered)
            }
            Err(Unanswered::NoHead(error)) => Err(self.broken(error)),
            Err(Unanswered::NoBody(error)) => Err(error),
        }
    }

    async fn answer(
        &self,
        connection: &mut Connection,
        request: &Request<Empty<Bytes>>,
    ) -> Result<Answered, Unanswered> {
        let is_head = request.method() == Method::HEAD;
        let asked = connection.run(async |sender| {
            let response = sender.send_request(request.clone()).await;
            let (head, body) = response.map_err(Unanswered::NoHead)?.into_parts();
            let body = self.collect(body).await.map_err(Unanswered::NoBody)?;
            Ok((head, body))
        });
        let (head, body) = asked.await?;
        let mut headers = end_to_end(head.headers);
        if !is_head {
            headers.remove(CONTENT_LENGTH);
        }
        Ok(Answered {
            status: head.status,
            headers,
            extensions: head.extensions,
            body,
        })
    }

    async fn collect(&self, mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, UpstreamError> {
        let too_large = || UpstreamError::TooLarge {
            upstream: self.0.url.clone(),
        };
        // All of the room at once: a buffer that grows leaves copies of a secret behind.
        let room = match body.size_hint().exact() {
            Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
            None => MAX_BODY,
        };
        if room > MAX_BODY {
            return Err(too_large());
        }
        let mut whole = Zeroizing::new(Vec::with_capacity(room));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(error))?;
            let Ok(data) = frame.into_data() else {
                continue; // Trailers: IMDS has none.
            };
            if data.len() > room - whole.len() {
                return Err(too_large());
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
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
