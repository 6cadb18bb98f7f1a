//! Taking a stolen credential back: whose it is, the cut, the writes, and the way back.
//!
//! ```text
//!  Target ──resolve──▶ Stolen ──credpin_core::cut──▶ Planned (proven) ──carry_out──▶ IAM
//!  (what an operator     (with ids                                                   │
//!   can name)             from IAM)             undo, expire ◀── Standing ◀──────────┘
//! ```
//!
//! Every cut is a managed policy under `/credpin/cuts/`, which says by its name and its tags what it is,
//! on whom, and until when. So IAM is the journal: nothing has to be kept elsewhere to undo one.

use std::collections::{BTreeMap, BTreeSet};

use credpin_core::{
    containment::{self, Why},
    cut::{
        self, AHEAD, Broken, CUT_TAG, Cut, CutName, KEY_TAG, LINEAGE_TAG, MADE_TAG, ON_TAG, On,
        Principal, Reach, Role, Stolen,
    },
    id::{AccessKeyId, Arn, InstanceId, PolicyName, RoleName},
};
use credpin_ledger::Record;
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::{
    apply::done_already,
    cloud::{
        CallError,
        contain::{Contain, NewCut, PutError, Standing},
    },
};

pub mod lineage;
mod target;

pub(crate) use target::parse_on;
pub use target::{Named, ParseTargetError, Target};

/// What an operator decided beside the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Deny an instance's later tokens too.
    pub isolate: bool,
    /// Who assumed the role, where that is a principal of this account.
    pub assumed_by: Option<On>,
}

/// A cut that is proven and ready to be made.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// What it is undone by.
    pub id: String,
    /// What is done, in a line.
    pub says: String,
    /// Who else is hit, and until when.
    pub also_hits: String,
    /// When it ends by itself.
    pub ends: Option<Timestamp>,
    /// Long-lived keys of the user that it leaves as they are: none of them can take it off.
    pub leaves: Vec<LeftKey>,
    /// The policy's name.
    pub policy: PolicyName,
    /// The policy.
    pub document: credpin_core::policy::Document,
    /// The cut.
    #[serde(flatten)]
    pub cut: Cut,
}

/// A long-lived key that a cut leaves as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftKey {
    /// Which.
    pub key: AccessKeyId,
    /// Whether it works.
    pub works: bool,
}

/// What a cut is marked with.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// When it is made.
    pub made: Timestamp,
    /// The first key of the lineage that it is made for.
    pub lineage: Option<&'a str>,
}

/// What became of the cuts that were to be made.
#[derive(Debug, Default)]
pub struct Made {
    /// Those that are in IAM, in order.
    pub done: Vec<Planned>,
    /// The one that failed, which ended it: the later ones stand on the earlier.
    pub failed: Option<(Planned, PutError)>,
}

/// Why there is no cut, or none was undone.
#[derive(Debug, Error)]
pub enum RevokeError {
    /// IAM did not answer, or refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A temporary key that no host recorded.
    #[error(
        "no host recorded {0}, so whose it is has to be said: `role/ROLE/SESSION`, `role/ROLE/i-…` or \
         `user/NAME`; `userIdentity` of any CloudTrail record of the key tells"
    )]
    Unrecorded(AccessKeyId),
    /// What a host recorded is no name that IAM has.
    #[error("the record of {key} names what cannot be one of IAM: {why}")]
    Record {
        /// The key.
        key: AccessKeyId,
        /// What is wrong with it.
        why: String,
    },
    /// Records that contradict each other: at least one of them is forged, or from a damaged host.
    #[error(
        "{key} is on record as of {hosts}, and cannot be of all: say `role/ROLE/i-…` as `principalId` in \
         CloudTrail has it"
    )]
    Disputed {
        /// The key.
        key: AccessKeyId,
        /// Roles with their instances.
        hosts: String,
    },
    /// `--isolate` is for instances.
    #[error("--isolate goes with an instance: `role/ROLE/i-…`, or a key that a host recorded")]
    NotAnInstance,
    /// `--assumed-by` is for sessions of roles.
    #[error(
        "--assumed-by goes with sessions that were assumed: `role/ROLE` or `role/ROLE/SESSION`"
    )]
    NotAssumed,
    /// No policy of ours ends it.
    #[error("no cut ends {what}: {why}")]
    Stays {
        /// What is stolen.
        what: String,
        /// Why, and what can be done instead.
        why: Why,
    },
    /// The cut would not do what it is for. Nothing is written.
    #[error("the cut `{cut}` cannot be proven: {found}; please report this")]
    Unproven {
        /// The cut.
        cut: String,
        /// What is wrong with it.
        found: Broken,
    },
    /// `--cloudtrail` is for keys.
    #[error("--cloudtrail goes with an access key id (AKIA… or ASIA…): it tells whose that is")]
    NotAKey,
    /// The trail does not show the key.
    #[error(
        "no call in this trail was signed with {0}, or handed it out: CloudTrail is some minutes late, and a trail \
         may be of other regions or another account"
    )]
    NotInTrail(AccessKeyId),
    /// There is nothing to end.
    #[error(
        "{0} is good for nothing any more: it has expired, or went with its role or user; what it made may \
         live, and `--lineage` ends that"
    )]
    Ended(AccessKeyId),
    /// There is no such cut.
    #[error("there is no cut {0}; `credpin revoke --list` shows those that there are")]
    NoCut(String),
    /// A policy under our path that is not ours.
    #[error("{0} does not carry credpin's tags, so it is left alone")]
    NotOurs(Arn),
}

impl Choices {
    /// What was chosen is refused where it says nothing about what is stolen.
    fn fit(&self, stolen: &Stolen) -> Result<(), RevokeError> {
        if self.isolate && !matches!(stolen, Stolen::Instance { .. }) {
            return Err(RevokeError::NotAnInstance);
        }
        if self.assumed_by.is_some() && !matches!(stolen, Stolen::RoleSession { .. }) {
            return Err(RevokeError::NotAssumed);
        }
        Ok(())
    }
}

/// What the target is, with the ids that IAM knows it by.
pub async fn resolve<C: Contain>(
    cloud: &C,
    target: &Target,
    choices: &Choices,
    records: &[Record],
) -> Result<Stolen, RevokeError> {
    let Choices {
        isolate,
        assumed_by,
    } = choices;
    let stolen = match target {
        Target::Instance(role, instance) => Stolen::Instance {
            role: role_of(cloud, role).await?,
            instance: instance.clone(),
            isolate: *isolate,
        },
        Target::Role(role, session) => {
            let parent = match assumed_by {
                Some(on) => Some(principal(cloud, on).await?),
                None => None,
            };
            Stolen::RoleSession {
                role: role_of(cloud, role).await?,
                session: session.clone(),
                parent,
            }
        }
        Target::Root => {
            return Err(RevokeError::Stays {
                what: "root's credentials".to_owned(),
                why: Why::Root,
            });
        }
        Target::User(user) => Stolen::UserSession(cloud.user(user).await?),
        Target::Key(key) if key.is_long_lived() => {
            let owner = cloud.owner(key).await?;
            let user = cloud.user(&owner).await?;
            let key = key.clone();
            Stolen::LongLivedKey { user, key }
        }
        Target::Key(key) => recorded(cloud, key, *isolate, records).await?,
    };
    choices.fit(&stolen)?;
    Ok(stolen)
}

/// The cuts for what is stolen, each proven.
pub fn plan(stolen: &Stolen, now: Timestamp) -> Result<Vec<Planned>, RevokeError> {
    // Whole seconds: IAM's dates have no more.
    let seconds = now.as_second() + AHEAD.as_secs();
    let time = Timestamp::from_second(seconds).unwrap_or(now);
    cut::cuts(stolen, time).into_iter().map(proven).collect()
}

fn proven(cut: Cut) -> Result<Planned, RevokeError> {
    let document = cut.document();
    if let Some(found) = cut::prove(&cut, &document).pop() {
        let cut = cut.to_string();
        return Err(RevokeError::Unproven { cut, found });
    }
    let name = cut.name();
    Ok(Planned {
        id: name.id.clone(),
        says: cut.to_string(),
        also_hits: cut.also_hits(),
        ends: cut.ends(),
        leaves: Vec::new(),
        policy: name.policy(),
        document,
        cut,
    })
}

/// Finds the keys that cuts on users leave as they are. A responder has to know them, and can do without.
pub async fn find_left_keys<C: Contain>(cloud: &C, cuts: &mut [Planned]) {
    for planned in cuts {
        let Principal::User(user) = &planned.cut.on else {
            continue;
        };
        let keys = match cloud.keys(&user.name).await {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!("which other keys {} has is not known: {error}", user.name);
                continue;
            }
        };
        let cut = match &planned.cut.reach {
            Reach::Key { key } => Some(key),
            _ => None,
        };
        let left = keys.into_iter().filter(|(key, _)| Some(key) != cut);
        planned.leaves = left.map(|(key, works)| LeftKey { key, works }).collect();
    }
}

/// Makes the cuts, parents first. One that fails ends it.
pub async fn carry_out<C: Contain>(cloud: &C, cuts: Vec<Planned>, stamp: Stamp<'_>) -> Made {
    let mut made = Made::default();
    for planned in cuts {
        match make(cloud, &planned, stamp).await {
            Ok(()) => made.done.push(planned),
            Err(error) => {
                made.failed = Some((planned, error));
                break;
            }
        }
    }
    made
}

async fn make<C: Contain>(cloud: &C, planned: &Planned, stamp: Stamp<'_>) -> Result<(), PutError> {
    let on = planned.cut.on.on();
    let tagged = on.tag();
    let made = stamp.made.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut tags = vec![CUT_TAG, (ON_TAG, &tagged), (MADE_TAG, &made)];
    tags.extend(stamp.lineage.map(|first| (LINEAGE_TAG, first)));
    if let Reach::Key { key } = &planned.cut.reach {
        tags.push((KEY_TAG, key.as_str()));
    }
    let new = NewCut {
        name: &planned.policy,
        document: &planned.document.to_json(),
        description: &planned.says,
        tags: &tags,
    };
    let arn = cloud.create_cut(&new).await?;
    if let Err(error) = cloud.put_on(&on, &arn).await {
        if let PutError::NoPlace { .. } = error {
            // On nobody it denies nothing. One that cannot be deleted is listed, and ends like any other.
            let _ = cloud.delete_cut(&arn).await;
        }
        return Err(error);
    }
    if let (Reach::Key { key }, On::User(user)) = (&planned.cut.reach, &on) {
        cloud.set_key(user, key, false).await?;
    }
    Ok(())
}

/// Takes a cut off, exactly as it was made: the policy, and the key's switch.
pub async fn undo<C: Contain>(cloud: &C, id: &str) -> Result<Standing, RevokeError> {
    let standing = cloud.standing().await?;
    let is_meant = |standing: &Standing| {
        let name: Result<CutName, _> = standing.name.as_str().parse();
        name.is_ok_and(|name| name.id == id || standing.name.as_str() == id)
    };
    let found = standing.into_iter().find(is_meant);
    let standing = found.ok_or_else(|| RevokeError::NoCut(id.to_owned()))?;
    take_away(cloud, &standing).await?;
    Ok(standing)
}

/// Takes the cuts off that have ended, which are those that deny nothing any more. `seen` are the cuts
/// that were seen of late: where none of them has ended, nothing is asked.
pub async fn expire<C: Contain>(
    cloud: &C,
    seen: &BTreeSet<PolicyName>,
    now: Timestamp,
) -> Result<Vec<(Standing, Result<(), RevokeError>)>, RevokeError> {
    let has_ended = |name: &PolicyName| {
        let name: Result<CutName, _> = name.as_str().parse();
        name.is_ok_and(|name| name.ends.is_some_and(|ends| ends < now))
    };
    let mut done = Vec::new();
    if !seen.iter().any(has_ended) {
        return Ok(done);
    }
    let standing = cloud.standing().await?.into_iter();
    for standing in standing.filter(|standing| has_ended(&standing.name)) {
        let result = take_away(cloud, &standing).await;
        done.push((standing, result));
    }
    Ok(done)
}

async fn take_away<C: Contain>(cloud: &C, standing: &Standing) -> Result<(), RevokeError> {
    let Standing { arn, tags, .. } = standing;
    let tag = |name: &str| tags.get(name).map(String::as_str);
    let on = tag(ON_TAG).and_then(On::of_tag);
    let (Some(on), true) = (on, tag(CUT_TAG.0) == Some(CUT_TAG.1)) else {
        return Err(RevokeError::NotOurs(arn.clone()));
    };
    done_already(cloud.take_off(&on, arn).await)?;
    // The policy goes last: as long as it is there, this can be done again.
    if let (Some(key), On::User(user)) = (tag(KEY_TAG), &on) {
        let not_ours = || RevokeError::NotOurs(arn.clone());
        let key = key.parse().map_err(|_| not_ours())?;
        done_already(cloud.set_key(user, &key, true).await)?;
    }
    Ok(done_already(cloud.delete_cut(arn).await)?)
}

/// What a host recorded of a temporary key.
async fn recorded<C: Contain>(
    cloud: &C,
    key: &AccessKeyId,
    isolate: bool,
    records: &[Record],
) -> Result<Stolen, RevokeError> {
    let records = records.iter();
    let of_key = records.filter(|record| record.access_key_id == key.as_str());
    let hosts: BTreeMap<_, _> = of_key
        .map(|record| ((&record.role, &record.host.instance_id), record))
        .collect();
    if hosts.len() > 1 {
        let named = hosts
            .keys()
            .map(|(role, instance)| format!("role/{role}/{instance}"));
        return Err(RevokeError::Disputed {
            key: key.clone(),
            hosts: named.collect::<Vec<_>>().join(" and "),
        });
    }
    let (_, record) = hosts
        .into_iter()
        .next()
        .ok_or_else(|| RevokeError::Unrecorded(key.clone()))?;
    let wrong = |why: String| RevokeError::Record {
        key: key.clone(),
        why,
    };
    let instance: Result<InstanceId, _> = record.host.instance_id.parse();
    let role = record.role.parse();
    Ok(Stolen::Instance {
        instance: instance.map_err(|error| wrong(error.to_string()))?,
        role: role_of(
            cloud,
            &role.map_err(|error: credpin_core::id::IdError| wrong(error.to_string()))?,
        )
        .await?,
        isolate,
    })
}

/// A role that can be cut. AWS's own take no policy (IAM API Reference, `UnmodifiableEntity`).
async fn role_of<C: Contain>(cloud: &C, name: &RoleName) -> Result<Role, RevokeError> {
    let role = cloud.role(name).await?;
    match containment::reserved(&role.arn) {
        Ok(()) => Ok(role),
        Err(why) => Err(RevokeError::Stays {
            what: format!("sessions of {}", role.arn),
            why,
        }),
    }
}

async fn principal<C: Contain>(cloud: &C, on: &On) -> Result<Principal, RevokeError> {
    Ok(match on {
        On::Role(role) => Principal::Role(role_of(cloud, role).await?),
        On::User(user) => Principal::User(cloud.user(user).await?),
    })
}
