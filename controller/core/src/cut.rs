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

use std::{collections::BTreeSet, fmt};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    id::{AccessKeyId, Arn, InstanceId, RoleId, RoleName, SessionName, UserName},
    plan::POLICY_PATH,
    policy::{Actions, Document, Statement, Test, Text},
    request::{Key, Request},
};

mod name;
mod prove;
mod read;
mod words;

pub use name::CutName;
pub use prove::{Broken, prove};

/// The IAM path of cuts.
pub const CUT_PATH: &str = "/credpin/cuts/";
/// The tag, key and value, that marks a policy as a cut of ours.
pub const CUT_TAG: (&str, &str) = ("credpin:managed", "cut");
/// The tag that says whom a cut is on, as `role/web`.
pub const ON_TAG: &str = "credpin:on";
/// The tag that says when a cut was made.
pub const MADE_TAG: &str = "credpin:made";
/// The tag that names the first key of the lineage that a cut is one of.
pub const LINEAGE_TAG: &str = "credpin:lineage";
/// The tag that names the key that was made inactive with a cut.
pub const KEY_TAG: &str = "credpin:key";

/// How far ahead of now a cut reaches: tokens that are issued while IAM is still carrying it out are
/// stolen as easily (IAM User Guide, "Revoke IAM role temporary security credentials", uses as much).
pub const AHEAD: SignedDuration = SignedDuration::from_secs(30);

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

/// The name of whom a cut is on, as `role/web` or `user/alice`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub enum On {
    /// A role.
    Role(RoleName),
    /// A user.
    User(UserName),
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

/// One policy on one principal, and for a long-lived key its switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// On whom.
    pub on: Principal,
    /// What of it is denied.
    pub reach: Reach,
}

/// What of a principal's calls a cut denies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "denies")]
pub enum Reach {
    /// Sessions of a role, by their names.
    Session {
        /// The names: an instance's id, or what the caller of `AssumeRole` chose.
        names: BTreeSet<SessionName>,
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
    /// A long-lived key, made inactive (`UpdateAccessKey`): no policy can tell it from the user's others.
    Key {
        /// Which.
        key: AccessKeyId,
    },
}

/// The cuts for a credential, in the order in which they are to be made: parents before what they can
/// make anew. Tokens issued from `time` on are let be.
pub fn cuts(stolen: &Stolen, time: Timestamp) -> Vec<Cut> {
    let cut = |on, reach| Cut { on, reach };
    match stolen {
        Stolen::Instance {
            role,
            instance,
            isolate,
        } => {
            let name = session_of(instance);
            let before = (!isolate).then_some(time);
            let reach = Reach::session(name, before);
            vec![cut(Principal::Role(role.clone()), reach)]
        }
        Stolen::RoleSession {
            role,
            session,
            parent,
        } => {
            let assuming = parent.iter().map(|parent| {
                let role = role.arn.clone();
                cut(parent.clone(), Reach::Assuming { role })
            });
            let reach = match session.clone() {
                Some(name) => Reach::session(name, Some(time)),
                None => Reach::Temporary { before: time },
            };
            let sessions = cut(Principal::Role(role.clone()), reach);
            assuming.chain([sessions]).collect()
        }
        Stolen::UserSession(user) | Stolen::Federation(user) => {
            let reach = Reach::Temporary { before: time };
            vec![cut(Principal::User(user.clone()), reach)]
        }
        Stolen::LongLivedKey { user, key } => {
            let reach = Reach::Key { key: key.clone() };
            vec![cut(Principal::User(user.clone()), reach)]
        }
    }
}

/// An instance's sessions are named by its id.
fn session_of(instance: &InstanceId) -> SessionName {
    instance
        .as_str()
        .parse()
        .expect("an instance id has the letters of a session name and is long enough")
}

impl Reach {
    /// One session.
    fn session(name: SessionName, before: Option<Timestamp>) -> Self {
        Reach::Session {
            names: BTreeSet::from([name]),
            before,
        }
    }
}

impl Principal {
    /// Its ARN.
    pub fn arn(&self) -> &Arn {
        match self {
            Principal::Role(role) => &role.arn,
            Principal::User(user) => &user.arn,
        }
    }

    /// Its name.
    pub fn on(&self) -> On {
        match self {
            Principal::Role(role) => On::Role(role.name.clone()),
            Principal::User(user) => On::User(user.name.clone()),
        }
    }

    /// `aws:userid` of one of its sessions.
    fn session(&self, name: &SessionName) -> String {
        match self {
            Principal::Role(role) => format!("{}:{name}", role.id),
            // Of `GetFederationToken`.
            Principal::User(user) => format!("{}:{name}", user.arn.account()),
        }
    }
}

impl Cut {
    /// When nothing is left that it denies, so that it can be taken off; none for one that an operator
    /// has to end.
    pub fn ends(&self) -> Option<Timestamp> {
        let longest = match self.on {
            Principal::Role(_) => ROLE_SESSION,
            Principal::User(_) => USER_SESSION,
        };
        match self.reach {
            Reach::Session { before, .. } => before.map(|before| before + longest),
            Reach::Temporary { before } => Some(before + longest),
            Reach::Assuming { .. } | Reach::Key { .. } => None,
        }
    }

    /// A call of whom it is to hit, with a token that was issued at a time: anything at all.
    pub(crate) fn victim(&self, issued: Timestamp) -> Request {
        let userid = match &self.reach {
            Reach::Session { names, .. } => names.first().map(|name| self.on.session(name)),
            _ => None,
        };
        let userid = userid.unwrap_or_else(|| self.on.arn().account().to_owned());
        Request::new("s3:GetObject")
            .with(Key::UserId, userid)
            .with(Key::PrincipalArn, self.on.arn())
            .with(Key::TokenIssueTime, issued)
    }

    /// The policy that denies this, and denies its principal to take it off.
    pub fn document(&self) -> Document {
        let statements = self.statement().into_iter().chain([keep(&self.on)]);
        Document {
            statements: statements.collect(),
        }
    }

    /// What it is called: the same for the same cut, so that one made twice is there once.
    pub fn name(&self) -> CutName {
        let Cut { on, reach } = self;
        let digest = Sha256::digest(format!("{} {reach:?} {:?}", on.arn(), self.ends()));
        let bytes = digest[..5].iter();
        let id = bytes.fold(0_u64, |id, byte| (id << 8) | u64::from(*byte));
        CutName {
            id: format!("{id:010x}"),
            ends: self.ends(),
        }
    }

    fn statement(&self) -> Option<Statement> {
        let deny = || Statement::deny("Cut", Actions::Only(vec!["*".to_owned()]));
        let issued = |statement: Statement, before| {
            statement.when(Key::TokenIssueTime, Test::DateLessThan(before))
        };
        match &self.reach {
            Reach::Session { names, before } => {
                let ids = names
                    .iter()
                    .map(|name| Text::literal(self.on.session(name)));
                let statement = deny().when(Key::UserId, Test::StringEquals(ids.collect()));
                Some(match before {
                    Some(before) => issued(statement, *before),
                    None => statement,
                })
            }
            Reach::Temporary { before } => Some(issued(deny(), *before)),
            Reach::Assuming { role } => {
                let assume = Actions::Only(vec!["sts:AssumeRole*".to_owned()]);
                Some(Statement::deny("Cut", assume).on(vec![role.clone()]))
            }
            Reach::Key { .. } => None,
        }
    }
}

/// No credential of `on` takes a policy of ours off, changes one, or makes itself a credential that the
/// cut does not know.
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
    // For all that is denied now, these make a credential that is issued later.
    let keys: &[&str] = match on {
        Principal::Role(_) => &["iam:UpdateAssumeRolePolicy"],
        Principal::User(_) => &[
            "iam:CreateAccessKey",
            "iam:CreateLoginProfile",
            "iam:CreateServiceSpecificCredential",
            "iam:UpdateAccessKey",
            "iam:UpdateLoginProfile",
        ],
    };
    let policies = [
        "iam:CreatePolicyVersion",
        "iam:DeletePolicy*",
        "iam:SetDefaultPolicyVersion",
        "iam:TagPolicy",
        "iam:UntagPolicy",
    ];
    let actions = own
        .into_iter()
        .chain(keys.iter().copied().chain(policies).map(str::to_owned))
        .collect();
    let (partition, account) = (on.arn().partition(), on.arn().account());
    let ours = format!("arn:{partition}:iam::{account}:policy{POLICY_PATH}*")
        .parse()
        .expect("it has the parts of an ARN");
    Statement::deny("Keep", Actions::Only(actions)).on(vec![on.arn().clone(), ours])
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.on().fmt(f)
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            On::Role(name) => write!(f, "role/{name}"),
            On::User(name) => write!(f, "user/{name}"),
        }
    }
}

impl From<On> for String {
    fn from(on: On) -> String {
        on.to_string()
    }
}

impl On {
    /// The value of [`ON_TAG`]: with `/` for the comma that tag values cannot hold and names cannot have.
    pub fn tag(&self) -> String {
        self.to_string().replace(',', "/")
    }

    /// What a tag of ours says; none where it says nothing that we write.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let (kind, name) = tag.split_once('/')?;
        let name = name.replace('/', ",");
        match kind {
            "role" => name.parse().ok().map(On::Role),
            "user" => name.parse().ok().map(On::User),
            _ => None,
        }
    }
}
