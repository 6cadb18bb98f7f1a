//! The proof before a cut is written: the thief is denied, named bystanders are not.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{CUT_PATH, Cut, Principal, Reach, User};
use crate::{
    evaluate::denied_by,
    policy::Document,
    request::{Key, Request},
};

/// A call that `document` would not decide as the cut promises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Whose call.
    pub who: String,
    /// The call.
    pub action: String,
    /// Whether it should be denied.
    pub should_be_denied: bool,
}

/// A call, and how it has to be decided.
struct Call {
    who: &'static str,
    request: Request,
    denied: bool,
}

const ANY_ACTION: &str = "s3:GetObject";

/// Calls that `document` does not decide as `cut` promises; none means proven. It works from the promise,
/// not from how the document was made.
pub fn prove(cut: &Cut, document: &Document) -> Vec<Broken> {
    calls(cut)
        .into_iter()
        .filter(|call| denied_by([document], &call.request).is_some() != call.denied)
        .map(|call| Broken {
            who: call.who.to_owned(),
            action: call.request.action,
            should_be_denied: call.denied,
        })
        .collect()
}

fn calls(Cut { on, reach }: &Cut) -> Vec<Call> {
    let call = |who, request, denied| Call {
        who,
        request,
        denied,
    };
    let mut calls = match reach {
        Reach::Session { names, before } => {
            // Without an end the last token that there can be is denied too.
            let cut = before.unwrap_or(Timestamp::MAX - SECOND);
            let mut other = "other".to_owned();
            for name in names {
                // Longer than any of them, and like one.
                other = format!("{name}{other}");
            }
            let other = session(on, &other, cut - SECOND);
            let mut calls = vec![
                call("another session", other, false),
                call("a long-lived key", long_lived(on, ANY_ACTION), false),
            ];
            for name in names {
                let later = session(on, name.as_str(), cut + SECOND);
                let earlier = session(on, name.as_str(), cut - SECOND);
                calls.push(call("the session before", earlier, true));
                calls.push(call("the session after", later, before.is_none()));
            }
            calls
        }
        Reach::Temporary { before } => vec![
            call(
                "a session before",
                session(on, "any", *before - SECOND),
                true,
            ),
            call(
                "a session after",
                session(on, "any", *before + SECOND),
                false,
            ),
            call("a long-lived key", long_lived(on, ANY_ACTION), false),
        ],
        Reach::Assuming { role } => {
            let act = |action, arn: &str| long_lived(on, action).on(arn);
            let other = format!("{role}0");
            vec![
                call("who assumes it", act("sts:AssumeRole", role.as_str()), true),
                call("who assumes another", act("sts:AssumeRole", &other), false),
                call("who does something else", long_lived(on, ANY_ACTION), false),
            ]
        }
        Reach::Key { .. } => {
            let own = Timestamp::UNIX_EPOCH;
            vec![
                call("another key", long_lived(on, ANY_ACTION), false),
                call("a session", session(on, "any", own), false),
            ]
        }
    };
    // Whatever it signs with: it must not get out of this.
    for action in ways_off(on) {
        let request = long_lived(on, action).on(on.arn());
        calls.push(call("who takes it off", request, true));
    }
    let (partition, account) = (on.arn().partition(), on.arn().account());
    let policy = format!("arn:{partition}:iam::{account}:policy{CUT_PATH}cut-0123456789");
    for action in [
        "iam:CreatePolicyVersion",
        "iam:DeletePolicy",
        "iam:DeletePolicyVersion",
        "iam:SetDefaultPolicyVersion",
        "iam:TagPolicy",
        "iam:UntagPolicy",
    ] {
        let request = long_lived(on, action).on(&policy);
        calls.push(call("who changes it", request, true));
    }
    calls
}

/// Calls on whom a cut is on, by which a credential that is not cut could get rid of it, or make one
/// that is issued later.
fn ways_off(on: &Principal) -> &'static [&'static str] {
    match on {
        Principal::Role(_) => &[
            "iam:DetachRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:PutRolePolicy",
            "iam:DeleteRole",
            "iam:UpdateAssumeRolePolicy",
        ],
        Principal::User(_) => &[
            "iam:DetachUserPolicy",
            "iam:DeleteUserPolicy",
            "iam:PutUserPolicy",
            "iam:DeleteUser",
            "iam:UpdateUser",
            "iam:CreateAccessKey",
            "iam:UpdateAccessKey",
            "iam:CreateLoginProfile",
            "iam:UpdateLoginProfile",
            "iam:CreateServiceSpecificCredential",
        ],
    }
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A call of a session of `on` that was issued at a time.
fn session(on: &Principal, name: &str, issued: Timestamp) -> Request {
    let userid = match on {
        Principal::Role(role) => format!("{}:{name}", role.id),
        Principal::User(User { arn, .. }) => format!("{}:{name}", arn.account()),
    };
    Request::new(ANY_ACTION)
        .with(Key::UserId, userid)
        .with(Key::PrincipalArn, on.arn())
        .with(Key::TokenIssueTime, issued)
}

/// A call without the key of temporary credentials; of a role there are none, and a policy does not know.
fn long_lived(on: &Principal, action: &str) -> Request {
    Request::new(action)
        .with(Key::UserId, "AIDAEXAMPLE")
        .with(Key::PrincipalArn, on.arn())
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let should = if self.should_be_denied {
            "is not denied"
        } else {
            "is denied"
        };
        write!(f, "{} of {} {should}", self.action, self.who)
    }
}
