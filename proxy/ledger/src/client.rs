//! HTTP as stores in S3 speak it: HTTP/1.1 with TLS, through a proxy where the environment names one.
//!
//! `object_store`'s own client is reqwest. What that brings besides (HTTP/2, redirects, middleware) no
//! store of records needs, and on a host it takes half a megabyte.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::try_unfold;
use http::header::USER_AGENT;
use http::{HeaderValue, Uri};
use http_body_util::{BodyExt, StreamBody};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::SignedDuration;
use object_store::client::{
    ClientConfigKey, ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind,
    HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

/// Makes clients. Of the options those count that say how long to wait, whether TLS may be left out,
/// and through which proxy to go instead of the environment's.
#[derive(Debug)]
pub(crate) struct Connector;

/// A client of one store. Its connections are kept for a while.
struct Web {
    client: Client<HttpsConnector<Way>, HttpRequestBody>,
    answer: Duration,
}

/// How a host is reached: straight, or by a tunnel through a proxy.
#[derive(Clone)]
struct Way {
    tcp: Tcp,
    proxies: Arc<Matcher>,
    connect: Duration,
}

type BoxError = Box<dyn Error + Send + Sync>;

/// What `object_store` has where nobody says another.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);
/// S3 closes a connection that is idle for longer.
const IDLE: Duration = Duration::from_secs(15);

const AGENT: HeaderValue = HeaderValue::from_static(concat!("credpin/", env!("CARGO_PKG_VERSION")));

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source: BoxError| object_store::Error::Generic {
            store: "HTTP client",
            source,
        };
        let time = |key, otherwise| match options.get_config_value(&key) {
            Some(text) => text
                .parse::<SignedDuration>()
                .map_err(BoxError::from)
                .and_then(|time| Ok(Duration::try_from(time)?))
                .map_err(failed),
            None => Ok(otherwise),
        };
        let proxies = match options.get_config_value(&ClientConfigKey::ProxyUrl) {
            Some(url) => Matcher::builder().all(url).build(),
            None => Matcher::from_env(),
        };
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let way = Way {
            tcp,
            proxies: Arc::new(proxies),
            connect: time(ClientConfigKey::ConnectTimeout, CONNECT)?,
        };
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| failed(error.into()))?;
        let plain = options.get_config_value(&ClientConfigKey::AllowHttp);
        let tls = if plain.as_deref() == Some("true") {
            tls.https_or_http()
        } else {
            tls.https_only()
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .build(tls.enable_http1().wrap_connector(way));
        Ok(HttpClient::new(Web {
            client,
            answer: time(ClientConfigKey::Timeout, ANSWER)?,
        }))
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Web")
    }
}

#[async_trait]
impl HttpService for Web {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let until = Instant::now() + self.answer;
        request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
        let answered = timeout_at(until, self.client.request(request)).await;
        let (head, body) = answered.map_err(|_| late())?.map_err(broken)?.into_parts();
        // The body has to be there by then too.
        let frames = try_unfold(body, move |mut body| async move {
            match timeout_at(until, body.frame()).await {
                Ok(Some(frame)) => {
                    let frame = frame.map_err(|error| HttpError::new(kind_below(&error), error));
                    Ok(Some((frame?, body)))
                }
                Ok(None) => Ok(None),
                Err(_) => Err(late()),
            }
        });
        let body = HttpResponseBody::new(StreamBody::new(frames));
        Ok(HttpResponse::from_parts(head, body))
    }
}

fn late() -> HttpError {
    HttpError::new(
        HttpErrorKind::Timeout,
        io::Error::new(io::ErrorKind::TimedOut, "no whole answer in time"),
    )
}

fn broken(error: ClientError) -> HttpError {
    let kind = if error.is_connect() {
        HttpErrorKind::Connect
    } else {
        kind_below(&error)
    };
    HttpError::new(kind, error)
}

/// What `error` or what it came of says: it decides whether the request is sent again.
fn kind_below(error: &(dyn Error + 'static)) -> HttpErrorKind {
    let mut below = Some(error);
    while let Some(error) = below {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_closed() || error.is_incomplete_message() || error.is_body_write_aborted() {
                return HttpErrorKind::Request;
            }
            if error.is_timeout() {
                return HttpErrorKind::Timeout;
            }
        }
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::TimedOut) => return HttpErrorKind::Timeout,
            Some(
                io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof,
            ) => return HttpErrorKind::Interrupted,
            _ => {}
        }
        below = error.source();
    }
    HttpErrorKind::Unknown
}

impl Service<Uri> for Way {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (mut tcp, limit) = (self.tcp.clone(), self.connect);
        let Some(proxy) = self.proxies.intercept(&to) else {
            return Box::pin(async move { Ok(timeout(limit, tcp.call(to)).await??) });
        };
        // A tunnel takes what names no port for HTTPS.
        let to = match (to.scheme_str(), to.host(), to.port()) {
            (Some("http"), Some(host), None) => format!("http://{host}:80/").parse().unwrap_or(to),
            _ => to,
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        Box::pin(async move { Ok(timeout(limit, tunnel.call(to)).await??) })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::Request;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    type Serving = JoinHandle<(Vec<String>, TcpStream)>;

    /// Answers one connection: each head that comes by the next of `answers`. Gives back the heads, and
    /// the connection.
    async fn serve(answers: &'static [&'static str]) -> (SocketAddr, Serving) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heads = Vec::new();
            for answer in answers {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                heads.push(String::from_utf8(head).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            (heads, stream)
        });
        (at, serving)
    }

    /// What `GET` of `url` gives.
    async fn get(url: &str, options: ClientOptions) -> Result<String, HttpErrorKind> {
        let client = Connector.connect(&options.with_allow_http(true)).unwrap();
        let request = Request::get(url).body(HttpRequestBody::empty()).unwrap();
        let asked = async {
            let body = client.execute(request).await?.into_body();
            Ok::<_, HttpError>(String::from_utf8(body.bytes().await?.to_vec()).unwrap())
        };
        asked.await.map_err(|error| error.kind())
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";

    #[tokio::test]
    async fn a_proxy_is_asked_for_a_tunnel_and_the_rest_goes_through_it() {
        let (at, serving) = serve(&["HTTP/1.1 200 OK\r\n\r\n", OK]).await;
        let options = ClientOptions::new().with_proxy_url(format!("http://user:word@{at}"));
        let got = get("http://bucket.example/object", options).await;
        assert_eq!(got.unwrap(), "body");
        let (heads, _) = serving.await.unwrap();
        assert!(
            heads[0].starts_with("CONNECT bucket.example:80 HTTP/1.1\r\n"),
            "{heads:?}"
        );
        assert!(
            heads[0]
                .to_ascii_lowercase()
                .contains("proxy-authorization: basic ")
        );
        assert!(heads[1].starts_with("GET /object HTTP/1.1\r\n"));
        assert!(!heads[1].to_ascii_lowercase().contains("authorization"));
    }

    #[tokio::test]
    async fn an_error_says_whether_it_may_be_tried_again() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = unused.local_addr().unwrap();
        drop(unused);
        let got = get(&format!("http://{nobody}/"), ClientOptions::new()).await;
        assert_eq!(got, Err(HttpErrorKind::Connect));

        let (at, serving) = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody"]).await;
        let url = format!("http://{at}/");
        let getting = get(&url, ClientOptions::new());
        let (got, ()) = tokio::join!(getting, async { drop(serving.await) });
        assert_eq!(got, Err(HttpErrorKind::Interrupted), "half a body is none");

        for answer in [
            &[""][..],
            &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", ""],
        ] {
            let (at, _serving) = serve(answer).await;
            let short = ClientOptions::new().with_timeout(Duration::from_millis(50));
            let got = get(&format!("http://{at}/"), short).await;
            assert_eq!(got, Err(HttpErrorKind::Timeout), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn tls_is_not_left_out_unless_that_is_said() {
        let client = Connector.connect(&ClientOptions::new()).unwrap();
        let request = Request::get("http://127.0.0.1:9/").body(HttpRequestBody::empty());
        let refused = client.execute(request.unwrap()).await.unwrap_err();
        assert_eq!(refused.kind(), HttpErrorKind::Connect);
        let why = refused.source().and_then(Error::source).unwrap();
        assert!(why.to_string().contains("http"), "{why}");
    }
}
