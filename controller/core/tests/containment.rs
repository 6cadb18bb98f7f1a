//! What ends a lineage: which cut for which key, parents first, until nothing is left.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};

use credpin_core::{
    cloudtrail::{Fold as _, Reader},
    containment::{Facts, Fate, Round, Stands, TRAIL_DELAY, Whose, Why, round, whose},
    cut::{AHEAD, On, Principal, Reach, Role, User},
    lineage::{Lineage, Trace, trace},
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const WAIT: SignedDuration = SignedDuration::from_mins(1);
const A: &str = "AKIAAAAAAAAAAAAAAAAA";
const B: &str = "ASIABBBBBBBBBBBBBBBB";
const C: &str = "ASIACCCCCCCCCCCCCCCC";
const D: &str = "ASIADDDDDDDDDDDDDDDD";

fn begin() -> Timestamp {
    "2026-05-01T10:00:00Z".parse().unwrap()
}

fn minute(minute: i64) -> Timestamp {
    begin() + SignedDuration::from_mins(minute)
}

fn user(key: &str) -> Value {
    json!({
        "type": "IAMUser", "principalId": "AIDACIEXAMPLE", "accountId": ACCOUNT, "accessKeyId": key,
        "arn": format!("arn:aws:iam::{ACCOUNT}:user/team/ci"), "userName": "ci",
    })
}

fn session(role: &str, name: &str, key: &str) -> Value {
    session_of(&format!("arn:aws:iam::{ACCOUNT}:role/{role}"), name, key)
}

fn session_of(role: &str, name: &str, key: &str) -> Value {
    let short = role.rsplit('/').next().unwrap();
    let account = role.split(':').nth(4).unwrap();
    let id = format!("AROA{}EXAMPLE", short.to_uppercase());
    json!({
        "type": "AssumedRole", "principalId": format!("{id}:{name}"), "accountId": account,
        "arn": format!("arn:aws:sts::{account}:assumed-role/{short}/{name}"), "accessKeyId": key,
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role, "principalId": id}},
    })
}

fn call(at: Timestamp, who: &Value, name: &str, more: &Value) -> Value {
    let mut record = json!({
        "eventVersion": "1.11", "eventTime": at.to_string(), "eventID": format!("{at}{name}{more}"),
        "eventSource": "sts.amazonaws.com", "eventName": name, "userIdentity": who,
        "sourceIPAddress": "203.0.113.66",
    });
    for (field, value) in more.as_object().unwrap() {
        record[field] = value.clone();
    }
    record
}

fn token(at: Timestamp, who: &Value, name: &str, key: &str) -> Value {
    let more = json!({
        "requestParameters": {"durationSeconds": 129_600},
        "responseElements": {"credentials": {"accessKeyId": key}},
    });
    call(at, who, name, &more)
}

fn assume(at: Timestamp, who: &Value, role: &str, name: &str, key: &str) -> Value {
    let more = json!({
        "requestParameters": {
            "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"), "roleSessionName": name,
            "durationSeconds": 3600,
        },
        "responseElements": {
            "credentials": {"accessKeyId": key},
            "assumedRoleUser": {"arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}")},
        },
    });
    call(at, who, "AssumeRole", &more)
}

/// A makes B by `GetSessionToken`, and C as session `backup` of role data; B makes D of the same.
fn incident() -> Vec<Value> {
    vec![
        token(minute(0), &user(A), "GetSessionToken", B),
        assume(minute(1), &user(A), "data", "backup", C),
        assume(minute(2), &user(B), "data", "backup", D),
    ]
}

fn traced(events: &[Value], target: &str, now: Timestamp) -> Trace {
    let file = json!({ "Records": events }).to_string();
    let file = file.replacen("{\"Records\":", "{\"Records\": ", 1);
    let mut lineage = Lineage::default();
    let mut reader = Reader::default();
    let read = reader.read(file.as_bytes(), true, |event| lineage.event(event));
    read.unwrap();
    assert_eq!(reader.unreadable(), 0);
    trace(lineage, &target.parse().unwrap(), None, now).unwrap()
}

fn principal(on: &On) -> Principal {
    match on {
        On::Role(name) => Principal::Role(Role {
            name: name.clone(),
            id: format!("AROA{}EXAMPLE", name.as_str().to_uppercase())
                .parse()
                .unwrap(),
            arn: format!("arn:aws:iam::{ACCOUNT}:role/{name}")
                .parse()
                .unwrap(),
        }),
        On::User(name) => Principal::User(User {
            name: name.clone(),
            arn: format!("arn:aws:iam::{ACCOUNT}:user/team/{name}")
                .parse()
                .unwrap(),
        }),
    }
}

/// All that the trace names is there, and its long-lived keys work.
fn facts(trace: &Trace) -> Facts {
    let here = whose(trace).into_iter();
    let here = here.filter(|whose| whose.account.as_str() == ACCOUNT);
    Facts {
        account: ACCOUNT.parse().unwrap(),
        principals: here
            .map(|Whose { on, .. }| {
                let principal = principal(&on);
                (on, Some(principal))
            })
            .collect::<BTreeMap<_, _>>(),
        active: trace
            .nodes
            .iter()
            .filter_map(|node| node.key.parse().ok())
            .collect::<BTreeSet<_>>(),
        standing: Vec::new(),
    }
}

/// IAM carries the round's cuts out at `now`.
fn carry_out(facts: &mut Facts, round: &Round, now: Timestamp) {
    let is_spent = |stands: &Stands| round.spent.contains(&stands.id);
    facts.standing.retain(|stands| !is_spent(stands));
    for cut in &round.cuts {
        credpin_witness::note(cut.document().to_json());
        let key = match &cut.reach {
            Reach::Key { key } => Some(key.clone()),
            _ => None,
        };
        if let Some(key) = &key {
            facts.active.remove(key);
        }
        facts.standing.push(Stands {
            id: cut.name().id,
            cut: cut.clone(),
            made: now,
            lineage: Some(A.to_owned()),
        });
    }
}

fn said(round: &Round) -> Vec<String> {
    round.cuts.iter().map(ToString::to_string).collect()
}

fn fate<'a>(round: &'a Round, key: &str) -> &'a Fate {
    let mut rows = round.rows.iter();
    &rows.find(|row| &*row.key == key).unwrap().fate
}

#[test]
fn parents_are_cut_first_and_children_from_a_time_after_that_has_settled() {
    let trace = traced(&incident(), C, minute(10));
    let mut facts = facts(&trace);
    let first = round(&trace, &facts, false, WAIT, minute(10));
    assert_eq!(
        said(&first),
        [format!("make the key {A} of user/ci inactive")]
    );
    assert!(matches!(fate(&first, B), Fate::CutLater(_)), "{first:?}");
    carry_out(&mut facts, &first, minute(10));

    let early = round(&trace, &facts, false, WAIT, minute(10));
    assert_eq!(early.cuts, []);
    assert_eq!(early.wait_until, Some(minute(11)));
    assert!(!early.is_still());

    let second = round(&trace, &facts, false, WAIT, minute(11));
    assert_eq!(
        said(&second),
        [
            "deny user/ci all temporary credentials issued before 2026-05-01T10:11:30Z",
            "deny role/data all that its session backup got before 2026-05-01T10:11:30Z",
        ]
    );
    carry_out(&mut facts, &second, minute(11));

    // What denies C denies D too, which B made before; nothing says that B cannot still make one.
    let third = round(&trace, &facts, false, WAIT, minute(11));
    assert!(matches!(fate(&third, D), Fate::IsCut(_)), "{third:?}");
    assert!(third.is_still() && !third.is_over(minute(11)));
    assert_eq!(third.late_until, Some(minute(12) + TRAIL_DELAY));
    assert!(third.is_over(minute(12) + TRAIL_DELAY));
}

#[test]
fn a_key_that_was_made_during_the_revocation_has_a_round_of_its_own() {
    let trace = traced(&incident(), A, minute(10));
    let mut facts = facts(&trace);
    for now in [10, 11, 12] {
        let next = round(&trace, &facts, false, WAIT, minute(now));
        carry_out(&mut facts, &next, minute(now));
    }
    let late = "ASIALATE222222222222";
    let mut events = incident();
    // B's cut was made in minute 11, and IAM took most of a minute.
    let at = minute(11) + SignedDuration::from_secs(40);
    events.push(assume(at, &user(B), "data", "backup", late));
    let trace = traced(&events, A, minute(14));
    let next = round(&trace, &facts, false, WAIT, minute(14));
    assert_eq!(
        said(&next),
        ["deny role/data all that its session backup got before 2026-05-01T10:14:30Z"]
    );
    assert!(matches!(fate(&next, late), Fate::CutNow(0)));
    assert!(matches!(fate(&next, D), Fate::IsCut(_)));
    carry_out(&mut facts, &next, minute(14));
    let next = round(&trace, &facts, false, WAIT, minute(14));
    assert!(next.is_still());
}

#[test]
fn a_later_cut_takes_over_what_earlier_ones_deny_and_these_go_once_it_has_settled() {
    let name = |number: usize| format!("s{number}");
    let key = |number: usize| format!("ASIA{number:016}");
    let mut events = vec![token(minute(0), &user(A), "GetSessionToken", B)];
    let mut facts: Option<Facts> = None;
    // A thief who names each session anew, while a role takes ten policies.
    for number in 1..20 {
        let at = i64::try_from(number).unwrap();
        events.push(assume(
            minute(at),
            &user(B),
            "data",
            &name(number),
            &key(number),
        ));
        let now = minute(at + 1);
        let trace = traced(&events, A, now);
        let facts = facts.get_or_insert_with(|| {
            let mut facts = self::facts(&trace);
            facts.active.clear();
            facts
        });
        facts.principals = self::facts(&trace).principals;
        let next = round(&trace, facts, false, WAIT, now);
        carry_out(facts, &next, now);
        let on_role = facts
            .standing
            .iter()
            .filter(|stands| matches!(&stands.cut.reach, Reach::Session { .. }));
        assert!(on_role.count() <= 2, "{number}: {facts:?}");
    }
    let facts = facts.unwrap();
    let trace = traced(&events, A, minute(21));
    let last = round(&trace, &facts, false, WAIT, minute(21));
    for number in 1..20 {
        let fate = fate(&last, &key(number));
        assert!(matches!(fate, Fate::IsCut(_)), "{number}: {fate:?}");
    }
}

#[test]
fn a_cut_that_somebody_made_for_something_else_is_counted_on_and_never_taken_off() {
    let trace = traced(&incident(), A, minute(10));
    let mut facts = facts(&trace);
    facts.active.clear();
    let next = round(&trace, &facts, false, WAIT, minute(10));
    carry_out(&mut facts, &next, minute(10));
    for stands in &mut facts.standing {
        stands.lineage = None;
    }
    let mut events = incident();
    events.push(assume(
        minute(11),
        &user(B),
        "data",
        "other",
        "ASIALATE222222222222",
    ));
    let trace = traced(&events, A, minute(20));
    let next = round(&trace, &facts, false, WAIT, minute(20));
    assert_eq!(
        said(&next),
        ["deny role/data all that its session other got before 2026-05-01T10:20:30Z"]
    );
    carry_out(&mut facts, &next, minute(20));
    let last = round(&trace, &facts, false, WAIT, minute(30));
    assert_eq!(last.spent, Vec::<String>::new());
    assert!(last.is_still());
}

#[test]
fn a_cut_lies_after_all_that_the_trail_shows_though_this_clock_be_slow() {
    let events = [
        token(minute(0), &user(A), "GetSessionToken", B),
        token(minute(9), &user(A), "GetSessionToken", C),
    ];
    // Of whom it was that made A, nothing is known, and A is inactive.
    let slow = minute(5);
    let trace = traced(&events, A, slow);
    let mut facts = facts(&trace);
    facts.active.clear();
    let next = round(&trace, &facts, false, WAIT, slow);
    assert_eq!(
        said(&next),
        ["deny user/ci all temporary credentials issued before 2026-05-01T10:09:30Z"]
    );
    carry_out(&mut facts, &next, slow);
    assert!(round(&trace, &facts, false, WAIT, slow).is_still());
}

#[test]
fn a_key_of_which_somebody_took_care_already_is_let_be_and_its_children_are_cut_at_once() {
    let trace = traced(&incident(), B, minute(10));
    let mut facts = facts(&trace);
    facts.active.remove(A);
    let next = round(&trace, &facts, false, WAIT, minute(10));
    assert_eq!(fate(&next, A), &Fate::Ended);
    assert_eq!(next.cuts.len(), 2);
    assert!(matches!(fate(&next, B), Fate::CutNow(0)));
}

#[test]
fn what_expired_or_went_with_its_principal_needs_no_cut() {
    let now = minute(90);
    let trace = traced(&incident(), A, now);
    let mut facts = facts(&trace);
    facts.active.clear();
    facts
        .principals
        .insert(On::User("ci".parse().unwrap()), None);
    let next = round(&trace, &facts, false, WAIT, now);
    for key in [A, B, C, D] {
        assert_eq!(fate(&next, key), &Fate::Ended, "{key}");
    }
    // An hour after minute 2 D ended by itself; what it made then is in the trail by now.
    assert!(next.is_over(now));
    let just = minute(62);
    let trace = traced(&incident(), A, just);
    let next = round(&trace, &facts, false, WAIT, just);
    assert!(next.is_still() && !next.is_over(just), "{next:?}");
}

#[test]
fn a_key_that_was_cut_before_it_expired_made_nothing_since() {
    let trace = traced(&incident(), A, minute(10));
    let mut facts = facts(&trace);
    facts.active.clear();
    let next = round(&trace, &facts, false, WAIT, minute(10));
    carry_out(&mut facts, &next, minute(10));
    // C ends in minute 61, D in minute 62.
    let now = minute(63);
    let trace = traced(&incident(), A, now);
    let last = round(&trace, &facts, false, WAIT, now);
    assert_eq!(fate(&last, C), &Fate::Ended);
    assert!(last.is_over(now), "{last:?}");
}

#[test]
fn what_no_cut_reaches_is_said_and_holds_nobody_up() {
    let root = json!({
        "type": "Root", "principalId": ACCOUNT, "accountId": ACCOUNT, "accessKeyId": A,
        "arn": format!("arn:aws:iam::{ACCOUNT}:root"),
    });
    let center = format!(
        "arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123456789abcdef"
    );
    let there = "arn:aws:iam::444455556666:role/data";
    let linked = format!(
        "arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
    );
    for (parent, why) in [
        (session_of(&linked, "ecs", B), Why::ServiceLinked),
        (root, Why::Root),
        (session_of(&center, "alice", B), Why::IdentityCenter),
        (
            session_of(there, "s1", B),
            Why::Elsewhere("444455556666".parse().unwrap()),
        ),
    ] {
        let key = parent["accessKeyId"].as_str().unwrap();
        let trace = traced(
            &[assume(minute(0), &parent, "data", "s2", C)],
            key,
            minute(10),
        );
        let next = round(&trace, &facts(&trace), false, WAIT, minute(10));
        let staying: Vec<_> = next.staying().map(|(row, why)| (&*row.key, why)).collect();
        assert_eq!(staying, [(key, &why)]);
        assert!(matches!(fate(&next, C), Fate::CutNow(0)), "{why}");
    }
}

#[test]
fn a_token_of_root_that_nobody_used_yet_is_known_as_roots() {
    let root = json!({
        "type": "Root", "principalId": ACCOUNT, "accountId": ACCOUNT, "accessKeyId": A,
        "arn": format!("arn:aws:iam::{ACCOUNT}:root"),
    });
    let trace = traced(
        &[token(minute(0), &root, "GetSessionToken", B)],
        A,
        minute(1),
    );
    let next = round(&trace, &facts(&trace), false, WAIT, minute(1));
    assert_eq!(fate(&next, B), &Fate::Stays(Why::Root));
}

#[test]
fn a_federated_users_token_is_cut_on_the_user_that_made_it() {
    let bob = json!({
        "type": "FederatedUser", "principalId": format!("{ACCOUNT}:bob"), "accountId": ACCOUNT,
        "arn": format!("arn:aws:sts::{ACCOUNT}:federated-user/bob"), "accessKeyId": B,
        "sessionContext": {"sessionIssuer": {
            "type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/team/ci"),
        }},
    });
    // Known by what it did, or by who made it.
    let used = [call(minute(1), &bob, "GetCallerIdentity", &json!({}))];
    let made = [token(minute(0), &user(A), "GetFederationToken", B)];
    for events in [&used, &made] {
        let trace = traced(events, B, minute(10));
        let mut facts = facts(&trace);
        facts.active.remove(A);
        let next = round(&trace, &facts, false, WAIT, minute(10));
        assert_eq!(
            said(&next),
            ["deny user/ci all temporary credentials issued before 2026-05-01T10:10:30Z"]
        );
    }
}

#[test]
fn a_console_session_is_cut_as_its_users_or_its_roles() {
    for (who, cut) in [
        (
            user(C),
            "deny user/ci all temporary credentials issued before 2026-05-01T10:10:30Z",
        ),
        (
            session("data", "alice", C),
            "deny role/data all that its session alice got before 2026-05-01T10:10:30Z",
        ),
    ] {
        let console = json!({"sessionCredentialFromConsole": "true"});
        let event = call(minute(1), &who, "GetCallerIdentity", &console);
        let trace = traced(&[event], C, minute(10));
        let next = round(&trace, &facts(&trace), false, WAIT, minute(10));
        assert_eq!(said(&next), [cut]);
    }
}

#[test]
fn a_session_of_a_role_that_was_made_anew_went_with_the_old_one() {
    let mut old = session("data", "backup", C);
    old["principalId"] = json!("AROAOLDEXAMPLE:backup");
    let trace = traced(
        &[call(minute(1), &old, "GetCallerIdentity", &json!({}))],
        C,
        minute(10),
    );
    let next = round(&trace, &facts(&trace), false, WAIT, minute(10));
    assert_eq!(fate(&next, C), &Fate::Ended);
}

#[test]
fn an_isolated_instance_is_cut_anew_though_its_stolen_token_is_cut() {
    let mut host = session("web", "i-0a1111111111111aa", B);
    host["sessionContext"]["ec2RoleDelivery"] = json!("2.0");
    let trace = traced(
        &[call(minute(1), &host, "GetCallerIdentity", &json!({}))],
        B,
        minute(10),
    );
    let mut facts = facts(&trace);
    let next = round(&trace, &facts, false, WAIT, minute(10));
    carry_out(&mut facts, &next, minute(10));
    assert!(round(&trace, &facts, false, WAIT, minute(10)).is_still());
    let isolated = round(&trace, &facts, true, WAIT, minute(10));
    assert_eq!(
        said(&isolated),
        ["deny role/web all that its session i-0a1111111111111aa has and will get"]
    );
    carry_out(&mut facts, &isolated, minute(10));
    assert!(round(&trace, &facts, true, WAIT, minute(10)).is_still());
}

#[test]
fn parents_that_go_round_in_a_circle_do_not_wait_for_one_another() {
    let events = [
        assume(minute(0), &session("a", "s1", B), "b", "s2", C),
        assume(minute(0), &session("b", "s2", C), "a", "s1", B),
    ];
    let trace = traced(&events, B, minute(10));
    let mut facts = facts(&trace);
    for now in [10, 11, 12] {
        let next = round(&trace, &facts, false, WAIT, minute(now));
        carry_out(&mut facts, &next, minute(now));
    }
    assert!(round(&trace, &facts, false, WAIT, minute(12)).is_still());
}

/// A tree of keys: of each but the first, which earlier one made it, and how.
fn trees() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    let key = (any::<prop::sample::Index>(), 0..3_u8, 0..3_u8);
    prop::collection::vec(key, 0..12).prop_map(|keys| {
        let keys = keys.into_iter().enumerate();
        keys.map(|(place, (parent, role, name))| (parent.index(place + 1), role, name))
            .collect()
    })
}

fn grown(tree: &[(usize, u8, u8)]) -> Vec<Value> {
    let mut who = vec![user(A)];
    let mut events = Vec::new();
    for (place, (parent, role, name)) in tree.iter().enumerate() {
        let key = format!("ASIA{place:016}");
        let at = minute(i64::try_from(place).unwrap());
        let (role, name) = (format!("r{role}"), format!("s{name}"));
        events.push(assume(at, &who[*parent], &role, &name, &key));
        who.push(session(&role, &name, &key));
    }
    events.push(call(minute(0), &who[0], "GetCallerIdentity", &json!({})));
    events
}

proptest! {
    #[test]
    fn any_lineage_is_ended_and_no_key_before_what_made_it(tree in trees()) {
        let mut now = minute(20);
        let trace = traced(&grown(&tree), A, now);
        let mut facts = facts(&trace);
        let parent_of: BTreeMap<_, _> = trace
            .nodes
            .iter()
            .map(|node| (node.key.clone(), node.parent().cloned()))
            .collect();
        // As many rounds as the tree is deep, and one that finds nothing.
        let deepest = trace.nodes.iter().map(|node| node.depth).max().unwrap();
        for _ in 0..=deepest {
            let next = round(&trace, &facts, false, WAIT, now);
            for row in &next.rows {
                let parent = parent_of[&row.key].as_ref();
                if let (Fate::CutNow(number), Some(parent)) = (&row.fate, parent) {
                    let Fate::IsCut(by) = fate(&next, parent) else {
                        panic!("{} before {parent}", row.key);
                    };
                    let above = facts.standing.iter().find(|stands| stands.id == *by).unwrap();
                    prop_assert!(above.made + WAIT <= now);
                    if let Reach::Session { before, .. } = &next.cuts[*number].reach {
                        prop_assert!(before.unwrap() >= above.made + WAIT + AHEAD);
                    }
                }
            }
            carry_out(&mut facts, &next, now);
            now += WAIT;
        }
        let last = round(&trace, &facts, false, WAIT, now);
        prop_assert!(last.is_still(), "{last:?}");
        for row in &last.rows {
            prop_assert!(matches!(row.fate, Fate::IsCut(_)), "{row:?}");
        }
        prop_assert!(last.is_over(now + TRAIL_DELAY));
    }
}
