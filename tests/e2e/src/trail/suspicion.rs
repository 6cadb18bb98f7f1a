//! Something for every rule of `credpin detect` that looks at CloudTrail, among calls that are nothing.
//!
//! The hosts are the demo's: `web` on `i-0a1111111111111aa`, which leaves from 198.51.100.10.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    ACCOUNT, Call, Caller, Trail,
    incident::{AGENT, THIEF, begin},
};

/// The instance whose tokens are taken.
pub const HOST: &str = "i-0a1111111111111aa";
/// Where it is at home.
pub const HOME: &str = "198.51.100.10";
const VPC: &str = "vpc-0a1f5e7c2d3b4a596";

/// Its token of IMDSv1, used by the thief before the host does.
pub const UNPINNED: &str = "ASIAUNPINNED22222222";
/// Its next token, which the pin denies the thief.
pub const PINNED: &str = "ASIAPINNED2222222222";
/// Made with that one, for the thief to use.
pub const CHILD: &str = "ASIACHILD22222222222";
/// The name of its session, which whoever assumes a role chooses: hostile to who reads it.
pub const SESSION: &str = "backup\u{1b}[2J;reboot";

/// All of it.
pub fn suspicion() -> Trail {
    let mut trail = Trail::new(7);
    let unpinned = Caller::instance("web", HOST, VPC, UNPINNED).delivered_by("1.0");
    let pinned = Caller::instance("web", HOST, VPC, PINNED);
    let list = |who: &Caller, from: &str| Call::new(who, "s3", "ListBuckets", from);
    let steal = |who: &Caller| list(who, THIEF).with("userAgent", json!(AGENT));

    let dev = Caller::user("dev", "AKIADEVELOPER2222222");
    trail.add(at(-10), list(&dev, HOME));
    for minute in 0..30 {
        trail.add(at(2 * minute), list(&dev, HOME));
    }
    trail.add(at(1), steal(&unpinned));
    for minute in 5..20 {
        trail.add(at(minute), list(&unpinned, HOME));
        trail.add(at(minute), steal(&unpinned));
    }
    trail.add(at(21), list(&pinned, HOME));
    let pin = format!("arn:aws:iam::{ACCOUNT}:policy/credpin/credpin-web");
    let by_pin = format!(
        "User: arn:aws:sts::{ACCOUNT}:assumed-role/web/{HOST} is not authorized to perform: \
         s3:ListAllMyBuckets with an explicit deny in an identity-based policy: {pin}"
    );
    trail.add(at(22), steal(&pinned).denied(&by_pin));
    let assume = Call::new(&pinned, "sts", "AssumeRole", HOME)
        .hands_out(CHILD, at(23), 3600)
        .of_role("data", SESSION);
    trail.add(at(23), assume);
    trail.add(at(24), steal(&Caller::session("data", SESSION, CHILD)));

    let user = Caller::user("ci", "AKIACI22222222222222");
    trail.add(at(-5), list(&user, HOME));
    trail.add(at(30), steal(&user));
    let token = |who: &Caller| Call::new(who, "sts", "GetSessionToken", HOME);
    let without = token(&user).hands_out("ASIAWITHOUTMFA222222", at(31), 3600);
    trail.add(at(31), without);
    let mfa =
        json!({"serialNumber": format!("arn:aws:iam::{ACCOUNT}:mfa/dev"), "durationSeconds": 3600});
    let with = token(&dev)
        .hands_out("ASIAWITHMFA222222222", at(32), 3600)
        .with("requestParameters", mfa);
    trail.add(at(32), with);

    let admin = Caller::session("admin", "eve", "ASIAADMIN22222222222");
    let credpin = Caller::session("credpin-controller", "run", "ASIACREDPIN222222222");
    let change = |who: &Caller, name| {
        let parameters = json!({"policyArn": pin, "roleName": "web"});
        Call::new(who, "iam", name, HOME).with("requestParameters", parameters)
    };
    trail.add(at(40), change(&credpin, "CreatePolicyVersion"));
    trail.add(at(41), change(&admin, "DetachRolePolicy"));
    trail.add(at(42), change(&admin, "DeletePolicy").denied("no"));
    let anyone = json!({"Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
    ]});
    let opened = json!({"roleName": "open", "policyDocument": anyone.to_string()});
    let open = Call::new(&admin, "iam", "UpdateAssumeRolePolicy", HOME);
    trail.add(at(43), open.with("requestParameters", opened));
    trail
}

fn at(minute: i64) -> Timestamp {
    begin() + SignedDuration::from_mins(minute)
}
