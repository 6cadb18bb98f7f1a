//! IMDSv2, as far as AEMM has it.

use credpin_mock_imds::launch::Command;
use credpin_mock_imds::{Response, State, respond};
use http::Method;

use super::{START, TOKEN, TTL, aemm, after, get, header, request, status, text};

const PATH: &str = "/latest/api/token";
const INSTANCE: &str = "/latest/meta-data/instance-id";

fn page(title: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
   <head>
      <title>{title}</title>
   </head>
   <body>
      <h1>{title}</h1>
   </body>
</html>
"#
    )
}

fn put(state: &State, headers: &[(&'static str, &str)]) -> Response {
    respond(state, &request(Method::PUT, PATH, headers), START)
}

#[test]
fn a_token_is_asked_for_where_there_is_a_value_and_nowhere_else() {
    let state = aemm(Command::All, &[("AEMM_IMDSV2", "true")]);
    for path in [
        "/",
        "/latest",
        "/latest/meta-data",
        "/latest/dynamic",
        "/latest/user-data",
        "/latest/meta-data/spot/instance-action",
        INSTANCE,
    ] {
        let refused = get(&state, path);
        assert_eq!(status(&refused), 401, "{path}");
        assert_eq!(text(&refused), page("401 - Unauthorized"), "{path}");
    }
    for (path, expected) in [("/latest/meta-data/iam", 200), ("/womp", 404)] {
        assert_eq!(status(&get(&state, path)), expected, "{path}");
    }
}

#[test]
fn a_token_is_good_for_as_long_as_it_was_made_for() {
    let state = aemm(Command::All, &[("AEMM_IMDSV2", "true")]);
    let minted = put(&state, &[(TTL, "60"), ("x-forwarded-for", "192.0.2.1")]);
    assert_eq!(status(&minted), 200);
    assert_eq!(header(&minted, TTL), Some("60"));
    let token = text(&minted);
    let with_token = request(Method::GET, INSTANCE, &[(TOKEN, token)]);
    assert_eq!(status(&respond(&state, &with_token, after(59_000))), 200);
    assert_eq!(status(&respond(&state, &with_token, after(60_000))), 401);
}

#[test]
fn a_time_to_live_out_of_bounds_is_a_400() {
    let state = aemm(Command::All, &[]);
    for ttl in ["0", "-1", "21601", "an hour", ""] {
        let refused = put(&state, &[(TTL, ttl)]);
        assert_eq!(status(&refused), 400, "{ttl}");
        assert_eq!(text(&refused), page("400 - Bad Request"));
    }
    assert_eq!(status(&put(&state, &[])), 400);
    assert_eq!(status(&put(&state, &[(TTL, "21600")])), 200);
    let other = get(&state, PATH);
    assert_eq!((status(&other), text(&other)), (200, ""));
}

#[test]
fn no_token_is_looked_at_where_none_is_required() {
    let state = aemm(Command::All, &[]);
    let wrong = request(Method::GET, INSTANCE, &[(TOKEN, "wrong")]);
    assert_eq!(status(&respond(&state, &wrong, START)), 200);
}
