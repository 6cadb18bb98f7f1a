//! The few API calls that the gate knows, each in its service's own protocol, success and refusal.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::Session;
use super::sigv4;
use crate::judge::{Decision, Verdict};

type Answer = Result<Response<Full<Bytes>>, hyper::http::Error>;

/// A call, as the request's signature scope and shape tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    DynamoListTables,
    S3ListBuckets,
    S3GetObject { bucket: String, key: String },
    StsGetCallerIdentity,
    Unknown { protocol: Protocol },
}

/// How a service words its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `DynamoDB`'s.
    Json,
    /// S3's.
    RestXml,
    /// STS's.
    Query,
}

/// Why a request does not pass.
#[derive(Debug)]
pub(super) enum Refusal {
    Unsigned,
    UnknownKey,
    WrongToken,
    BadSignature,
    UnknownCall,
    Denied {
        session: Box<Session>,
        verdict: Verdict,
    },
    Internal(String),
}

impl Call {
    pub(super) fn parse(head: &Parts, body: &[u8]) -> Self {
        let service = sigv4::Signed::parse(head).map(|signed| signed.service);
        let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
        let target = head.headers.get("x-amz-target");
        let target = target.and_then(|t| t.to_str().ok()).unwrap_or_default();
        match service.as_deref() {
            Some("dynamodb") if target == "DynamoDB_20120810.ListTables" => Self::DynamoListTables,
            Some("dynamodb") => Self::unknown(Protocol::Json),
            Some("s3") if head.method == Method::GET => match path[1..].split_once('/') {
                _ if path == "/" => Self::S3ListBuckets,
                Some((bucket, key)) if !key.is_empty() => Self::S3GetObject {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                },
                _ => Self::unknown(Protocol::RestXml),
            },
            Some("sts") if form_value(body, "Action") == Some("GetCallerIdentity") => {
                Self::StsGetCallerIdentity
            }
            Some("sts") => Self::unknown(Protocol::Query),
            _ => Self::unknown(Protocol::RestXml),
        }
    }

    fn unknown(protocol: Protocol) -> Self {
        Self::Unknown { protocol }
    }

    /// IAM's name of the call.
    pub(super) fn action(&self) -> Option<&'static str> {
        match self {
            Self::DynamoListTables => Some("dynamodb:ListTables"),
            Self::S3ListBuckets => Some("s3:ListAllMyBuckets"),
            Self::S3GetObject { .. } => Some("s3:GetObject"),
            Self::StsGetCallerIdentity => Some("sts:GetCallerIdentity"),
            Self::Unknown { .. } => None,
        }
    }

    pub(super) fn resource(&self) -> String {
        match self {
            Self::S3GetObject { bucket, key } => format!("arn:aws:s3:::{bucket}/{key}"),
            _ => "*".into(),
        }
    }

    /// "No permissions are required to perform this operation", not even where a policy denies it (AWS STS
    /// API Reference, `GetCallerIdentity`).
    pub(super) fn needs_no_permission(&self) -> bool {
        *self == Self::StsGetCallerIdentity
    }

    /// The least that the call's own client takes for a success.
    pub(super) fn done(&self, session: &Session) -> Answer {
        match self {
            Self::DynamoListTables => json(StatusCode::OK, &json!({"TableNames": ["credpin-e2e"]})),
            Self::S3ListBuckets => xml(
                StatusCode::OK,
                "<ListAllMyBucketsResult><Owner><ID>e2e</ID></Owner><Buckets/></ListAllMyBucketsResult>",
            ),
            Self::S3GetObject { .. } => {
                Response::builder().body(Full::from(&b"the object of the end-to-end tests"[..]))
            }
            Self::StsGetCallerIdentity => xml(
                StatusCode::OK,
                &format!(
                    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{}</Arn>\
                     <UserId>{}</UserId><Account>{}</Account></GetCallerIdentityResult>\
                     </GetCallerIdentityResponse>",
                    session.principal(),
                    session.user_id(),
                    session.account,
                ),
            ),
            Self::Unknown { protocol } => protocol.error(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                "the gate does not know this call",
            ),
        }
    }

    /// The service's own error answer.
    pub(super) fn refused(&self, refusal: &Refusal) -> Answer {
        let protocol = self.protocol();
        let (status, code) = protocol.code(refusal);
        let message = match refusal {
            Refusal::Unsigned => "Missing Authentication Token".into(),
            Refusal::UnknownKey => "The AWS Access Key Id you provided does not exist.".into(),
            Refusal::WrongToken => "The provided token is malformed or otherwise invalid.".into(),
            Refusal::BadSignature => "The request signature we calculated does not match.".into(),
            Refusal::UnknownCall => "the gate does not know this call".into(),
            Refusal::Denied { session, verdict } => self.denial(session, verdict),
            Refusal::Internal(why) => format!("the gate cannot decide: {why}"),
        };
        protocol.error(status, code, &message)
    }

    fn protocol(&self) -> Protocol {
        match self {
            Self::DynamoListTables => Protocol::Json,
            Self::S3ListBuckets | Self::S3GetObject { .. } => Protocol::RestXml,
            Self::StsGetCallerIdentity => Protocol::Query,
            Self::Unknown { protocol } => *protocol,
        }
    }

    /// IAM User Guide, "Troubleshoot access denied error messages".
    fn denial(&self, session: &Session, verdict: &Verdict) -> String {
        let why = match verdict.decision {
            Decision::Denied => {
                let policy = verdict.by.first().map_or("", |by| by.policy.as_str());
                format!("with an explicit deny in an identity-based policy: {policy}")
            }
            Decision::Allowed | Decision::Implicit => {
                "because no identity-based policy allows the action".into()
            }
        };
        format!(
            "User: {} is not authorized to perform: {} on resource: {} {why}",
            session.principal(),
            self.action().unwrap_or_default(),
            self.resource(),
        )
    }
}

impl Protocol {
    fn code(self, refusal: &Refusal) -> (StatusCode, &'static str) {
        let (forbidden, bad) = (StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST);
        match (refusal, self) {
            (Refusal::Unsigned, Self::Json) => (bad, "MissingAuthenticationTokenException"),
            (Refusal::Unsigned, Self::Query) => (forbidden, "MissingAuthenticationToken"),
            (Refusal::UnknownKey | Refusal::WrongToken, Self::Json) => {
                (bad, "UnrecognizedClientException")
            }
            (Refusal::UnknownKey, Self::RestXml) => (forbidden, "InvalidAccessKeyId"),
            (Refusal::WrongToken, Self::RestXml) => (bad, "InvalidToken"),
            (Refusal::UnknownKey | Refusal::WrongToken, Self::Query) => {
                (forbidden, "InvalidClientTokenId")
            }
            (Refusal::BadSignature, Self::Json) => (bad, "InvalidSignatureException"),
            (Refusal::BadSignature, _) => (forbidden, "SignatureDoesNotMatch"),
            (Refusal::Denied { .. }, Self::Json) => (bad, "AccessDeniedException"),
            (Refusal::Unsigned, Self::RestXml) | (Refusal::Denied { .. }, _) => {
                (forbidden, "AccessDenied")
            }
            (Refusal::UnknownCall, _) => (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
            (Refusal::Internal(_), _) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        }
    }

    fn error(self, status: StatusCode, code: &str, message: &str) -> Answer {
        let message_xml = escape(message);
        match self {
            Self::Json => json(
                status,
                &json!({"__type": format!("com.amazon.coral.service#{code}"), "message": message}),
            ),
            Self::RestXml => xml(
                status,
                &format!("<Error><Code>{code}</Code><Message>{message_xml}</Message></Error>"),
            ),
            Self::Query => xml(
                status,
                &format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
                     <Message>{message_xml}</Message></Error></ErrorResponse>"
                ),
            ),
        }
    }
}

fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Full::from(body.to_string()))
}

fn xml(status: StatusCode, body: &str) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "text/xml")
        .body(Full::from(format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>{body}"#
        )))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The value of a form's field. Those that the gate reads are never percent-encoded.
fn form_value<'a>(body: &'a [u8], field: &str) -> Option<&'a str> {
    let form = std::str::from_utf8(body).ok()?;
    form.split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name == field).then_some(value))
}
