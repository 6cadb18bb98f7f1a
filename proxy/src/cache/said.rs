//! What the metadata service said, told apart by what it means for what is kept.

use http::header::{CONTENT_ENCODING, DATE};
use http::{HeaderMap, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;

use crate::answer::{self, Answer};
use crate::credential::{self, Credential, Document};
use crate::recorder::Recorded;
use crate::upstream::{Answered, UpstreamError};

/// One answer, or none.
pub(crate) enum Said {
    /// A credential.
    Credential(Held),
    /// 200 from where no credentials are.
    Content(Answer),
    /// A document that says why there is no credential now.
    Excuse(Answer),
    /// That nothing is there, or not for us.
    No(Answer),
    /// Nothing that says anything about what is there.
    Trouble(Trouble),
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("no answer from the metadata service")]
    Upstream(#[from] UpstreamError),
    #[error("the metadata service answers {}", .0.status())]
    Status(Answer),
    #[error("a credential document is not understood, and not given out: {0}")]
    Unreadable(String),
}

/// A credential as it came, which goes out against a proof that it is on record.
pub(crate) struct Held {
    /// The role's name, or whose it is otherwise.
    pub(crate) role: String,
    pub(crate) credential: Credential,
    headers: HeaderMap,
}

impl Said {
    /// What was said at a path; `role` if it is one of credentials.
    pub(crate) fn of(role: Option<String>, answered: Result<Answered, UpstreamError>) -> Self {
        let answered = match answered {
            Ok(answered) => answered,
            Err(UpstreamError::NoSession { status, .. })
                if let Some(answer) = answer::in_place_of(status, &HeaderMap::new()) =>
            {
                return Self::Trouble(Trouble::Status(answer));
            }
            Err(error) => return Self::Trouble(error.into()),
        };
        match role {
            Some(role) => Self::about_a_credential(role, answered),
            None if answered.status == StatusCode::OK => Self::Content(pass(answered)),
            None => Self::status(pass(answered)),
        }
    }

    /// A document of credentials goes out if it is understood and on record, and else it does not;
    /// with another status than 200 nothing that it might be does.
    fn about_a_credential(role: String, mut answered: Answered) -> Self {
        if let Some(answer) = answer::in_place_of(answered.status, &answered.headers) {
            return Self::status(answer);
        }
        let unreadable = |why| Self::Trouble(Trouble::Unreadable(why));
        // A part of a document (206), or one that is encoded, cannot be read here but could there.
        let plain = !answered.headers.contains_key(CONTENT_ENCODING);
        if answered.status != StatusCode::OK || !plain {
            return unreadable(format!("status {}, encoded: {}", answered.status, !plain));
        }
        let body = std::mem::take(&mut answered.body);
        match credential::parse(body) {
            Ok(Document::Credential(credential)) => {
                answered.headers.remove(DATE);
                Self::Credential(Held {
                    role,
                    credential,
                    headers: answered.headers,
                })
            }
            Ok(Document::Error(body)) => Self::Excuse(reply(answered, body.into())),
            Err(error) => unreadable(error.to_string()),
        }
    }

    /// 401 is about the proxy's session, 429 and what is above 499 about the moment.
    fn status(answer: Answer) -> Self {
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => {
                Self::Trouble(Trouble::Status(answer))
            }
            status if status.is_server_error() => Self::Trouble(Trouble::Status(answer)),
            _ => Self::No(answer),
        }
    }
}

impl Trouble {
    /// What becomes of a request that has nothing else to be answered with: its name in the metrics,
    /// and the answer.
    pub(crate) fn into_answer(self) -> (&'static str, Answer) {
        let unavailable = || answer::error(StatusCode::SERVICE_UNAVAILABLE);
        match self {
            Self::Upstream(_) => ("upstream-failed", unavailable()),
            Self::Status(answer) => ("passed", answer),
            Self::Unreadable(_) => ("unreadable", unavailable()),
        }
    }
}

impl Held {
    /// The document, for a client.
    pub(crate) fn release(&self, proof: &Recorded) -> Answer {
        let mut answer = Answer::new(Full::new(self.credential.release(proof)));
        *answer.headers_mut() = self.headers.clone();
        answer
    }

    pub(crate) fn expires(&self) -> Timestamp {
        self.credential.expires()
    }
}

/// The answer as it came. It is no credential, so that the allocator zeroizes it is enough.
fn pass(mut answered: Answered) -> Answer {
    let body = std::mem::take(&mut *answered.body);
    // What is kept holds no room that it does not need.
    reply(answered, body.into_boxed_slice().into())
}

fn reply(answered: Answered, body: bytes::Bytes) -> Answer {
    let mut answer = Answer::new(Full::new(body));
    *answer.status_mut() = answered.status;
    *answer.headers_mut() = answered.headers;
    answer
}
