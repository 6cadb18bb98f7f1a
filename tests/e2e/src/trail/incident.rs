//! The theft that a list of keys does not show: a token that was made beside, and kept.
//!
//! ```text
//!  A, the long-lived key of user ci
//!  ├── B by GetSessionToken, kept
//!  │   ├── D ┐
//!  │   ├── E │ by AssumeRole, after A was deactivated
//!  │   └── F ┘
//!  └── C by AssumeRole, which steals the data
//! ```

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Call, Caller, Trail};

/// The keys of the incident.
pub const A: &str = "AKIAINCIDENTA2222222";
/// Made with A, and kept.
pub const B: &str = "ASIAINCIDENTB2222222";
/// Made with A; stole the data.
pub const C: &str = "ASIAINCIDENTC2222222";
/// Made with B, afterwards.
pub const DEF: [&str; 3] = [
    "ASIAINCIDENTD2222222",
    "ASIAINCIDENTE2222222",
    "ASIAINCIDENTF2222222",
];
/// Another key of the same user, which has nothing to do with it.
pub const BYSTANDER: &str = "AKIABYSTANDER2222222";
/// Somebody else's session of the role that was abused.
pub const COLLEAGUE: &str = "ASIACOLLEAGUE2222222";
/// Where the thief is.
pub const THIEF: &str = "203.0.113.66";
/// What the thief's client calls itself: hostile to who reads it.
pub const AGENT: &str = "<script>alert(1)</script>\u{1b}[2J";

/// The time of the theft.
pub fn begin() -> Timestamp {
    "2026-05-01T09:00:00Z"
        .parse()
        .expect("a time written in this file")
}

/// The incident among other people's calls.
pub fn incident() -> Trail {
    let mut trail = Trail::new(6);
    let at = |minutes: i64| begin() + SignedDuration::from_mins(minutes);
    let home = "198.51.100.10";
    let user = Caller::user("ci", A);
    let kept = Caller::user("ci", B);
    let steal = |who: &Caller, service, name| {
        Call::new(who, service, name, THIEF).with("userAgent", json!(AGENT))
    };

    // What the key is for, for days.
    for day in 1..5 {
        let call = Call::new(&user, "ecr", "GetAuthorizationToken", home);
        trail.add(at(-1440 * day), call);
    }
    let bystander = Caller::user("ci", BYSTANDER);
    for minute in 0..50 {
        trail.add(at(minute), Call::new(&bystander, "s3", "ListBuckets", home));
    }
    let colleague = Caller::session("data", "colleague", COLLEAGUE);
    let dev = Caller::user("dev", "AKIADEVELOPER2222222");
    let assume = Call::new(&dev, "sts", "AssumeRole", home)
        .hands_out(COLLEAGUE, at(0), 3600)
        .of_role("data", "colleague");
    trail.add(at(0), assume);
    trail.add(at(2), Call::new(&colleague, "s3", "ListBuckets", home));

    let token = steal(&user, "sts", "GetSessionToken").hands_out(B, at(1), 129_600);
    trail.add(at(1), token);
    let assume = steal(&user, "sts", "AssumeRole")
        .hands_out(C, at(3), 3600)
        .of_role("data", "backup");
    trail.add(at(3), assume);
    let thief = Caller::session("data", "backup", C);
    for minute in 4..40 {
        trail.add(at(minute), steal(&thief, "dynamodb", "ListTables"));
    }
    // A is deactivated; C lives on; the role's sessions are revoked; B makes more.
    for (number, key) in (0_i64..).zip(DEF) {
        let when = at(60 + 10 * number);
        let assume = steal(&kept, "sts", "AssumeRole")
            .hands_out(key, when, 3600)
            .of_role("data", "backup");
        trail.add(when, assume);
        let next = Caller::session("data", "backup", key);
        trail.add(at(61 + 10 * number), steal(&next, "s3", "ListBuckets"));
    }
    let refused = steal(&thief, "s3", "ListBuckets").denied(
        "User is not authorized to perform: s3:ListAllMyBuckets with an explicit deny in an identity-based policy",
    );
    trail.add(at(62), refused);
    trail
}
