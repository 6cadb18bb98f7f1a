//! What holds for every request, however malformed.

use credpin_mock_imds::{Fault, FaultSpec, Request, respond};
use http::{HeaderName, HeaderValue, Method, Uri};
use jiff::Timestamp;
use proptest::prelude::*;

use super::{CREDENTIALS, NOW, TOKEN, TTL, request, seeded, status, token, v2_only};

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        4 => Just(Method::GET),
        1 => Just(Method::HEAD),
        2 => Just(Method::PUT),
        1 => "[A-Z]{1,8}".prop_map(|name| Method::from_bytes(name.as_bytes()).unwrap()),
    ]
}

/// Paths to credentials in many spellings, and any other path that a URL can have.
fn uri() -> impl Strategy<Value = Uri> {
    let segment = prop::sample::select(vec![
        "latest",
        "2021-03-23",
        "1.0",
        "meta-data",
        "iam",
        "security-credentials",
        "example-role",
        "identity-credentials",
        "ec2",
        "ec2-instance",
        "security%2Dcredentials",
        "%69am",
        "IAM",
        "",
        ".",
        "..",
        "%2e%2e",
        "%2F",
        "%00",
        "%ff",
        "%",
        "api",
        "token",
        "info",
        ";x",
        "user-data",
    ]);
    let spelled =
        prop::collection::vec(segment, 0..8).prop_map(|parts| format!("/{}", parts.join("/")));
    let any = "/[!-~]{0,40}";
    let own = "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance";
    prop_oneof![
        3 => Just(CREDENTIALS.to_owned()),
        1 => Just(own.to_owned()),
        4 => spelled,
        2 => any,
    ]
    .prop_filter_map("not a URL", |path| path.parse().ok())
}

/// Any header: IMDS's own and those of proxies oftener than others.
fn headers() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![TOKEN, TTL, "x-forwarded-for", "host"]).prop_map(str::to_owned),
        1 => "[a-z-]{1,12}",
    ];
    let value = prop_oneof![
        "[0-9]{1,6}".prop_map(String::into_bytes),
        "AQAEA[A-Za-z0-9_-]{48}A==".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..70),
    ];
    let header = (name, value).prop_filter_map("not a header", |(name, value)| {
        Some((name.parse().ok()?, HeaderValue::from_bytes(&value).ok()?))
    });
    prop::collection::vec(header, 0..4)
}

fn any_request() -> impl Strategy<Value = Request> {
    (method(), uri(), headers()).prop_map(|(method, uri, headers)| {
        let mut request = Request::default();
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        for (name, value) in headers {
            request.headers_mut().append(name, value);
        }
        request
    })
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    let all = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
    prop_oneof![
        Just(NOW),
        all.prop_map(|second| Timestamp::from_second(second).unwrap())
    ]
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let texts = [
        "404",
        "503",
        "throttle=0",
        "garbage",
        "skew=876000h",
        "skew=876000h ago",
        "expired",
        "unparsable",
        "no-role",
    ];
    prop::sample::select(texts.to_vec()).prop_map(|text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn without_a_token_no_request_gets_or_causes_a_credential(
        request in any_request(),
        now in any_time(),
    ) {
        let state = v2_only();
        let response = respond(&state, &request, now);
        prop_assert!(state.issued().is_empty() && state.deliveries().is_empty());
        prop_assert!(matches!(status(&response), 200 | 400 | 401 | 403 | 404 | 405));
        if *request.method() != Method::PUT {
            prop_assert!(matches!(status(&response), 401 | 405), "{}", response.status());
        }
    }

    #[test]
    fn no_fault_lets_a_request_get_or_cause_a_credential_without_a_token(
        request in any_request(),
        fault in any_fault(),
        now in any_time(),
    ) {
        let state = v2_only();
        state.set_fault("/", fault);
        respond(&state, &request, now);
        prop_assert!(state.issued().is_empty());
    }

    #[test]
    fn reading_a_fault_never_panics_and_what_is_read_prints_and_reads_the_same(
        text in "/?[a-z0-9:=./-]{0,24}(:(503|hang|delay|skew|throttle))?(=[-0-9a-z. ]{0,8})?(:(p|count)=[-0-9.e]{0,6}){0,2}",
    ) {
        if let Ok(spec) = text.parse::<FaultSpec>() {
            let printed = spec.to_string();
            prop_assert_eq!(printed.parse::<FaultSpec>().unwrap(), spec, "{}", printed);
        }
    }

    #[test]
    fn with_or_without_a_token_no_request_panics_it(request in any_request(), now in any_time()) {
        let state = seeded();
        let mut with_token = request.clone();
        with_token.headers_mut().insert(TOKEN, token(&state, 21_600, now).parse().unwrap());
        for request in [request, with_token] {
            let response = respond(&state, &request, now);
            prop_assert!(matches!(status(&response), 200 | 400 | 401 | 403 | 404 | 405));
            prop_assert_eq!(&response.headers()["server"], "EC2ws");
        }
    }

    #[test]
    fn a_token_is_good_from_now_until_its_ttl_is_over_and_at_no_other_time(
        ttl in 1_u32..=21_600,
        after in 0_i64..50_000,
    ) {
        let state = v2_only();
        let token = token(&state, ttl, NOW);
        let get = request(Method::GET, CREDENTIALS, &[(TOKEN, &token)]);
        let later = NOW + jiff::SignedDuration::from_secs(after);
        let expected = if after < i64::from(ttl) { 200 } else { 401 };
        prop_assert_eq!(status(&respond(&state, &get, later)), expected);
        prop_assert_eq!(state.issued().len(), usize::from(expected == 200));
    }

    #[test]
    fn credentials_are_always_good_for_five_minutes(ages in prop::collection::vec(0_i64..30_000, 1..8)) {
        let state = seeded();
        let mut now = NOW;
        for age in ages {
            now += jiff::SignedDuration::from_secs(age);
            respond(&state, &request(Method::GET, CREDENTIALS, &[]), now);
            let issued = state.issued();
            let current = issued.last().unwrap();
            prop_assert!(current.issued <= now);
            prop_assert!(current.expires.duration_since(now).as_secs() >= 300);
            let keys: std::collections::BTreeSet<_> =
                issued.iter().map(|issued| &issued.access_key_id).collect();
            prop_assert_eq!(keys.len(), issued.len(), "no key id is issued twice");
        }
    }
}
