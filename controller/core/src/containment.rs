//! What ends a lineage of keys: which cut for which key, in which order, and when it is over.
//!
//! ```text
//!  Trace ──whose──▶ {Whose} ──asked of IAM──▶ Facts ┐
//!                                                   ├──round──▶ Round: cuts to make now, who waits
//!  Trace ───────────────────────────────────────────┘             for whom, who cannot be cut
//! ```
//!
//! A key that still works makes the next one while care is taken of the last. So parents are cut
//! first; a child is cut once IAM has had time to carry out the cuts above it, and then from a time
//! that lies after all that they can have made. Then the trail is read again, until it shows no key
//! that is not cut. CloudTrail is late, so that is sure only some time after the last cut.
//!
//! Nothing is remembered between rounds. What was cut is read from IAM, and whether a key is cut is
//! asked of the policies themselves, as IAM would ([`denied_by`]): a run that was killed goes on where
//! it was.
//!
//! [`denied_by`]: crate::evaluate::denied_by

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    cut::{Cut, On, Principal},
    id::{AccessKeyId, AccountId},
};

mod round;
mod stolen;

pub use round::{Fate, Round, Row, cut_from, round};
pub use stolen::{asked_by, reserved, stolen, whose, with_parents};

/// How late CloudTrail may be. Its files come some five minutes after a call on average, which is no
/// promise (CloudTrail User Guide, "How CloudTrail works").
pub const TRAIL_DELAY: SignedDuration = SignedDuration::from_mins(15);

/// A role or a user of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whose {
    /// The account.
    pub account: AccountId,
    /// The role or user.
    pub on: On,
}

/// What IAM says of those whom a trace names.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The account that IAM is of.
    pub account: AccountId,
    /// Its roles and users that were asked about; none where one is gone.
    pub principals: BTreeMap<On, Option<Principal>>,
    /// Long-lived keys of these users that work.
    pub active: BTreeSet<AccessKeyId>,
    /// The cuts that there are.
    pub standing: Vec<Stands>,
}

/// A cut that is in force, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stands {
    /// What it is undone by.
    pub id: String,
    /// What it denies, and whom.
    pub cut: Cut,
    /// When it was made.
    pub made: Timestamp,
    /// The first key of the lineage that it was made for.
    pub lineage: Option<String>,
}

/// Why no cut of ours ends a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the root user's.
    Root,
    /// IAM Identity Center's, whose roles take no policies.
    IdentityCenter,
    /// An AWS service's own role, which takes none either.
    ServiceLinked,
    /// It belongs to another account.
    Elsewhere(AccountId),
    /// The trail does not tell whose it is.
    Unknown,
}

impl Why {
    /// What can be done instead.
    pub fn instead(&self) -> String {
        match self {
            Why::Root => "no policy in an account binds its root user: sign in as root, change the password, delete \
                          its access keys, and deny it what it may do by an SCP of the organization (none binds \
                          the management account)"
                .to_owned(),
            Why::IdentityCenter => "it is of IAM Identity Center, where the user's sessions are ended and the \
                                    permission set gets an inline policy that denies what was issued before now"
                .to_owned(),
            Why::ServiceLinked => "it is an AWS service's own, which nobody else can assume; ask AWS Support where its \
                                   credentials were seen elsewhere"
                .to_owned(),
            Why::Elsewhere(account) => {
                format!("it is of account {account}: say the same with credentials of that account")
            }
            Why::Unknown => "the trail does not tell whose it is; any record of a call that it signed does".to_owned(),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.instead())
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of account {}", self.on, self.account)
    }
}
