//! Cuts: each kind's own, proven, and said in words.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use credpin_core::cut::{Cut, CutName, Principal, Reach, Role, Stolen, User, cuts, prove};
use credpin_core::policy::{Document, MANAGED_POLICY_QUOTA};
use jiff::Timestamp;

fn time() -> Timestamp {
    "2027-01-15T08:00:00Z".parse().unwrap()
}

fn web() -> Role {
    Role {
        name: "web".parse().unwrap(),
        id: "AROAWEBEXAMPLE".parse().unwrap(),
        arn: "arn:aws:iam::111122223333:role/web".parse().unwrap(),
    }
}

fn alice() -> User {
    User {
        name: "alice".parse().unwrap(),
        arn: "arn:aws:iam::111122223333:user/team/alice".parse().unwrap(),
    }
}

fn instance(isolate: bool) -> Stolen {
    Stolen::Instance {
        role: web(),
        instance: "i-0a1111111111111aa".parse().unwrap(),
        isolate,
    }
}

fn role_session(session: Option<&str>) -> Stolen {
    Stolen::RoleSession {
        role: web(),
        session: session.map(|name| name.parse().unwrap()),
        parent: Some(Principal::User(alice())),
    }
}

fn all() -> Vec<Stolen> {
    vec![
        instance(false),
        instance(true),
        role_session(Some("deploy")),
        role_session(None),
        Stolen::UserSession(alice()),
        Stolen::Federation(alice()),
        Stolen::LongLivedKey {
            user: alice(),
            key: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
        },
    ]
}

fn said(stolen: &Stolen) -> Vec<String> {
    let cuts = cuts(stolen, time());
    cuts.iter().map(ToString::to_string).collect()
}

#[test]
fn every_cut_is_proven_and_fits() {
    for stolen in all() {
        for cut in cuts(&stolen, time()) {
            let document = cut.document();
            assert_eq!(prove(&cut, &document), [], "{stolen:?}");
            assert!(document.size() < MANAGED_POLICY_QUOTA / 4, "{stolen:?}");
            assert_eq!(Document::parse(&document.to_json()).unwrap(), document);
            credpin_witness::note(document.to_json());
        }
    }
}

#[test]
fn the_proof_finds_a_cut_that_is_not_the_one_promised() {
    let all: Vec<Cut> = all().iter().flat_map(|one| cuts(one, time())).collect();
    for one in &all {
        for other in all.iter().filter(|other| *other != one) {
            // Which roles a key's bystanders assume, its proof cannot know.
            if matches!(
                (&one.reach, &other.reach),
                (Reach::Key { .. }, Reach::Assuming { .. })
            ) {
                continue;
            }
            assert_ne!(prove(one, &other.document()), [], "{one:?} {other:?}");
        }
    }
}

#[test]
fn the_proof_finds_every_statement_that_is_missing() {
    for stolen in all() {
        for cut in cuts(&stolen, time()) {
            for place in 0..cut.document().statements.len() {
                let mut document = cut.document();
                document.statements.remove(place);
                assert_ne!(prove(&cut, &document), [], "{stolen:?}");
                credpin_witness::note(document.to_json());
            }
        }
    }
}

#[test]
fn each_kind_has_the_smallest_cut_of_its_own() {
    assert_eq!(
        said(&instance(false)),
        ["deny role/web all that its session i-0a1111111111111aa got before 2027-01-15T08:00:00Z"]
    );
    assert_eq!(
        said(&instance(true)),
        ["deny role/web all that its session i-0a1111111111111aa has and will get"]
    );
    assert_eq!(
        said(&role_session(Some("deploy"))),
        [
            "deny user/alice to assume role/web",
            "deny role/web all that its session deploy got before 2027-01-15T08:00:00Z",
        ]
    );
    assert_eq!(
        said(&Stolen::UserSession(alice())),
        ["deny user/alice all temporary credentials issued before 2027-01-15T08:00:00Z"]
    );
    let key = Stolen::LongLivedKey {
        user: alice(),
        key: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
    };
    assert_eq!(
        said(&key),
        ["make the key AKIAIOSFODNN7EXAMPLE of user/alice inactive"]
    );
}

#[test]
fn an_operator_is_told_who_else_is_hit() {
    let hits = |stolen: &Stolen| cuts(stolen, time()).pop().unwrap().also_hits();
    assert!(hits(&instance(false)).contains("until it gets its next credentials"));
    assert!(hits(&instance(false)).ends_with("no other host of role/web"));
    assert!(hits(&instance(true)).contains("until this is undone"));
    assert!(hits(&role_session(None)).contains("every session of role/web"));
    assert!(hits(&Stolen::UserSession(alice())).ends_with("its long-lived keys and the user stay"));
}

#[test]
fn a_cut_ends_when_nothing_is_left_that_it_denies() {
    let end = |stolen: &Stolen| {
        let cut = cuts(stolen, time()).pop().unwrap();
        cut.ends().map(|end| end.to_string())
    };
    let in_twelve_hours = Some("2027-01-15T20:00:00Z".to_owned());
    assert_eq!(end(&instance(false)), in_twelve_hours);
    assert_eq!(end(&instance(true)), None);
    assert_eq!(end(&role_session(None)), in_twelve_hours);
    assert_eq!(
        end(&Stolen::Federation(alice())),
        Some("2027-01-16T20:00:00Z".to_owned())
    );
}

#[test]
fn the_policy_that_cuts_off_an_instance_reads_as_aws_documents_it() {
    let cut = cuts(&instance(false), time()).pop().unwrap();
    let json: serde_json::Value = serde_json::from_str(&cut.document().to_json()).unwrap();
    assert_eq!(
        json["Statement"][0],
        serde_json::json!({
            "Sid": "Cut",
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {
                "DateLessThan": { "aws:TokenIssueTime": "2027-01-15T08:00:00Z" },
                "StringEquals": { "aws:userid": "AROAWEBEXAMPLE:i-0a1111111111111aa" },
            },
        })
    );
}

#[test]
fn a_cut_is_read_back_from_its_policy_and_nothing_else_is_taken_for_one() {
    for cut in all().iter().flat_map(|one| cuts(one, time())) {
        let key = match &cut.reach {
            Reach::Key { key } => Some(key.clone()),
            _ => None,
        };
        let document = cut.document();
        assert_eq!(
            Cut::read(&cut.on, &document, key.clone()),
            Some(cut.clone())
        );
        let other = match &cut.on {
            Principal::Role(_) => Principal::User(alice()),
            Principal::User(_) => Principal::Role(web()),
        };
        assert_eq!(Cut::read(&other, &document, key.clone()), None);
        for place in 0..document.statements.len() {
            let mut less = document.clone();
            less.statements.remove(place);
            let read = Cut::read(&cut.on, &less, key.clone());
            assert_eq!(read, None, "{cut}");
        }
    }
}

#[test]
fn a_cut_includes_what_denies_less_for_as_long() {
    let session = |names: &[&str], before: Option<&str>| Cut {
        on: Principal::Role(web()),
        reach: Reach::Session {
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            before: before.map(|before| before.parse().unwrap()),
        },
    };
    let (eight, nine) = (Some("2027-01-15T08:00:00Z"), Some("2027-01-15T09:00:00Z"));
    let both = session(&["s1", "s2"], nine);
    for (less, wanted) in [
        (session(&["s1"], nine), true),
        (session(&["s2"], eight), true),
        (session(&["s1", "s2"], nine), true),
        (session(&["s3"], eight), false),
        (session(&["s1"], None), false),
    ] {
        assert_eq!(both.includes(&less), wanted, "{less}");
        let denied_anew = less != both && less.includes(&both);
        assert!(!denied_anew, "{less}");
    }
    assert!(session(&["s1"], None).includes(&session(&["s1"], nine)));
}

#[test]
fn a_cut_is_named_by_what_it_is_and_when_it_ends() {
    let all: Vec<Cut> = all().iter().flat_map(|one| cuts(one, time())).collect();
    let names: BTreeSet<_> = all.iter().map(Cut::name).collect();
    // The two on a user's temporary credentials are one, and so are the two ways to assume the role.
    assert_eq!(
        names.len(),
        all.iter()
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>()
            .len()
    );
    for cut in &all {
        let name: CutName = cut.name().policy().as_str().parse().unwrap();
        assert_eq!(name, cut.name());
        assert_eq!(name.ends, cut.ends());
    }
}
