//! The log as JSON.

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use crate::credential::{Delivery, Issued};
use crate::schedule::Schedule;
use crate::state::Seen;

/// A request. A header's values are a list: it can be sent twice.
pub(super) fn seen(number: u64, seen: &Seen) -> Value {
    let mut headers = Map::new();
    for (name, value) in &seen.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if let Value::Array(values) = headers.entry(name.as_str()).or_insert_with(|| json!([])) {
            values.push(value.into());
        }
    }
    json!({
        "number": number,
        "time": seen.time,
        "peer": seen.peer,
        "method": seen.method.as_str(),
        "uri": seen.uri.to_string(),
        "headers": headers,
        "status": seen.status.map(|status| status.as_u16()),
    })
}

/// A set of credentials, secrets and all: a test looks for them where they must not be.
pub(super) fn issued(issued: &Issued) -> Value {
    json!({
        "role": issued.role,
        "access-key-id": issued.access_key_id,
        "secret-access-key": issued.secret_access_key,
        "token": issued.token,
        "issued": issued.issued,
        "expires": issued.expires,
        "first-handed-out": issued.first_handed_out,
    })
}

/// One answer with credentials.
pub(super) fn delivery(delivery: &Delivery) -> Value {
    json!({
        "time": delivery.time,
        "peer": delivery.peer,
        "session": delivery.session,
        "role": delivery.role,
        "access-key-id": delivery.access_key_id,
    })
}

/// As a change of it is written.
pub(super) fn schedule(schedule: Schedule) -> Value {
    let written = |time| {
        let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        format!("{time:#}")
    };
    json!({
        "credential-lifetime": written(schedule.lifetime),
        "rotate-every": written(schedule.lifetime.saturating_sub(schedule.overlap)),
    })
}
