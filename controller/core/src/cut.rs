//! The smallest cut that ends a stolen credential, and who else it hits.
//!
//! ```text
//!  Stolen ──cut──▶ [Cut] ──document──▶ policy ──prove──▶ the thief is denied, bystanders are not
//! ```
//!
//! AWS takes no temporary credential back. What ends one is a policy on the principal that it was made
//! for, which denies what was issued before a time (IAM User Guide, "Revoke IAM role temporary security
//! credentials" and "Disabling permissions for temporary security credentials"). Each kind of
//! credential has a cut of its own, as narrow as IAM's condition keys allow:
//!
//! | stolen | cut |
//! | --- | --- |
//! | an instance's role token | on the role: that instance's sessions, issued before T; later ones too to isolate it |
//! | an `AssumeRole` token | on the role: that session, issued before T; on whoever assumed it: assuming it again |
//! | a `GetSessionToken` or `GetFederationToken` token | on the user: all that is temporary and issued before T |
//! | a long-lived key | the key, made inactive |
//!
//! A cut that its victim can take off is none. So each policy also denies its principal to touch what
//! holds the cut, whatever credential it uses: those that were not stolen too.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    id::{AccessKeyId, Arn, InstanceId, RoleId, RoleName, SessionName, UserName},
    plan::POLICY_PATH,
    policy::{Actions, Document, Statement, Test, Text},
    request::Key,
};

mod prove;
mod words;

pub use prove::{Broken, prove};

/// Longest that a session of a role lasts (IAM User Guide, "Update the maximum session duration for a
/// role").
const ROLE_SESSION: SignedDuration = SignedDuration::from_hours(12);
/// Longest that a token of `GetSessionToken` or `GetFederationToken` lasts (AWS STS API Reference).
const USER_SESSION: SignedDuration = SignedDuration::from_hours(36);

/// A role, as far as a cut needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Role {
    /// Its name.
    pub name: RoleName,
    /// Its unique id, which its sessions' `aws:userid` begins with.
    pub id: RoleId,
    /// Its ARN.
    pub arn: Arn,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct User {
    /// Its name.
    pub name: UserName,
    /// Its ARN.
    pub arn: Arn,
}

/// Whom a policy is put on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Principal {
    /// A role.
    Role(Role),
    /// A user.
    User(User),
}

/// A credential in the wrong hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stolen {
    /// A role's token that EC2 delivered to an instance.
    Instance {
        /// The role.
        role: Role,
        /// The instance.
        instance: InstanceId,
        /// Whether its later tokens are to be denied too.
        isolate: bool,
    },
    /// A token of `AssumeRole` or one of its kind.
    RoleSession {
        /// The role that was assumed.
        role: Role,
        /// The session's name; none for every session of the role.
        session: Option<SessionName>,
        /// Who assumed it, where that is a principal of this account.
        parent: Option<Principal>,
    },
    /// A token of `GetSessionToken`.
    UserSession(User),
    /// A token of `GetFederationToken`.
    Federation(User),
    /// A user's long-lived key.
    LongLivedKey {
        /// Whose.
        user: User,
        /// Which.
        key: AccessKeyId,
    },
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "does")]
pub enum Cut {
    /// A policy on a principal.
    Deny {
        /// On whom.
        on: Principal,
        /// What of it is denied.
        reach: Reach,
    },
    /// `UpdateAccessKey` to inactive.
    Deactivate {
        /// Whose key.
        user: User,
        /// Which.
        key: AccessKeyId,
    },
}

/// What of a principal's calls a cut denies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "denies")]
pub enum Reach {
    /// One session of a role, by its name.
    Session {
        /// The name: an instance's id, or what the caller of `AssumeRole` chose.
        name: SessionName,
        /// Tokens issued before; none for all, also those to come.
        before: Option<Timestamp>,
    },
    /// All temporary credentials that were issued before.
    Temporary {
        /// When.
        before: Timestamp,
    },
    /// Assuming a role, whatever else the principal may do.
    Assuming {
        /// The role.
        role: Arn,
    },
}

/// The cuts for a credential, in the order in which they are to be made: parents before what they can
/// make anew. Tokens issued from `time` on are let be.
pub fn cuts(stolen: &Stolen, time: Timestamp) -> Vec<Cut> {
    match stolen {
        Stolen::Instance {
            role,
            instance,
            isolate,
        } => vec![Cut::Deny {
            on: Principal::Role(role.clone()),
            reach: Reach::Session {
                name: session_of(instance),
                before: (!isolate).then_some(time),
            },
        }],
        Stolen::RoleSession {
            role,
            session,
            parent,
        } => {
            let assuming = parent.as_ref().map(|parent| Cut::Deny {
                on: parent.clone(),
                reach: Reach::Assuming {
                    role: role.arn.clone(),
                },
            });
            let reach = match session {
                Some(name) => Reach::Session {
                    name: name.clone(),
                    before: Some(time),
                },
                None => Reach::Temporary { before: time },
            };
            let on = Principal::Role(role.clone());
            assuming
                .into_iter()
                .chain([Cut::Deny { on, reach }])
                .collect()
        }
        Stolen::UserSession(user) | Stolen::Federation(user) => vec![Cut::Deny {
            on: Principal::User(user.clone()),
            reach: Reach::Temporary { before: time },
        }],
        Stolen::LongLivedKey { user, key } => vec![Cut::Deactivate {
            user: user.clone(),
            key: key.clone(),
        }],
    }
}

/// An instance's sessions are named by its id.
fn session_of(instance: &InstanceId) -> SessionName {
    instance
        .as_str()
        .parse()
        .expect("an instance id has the letters of a session name and is long enough")
}

impl Principal {
    /// Its ARN.
    pub fn arn(&self) -> &Arn {
        match self {
            Principal::Role(role) => &role.arn,
            Principal::User(user) => &user.arn,
        }
    }
}

impl Reach {
    /// When nothing is left that it denies, so that it can be taken off; none for one that an operator
    /// has to end.
    pub fn ends(&self, on: &Principal) -> Option<Timestamp> {
        let longest = match on {
            Principal::Role(_) => ROLE_SESSION,
            Principal::User(_) => USER_SESSION,
        };
        match self {
            Reach::Session { before, .. } => before.map(|before| before + longest),
            Reach::Temporary { before } => Some(*before + longest),
            Reach::Assuming { .. } => None,
        }
    }

    /// The policy on `on` that denies this, and denies `on` to take it off.
    pub fn document(&self, on: &Principal) -> Document {
        let everything = || Actions::Only(vec!["*".to_owned()]);
        let before = |statement: Statement, time: Option<Timestamp>| match time {
            Some(time) => statement.when(Key::TokenIssueTime, Test::DateLessThan(time)),
            None => statement,
        };
        let cut = match self {
            Reach::Session { name, before: time } => {
                let id = match on {
                    Principal::Role(role) => role.id.to_string(),
                    // Sessions that a user names are `ACCOUNT:name`.
                    Principal::User(user) => user.arn.account().to_owned(),
                };
                let userid = Text::literal(format_args!("{id}:{name}"));
                let statement = Statement::deny("Cut", everything())
                    .when(Key::UserId, Test::StringEquals(vec![userid]));
                before(statement, *time)
            }
            Reach::Temporary { before: time } => {
                before(Statement::deny("Cut", everything()), Some(*time))
            }
            Reach::Assuming { role } => {
                let assume = vec!["sts:AssumeRole*".to_owned()];
                Statement::deny("Cut", Actions::Only(assume)).on(vec![role.clone()])
            }
        };
        Document {
            statements: vec![cut, keep(on)],
        }
    }
}

/// No credential of `on` takes a policy of ours off, changes one, or makes itself a key that the cut does
/// not know.
fn keep(on: &Principal) -> Statement {
    let kind = match on {
        Principal::Role(_) => "Role",
        Principal::User(_) => "User",
    };
    let own = [
        format!("iam:Detach{kind}Policy"),
        format!("iam:Delete{kind}*"),
        format!("iam:Put{kind}*"),
        format!("iam:Update{kind}*"),
    ];
    let keys = ["iam:CreateAccessKey", "iam:UpdateAccessKey"];
    let policies = [
        "iam:CreatePolicyVersion",
        "iam:DeletePolicy*",
        "iam:SetDefaultPolicyVersion",
        "iam:TagPolicy",
        "iam:UntagPolicy",
    ];
    let actions = own
        .into_iter()
        .chain(keys.into_iter().chain(policies).map(str::to_owned))
        .collect();
    let (partition, account) = (on.arn().partition(), on.arn().account());
    let ours = format!("arn:{partition}:iam::{account}:policy{POLICY_PATH}*")
        .parse()
        .expect("it has the parts of an ARN");
    Statement::deny("Keep", Actions::Only(actions)).on(vec![on.arn().clone(), ours])
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Role(role) => write!(f, "role {}", role.name),
            Principal::User(user) => write!(f, "user {}", user.name),
        }
    }
}
