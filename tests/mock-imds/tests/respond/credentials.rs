//! The role's credentials: their shape, their life, what can go wrong with them.

use std::time::Duration;

use credpin_mock_imds::{
    CredentialError, Delivery, Host, Peer, Response, Schedule, Settings, State, respond,
};
use http::Method;
use jiff::Timestamp;

use super::{
    CREDENTIALS, NOW, TOKEN, ask, field, get, header, request, seeded, status, text, token,
};

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const IDENTITY: &str = "/latest/meta-data/identity-credentials/ec2/";

const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);

fn at(state: &State, now: Timestamp) -> Response {
    respond(state, &request(Method::GET, CREDENTIALS, &[]), now)
}

fn key_at(state: &State, now: Timestamp) -> String {
    field(&at(state, now), "AccessKeyId")
}

#[test]
fn the_document_is_printed_as_imds_prints_it() {
    let state = seeded();
    let response = get(&state, CREDENTIALS);
    let [issued] = &state.issued()[..] else {
        panic!("one set was issued");
    };
    let expected = format!(
        r#"{{
  "Code" : "Success",
  "LastUpdated" : "2027-01-15T08:00:00Z",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "{}",
  "SecretAccessKey" : "{}",
  "Token" : "{}",
  "Expiration" : "2027-01-15T14:00:00Z"
}}"#,
        issued.access_key_id, issued.secret_access_key, issued.token
    );
    assert_eq!(text(&response), expected);
    assert_eq!(header(&response, "content-type"), Some("text/plain"));
    assert_eq!(
        header(&response, "last-modified"),
        Some("Fri, 15 Jan 2027 08:00:00 GMT")
    );
}

#[test]
fn keys_and_tokens_have_the_shape_of_real_ones() {
    let state = seeded();
    get(&state, CREDENTIALS);
    let issued = state.issued().remove(0);
    let base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    assert_eq!(issued.access_key_id.len(), 20);
    let digits = issued.access_key_id.strip_prefix("ASIA").unwrap();
    assert!(
        digits
            .chars()
            .all(|c| c.is_ascii_uppercase() || ('2'..='7').contains(&c))
    );
    assert_eq!(issued.secret_access_key.len(), 40);
    assert!(issued.secret_access_key.chars().all(base64));
    assert_eq!(issued.token.len(), 964);
    assert!(issued.token.strip_suffix("==").unwrap().chars().all(base64));
    assert_eq!(
        (issued.role.as_str(), issued.first_handed_out),
        ("example-role", NOW)
    );
}

/// As tools do that read the account out of a key id.
#[test]
fn the_key_id_carries_the_account() {
    let state = seeded();
    let key = key_at(&state, NOW);
    let bits = key[4..].chars().fold(0_u128, |bits, digit| {
        let value = match digit {
            'A'..='Z' => digit as u32 - 'A' as u32,
            _ => digit as u32 - '2' as u32 + 26,
        };
        bits << 5 | u128::from(value)
    });
    assert_eq!(bits >> 39 & ((1 << 40) - 1), 123_456_789_012);
}

#[test]
fn one_set_serves_until_five_minutes_before_it_expires() {
    let state = seeded();
    let first = key_at(&state, NOW);
    let renewal = "2027-01-15T13:55:00Z".parse::<Timestamp>().unwrap();
    assert_eq!(key_at(&state, NOW + HOUR), first);
    assert_eq!(key_at(&state, renewal - SECOND), first);

    let second = key_at(&state, renewal);
    assert_ne!(second, first);
    assert_eq!(key_at(&state, renewal + HOUR), second);

    let issued = state.issued();
    assert_eq!(issued.len(), 2);
    assert_eq!(
        issued[0].expires - issued[1].issued,
        Duration::from_mins(5).try_into().unwrap()
    );
}

#[test]
fn the_schedule_can_be_set() {
    let state = State::new(Settings {
        schedule: Schedule {
            lifetime: Duration::from_mins(10),
            overlap: Duration::from_secs(599),
        },
        ..Settings::default()
    });
    let keys = [0, 1, 2].map(|second| key_at(&state, NOW + second * SECOND));
    assert!(
        keys[0] != keys[1] && keys[1] != keys[2],
        "a new set every second"
    );
    assert_eq!(
        field(&at(&state, NOW), "Expiration"),
        "2027-01-15T08:10:02Z"
    );
}

#[test]
fn a_set_can_be_renewed_before_its_time() {
    let state = seeded();
    let first = key_at(&state, NOW);
    state.rotate_credentials();
    assert_ne!(key_at(&state, NOW), first);
}

#[test]
fn a_seed_reproduces_every_set() {
    let (one, other) = (seeded(), seeded());
    assert_eq!(
        text(&get(&one, CREDENTIALS)),
        text(&get(&other, CREDENTIALS))
    );
    one.rotate_credentials();
    other.rotate_credentials();
    assert_eq!(
        text(&get(&one, CREDENTIALS)),
        text(&get(&other, CREDENTIALS))
    );

    let unseeded = State::new(Settings::default());
    assert_ne!(key_at(&unseeded, NOW), key_at(&seeded(), NOW));
}

#[test]
fn hosts_of_a_fleet_share_a_seed_and_no_credentials() {
    let host = Host {
        instance_id: "i-0fedcba9876543210".into(),
        ..Host::default()
    };
    let other = State::new(Settings {
        host,
        seed: Some(1),
        ..Settings::default()
    });
    assert_ne!(key_at(&seeded(), NOW), key_at(&other, NOW));
}

#[test]
fn a_role_is_swapped_and_removed_under_way() {
    let state = seeded();
    let first = key_at(&state, NOW);
    state.set_role(Some("other-role"));
    assert_eq!(status(&get(&state, CREDENTIALS)), 404);
    assert_eq!(
        text(&get(&state, "/latest/meta-data/iam/security-credentials/")),
        "other-role"
    );
    let other = get(
        &state,
        "/latest/meta-data/iam/security-credentials/other-role",
    );
    assert_ne!(field(&other, "AccessKeyId"), first);
    let info = get(&state, "/latest/meta-data/iam/info");
    assert_eq!(
        field(&info, "InstanceProfileArn"),
        "arn:aws:iam::123456789012:instance-profile/other-role"
    );

    state.set_role(None);
    assert_eq!(
        status(&get(&state, "/latest/meta-data/iam/security-credentials/")),
        404
    );
    assert_eq!(status(&get(&state, "/latest/meta-data/iam/info")), 404);
    assert!(!text(&get(&state, "/latest/meta-data/")).contains("iam"));
}

#[test]
fn credentials_can_be_made_to_fail() {
    let state = seeded();
    state.fail_credentials(Some(CredentialError::assume_role_unauthorized(
        "example-role",
    )));
    let response = get(&state, CREDENTIALS);
    assert_eq!(status(&response), 200, "as IMDS has it");
    assert_eq!(field(&response, "Code"), "AssumeRoleUnauthorizedAccess");
    assert!(field(&response, "Message").starts_with("EC2 cannot assume the role example-role."));
    assert_eq!(field(&response, "LastUpdated"), "2027-01-15T08:00:00Z");
    assert!(state.issued().is_empty());

    state.fail_credentials(None);
    assert_eq!(field(&get(&state, CREDENTIALS), "Code"), "Success");
}

#[test]
fn iam_info_says_when_credentials_were_renewed_and_issues_none() {
    let state = seeded();
    let info = "/latest/meta-data/iam/info";
    assert_eq!(
        field(&get(&state, info), "LastUpdated"),
        "2025-01-01T12:00:00Z"
    );
    assert!(state.issued().is_empty());
    get(&state, CREDENTIALS);
    assert_eq!(
        field(&get(&state, info), "LastUpdated"),
        "2027-01-15T08:00:00Z"
    );
}

#[test]
fn the_record_of_what_was_issued_is_bounded() {
    let state = seeded();
    for _ in 0..1030 {
        state.rotate_credentials();
        get(&state, CREDENTIALS);
    }
    let newest = key_at(&state, NOW);
    let issued = state.issued();
    assert_eq!(issued.len(), 1024);
    assert_eq!(issued[1023].access_key_id, newest);
}

#[test]
fn every_request_is_on_record_as_it_was_sent() {
    let state = seeded();
    ask(
        &state,
        Method::GET,
        "//latest/%6deta-data/?a=b",
        &[("User-Agent", "test")],
    );
    get(&state, "/latest/nothing");
    let seen = state.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].uri, "//latest/%6deta-data/?a=b");
    assert_eq!(seen[0].headers.len(), 1);
    assert_eq!(seen[0].headers["user-agent"], "test");
    assert_eq!((seen[0].time, &seen[0].method), (NOW, &Method::GET));
    assert_eq!(seen[0].status.unwrap(), 200);
    assert_eq!(seen[1].status.unwrap(), 404);
}

#[test]
fn who_got_which_set_with_which_token_is_known() {
    let state = seeded();
    let token = token(&state, 60, NOW);
    let mut with_token = request(Method::GET, CREDENTIALS, &[(TOKEN, &token)]);
    let peer = "192.0.2.7:40000".parse().unwrap();
    with_token.extensions_mut().insert(Peer(peer));
    respond(&state, &with_token, NOW + SECOND);
    at(&state, NOW + 2 * SECOND);

    let issued = state.issued().remove(0);
    let delivery = |time, peer, session| Delivery {
        time,
        peer,
        session,
        role: "example-role".into(),
        access_key_id: issued.access_key_id.clone(),
    };
    assert_eq!(
        state.deliveries(),
        [
            delivery(NOW + SECOND, Some(peer), Some(token)),
            delivery(NOW + 2 * SECOND, None, None),
        ]
    );
}

#[test]
fn what_the_logs_cannot_hold_is_counted() {
    let state = seeded();
    for _ in 0..1030 {
        state.rotate_credentials();
        get(&state, CREDENTIALS);
    }
    assert_eq!((state.issued().len(), state.dropped_issued()), (1024, 6));
    for _ in 1030..4100 {
        get(&state, CREDENTIALS);
    }
    assert_eq!(
        (state.deliveries().len(), state.dropped_deliveries()),
        (4096, 4)
    );
}

#[test]
fn several_roles_have_sets_of_their_own() {
    let state = State::new(Settings {
        host: Host {
            role: Some("b".into()),
            other_roles: vec!["a".into()],
            ..Host::default()
        },
        ..Settings::default()
    });
    assert_eq!(text(&get(&state, ROLES)), "a\nb");
    let key = |role: &str| field(&get(&state, &format!("{ROLES}{role}")), "AccessKeyId");
    let (first, second) = (key("a"), key("b"));
    assert_ne!(first, second);
    assert_eq!((key("a"), key("b")), (first.clone(), second.clone()));

    state.update_host(|host| host.other_roles.clear());
    assert_eq!(status(&get(&state, &format!("{ROLES}a"))), 404);
    assert_eq!(key("b"), second, "its set is not touched by that");
    state.update_host(|host| host.other_roles.push("a".into()));
    assert_ne!(key("a"), first, "a role that comes back starts anew");
}

#[test]
fn the_instance_has_credentials_of_its_own() {
    let state = seeded();
    let info = get(&state, &format!("{IDENTITY}info"));
    assert_eq!(field(&info, "AccountId"), "123456789012");
    state.fail_credentials(Some(CredentialError::assume_role_unauthorized("x")));
    let own = get(
        &state,
        &format!("{IDENTITY}security-credentials/ec2-instance"),
    );
    assert_eq!(field(&own, "Code"), "Success", "they are no role's");
    let issued = state.issued().remove(0);
    assert_eq!(field(&own, "AccessKeyId"), issued.access_key_id);
    assert_eq!(issued.role, "ec2-instance");
    state.fail_credentials(None);
    assert_ne!(key_at(&state, NOW), issued.access_key_id);
    state.update_host(|host| host.identity_credentials = false);
    assert_eq!(status(&get(&state, IDENTITY)), 404);
}

#[test]
fn a_deleted_profile_is_said_where_the_profile_is() {
    let state = seeded();
    let arn = state.host().instance_profile_arn().unwrap();
    state.fail_profile(Some(CredentialError::instance_profile_not_found(&arn)));
    let info = get(&state, "/latest/meta-data/iam/info");
    assert_eq!(status(&info), 200);
    assert_eq!(field(&info, "Code"), "InstanceProfileNotFound");
    assert!(field(&info, "Message").contains(&arn));
    assert_eq!(field(&info, "LastUpdated"), "2027-01-15T08:00:00Z");
    state.fail_profile(None);
    let info = get(&state, "/latest/meta-data/iam/info");
    assert_eq!(field(&info, "InstanceProfileArn"), arn);
}

#[test]
fn the_schedule_can_change_under_way() {
    let state = seeded();
    let first = key_at(&state, NOW);
    let second = "1s".parse().unwrap();
    state.set_schedule(Schedule::new(None, Some(second)).unwrap());
    assert_eq!(key_at(&state, NOW), first);
    assert_ne!(key_at(&state, NOW + SECOND), first);
    assert_eq!(state.schedule().lifetime, 6 * HOUR);
}
