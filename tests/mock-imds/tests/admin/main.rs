//! The admin API without a socket: what each call changes and shows.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use credpin_mock_imds::admin::{Hosts, Request, Response, answer};
use credpin_mock_imds::{Host, Notices, Settings, State, respond};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0); // 2027-01-15T08:00:00Z
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

fn state() -> Arc<State> {
    Arc::new(State::new(Settings {
        seed: Some(1),
        ..Settings::default()
    }))
}

fn send(state: &Arc<State>, method: &str, path: &str, body: &str) -> Response {
    let mut request = Request::new(body.to_owned().into());
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = path.parse().unwrap();
    answer(&Hosts::from(Arc::clone(state)), &request, NOW)
}

/// What `GET path` shows.
fn shown(state: &Arc<State>, path: &str) -> Value {
    let response = send(state, "GET", path, "");
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(response.body()).unwrap()
}

/// A change that succeeds.
fn change(state: &Arc<State>, method: &str, path: &str, body: &str) {
    let response = send(state, method, path, body);
    let said = String::from_utf8_lossy(response.body()).into_owned();
    assert_eq!((response.status().as_u16(), &*said), (204, ""), "{path}");
}

/// A change that is refused with this status, and why.
fn refused(state: &Arc<State>, method: &str, path: &str, body: &str, status: u16) -> String {
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
fn a_host_is_told_of_its_end_and_of_nothing_again() {
    let state = state();
    let action = "/latest/meta-data/spot/instance-action";
    assert_eq!(metadata(&state, action).0, 404);
    change(&state, "PUT", "/notices", r#"{"spot": {"action": "stop"}}"#);
    let (status, document) = metadata(&state, action);
    assert_eq!(status, 200);
    assert_eq!(
        document,
        r#"{"action":"stop","time":"2027-01-15T08:02:00Z"}"#
    );
    let later = r#"{"spot": {"due": "2027-01-15T08:00:01Z", "time": "2027-01-15T08:00:02+00:00"}}"#;
    change(&state, "PUT", "/notices", later);
    assert_eq!(metadata(&state, action).0, 404);
    let shown = shown(&state, "/notices");
    assert_eq!(shown["spot"]["action"], "terminate");
    assert_eq!(shown["spot"]["time"], "2027-01-15T08:00:02+00:00");
    assert_eq!(shown["event"], Value::Null);
    // What is shown can be told again.
    change(&state, "PUT", "/notices", &shown.to_string());

    change(&state, "DELETE", "/notices", "");
    assert_eq!(state.notices(), Notices::default());
    let body = r#"{"spot": {"action": "explode"}}"#;
    let said = refused(&state, "PUT", "/notices", body, 400);
    assert!(said.contains("explode"), "{said}");
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
    assert_eq!(
        answer(&Hosts::from(Arc::clone(&state)), &request, NOW).status(),
        403
    );
    assert_eq!(state.requests().len(), 1);
}

#[test]
fn the_schedule_the_switch_and_the_hop_limit_are_changed() {
    let state = state();
    let first = key_id(&state);
    let schedule = r#"{"credential-lifetime": "10m", "rotate-every": "1s"}"#;
    change(&state, "PUT", "/schedule", schedule);
    assert_eq!(
        shown(&state, "/schedule"),
        json!({"credential-lifetime": "10m", "rotate-every": "1s"})
    );
    change(&state, "POST", "/credentials/rotate", "");
    assert_ne!(key_id(&state), first);
    let issued = shown(&state, "/issued");
    assert_eq!(issued["issued"][1]["expires"], "2027-01-15T08:10:00Z");
    assert_eq!(issued["dropped"], 0);
    let error = refused(&state, "PUT", "/schedule", r#"{"rotate-every": "7h"}"#, 400);
    assert!(error.contains("every 7h is too seldom"), "{error}");

    change(&state, "PUT", "/endpoint", r#"{"enabled": false}"#);
    assert_eq!(metadata(&state, "/").0, 403);
    assert_eq!(shown(&state, "/endpoint"), json!({"enabled": false}));
    change(&state, "PUT", "/endpoint", r#"{"enabled": true}"#);
    assert_eq!(metadata(&state, "/").0, 200);

    change(&state, "PUT", "/hop-limit", r#"{"hops": 2}"#);
    assert_eq!(shown(&state, "/hop-limit"), json!({"hops": 2}));
    let error = refused(&state, "PUT", "/hop-limit", r#"{"hops": 0}"#, 400);
    assert!(error.contains("a number from 1 to 64"), "{error}");
    change(&state, "PUT", "/hop-limit", r#"{"hops": null}"#);
    assert_eq!(shown(&state, "/hop-limit"), json!({"hops": null}));
}

#[test]
fn who_got_which_credentials_is_shown_and_a_profile_fails() {
    let state = state();
    let key = key_id(&state);
    let deliveries = shown(&state, "/deliveries");
    assert_eq!(
        deliveries,
        json!({"deliveries": [{
            "time": "2027-01-15T08:00:00Z", "peer": null, "session": null,
            "role": "example-role", "access-key-id": key,
        }], "dropped": 0})
    );
    let error = r#"{"code": "InstanceProfileNotFound", "message": "gone"}"#;
    change(&state, "PUT", "/profile/error", error);
    let (_, info) = metadata(&state, "/latest/meta-data/iam/info");
    assert!(info.contains("InstanceProfileNotFound"), "{info}");
    change(&state, "DELETE", "/profile/error", "");
    let (_, info) = metadata(&state, "/latest/meta-data/iam/info");
    assert!(info.contains("InstanceProfileArn"), "{info}");
}

#[test]
fn each_host_of_a_fleet_is_asked_by_its_id() {
    let host = |id: &str| {
        let host = Host {
            instance_id: id.into(),
            ..Host::default()
        };
        Arc::new(State::new(Settings {
            host,
            ..Settings::default()
        }))
    };
    let (one, two) = (host("i-1"), host("i-2"));
    let hosts: Hosts = [("192.0.2.1:80", &one), ("192.0.2.2:80", &two)]
        .map(|(addr, state)| (addr.parse().unwrap(), Arc::clone(state)))
        .into_iter()
        .collect();
    let send = |method: &str, path: &str| {
        let mut request = Request::default();
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        let response = answer(&hosts, &request, NOW);
        let body = serde_json::from_slice::<Value>(response.body()).unwrap_or_default();
        (response.status().as_u16(), body)
    };
    assert_eq!(
        send("GET", "/hosts").1,
        json!({"hosts": [
            {"instance-id": "i-1", "endpoint": "http://192.0.2.1:80"},
            {"instance-id": "i-2", "endpoint": "http://192.0.2.2:80"},
        ]})
    );
    metadata(&two, "/latest/meta-data/mac");
    assert_eq!(send("GET", "/hosts/i-1/requests").1["next"], 0);
    assert_eq!(send("GET", "/hosts/i-2/requests?since=0").1["next"], 1);
    assert_eq!(send("DELETE", "/hosts/i-2/requests").0, 204);
    assert!(two.requests().is_empty());
    assert_eq!(send("GET", "/healthz").0, 204);

    let (status, refusal) = send("GET", "/requests");
    let sentence = "there are 2 hosts: name one, as in /hosts/ID/requests; GET /hosts lists them";
    assert_eq!((status, &refusal["error"]), (400, &sentence.into()));
    let (status, refusal) = send("GET", "/hosts/i-3/requests");
    let sentence = "there is no host i-3; GET /hosts lists them";
    assert_eq!((status, &refusal["error"]), (404, &sentence.into()));
}

fn body() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        r#"{"enabled": false}"#,
        r#"{"hops": 64}"#,
        r#"{"offset": "-876000h"}"#,
        r#"{"path": "/", "fault": "delay=1s", "p": 0.5}"#,
        r#"{"rotate-every": "1s"}"#,
        r#"{"interface": null}"#,
        r#"{"instance-id": "", "tags": {"": ""}, "secondary-interfaces": [{"mac": "/"}]}"#,
        r#"{"user-data": [0, 255]}"#,
        r#"{"launched": "-009999-01-02T01:59:59Z"}"#,
        r#"{"code": "\u0000", "message": ""}"#,
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => "\\PC{0,30}"]
}

fn route() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/",
        "/hosts",
        "/hosts/",
        "/hosts//",
        "/hosts/i-0123456789abcdef0/host",
        "/host",
        "/requests",
        "/requests?since=18446744073709551615",
        "/issued",
        "/deliveries",
        "/schedule",
        "/endpoint",
        "/hop-limit",
        "/credentials/error",
        "/credentials/rotate",
        "/profile/error",
        "/faults",
        "/faults?path=/",
        "/clock",
        "/tokens",
        "/imdsv1",
        "/healthz",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "/[!-~]{0,20}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Nor does what they change make a request of the mock panic, or give it a credential that it has
    /// no token for.
    #[test]
    fn no_calls_panic_it_or_open_it_to_whoever_has_no_token(
        calls in prop::collection::vec(
            (prop::sample::select(vec!["GET", "PUT", "PATCH", "POST", "DELETE", "BREW"]), route(), body()),
            1..8,
        ),
    ) {
        let state = Arc::new(State::new(Settings { imdsv2_only: true, ..Settings::default() }));
        let hosts = Hosts::from(Arc::clone(&state));
        for (method, path, body) in calls {
            let mut request = Request::new(body.into());
            *request.method_mut() = method.parse().unwrap();
            let Ok(uri) = path.parse() else { continue };
            *request.uri_mut() = uri;
            if request.uri().path() == "/imdsv1" {
                continue;
            }
            let response = answer(&hosts, &request, NOW);
            prop_assert!(response.status().as_u16() < 500, "{method} {path}");
            for path in ["/", "/latest/meta-data/", ROLES, "/latest/meta-data/iam/info"] {
                metadata(&state, path);
            }
            metadata(&state, &format!("{ROLES}example-role"));
        }
        prop_assert!(state.issued().is_empty());
        prop_assert!(state.deliveries().is_empty());
    }
}
