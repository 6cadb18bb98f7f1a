//! Taking back a whole lineage, and a key that only CloudTrail knows.
//!
//! ```text
//!  ┌▶ Outside::look ──Trace──▶ facts (of IAM) ──containment::round──▶ Round ──carry_out──▶ IAM
//!  └────────────────── Outside::until, as long as IAM takes ◀──────────┘
//! ```
//!
//! What to do is decided in [`containment`]; here it is carried out. IAM is the journal, so one that
//! was killed goes on where it was when it is said again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use credpin_core::{
    containment::{self, Facts, Fate, Round, Row, Stands, Whose, with_parents},
    cut::{
        self, CUT_TAG, Cut, CutName, KEY_TAG, LINEAGE_TAG, MADE_TAG, ON_TAG, On, Principal, Reach,
        Stolen,
    },
    id::AccessKeyId,
    lineage::{Above, Shared, Trace},
    policy::Document,
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use thiserror::Error;

use super::{
    Choices, Made, Planned, RevokeError, Stamp, carry_out, find_left_keys, principal, proven, undo,
};
use crate::{
    cloud::contain::{Contain, Standing},
    cloudtrail::{Reading, TrailError},
};

/// How often the trail is read again while late keys may turn up.
const EVERY: SignedDuration = SignedDuration::from_mins(1);

/// What is outside: the trail, the clock, and who is told.
pub trait Outside {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Reads the trail, as it is at `now`. No trace where it does not show the key.
    fn look(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<(Option<Trace>, Reading), TrailError>>;

    /// Lets time pass until then. Whether to go on: somebody may have asked to stop.
    fn until(&self, then: Timestamp) -> impl Future<Output = bool>;

    /// Tells what was found, and what is to be done now. Whether to do it.
    fn found(
        &mut self,
        trace: &Trace,
        reading: &Reading,
        round: &Round,
        cuts: &[Planned],
    ) -> io::Result<bool>;

    /// Tells what was done.
    fn done(&mut self, made: &Made) -> io::Result<()>;
}

/// How a lineage is ended.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Deny instances their later tokens too.
    pub isolate: bool,
    /// How long IAM takes to carry out a cut.
    pub wait: SignedDuration,
    /// Whether to go on until no late key can turn up.
    pub watch: bool,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every key is cut or ended, and no other can turn up.
    Over,
    /// Every key that the trail shows is cut or ended; until then it may show another.
    LateUntil(Timestamp),
    /// It was not to be done.
    Refused,
    /// Somebody asked to stop between rounds.
    Stopped,
    /// A cut could not be made.
    Failed,
    /// The trail shows no such key.
    NoSuchKey,
}

/// What became of a lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Whether all of the trail was read, the last time.
    pub is_whole: bool,
    /// Keys that no cut of ours ends.
    pub staying: usize,
}

/// Cuts parents first, lets that settle, then what they made, and looks again, until nothing is left.
pub async fn end<C: Contain, O: Outside>(
    cloud: &C,
    outside: &mut O,
    manner: Manner,
) -> Result<Outcome, EndError> {
    let began = outside.now();
    let mut made: BTreeMap<String, Stands> = BTreeMap::new();
    loop {
        let looked = outside.now();
        let (trace, reading) = outside.look(looked).await?;
        let mut outcome = Outcome {
            ending: Ending::NoSuchKey,
            is_whole: reading.is_whole(),
            staying: 0,
        };
        let Some(trace) = trace else {
            return Ok(outcome);
        };
        let mut facts = facts(cloud, &trace, began).await?;
        remember(&mut facts, &made);
        // Reading may have taken long.
        let now = outside.now();
        let round = containment::round(&trace, &facts, manner.isolate, manner.wait, now);
        outcome.staying = round.staying().count();
        let cuts = round.cuts.iter().cloned().map(proven);
        let mut cuts = cuts.collect::<Result<Vec<_>, _>>()?;
        find_left_keys(cloud, &mut cuts).await;
        let agreed = outside.found(&trace, &reading, &round, &cuts)?;
        if agreed {
            for id in &round.spent {
                spend(cloud, id).await?;
                made.remove(id);
            }
        }
        let ended = if !agreed && !round.is_still() {
            Some(Ending::Refused)
        } else if !cuts.is_empty() {
            let lineage = trace.nodes.first().map(|node| &*node.key);
            let stamp = Stamp { made: now, lineage };
            let done = carry_out(cloud, cuts, stamp).await;
            outside.done(&done)?;
            let now = outside.now();
            made.extend(done.done.iter().map(|planned| {
                let stands = Stands {
                    id: planned.id.clone(),
                    cut: planned.cut.clone(),
                    made: now,
                    lineage: lineage.map(str::to_owned),
                };
                (stands.id.clone(), stands)
            }));
            if done.failed.is_some() {
                Some(Ending::Failed)
            } else {
                let settled = now + manner.wait;
                (!outside.until(settled).await).then_some(Ending::Stopped)
            }
        } else if let Some(then) = round.wait_until {
            (!outside.until(then).await).then_some(Ending::Stopped)
        } else {
            match round.late_until.filter(|late| *late > looked) {
                None => Some(Ending::Over),
                Some(late) if manner.watch => {
                    let next = late.min(now + EVERY);
                    (!outside.until(next).await).then_some(Ending::Stopped)
                }
                Some(late) => Some(Ending::LateUntil(late)),
            }
        };
        if let Some(ending) = ended {
            outcome.ending = ending;
            return Ok(outcome);
        }
    }
}

/// Takes off a cut of which a later one has taken over all. That it is gone already is no error.
async fn spend<C: Contain>(cloud: &C, id: &str) -> Result<(), RevokeError> {
    match undo(cloud, id).await {
        Err(RevokeError::NoCut(_)) => Ok(()),
        other => other.map(drop),
    }
}

/// Why a lineage cannot be ended.
#[derive(Debug, Error)]
pub enum EndError {
    /// There is no cut, or IAM did not answer.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
    /// The trail cannot be read.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// Nobody can be told.
    #[error("cannot tell what was found")]
    Tell(#[from] io::Error),
}

/// What ends one key, and what that leaves alive.
#[derive(Debug)]
pub struct OneKey {
    /// Its cuts.
    pub cuts: Vec<Planned>,
    /// The key that it came of, where that still works.
    pub above: Option<Living>,
    /// The keys that came of it and still work, or that no cut of ours ends.
    pub below: Vec<Living>,
}

/// A key that lives on.
#[derive(Clone, Debug, Serialize)]
pub struct Living {
    /// Its id.
    pub key: Shared,
    /// What ends it, or why nothing of ours does.
    pub what: String,
}

/// The cuts of one key of a trace, and the keys that live on without them.
pub async fn one_key<C: Contain>(
    cloud: &C,
    trace: &Trace,
    key: &AccessKeyId,
    choices: &Choices,
    now: Timestamp,
) -> Result<OneKey, RevokeError> {
    let facts = facts(cloud, trace, now).await?;
    let found = with_parents(trace).find(|(node, _)| *node.key == *key.as_str());
    let (node, parent) = found.ok_or_else(|| RevokeError::NotInTrail(key.clone()))?;
    let stolen = containment::stolen(node, parent, &facts);
    let stolen = stolen.map_err(|why| RevokeError::Stays {
        what: key.to_string(),
        why,
    })?;
    let stolen = match stolen.filter(|_| node.is_live) {
        None => return Err(RevokeError::Ended(key.clone())),
        Some(Stolen::Instance { role, instance, .. }) => Stolen::Instance {
            role,
            instance,
            isolate: choices.isolate,
        },
        Some(Stolen::RoleSession { role, session, .. }) => {
            let asked = match (&choices.assumed_by, &node.above) {
                (Some(on), _) => Some(principal(cloud, on).await?),
                (None, Above::Key(_)) => parent.and_then(|it| containment::asked_by(it, &facts)),
                _ => None,
            };
            Stolen::RoleSession {
                role,
                session,
                parent: asked,
            }
        }
        Some(stolen) => stolen,
    };
    choices.fit(&stolen)?;
    let time = containment::cut_from(trace, now);
    let cuts = cut::cuts(&stolen, time).into_iter().map(proven);
    let cuts = cuts.collect::<Result<Vec<_>, _>>()?;

    let round = containment::round(trace, &facts, choices.isolate, SignedDuration::ZERO, now);
    let living = |row: &Row| {
        let what = match &row.fate {
            Fate::Ended | Fate::IsCut(_) => return None,
            Fate::CutNow(number) => round.cuts[*number].what(),
            Fate::CutLater(cut) => cut.what(),
            Fate::Stays(why) => why.to_string(),
        };
        let key = row.key.clone();
        Some(Living { key, what })
    };
    let rows = &round.rows;
    let above = parent.and_then(|parent| rows.iter().find(|row| row.key == parent.key));
    let below = rows.iter().skip_while(|row| row.key != node.key).skip(1);
    let below = below.take_while(|row| row.depth > node.depth);
    Ok(OneKey {
        cuts,
        above: above.and_then(living),
        below: below.filter_map(living).collect(),
    })
}

/// What IAM says of those whom the trace names.
async fn facts<C: Contain>(
    cloud: &C,
    trace: &Trace,
    began: Timestamp,
) -> Result<Facts, RevokeError> {
    let account = cloud.account().await?;
    let mut principals = BTreeMap::new();
    let mut active = BTreeSet::new();
    let whose = containment::whose(trace).into_iter();
    for Whose { on, .. } in whose.filter(|whose| whose.account == account) {
        let found = match &on {
            On::Role(name) => cloud.role(name).await.map(Principal::Role),
            On::User(name) => cloud.user(name).await.map(Principal::User),
        };
        let found = match found {
            Ok(found) => Some(found),
            Err(error) if error.not_found => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(Principal::User(user)) = &found {
            let keys = cloud.keys(&user.name).await?.into_iter();
            active.extend(keys.filter_map(|(key, works)| works.then_some(key)));
        }
        principals.insert(on, found);
    }
    let mut standing = Vec::new();
    for cut in cloud.standing().await? {
        standing.extend(stands(cloud, &cut, &principals, began).await?);
    }
    Ok(Facts {
        account,
        principals,
        active,
        standing,
    })
}

/// A cut as it stands; none where it is on nobody, on somebody else, or not as we write one. One that
/// does not say when it was made counts as made when this `began`.
async fn stands<C: Contain>(
    cloud: &C,
    cut: &Standing,
    principals: &BTreeMap<On, Option<Principal>>,
    began: Timestamp,
) -> Result<Option<Stands>, RevokeError> {
    let tag = |name: &str| cut.tags.get(name).map(String::as_str);
    let on = tag(ON_TAG).and_then(On::of_tag);
    let on = on.and_then(|on| principals.get(&on)?.as_ref());
    let name: Result<CutName, _> = cut.name.as_str().parse();
    let is_ours = tag(CUT_TAG.0) == Some(CUT_TAG.1);
    let (Some(on), Ok(name), true) = (on, name, is_ours && cut.attached) else {
        return Ok(None);
    };
    let key = tag(KEY_TAG).and_then(|key| key.parse().ok());
    let document = cloud.document(&cut.arn).await?;
    let read = Document::parse(&document).ok();
    let made = tag(MADE_TAG).and_then(|made| made.parse().ok());
    Ok(read
        .and_then(|document| Cut::read(on, &document, key))
        .map(|cut| Stands {
            id: name.id,
            cut,
            made: made.unwrap_or(began),
            lineage: tag(LINEAGE_TAG).map(str::to_owned),
        }))
}

/// What was written is not read back at once everywhere: IAM is told what was done.
fn remember(facts: &mut Facts, made: &BTreeMap<String, Stands>) {
    facts
        .standing
        .retain(|stands| !made.contains_key(&stands.id));
    for stands in made.values() {
        if let Reach::Key { key } = &stands.cut.reach {
            facts.active.remove(key);
        }
        facts.standing.push(stands.clone());
    }
}
