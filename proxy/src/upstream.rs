//! The real metadata service.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, Scheme};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::guard::Admitted;
use crate::headers::end_to_end;
use crate::path::CanonicalPath;

/// Where the metadata service is: `http://ADDRESS[:PORT]`. An address, no name: what a name leads to
/// can change, and whoever changes it would be asked for this host's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// As it was written, and so as `Host` says it.
    authority: Authority,
    address: SocketAddr,
}

/// A text that is no [`UpstreamUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamUrlError {
    /// No URL of this kind.
    #[error("not the address of a metadata service: write http://ADDRESS or http://ADDRESS:PORT")]
    Url,
    /// It has a name.
    #[error(
        "a name, and what it leads to can change: write the address, as http://169.254.169.254"
    )]
    Name,
}

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
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection, or it broke, or what came over it is not HTTP.
    #[error("the metadata service at {upstream} cannot be reached, or broke off")]
    Connection {
        /// Where it should be.
        upstream: UpstreamUrl,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
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
}

/// A client of the metadata service.
#[derive(Clone)]
pub(crate) struct Upstream {
    url: UpstreamUrl,
    client: Client<HttpConnector, Empty<Bytes>>,
    connect_timeout: Duration,
    response_timeout: Duration,
}

/// The port of http.
const HTTP: u16 = 80;
/// User data has at most 16 KiB, and nothing else in the metadata service is longer. Being small,
/// bodies are taken whole, so that one that breaks off becomes a 503 and not half an answer.
const MAX_BODY: usize = 64 << 10;
const IDLE_CONNECTIONS: usize = 8;
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

impl Upstream {
    pub(crate) fn new(url: UpstreamUrl, connect: Duration, response: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_preserve_header_case(true)
            .build(connector);
        Self {
            url,
            client,
            connect_timeout: connect,
            response_timeout: response,
        }
    }

    /// Whether it can be connected to. Asks it nothing.
    pub(crate) async fn reach(&self) -> io::Result<()> {
        let connecting = timeout(self.connect_timeout, TcpStream::connect(self.url.address));
        connecting
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map(drop)
    }

    pub(crate) fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// How long a whole answer may take.
    pub(crate) fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// Sends on what the guard let in, and nothing but that.
    pub(crate) async fn forward(
        &self,
        admitted: Admitted,
        extensions: Extensions,
    ) -> Result<Answered, UpstreamError> {
        let Admitted {
            method,
            path,
            headers,
            version: _,
        } = admitted;
        let mut request = self.request(method, &path);
        request.headers_mut().extend(headers);
        *request.extensions_mut() = extensions;
        self.send(request).await
    }

    /// A request of the proxy's own.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &CanonicalPath,
        header: (http::HeaderName, HeaderValue),
    ) -> Result<Answered, UpstreamError> {
        let mut request = self.request(method, path);
        request.headers_mut().insert(header.0, header.1);
        self.send(request).await
    }

    fn request(&self, method: Method, path: &CanonicalPath) -> Request<Empty<Bytes>> {
        let Self { url, .. } = self;
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(url.authority.clone())
            .path_and_query(path.as_str())
            .build()
            .expect("a canonical path is made of characters that a URI may have");
        let host =
            HeaderValue::from_str(url.authority.as_str()).expect("an authority is visible ASCII");
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, host);
        request
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> Result<Answered, UpstreamError> {
        let is_head = request.method() == Method::HEAD;
        let answered = async {
            let response = self.client.request(request).await;
            let (head, body) = response
                .map_err(|error| self.broken(error.into()))?
                .into_parts();
            let mut headers = end_to_end(&head.headers);
            if !is_head {
                headers.remove(CONTENT_LENGTH);
            }
            Ok(Answered {
                status: head.status,
                headers,
                extensions: head.extensions,
                body: self.collect(body).await?,
            })
        };
        let after = self.response_timeout;
        timeout(after, answered).await.unwrap_or_else(|_| {
            let upstream = self.url.clone();
            Err(UpstreamError::Timeout { upstream, after })
        })
    }

    async fn collect(&self, mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, UpstreamError> {
        // All of the room at once: a buffer that grows leaves copies of a secret behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(error.into()))?;
            let Ok(data) = frame.into_data() else {
                continue; // Trailers: IMDS has none.
            };
            if data.len() > MAX_BODY - whole.len() {
                let upstream = self.url.clone();
                return Err(UpstreamError::TooLarge { upstream });
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    }

    fn broken(&self, source: Box<dyn std::error::Error + Send + Sync>) -> UpstreamError {
        let upstream = self.url.clone();
        UpstreamError::Connection { upstream, source }
    }
}

impl UpstreamUrl {
    /// Address and port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl UpstreamError {
    /// The kind's name in the metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Connection { .. } => "connection",
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } => "too-large",
        }
    }
}

impl Default for UpstreamUrl {
    fn default() -> Self {
        Self {
            authority: Authority::from_static("169.254.169.254"),
            address: (Ipv4Addr::new(169, 254, 169, 254), HTTP).into(),
        }
    }
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, UpstreamUrlError> {
        let uri: Uri = text.parse().map_err(|_| UpstreamUrlError::Url)?;
        let bare =
            uri.scheme() == Some(&Scheme::HTTP) && uri.path() == "/" && uri.query().is_none();
        let authority = uri
            .authority()
            .filter(|authority| bare && !authority.as_str().contains('@'))
            .ok_or(UpstreamUrlError::Url)?;
        let address: IpAddr = authority
            .host()
            .trim_matches(['[', ']'])
            .parse()
            .map_err(|_| UpstreamUrlError::Name)?;
        let port = match authority.port_u16() {
            None if authority.as_str() != authority.host() => return Err(UpstreamUrlError::Url),
            port => port.unwrap_or(HTTP),
        };
        Ok(Self {
            authority: authority.clone(),
            address: (address, port).into(),
        })
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_an_address_over_http() {
        for text in [
            "http://169.254.169.254",
            "http://127.0.0.1:1338/",
            "http://[fd00:ec2::254]",
            "http://[fd00:ec2::254]:80",
        ] {
            assert!(text.parse::<UpstreamUrl>().is_ok(), "{text}");
        }
        for text in [
            "",
            "169.254.169.254",
            "https://a",
            "http://a/b",
            "http://a?b",
            "http://u@a",
            "http://",
            "http://127.0.0.1:99999",
            "http://127.0.0.1:",
        ] {
            assert_eq!(
                text.parse::<UpstreamUrl>(),
                Err(UpstreamUrlError::Url),
                "{text}"
            );
        }
        for text in [
            "http://imds:80",
            "http://localhost:1338",
            "http://127.1",
            "http://2130706433",
        ] {
            assert_eq!(
                text.parse::<UpstreamUrl>(),
                Err(UpstreamUrlError::Name),
                "{text}"
            );
        }
    }

    #[test]
    fn its_address_is_the_one_that_is_written() {
        for (text, address) in [
            ("http://169.254.169.254", "169.254.169.254:80"),
            ("http://[::1]:1338", "[::1]:1338"),
        ] {
            let url: UpstreamUrl = text.parse().unwrap();
            assert_eq!(url.address(), address.parse().unwrap());
            assert_eq!(url.to_string(), text);
        }
        assert_eq!(
            UpstreamUrl::default(),
            "http://169.254.169.254".parse().unwrap()
        );
    }
}
