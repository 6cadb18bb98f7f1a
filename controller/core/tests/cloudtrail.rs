//! Records in their variety, made after the examples of AWS's documentation: CloudTrail User Guide,
//! "CloudTrail log file examples", "CloudTrail userIdentity element" and "Logging network activity
//! events"; IAM User Guide, "Log IAM and AWS STS API calls with AWS CloudTrail".

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;

use credpin_core::cloudtrail::{Fold, How, Reader};
use credpin_core::lineage::{Above, Lineage, trace};

const RECORDS: &str = include_str!("records/documented.json");

/// What matters of a record.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    signed_with: Option<String>,
    by_service: bool,
    denied: bool,
    hands_out: Option<(String, How, Option<String>)>,
}

fn read() -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    let mut reader = Reader::default();
    let end = reader.read(RECORDS.as_bytes(), true, |event| {
        assert!(event.time().is_some() && event.is_of_known_version());
        let hands_out = event.issue().map(|issue| {
            let expires = issue.expires.map(|time| time.to_string());
            (issue.key.into_owned(), issue.how, expires)
        });
        let one = Seen {
            signed_with: event.key().map(str::to_owned),
            by_service: event.is_by_service(),
            denied: event.is_denied(),
            hands_out,
        };
        seen.insert(event.event_id.as_deref().unwrap().to_owned(), one);
    });
    assert!(end.is_ok());
    assert_eq!(reader.unreadable(), 0);
    seen
}

#[test]
fn documented_records_are_understood() {
    let user = "AKIAEXAMPLEKEYID0001";
    let seen =
        |signed_with: Option<&str>, by_service, denied, hands_out: Option<(u32, How, &str)>| Seen {
            signed_with: signed_with.map(str::to_owned),
            by_service,
            denied,
            hands_out: hands_out.map(|(number, how, expires)| {
                let kind = if how == How::LongLived {
                    "AKIA"
                } else {
                    "ASIA"
                };
                let expires = (!expires.is_empty()).then(|| expires.to_owned());
                (format!("{kind}EXAMPLEKEYID{number:04}"), how, expires)
            }),
        };
    let wanted = [
        ("user", seen(Some(user), false, false, None)),
        ("console-login", seen(None, false, false, None)),
        ("root-login", seen(None, false, false, None)),
        (
            "ec2-role",
            seen(
                None,
                true,
                false,
                Some((4, How::Ec2, "2019-10-02T23:12:29Z")),
            ),
        ),
        (
            "across",
            seen(
                None,
                false,
                false,
                Some((5, How::AssumeRole, "2014-07-18T15:37:39Z")),
            ),
        ),
        (
            "saml",
            seen(
                None,
                false,
                false,
                Some((6, How::Saml, "2023-08-28T19:30:58Z")),
            ),
        ),
        (
            "web-identity",
            seen(
                None,
                false,
                false,
                Some((7, How::WebIdentity, "2016-03-23T02:39:51Z")),
            ),
        ),
        (
            "federation",
            seen(
                Some(user),
                false,
                false,
                Some((8, How::FederationToken, "2014-07-18T17:07:39Z")),
            ),
        ),
        (
            "session-token",
            seen(
                Some(user),
                false,
                false,
                Some((9, How::SessionTokenWithMfa, "2014-07-19T03:07:39Z")),
            ),
        ),
        ("internal", seen(None, true, false, None)),
        ("identity-center", seen(None, false, false, None)),
        ("anonymous", seen(None, false, true, None)),
        ("insight", seen(None, false, false, None)),
        (
            "endpoint",
            seen(Some("ASIAEXAMPLEKEYID0014"), false, true, None),
        ),
        (
            "on-behalf",
            seen(Some("ASIAEXAMPLEKEYID0015"), true, false, None),
        ),
        (
            "access-key",
            seen(Some(user), false, false, Some((16, How::LongLived, ""))),
        ),
    ];
    let wanted = wanted.map(|(id, seen)| (id.to_owned(), seen));
    assert_eq!(read(), BTreeMap::from(wanted));
}

#[test]
fn documented_records_make_a_lineage() {
    let mut lineage = Lineage::default();
    let mut reader = Reader::default();
    let end = reader.read(RECORDS.as_bytes(), true, |event| lineage.event(event));
    assert!(end.is_ok());
    let now = "2024-01-01T01:00:00Z".parse().unwrap();
    let target = "AKIAEXAMPLEKEYID0016".parse().unwrap();
    let tree = trace(lineage, &target, None, now).unwrap();
    let keys: Vec<_> = tree.nodes.iter().map(|node| node.key.to_string()).collect();
    // Siblings made at the same time stand in the order of their ids.
    assert_eq!(
        keys,
        [
            "AKIAEXAMPLEKEYID0001",
            "ASIAEXAMPLEKEYID0008",
            "ASIAEXAMPLEKEYID0009",
            "AKIAEXAMPLEKEYID0016",
        ]
    );
    let alice = Above::Owner("arn:aws:iam::123456789012:user/Alice".into());
    assert_eq!(tree.nodes[0].above, alice);
    assert_eq!(
        tree.nodes[0].issued,
        "2013-11-02T01:06:28Z".parse().ok(),
        "a creation date in the basic form"
    );
    let bob = tree.nodes[3].session.as_deref();
    assert_eq!(bob, Some("arn:aws:iam::123456789012:user/Bob"));
}
