//! An AWS API endpoint, as far as authorization goes: who calls, from where, and may they?
//!
//! ```text
//! request -> the session by its access key -> SigV4 checked -> the call -> condition keys from
//!            the socket's peer, the door and the session -> the role's live policies from moto -> the judge
//! ```
//!
//! A *door* is a way into AWS and a listener of its own. A *position* is where in the world a caller
//! stands; since tests have only loopback, each 127.x.y.z is given one with [`Gate::place`]. All condition
//! keys come from these and from the session that the test registered, none from what a caller says.

mod api;
mod context;
mod session;
mod sigv4;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::account::Account;
use crate::credentials::Credentials;
use crate::judge::{Decision, Facts, Judge, Question, Verdict, allow_everything};
use crate::serve::serve;
use api::{Call, Refusal};

pub use session::{Delivery, Session};

/// Larger than any request that the tests make.
const LARGEST_BODY: usize = 1 << 20;

/// The gate. Dropped, it closes every door.
#[derive(Debug)]
pub struct Gate {
    inner: Arc<Inner>,
    doors: Mutex<JoinSet<()>>,
}

/// Whether this URL was presigned by the holder of these credentials.
pub fn presigned_by(url: &str, credentials: &Credentials) -> Result<bool> {
    let url = url::Url::parse(url).context("no URL")?;
    let request = Request::get(url.as_str()).header("host", url.authority());
    let (head, ()) = request.body(())?.into_parts();
    let signed = sigv4::Signed::parse(&head).context("it is not presigned")?;
    Ok(signed.access_key_id == credentials.access_key_id
        && signed.token == credentials.token
        && signed.verify(&credentials.secret_access_key, &head, &[]))
}

/// A way into AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// An API's public endpoint. The caller's position is its public address.
    Public,
    /// A VPC endpoint. The caller's position is its address in the VPC.
    Endpoint {
        /// The VPC that the endpoint is in, `vpc-…`.
        vpc: String,
        /// `vpce-…`.
        endpoint: String,
    },
    /// A service that makes the call on the caller's behalf (a forward access session), after the caller
    /// reached that service through its public endpoint.
    Service {
        /// Such as `athena.amazonaws.com`.
        name: String,
    },
}

/// A request that came as far as a decision.
#[derive(Clone, Debug)]
pub struct Seen {
    /// By which door.
    pub door: Door,
    /// From which position.
    pub from: IpAddr,
    /// With whose credentials.
    pub access_key_id: String,
    /// Such as `dynamodb:ListTables`.
    pub action: String,
    /// The condition keys it was judged by.
    pub context: Facts,
    /// What the judge said.
    pub verdict: Verdict,
}

#[derive(Debug)]
struct Inner {
    account: Account,
    judge: Judge,
    sessions: Mutex<HashMap<String, Session>>,
    positions: Mutex<HashMap<Ipv4Addr, IpAddr>>,
    seen: Mutex<Vec<Seen>>,
}

impl Gate {
    /// A gate that asks `account` for policies and `judge` for decisions. It has no doors yet.
    pub fn new(account: Account, judge: Judge) -> Self {
        Self {
            inner: Arc::new(Inner {
                account,
                judge,
                sessions: Mutex::default(),
                positions: Mutex::default(),
                seen: Mutex::default(),
            }),
            doors: Mutex::default(),
        }
    }

    /// Makes a session known, as EC2 does when it delivers credentials to an instance.
    pub fn register(&self, session: Session) {
        let key = session.credentials.access_key_id.clone();
        lock(&self.inner.sessions).insert(key, session);
    }

    /// Says where in the world a caller stands that connects from a loopback address. Without a position a
    /// request is refused with a 500, which no test can mistake for a denial.
    pub fn place(&self, loopback: Ipv4Addr, position: impl Into<IpAddr>) {
        assert!(loopback.is_loopback(), "{loopback} is not loopback");
        lock(&self.inner.positions).insert(loopback, position.into());
    }

    /// Opens a door, and tells its endpoint, `http://127.0.0.1:PORT`.
    pub async fn open(&self, door: Door) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let inner = Arc::clone(&self.inner);
        let answer = move |request, peer: SocketAddr| {
            let (inner, door) = (Arc::clone(&inner), door.clone());
            async move { inner.answer(request, peer.ip(), &door).await.ok() }
        };
        lock(&self.doors).spawn(serve(listener, answer));
        Ok(endpoint)
    }

    /// Every request so far that came as far as a decision, in order.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.inner.seen).clone()
    }
}

impl Inner {
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        door: &Door,
    ) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
            return Response::builder().status(413).body(Full::default());
        };
        let body = body.to_bytes();
        let call = Call::parse(&head, &body);
        match self.admit(&head, &body, &call, peer, door).await {
            Ok(session) => call.done(&session),
            Err(refusal) => call.refused(&refusal),
        }
    }

    /// Lets a request pass, and tells whose it is; or says why not.
    async fn admit(
        &self,
        head: &hyper::http::request::Parts,
        body: &[u8],
        call: &Call,
        peer: IpAddr,
        door: &Door,
    ) -> Result<Session, Refusal> {
        let signed = sigv4::Signed::parse(head).ok_or(Refusal::Unsigned)?;
        let session = lock(&self.sessions).get(&signed.access_key_id).cloned();
        let session = session.ok_or(Refusal::UnknownKey)?;
        if signed.token != session.credentials.token {
            return Err(Refusal::WrongToken);
        }
        if !signed.verify(&session.credentials.secret_access_key, head, body) {
            return Err(Refusal::BadSignature);
        }
        let Some(action) = call.action() else {
            return Err(Refusal::UnknownCall);
        };
        if call.needs_no_permission() {
            return Ok(session);
        }
        let decide = self.decide(&session, action, call.resource(), peer, door);
        let verdict = decide
            .await
            .map_err(|e| Refusal::Internal(format!("{e:#}")))?;
        match verdict.decision {
            Decision::Allowed => Ok(session),
            Decision::Denied | Decision::Implicit => Err(Refusal::Denied {
                session: Box::new(session),
                verdict,
            }),
        }
    }

    async fn decide(
        &self,
        session: &Session,
        action: &str,
        resource: String,
        peer: IpAddr,
        door: &Door,
    ) -> Result<Verdict> {
        let from = self
            .position(peer)
            .with_context(|| format!("{peer} has no position"))?;
        let context = context::of(session, door, from);
        let mut policies = vec![allow_everything()];
        policies.extend(self.account.role_policies(&session.role_name).await?);
        let question = Question {
            policies,
            principal: session.principal(),
            action: action.to_owned(),
            resource,
            context,
        };
        let verdict = self.judge.judge(&question).await?;
        lock(&self.seen).push(Seen {
            door: door.clone(),
            from,
            access_key_id: session.credentials.access_key_id.clone(),
            action: question.action,
            context: question.context,
            verdict: verdict.clone(),
        });
        Ok(verdict)
    }

    fn position(&self, peer: IpAddr) -> Option<IpAddr> {
        match peer {
            IpAddr::V4(peer) => lock(&self.positions).get(&peer).copied(),
            IpAddr::V6(_) => None,
        }
    }
}

/// No lock here is held across an await or a panic, so a poisoned one still holds good data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
