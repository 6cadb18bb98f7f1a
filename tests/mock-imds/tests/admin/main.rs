//! The admin API without a socket: what each call changes and shows.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use credpin_mock_imds::admin::{Request, Response, answer};
use credpin_mock_imds::{Settings, State, respond};
use jiff::Timestamp;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0); // 2027-01-15T08:00:00Z
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

fn state() -> State {
    State::new(Settings {
        seed: Some(1),
        ..Settings::default()
    })
}

fn send(state: &State, method: &str, path: &str, body: &str) -> Response {
    let mut request = Request::new(body.to_owned().into());
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = path.parse().unwrap();
    answer(state, &request, NOW)
}

/// What `GET path` shows.
fn shown(state: &State, path: &str) -> Value {
    let response = send(state, "GET", path, "");
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(response.body()).unwrap()
}

/// A change that succeeds.
fn change(state: &State, method: &str, path: &str, body: &str) {
    let response = send(state, method, path, body);
    let said = String::from_utf8_lossy(response.body()).into_owned();
    assert_eq!((response.status().as_u16(), &*said), (204, ""), "{path}");
}

/// A change that is refused with this status, and why.
fn refused(state: &State, method: &str, path: &str, body: &str, status: u16) -> String {
    let response = send(state, method, path, body);
    assert_eq!(response.status(), status, "{method} {path} {body}");
    let document: Value = serde_json::from_slice(response.body()).unwrap();
    document["error"].as_str().unwrap().to_owned()
}

/// What the mock answers to a GET of IMDSv1.
fn metadata(state: &State, path: &str) -> (u16, String) {
    let mut request = credpin_mock_imds::Request::default();
    *request.uri_mut() = path.parse().unwrap();
    let response = respond(state, &request, NOW);
    let body = String::from_utf8_lossy(response.body()).into_owned();
    (response.status().as_u16(), body)
}

fn key_id(state: &State) -> String {
    let (_, document) = metadata(state, &format!("{ROLES}example-role"));
    let document: Value = serde_json::from_str(&document).unwrap();
    document["AccessKeyId"].as_str().unwrap().to_owned()
}

#[test]
fn the_log_is_shown_from_any_number_and_forgotten() {
    let state = state();
    for path in ["/a", "/b", "/c"] {
        metadata(&state, path);
    }
    let log = shown(&state, "/requests?since=1");
    let uris: Vec<_> = log["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seen| &seen["uri"])
        .collect();
    assert_eq!(uris, ["/b", "/c"]);
    assert_eq!(log["requests"][0]["number"], 1);
    assert_eq!(log["requests"][0]["time"], "2027-01-15T08:00:00Z");
    assert_eq!(log["next"], 3);

    change(&state, "DELETE", "/requests", "");
    metadata(&state, "/d");
    let log = shown(&state, "/requests");
    assert_eq!(log["requests"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&log["requests"][0]["number"], &log["dropped"]),
        (&3.into(), &0.into())
    );
}

#[test]
fn more_than_the_log_holds_is_counted() {
    let state = state();
    for _ in 0..4100 {
        metadata(&state, "/");
    }
    let log = shown(&state, "/requests");
    assert_eq!(log["requests"].as_array().unwrap().len(), 4096);
    assert_eq!(
        (&log["requests"][0]["number"], &log["dropped"]),
        (&4.into(), &4.into())
    );
}

#[test]
fn credentials_are_shown_renewed_and_replaced_by_an_error() {
    let state = state();
    let first = key_id(&state);
    assert_eq!(key_id(&state), first);
    change(&state, "POST", "/credentials/rotate", "");
    let second = key_id(&state);
    assert_ne!(second, first);
    let issued = shown(&state, "/issued");
    assert_eq!(issued["issued"][0]["access-key-id"], first.as_str());
    assert_eq!(issued["issued"][1]["access-key-id"], second.as_str());

    let error = r#"{"code": "AssumeRoleUnauthorizedAccess", "message": "no"}"#;
    change(&state, "PUT", "/credentials/error", error);
    let (_, document) = metadata(&state, &format!("{ROLES}example-role"));
    assert!(
        document.contains("AssumeRoleUnauthorizedAccess"),
        "{document}"
    );
    change(&state, "DELETE", "/credentials/error", "");
    assert_eq!(key_id(&state), second);
}

#[test]
fn the_host_is_changed_in_part_or_as_a_whole() {
    let state = state();
    change(
        &state,
        "PATCH",
        "/host",
        r#"{"region": "eu-west-1", "interface": {"mac": "0e:01"}}"#,
    );
    let host = shown(&state, "/host");
    assert_eq!(
        (&host["region"], &host["interface"]["mac"]),
        (&"eu-west-1".into(), &"0e:01".into())
    );
    assert_eq!(
        host["interface"]["vpc-id"], "vpc-0123456789abcdef0",
        "the rest stays"
    );
    assert_eq!(
        metadata(&state, "/latest/meta-data/placement/region").1,
        "eu-west-1"
    );

    change(&state, "PATCH", "/host", r#"{"role": null}"#);
    assert_eq!(metadata(&state, ROLES).0, 404);
    change(&state, "PUT", "/host", r#"{"role": "other"}"#);
    assert_eq!(metadata(&state, ROLES).1, "other");
    assert_eq!(
        shown(&state, "/host")["region"],
        "us-east-1",
        "as by default"
    );

    let error = refused(&state, "PATCH", "/host", r#"{"regoin": "x"}"#, 400);
    assert!(error.contains("`regoin`"), "{error}");
    refused(&state, "PUT", "/host", r#"{"region": 7}"#, 400);
    assert_eq!(
        shown(&state, "/host")["role"],
        "other",
        "a mistake changes nothing"
    );
}

#[test]
fn faults_are_set_listed_and_taken_back() {
    let state = state();
    for fault in [
        r#"{"path": "/latest", "fault": "503", "count": 1}"#,
        r#"{"path": "/1.0", "fault": "garbage", "p": 0.5}"#,
    ] {
        change(&state, "POST", "/faults", fault);
    }
    assert_eq!(metadata(&state, ROLES).0, 503);
    assert_eq!(metadata(&state, ROLES).0, 200);
    assert_eq!(
        shown(&state, "/faults"),
        json!({"faults": [
            {"path": "/latest", "fault": "503", "count": 1, "hits": 1},
            {"path": "/1.0", "fault": "garbage", "p": 0.5, "hits": 0},
        ]})
    );
    change(&state, "DELETE", "/faults?path=/latest", "");
    assert_eq!(
        shown(&state, "/faults")["faults"].as_array().unwrap().len(),
        1
    );
    let error = refused(&state, "DELETE", "/faults?path=/latest", "", 404);
    assert!(error.starts_with("no fault is set at /latest;"), "{error}");
    change(&state, "DELETE", "/faults", "");
    assert_eq!(shown(&state, "/faults"), json!({"faults": []}));

    let error = refused(
        &state,
        "POST",
        "/faults",
        r#"{"path": "/", "fault": "hangs"}"#,
        400,
    );
    assert!(error.contains("`hangs` is no fault; there are:"), "{error}");
}

#[test]
fn the_clock_tokens_and_imdsv1_are_changed() {
    let state = state();
    change(&state, "PUT", "/clock", r#"{"offset": "-10m"}"#);
    assert_eq!(
        shown(&state, "/clock"),
        json!({"now": "2027-01-15T07:50:00Z", "offset": "10m ago"})
    );
    let error = refused(&state, "PUT", "/clock", r#"{"offset": "soon"}"#, 400);
    assert!(error.starts_with("the offset `soon` is no time"), "{error}");

    change(&state, "PUT", "/imdsv1", r#"{"enabled": false}"#);
    assert_eq!(shown(&state, "/imdsv1"), json!({"enabled": false}));
    assert_eq!(metadata(&state, ROLES).0, 401);

    let mut put = credpin_mock_imds::Request::default();
    *put.method_mut() = http::Method::PUT;
    *put.uri_mut() = "/latest/api/token".parse().unwrap();
    let ttl = "x-aws-ec2-metadata-token-ttl-seconds";
    put.headers_mut().insert(ttl, "60".parse().unwrap());
    let token = respond(&state, &put, NOW).into_body();
    let mut get = credpin_mock_imds::Request::default();
    *get.uri_mut() = ROLES.parse().unwrap();
    let token = http::HeaderValue::from_bytes(&token).unwrap();
    get.headers_mut().insert("x-aws-ec2-metadata-token", token);
    assert_eq!(respond(&state, &get, NOW).status(), 200);
    change(&state, "DELETE", "/tokens", "");
    assert_eq!(respond(&state, &get, NOW).status(), 401);
}

#[test]
fn mistakes_are_answered_with_a_sentence() {
    let state = state();
    for (method, path, body, status, sentence) in [
        (
            "GET",
            "/nothing",
            "",
            404,
            "there is no /nothing; GET / lists what there is",
        ),
        (
            "PUT",
            "/requests",
            "",
            405,
            "/requests takes GET, DELETE, not PUT",
        ),
        (
            "GET",
            "/requests?since=x",
            "",
            400,
            "`?since=x` is no query",
        ),
        ("GET", "/requests?from=1", "", 400, "`?from=1` is no query"),
        ("GET", "/host?x", "", 400, "`?x` is no query"),
        (
            "PUT",
            "/host",
            "{",
            400,
            "cannot read the body: EOF while parsing",
        ),
        (
            "PUT",
            "/imdsv1",
            r#"{"enable": 1}"#,
            400,
            "cannot read the body: unknown field `enable`",
        ),
    ] {
        let error = refused(&state, method, path, body, status);
        assert!(error.starts_with(sentence), "{error}");
    }
    let response = send(&state, "PUT", "/requests", "");
    assert_eq!(response.headers()["allow"], "GET, DELETE");
}

#[test]
fn a_page_in_a_browser_changes_nothing() {
    let state = state();
    let mut request = Request::default();
    *request.method_mut() = http::Method::DELETE;
    *request.uri_mut() = "/requests".parse().unwrap();
    let origin = http::HeaderValue::from_static("https://example.com");
    request.headers_mut().insert("origin", origin);
    metadata(&state, "/");
    assert_eq!(answer(&state, &request, NOW).status(), 403);
    assert_eq!(state.requests().len(), 1);
}
