//! A man in the middle between credpin and moto: it counts calls, makes pages small, and fails calls
//! on demand. AWS's query protocol names the call in the body (`Action=…`), which is all it reads.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use credpin_witness::note;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Request, Response, body::Incoming};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

use crate::{
    http::exchange,
    serve::{Answer, serve},
};

/// The version of EC2's API: it alone has another form of errors.
const EC2: &str = "2016-11-15";

/// Larger than any request of credpin.
const LARGEST_BODY: usize = 1 << 20;

/// The relay. Dropped, it ends.
#[derive(Debug)]
pub struct Relay {
    endpoint: String,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

/// What befalls a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes through.
    Pass,
    /// It is refused with this status and AWS error code, and nothing happens.
    Refuse(u16, &'static str),
    /// Nothing happens, and no answer comes.
    Hang,
    /// It is carried out, and no answer comes.
    CarryOutAndHang,
}

/// A call as the relay saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Such as `DescribeInstances`.
    pub action: String,
    /// Whether it asks for a further page.
    pub next_page: bool,
    /// The key that it is signed with, and the service that it is signed for.
    pub signed: (String, String),
    /// Its parameters, where they come as a form.
    pub form: Vec<(String, String)>,
}

impl Call {
    /// A parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.form.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

type Rule = Box<dyn FnMut(&Call) -> Fate + Send>;

struct Inner {
    to: SocketAddr,
    page_size: Mutex<Option<usize>>,
    rule: Mutex<Rule>,
    calls: Mutex<Vec<Call>>,
    hanging: Notify,
}

impl Relay {
    /// A relay to `to`, such as moto's address.
    pub async fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let inner = Arc::new(Inner {
            to,
            page_size: Mutex::default(),
            rule: Mutex::new(Box::new(|_| Fate::Pass)),
            calls: Mutex::default(),
            hanging: Notify::new(),
        });
        let handling = Arc::clone(&inner);
        let handler = move |request, _| {
            let inner = Arc::clone(&handling);
            async move { inner.answer(request).await }
        };
        let task = tokio::spawn(serve(listener, handler));
        Ok(Self {
            endpoint,
            inner,
            task,
        })
    }

    /// `http://127.0.0.1:PORT`, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes every page that AWS is asked for at most this long.
    pub fn make_pages_small(&self, items: usize) {
        *lock(&self.inner.page_size) = Some(items);
    }

    /// Decides the fate of every further call.
    pub fn decide(&self, rule: impl FnMut(&Call) -> Fate + Send + 'static) {
        *lock(&self.inner.rule) = Box::new(rule);
    }

    /// Waits until a call hangs: all that was to happen before that has happened.
    pub async fn settled(&self) {
        self.inner.hanging.notified().await;
    }

    /// The calls since the last time this was asked, in order.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *lock(&self.inner.calls))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (mut head, body) = request.into_parts();
        let body = Limited::new(body, LARGEST_BODY)
            .collect()
            .await
            .ok()?
            .to_bytes();
        let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
        let value = |key: &str| form.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        // Organizations speaks JSON, and names the call in the head.
        let target = head.headers.get("x-amz-target");
        let target =
            target.and_then(|target| Some(target.to_str().ok()?.rsplit('.').next()?.to_owned()));
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let next_page = value("NextToken").or_else(|| value("Marker")).is_some();
        let call = Call {
            action: target
                .clone()
                .or_else(|| value("Action"))
                .unwrap_or_default(),
            next_page: next_page || json["NextToken"].is_string(),
            signed: signed_with(&head.headers),
            form: form.clone(),
        };
        if let "CreatePolicy" | "CreatePolicyVersion" = call.action.as_str() {
            value("PolicyDocument").into_iter().for_each(note);
        }
        let fate = lock(&self.rule)(&call);
        lock(&self.calls).push(call);
        match fate {
            Fate::Refuse(status, code) if target.is_some() => return refusal_in_json(status, code),
            Fate::Refuse(status, code) => {
                let is_ec2 = value("Version").is_some_and(|version| version == EC2);
                return refusal(status, code, is_ec2);
            }
            Fate::Hang => self.hang().await,
            Fate::Pass | Fate::CarryOutAndHang => {}
        }
        let body = if target.is_some() {
            body
        } else {
            self.with_small_pages(form).into()
        };
        head.headers.remove("content-length");
        head.headers.insert("connection", "close".parse().ok()?);
        let request = Request::from_parts(head, Full::new(body));
        let answer = exchange(self.to, request).await.ok()?;
        if fate == Fate::CarryOutAndHang {
            self.hang().await;
        }
        let (mut head, body) = answer.into_parts();
        head.headers.remove("transfer-encoding");
        Some(Response::from_parts(head, Full::new(body)))
    }

    /// Ends with the connection: the client gives up, or is killed.
    async fn hang(&self) {
        self.hanging.notify_one();
        std::future::pending::<()>().await;
    }

    /// The form with its page size brought down.
    fn with_small_pages(&self, form: Vec<(String, String)>) -> String {
        let size = *lock(&self.page_size);
        let form = form
            .into_iter()
            .map(|(key, value)| match (key.as_str(), size) {
                ("MaxResults" | "MaxItems", Some(size)) => (key, size.to_string()),
                _ => (key, value),
            });
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish()
    }
}

/// The access key id of a signature and its service ("Create a signed AWS API request", IAM User Guide).
fn signed_with(headers: &HeaderMap) -> (String, String) {
    let authorization = headers.get("authorization").map(|value| value.to_str());
    let authorization = authorization.and_then(Result::ok).unwrap_or_default();
    let scope = authorization.split_once("Credential=");
    let scope = scope.map(|(_, scope)| scope).unwrap_or_default();
    // KEY/DATE/REGION/SERVICE/aws4_request
    let mut parts = scope.split('/').map(str::to_owned);
    let key = parts.next().unwrap_or_default();
    (key, parts.nth(2).unwrap_or_default())
}

fn refusal_in_json(status: u16, code: &str) -> Answer {
    let error = json!({"__type": code, "message": "on demand"}).to_string();
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .body(Full::from(error))
        .ok()
}

/// An error in the form that both EC2 and IAM clients understand.
fn refusal(status: u16, code: &str, is_ec2: bool) -> Answer {
    let error = format!("<Error><Code>{code}</Code><Message>on demand</Message></Error>");
    let body = if is_ec2 {
        format!("<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>")
    } else {
        format!("<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>")
    };
    Response::builder()
        .status(status)
        .header("content-type", "text/xml")
        .body(Full::from(body))
        .ok()
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
