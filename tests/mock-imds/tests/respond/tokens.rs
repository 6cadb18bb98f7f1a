//! IMDSv2 sessions (EC2 User Guide, how Instance Metadata Service Version 2 works).

use std::time::Duration;

use credpin_mock_imds::{Host, Settings, State, respond};
use http::Method;

use super::{NOW, TOKEN, TTL, ask, get, header, request, seeded, status, text, token, v2_only};

const PATH: &str = "/latest/api/token";
const ID: &str = "/latest/meta-data/instance-id";

#[test]
fn a_ttl_within_bounds_is_granted_and_echoed() {
    for ttl in ["1", "60", "21600"] {
        let response = ask(&seeded(), Method::PUT, PATH, &[(TTL, ttl)]);
        assert_eq!(status(&response), 200, "{ttl}");
        assert_eq!(header(&response, TTL), Some(ttl));
        assert_eq!(header(&response, "content-type"), Some("text/plain"));
        assert_eq!(text(&response).len(), 56);
    }
}

#[test]
fn any_other_ttl_is_a_bad_request() {
    let state = seeded();
    for ttl in [
        "0",
        "21601",
        "-1",
        "+5",
        "5.0",
        "",
        " ",
        "0x10",
        "99999999999999999999",
    ] {
        assert_eq!(
            status(&ask(&state, Method::PUT, PATH, &[(TTL, ttl)])),
            400,
            "{ttl:?}"
        );
    }
    assert_eq!(status(&ask(&state, Method::PUT, PATH, &[])), 400);
    let twice = ask(&state, Method::PUT, PATH, &[(TTL, "5"), (TTL, "5")]);
    assert_eq!(status(&twice), 400);
}

#[test]
fn a_forwarded_put_is_refused() {
    let headers = [(TTL, "60"), ("X-Forwarded-For", "192.0.2.1")];
    let response = ask(&seeded(), Method::PUT, PATH, &headers);
    assert_eq!(status(&response), 403);
    assert!(text(&response).contains("<h1>403 - Forbidden</h1>"));
}

#[test]
fn other_methods_are_not_allowed() {
    let state = seeded();
    for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
        let response = ask(&state, method.clone(), PATH, &[(TTL, "60")]);
        assert_eq!(status(&response), 405, "{method}");
        assert_eq!(header(&response, "allow"), Some("OPTIONS, PUT"));
        assert!(response.body().is_empty());
    }
    let response = ask(&state, Method::PUT, ID, &[(TTL, "60")]);
    assert_eq!(status(&response), 405);
    assert_eq!(header(&response, "allow"), Some("OPTIONS, GET, HEAD"));
}

#[test]
fn a_token_opens_until_it_expires() {
    let state = v2_only();
    let token = token(&state, 60, NOW);
    let get = request(Method::GET, ID, &[(TOKEN, &token)]);

    let response = respond(&state, &get, NOW + Duration::from_secs(59));
    assert_eq!(status(&response), 200);
    assert_eq!(header(&response, TTL), Some("1"), "what is left of it");
    assert_eq!(
        status(&respond(&state, &get, NOW + Duration::from_mins(1))),
        401
    );
}

#[test]
fn without_a_token_only_imdsv1_answers_and_only_where_allowed() {
    assert_eq!(status(&get(&seeded(), ID)), 200);
    assert_eq!(status(&get(&v2_only(), ID)), 401);
    let response = get(&v2_only(), "/latest/meta-data/nothing-here");
    assert_eq!(status(&response), 401, "what exists is not told either");

    let state = seeded();
    state.require_tokens(true);
    assert_eq!(status(&get(&state, ID)), 401);
}

#[test]
fn a_header_of_imdsv2_makes_a_request_need_a_token() {
    let state = seeded();
    let good = token(&state, 60, NOW);
    for headers in [
        &[(TOKEN, "")][..],
        &[(TOKEN, "AQAEAnonsense")],
        &[(TTL, "60")],
        &[(TOKEN, &good), (TOKEN, &good)],
    ] {
        assert_eq!(
            status(&ask(&state, Method::GET, ID, headers)),
            401,
            "{headers:?}"
        );
    }
}

#[test]
fn tokens_of_another_instance_or_of_before_are_refused() {
    let other = State::new(Settings {
        host: Host {
            instance_id: "i-0fedcba9876543210".into(),
            ..Host::default()
        },
        seed: Some(1),
        ..Settings::default()
    });
    let state = v2_only();
    let foreign = token(&other, 60, NOW);
    assert_eq!(
        status(&ask(&state, Method::GET, ID, &[(TOKEN, &foreign)])),
        401
    );

    let own = token(&state, 60, NOW);
    assert_eq!(status(&ask(&state, Method::GET, ID, &[(TOKEN, &own)])), 200);
    state.forget_tokens();
    assert_eq!(status(&ask(&state, Method::GET, ID, &[(TOKEN, &own)])), 401);
}

#[test]
fn without_a_seed_no_two_mocks_share_tokens() {
    let one = State::new(Settings::default());
    let other = State::new(Settings::default());
    let token = token(&one, 60, NOW);
    assert_eq!(status(&ask(&one, Method::GET, ID, &[(TOKEN, &token)])), 200);
    assert_eq!(
        status(&ask(&other, Method::GET, ID, &[(TOKEN, &token)])),
        401
    );
}

#[test]
fn switched_off_it_refuses_everything() {
    let state = seeded();
    let token = token(&state, 60, NOW);
    state.disable(true);
    assert!(state.is_disabled());
    assert_eq!(status(&get(&state, "/")), 403);
    assert_eq!(status(&ask(&state, Method::PUT, PATH, &[(TTL, "60")])), 403);
    let with_token = [(TOKEN, token.as_str())];
    assert_eq!(status(&ask(&state, Method::GET, ID, &with_token)), 403);
    state.disable(false);
    assert_eq!(status(&ask(&state, Method::GET, ID, &with_token)), 200);
}
