//! The faults that concern the answer itself; those of the socket are tested over a socket.

use credpin_mock_imds::Fault;
use http::StatusCode;

use jiff::{SignedDuration, Timestamp};

use super::{
    CREDENTIALS, NOW, TOKEN, ask, field, get, header, seeded, status, text, token, v2_only,
};

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

#[test]
fn a_status_replaces_the_answer_below_its_prefix() {
    let state = seeded();
    state.set_fault(
        "/latest/meta-data/iam",
        Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
    );
    let response = get(&state, CREDENTIALS);
    assert_eq!(status(&response), 503);
    assert!(text(&response).contains("503 - Service Unavailable"));
    assert!(state.issued().is_empty());
    assert_eq!(status(&get(&state, "/latest/meta-data/instance-id")), 200);

    state.clear_faults();
    assert_eq!(status(&get(&state, CREDENTIALS)), 200);
}

#[test]
fn garbage_is_no_text_and_no_json() {
    let state = seeded();
    state.set_fault("/", Fault::Garbage);
    let response = get(&state, CREDENTIALS);
    assert_eq!(status(&response), 200);
    assert!(std::str::from_utf8(response.body()).is_err());
    assert_eq!(
        header(&response, "content-length"),
        Some(&*response.body().len().to_string())
    );
}

#[test]
fn too_many_in_a_second_are_throttled() {
    let state = seeded();
    state.set_fault("/", Fault::Throttle(2));
    let statuses: Vec<_> = (0..4).map(|_| status(&get(&state, ROLES))).collect();
    assert_eq!(statuses, [200, 200, 503, 503]);
}

#[test]
fn expired_credentials_are_well_formed_and_over() {
    let state = seeded();
    let good = get(&state, CREDENTIALS);
    state.set_fault("/", Fault::Expired);
    let expired = get(&state, CREDENTIALS);
    assert_eq!(field(&expired, "AccessKeyId"), field(&good, "AccessKeyId"));
    let time = |key| field(&expired, key).parse::<Timestamp>().unwrap();
    let whole = Timestamp::from_second(NOW.as_second()).unwrap();
    assert_eq!(whole - time("Expiration"), SignedDuration::from_hours(1));
    assert!(time("LastUpdated") < time("Expiration"));

    state.clear_faults();
    assert_eq!(
        text(&get(&state, CREDENTIALS)),
        text(&good),
        "the set itself is as it was"
    );
}

#[test]
fn unparsable_credentials_lack_their_end() {
    let state = seeded();
    state.set_fault("/", Fault::Unparsable);
    let response = get(&state, CREDENTIALS);
    assert_eq!(status(&response), 200);
    assert!(serde_json::from_slice::<serde_json::Value>(response.body()).is_err());
    assert!(serde_json::from_str::<serde_json::Value>(&format!("{}}}", text(&response))).is_ok());
}

#[test]
fn a_list_of_no_role_is_empty_and_takes_a_token_too() {
    let state = v2_only();
    state.set_fault("/", Fault::NoRole);
    assert_eq!(status(&get(&state, ROLES)), 401);
    let token = token(&state, 60, NOW);
    let response = ask(&state, http::Method::GET, ROLES, &[(TOKEN, &token)]);
    assert_eq!((status(&response), text(&response)), (200, ""));
}

/// A token that was good for a minute is over for a mock whose clock is ten minutes ahead.
#[test]
fn a_clock_that_goes_wrong_shows_in_dates_tokens_and_credentials() {
    let state = v2_only();
    let token = token(&state, 60, NOW);
    let ask = |path| ask(&state, http::Method::GET, path, &[(TOKEN, &token)]);
    state.set_fault("/", Fault::Skew(SignedDuration::from_mins(10)));
    assert_eq!(status(&ask(CREDENTIALS)), 401);
    state.set_fault("/", Fault::Skew(SignedDuration::from_mins(-10)));
    let early = ask(CREDENTIALS);
    assert_eq!(
        header(&early, "date"),
        Some("Fri, 15 Jan 2027 07:50:00 GMT")
    );
    assert_eq!(field(&early, "LastUpdated"), "2027-01-15T07:50:00Z");
    assert_eq!(
        state.requests().last().unwrap().time,
        NOW,
        "the log has the true time"
    );
}

#[test]
fn what_happened_can_be_asked_for() {
    let state = seeded();
    state.add_fault("/latest:404:count=2".parse().unwrap());
    let statuses: Vec<_> = (0..4).map(|_| status(&get(&state, ROLES))).collect();
    assert_eq!(statuses, [404, 404, 200, 200]);
    assert_eq!(state.faults()[0].hits, 2);
    assert!(state.clear_fault("/latest/"));
    assert!(state.faults().is_empty());
}
