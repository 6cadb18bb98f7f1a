use std::fmt::Write as _;

use super::*;
use crate::cloudtrail::Reader;

const USER: &str = r#""type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::111122223333:user/ci","accountId":"111122223333","userName":"ci""#;
const NOW: &str = "2026-05-01T12:00:00Z";

/// A call of `name` signed with `key`, whose session is `who`; `more` are further fields.
fn call(minute: u8, who: &str, key: &str, name: &str, more: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventTime":"2026-05-01T10:{minute:02}:00Z","eventID":"e{minute}-{name}","eventSource":"sts.amazonaws.com","eventName":"{name}","sourceIPAddress":"198.51.100.9","userAgent":"cli","userIdentity":{{{who},"accessKeyId":"{key}"}}{more}}}"#
    )
}

fn role(name: &str, session: &str) -> String {
    format!(
        r#""type":"AssumedRole","principalId":"AROA{name}:{session}","arn":"arn:aws:sts::111122223333:assumed-role/{name}/{session}","accountId":"111122223333","sessionContext":{{"sessionIssuer":{{"type":"Role","arn":"arn:aws:iam::111122223333:role/{name}"}},"attributes":{{"creationDate":"2026-05-01T10:00:00Z"}}}}"#
    )
}

fn hands_out(key: &str, role: &str) -> String {
    format!(
        r#","requestParameters":{{"roleArn":"arn:aws:iam::111122223333:role/{role}","roleSessionName":"s","durationSeconds":3600}},"responseElements":{{"credentials":{{"accessKeyId":"{key}","sessionToken":"x","expiration":"May 1, 2026, 11:30:00 AM"}},"assumedRoleUser":{{"arn":"arn:aws:sts::111122223333:assumed-role/{role}/s"}}}}"#
    )
}

fn fold<'a>(events: impl IntoIterator<Item = &'a String>) -> Lineage {
    let events: Vec<&str> = events.into_iter().map(String::as_str).collect();
    let file = format!("{{\"Records\":[{}]}}", events.join(","));
    let mut lineage = Lineage::default();
    let mut reader = Reader::default();
    reader
        .read(file.as_bytes(), true, |event| lineage.event(event))
        .unwrap();
    assert_eq!(reader.unreadable(), 0);
    lineage
}

fn tree(lineage: Lineage, target: &str) -> String {
    let trace = trace(
        lineage,
        &target.parse().unwrap(),
        None,
        NOW.parse().unwrap(),
    )
    .unwrap();
    trace.nodes.iter().fold(String::new(), |mut out, node| {
        let mark = if node.is_target { "*" } else { "" };
        let live = if node.is_live { "live" } else { "ended" };
        let depth = node.depth * 2;
        let (key, how, calls) = (&node.key, node.how, node.total.calls);
        let _ = writeln!(out, "{:depth$}{key}{mark} {how} {calls} {live}", "");
        out
    })
}

/// The incident: A makes B and keeps it, assumes a role as C; B makes D, E and F later on.
fn incident() -> Vec<String> {
    let session = format!(
        "{USER},\"sessionContext\":{{\"attributes\":{{\"creationDate\":\"2026-05-01T10:00:00Z\",\"mfaAuthenticated\":\"false\"}}}}"
    );
    let token = r#","requestParameters":{"durationSeconds":129600},"responseElements":{"credentials":{"accessKeyId":"ASIABBBBBBBBBBBBBBBB","expiration":"May 2, 2026, 10:00:00 PM"}}"#;
    vec![
        call(0, USER, "AKIAAAAAAAAAAAAAAAAA", "GetSessionToken", token),
        call(
            1,
            USER,
            "AKIAAAAAAAAAAAAAAAAA",
            "AssumeRole",
            &hands_out("ASIACCCCCCCCCCCCCCCC", "data"),
        ),
        call(
            2,
            &role("data", "s"),
            "ASIACCCCCCCCCCCCCCCC",
            "GetObject",
            "",
        ),
        call(
            20,
            &session,
            "ASIABBBBBBBBBBBBBBBB",
            "AssumeRole",
            &hands_out("ASIADDDDDDDDDDDDDDDD", "data"),
        ),
        call(
            21,
            &session,
            "ASIABBBBBBBBBBBBBBBB",
            "AssumeRole",
            &hands_out("ASIAEEEEEEEEEEEEEEEE", "data"),
        ),
        call(
            22,
            &session,
            "ASIABBBBBBBBBBBBBBBB",
            "AssumeRole",
            &hands_out("ASIAFFFFFFFFFFFFFFFF", "data"),
        ),
        call(
            23,
            &role("data", "s"),
            "ASIADDDDDDDDDDDDDDDD",
            "GetObject",
            r#","errorCode":"AccessDenied""#,
        ),
    ]
}

const INCIDENT: &str = "\
AKIAAAAAAAAAAAAAAAAA long-lived key 2 live
  ASIABBBBBBBBBBBBBBBB GetSessionToken without MFA 3 live
    ASIADDDDDDDDDDDDDDDD AssumeRole 1 ended
    ASIAEEEEEEEEEEEEEEEE AssumeRole 0 ended
    ASIAFFFFFFFFFFFFFFFF AssumeRole 0 ended
  ASIACCCCCCCCCCCCCCCC* AssumeRole 1 ended
";

#[test]
fn from_a_key_that_was_found_the_one_that_nobody_knew_of_is_found() {
    assert_eq!(tree(fold(&incident()), "ASIACCCCCCCCCCCCCCCC"), INCIDENT);
}

#[test]
fn a_lineage_is_the_same_in_any_order_and_shared_out_in_any_way() {
    let events = incident();
    let wanted = serde_json::to_string(&trace(
        fold(&events),
        &Target::Key("AKIAAAAAAAAAAAAAAAAA".into()),
        None,
        NOW.parse().unwrap(),
    ))
    .unwrap();
    for cut in 0..events.len() {
        let (one, other) = events.split_at(cut);
        let mut lineage = fold(other.iter().rev());
        lineage.merge(fold(one));
        let target = Target::Key("AKIAAAAAAAAAAAAAAAAA".into());
        let trace = trace(lineage, &target, None, NOW.parse().unwrap());
        assert_eq!(
            serde_json::to_string(&trace).unwrap(),
            wanted,
            "cut at {cut}"
        );
    }
}

#[test]
fn a_role_a_user_and_an_instance_name_all_of_their_keys() {
    let found = |target: &str| {
        let target = target.parse().unwrap();
        trace(fold(&incident()), &target, None, NOW.parse().unwrap()).map(|trace| trace.matched)
    };
    assert_eq!(found("arn:aws:iam::111122223333:role/data"), Some(4));
    assert_eq!(found("arn:aws:iam::111122223333:user/ci"), Some(2));
    assert_eq!(found("i-0abc"), None);
    assert_eq!(found("ASIAZZZZZZZZZZZZZZZZ"), None);
    assert!("nonsense".parse::<Target>().is_err());
}

#[test]
fn an_instances_token_is_told_from_a_session_that_is_named_like_one() {
    let delivered = format!(
        r#"{{"eventTime":"2026-05-01T10:00:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","sourceIPAddress":"ec2.amazonaws.com","userIdentity":{{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}}{}}}"#,
        hands_out("ASIAEC22222222222222", "web")
            .replace("\"s\"", "\"i-0abc\"")
            .replace("/s\"", "/i-0abc\"")
    );
    let forged = hands_out("ASIAFORGED2222222222", "web").replace("\"s\"", "\"i-0abc\"");
    let events = [
        delivered,
        call(1, USER, "AKIAAAAAAAAAAAAAAAAA", "AssumeRole", &forged),
        call(
            2,
            &role("web", "i-0abc"),
            "ASIAEC22222222222222",
            "GetObject",
            "",
        ),
        call(
            3,
            &role("web", "i-0abc"),
            "ASIAFORGED2222222222",
            "GetObject",
            "",
        ),
    ];
    let lineage = fold(&events);
    assert_eq!(
        tree(lineage, "i-0abc"),
        "ASIAEC22222222222222* EC2 role delivery 1 ended\n"
    );
    let trace = trace(
        fold(&events),
        &"i-0abc".parse().unwrap(),
        None,
        NOW.parse().unwrap(),
    );
    assert_eq!(
        trace.unwrap().nodes[0].above,
        Above::Instance("i-0abc".into())
    );
}

#[test]
fn a_role_assumed_across_accounts_is_linked_by_the_event_that_both_trails_have() {
    let theirs = format!(
        r#"{{"eventTime":"2026-05-01T10:00:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","sharedEventID":"shared","userIdentity":{{"type":"AWSAccount","principalId":"AIDAEXAMPLE","accountId":"111122223333"}}{}}}"#,
        hands_out("ASIAACROSS2222222222", "there")
    );
    let ours = call(
        0,
        USER,
        "AKIAAAAAAAAAAAAAAAAA",
        "AssumeRole",
        r#","sharedEventID":"shared","responseElements":null"#,
    );
    assert_eq!(
        tree(fold(&[theirs.clone(), ours]), "ASIAACROSS2222222222"),
        "AKIAAAAAAAAAAAAAAAAA long-lived key 1 live\n  ASIAACROSS2222222222* AssumeRole 0 ended\n"
    );
    let target = "ASIAACROSS2222222222".parse().unwrap();
    let alone = trace(fold(&[theirs]), &target, None, NOW.parse().unwrap()).unwrap();
    assert_eq!(
        alone.nodes[0].above,
        Above::Elsewhere("111122223333".into())
    );
}

#[test]
fn a_key_whose_making_is_not_in_the_trail_is_classified_by_its_use_and_its_parent_is_missing() {
    let classified = |who: String, more: &str| {
        let events = [call(2, &who, "ASIAXXXXXXXXXXXXXXXX", "ListUsers", more)];
        let target = "ASIAXXXXXXXXXXXXXXXX".parse().unwrap();
        let trace = trace(fold(&events), &target, None, NOW.parse().unwrap()).unwrap();
        let node = trace.nodes.into_iter().next().unwrap();
        (node.how, node.above, node.ends)
    };
    let latest = |hour: &str| Ends::AtTheLatest(hour.parse().unwrap());
    assert_eq!(
        classified(role("web", "x"), ""),
        (
            How::AssumeRole,
            Above::Missing,
            latest("2026-05-01T22:00:00Z")
        )
    );
    assert_eq!(classified(role("web", "i-0abc"), "").0, How::Ec2);
    assert_eq!(
        classified(
            role("web", "x"),
            r#","sessionCredentialFromConsole":"true""#
        )
        .0,
        How::Console
    );
    let user = format!(
        "{USER},\"sessionContext\":{{\"attributes\":{{\"creationDate\":\"2026-05-01T10:00:00Z\",\"mfaAuthenticated\":\"true\"}}}}"
    );
    assert_eq!(
        classified(user, ""),
        (
            How::SessionTokenWithMfa,
            Above::Missing,
            latest("2026-05-02T22:00:00Z")
        )
    );
    let lambda = role("fn", "x")
        + r#","inScopeOf":{"issuerType":"AWS::Lambda::Function","credentialsIssuedTo":"arn:aws:lambda:eu-west-1:111122223333:function:f"}"#;
    assert_eq!(classified(lambda, "").0, How::Lambda);
    let pod = role("pod", "x").replace("\"sessionContext\":{", "\"sessionContext\":{\"webIdFederationData\":{\"federatedProvider\":\"arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/E\"},");
    assert_eq!(classified(pod, "").0, How::Eks);
}

#[test]
fn a_console_session_is_linked_to_the_key_that_was_exchanged_for_it_as_likely() {
    let instance = role("web", "i-0abc");
    let events = [
        call(1, &instance, "ASIAEC22222222222222", "GetSigninToken", ""),
        call(
            5,
            &instance,
            "ASIACONSOLE222222222",
            "ListUsers",
            r#","sessionCredentialFromConsole":"true""#,
        ),
    ];
    assert_eq!(
        tree(fold(&events), "ASIACONSOLE222222222"),
        "ASIAEC22222222222222 EC2 role delivery 1 live\n  ASIACONSOLE222222222* console 1 live\n"
    );
}

#[test]
fn keys_that_go_round_in_a_circle_end_the_search() {
    let events = [
        call(
            0,
            USER,
            "ASIAONEEEEEEEEEEEEEE",
            "AssumeRole",
            &hands_out("ASIATWOOOOOOOOOOOOOO", "r"),
        ),
        call(
            1,
            USER,
            "ASIATWOOOOOOOOOOOOOO",
            "AssumeRole",
            &hands_out("ASIAONEEEEEEEEEEEEEE", "r"),
        ),
    ];
    let target = "ASIAONEEEEEEEEEEEEEE".parse().unwrap();
    let trace = trace(fold(&events), &target, None, NOW.parse().unwrap()).unwrap();
    assert_eq!(trace.nodes.len(), 2);
}

#[test]
fn amid_a_million_keys_a_lineage_is_found_as_it_is_alone() {
    let mut lineage = fold(&incident());
    for number in 0..1_000_000 {
        let event = Event {
            user_identity: crate::cloudtrail::Identity {
                access_key_id: Some(format!("ASIA{number:016}").into()),
                ..crate::cloudtrail::Identity::default()
            },
            ..Event::default()
        };
        lineage.event(&event);
    }
    assert_eq!(lineage.len(), 1_000_006);
    assert_eq!(tree(lineage, "ASIACCCCCCCCCCCCCCCC"), INCIDENT);
}
