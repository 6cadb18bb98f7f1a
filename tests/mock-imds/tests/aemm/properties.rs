//! Whatever is asked, and whatever a config file says.

use credpin_mock_imds::config::File;
use credpin_mock_imds::launch::Command;
use credpin_mock_imds::{Moment, respond};
use http::{HeaderValue, Method, Uri};
use proptest::prelude::*;

use super::{START, TOKEN, TTL, aemm, request, text};

/// Pieces that paths of the mock are made of, and what might confuse it.
fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/latest"),
        Just("/meta-data"),
        Just("/iam"),
        Just("/security-credentials"),
        Just("/baskinc-role"),
        Just("/dynamic"),
        Just("/user-data"),
        Just("/api"),
        Just("/token"),
        Just("/"),
        Just("/.."),
        Just("%2F"),
        Just("%2e"),
        Just("%ff"),
        Just("//"),
        Just("a"),
    ];
    proptest::collection::vec(piece, 0..9).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::GET),
        Just(Method::HEAD),
        Just(Method::PUT),
        Just(Method::POST),
        Just(Method::OPTIONS),
    ]
}

proptest! {
    #[test]
    fn nothing_panics_and_no_value_is_given_away_without_a_token(
        path in path(),
        method in method(),
        token in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        ttl in proptest::option::of("[ 0-9a-z+-]{0,6}"),
    ) {
        let state = aemm(Command::All, &[("AEMM_IMDSV2", "true")]);
        prop_assume!(path.parse::<Uri>().is_ok());
        let mut asked = request(method, &path, &[]);
        for (name, value) in [(TOKEN, token), (TTL, ttl.map(String::into_bytes))] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(&value).ok()) {
                asked.headers_mut().insert(name, value);
            }
        }
        let response = respond(&state, &asked, START);
        let body = String::from_utf8_lossy(response.body());
        for value in ["12345678901", "0123456789", "john", "ami-0a887e401f7654935"] {
            prop_assert!(!body.contains(value), "{path}: {body}");
        }
    }

    #[test]
    fn a_file_of_any_text_is_read_or_refused_with_its_line(body in "[\\[\\]{}\":,a-c0-9\n ]{0,60}") {
        match File::parse("mock.json", &body) {
            Ok(file) => {
                let lines = body.split('\n').count();
                for entry in file.entries() {
                    prop_assert!((1..=lines).contains(&entry.line));
                }
            }
            Err(error) => prop_assert!(error.to_string().starts_with("mock.json:")),
        }
    }

    #[test]
    fn a_time_is_no_text_that_it_does_not_show_again(written in "\\PC{0,30}|[0-9TZ:+.-]{15,30}") {
        if let Ok(moment) = written.parse::<Moment>() {
            prop_assert_eq!(moment.to_string(), written);
        }
    }
}

#[test]
fn the_values_that_must_not_be_given_away_are_given_with_a_token() {
    let state = aemm(Command::All, &[("AEMM_IMDSV2", "true")]);
    let put = request(Method::PUT, "/latest/api/token", &[(TTL, "60")]);
    let minted = respond(&state, &put, START);
    let path = "/latest/meta-data/iam/security-credentials/baskinc-role";
    let asked = request(Method::GET, path, &[(TOKEN, text(&minted))]);
    assert!(text(&respond(&state, &asked, START)).contains("12345678901"));
}
