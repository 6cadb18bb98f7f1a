//! The faults that concern the answer itself; those of the socket are tested over a socket.

use credpin_mock_imds::Fault;
use http::StatusCode;

use super::{CREDENTIALS, get, header, seeded, status, text};

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
