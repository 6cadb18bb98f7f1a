//! What pins admit, published in the record store: hosts read it there before they hand out their
//! first credential (`launch-gate` of the proxy).
//!
//! ```text
//!  pins/v1/account=111122223333/web.json   an Admission
//!  pins/v1/index/111122223333.json         the SHA-256 of each, so that a run writes what changed
//! ```
//!
//! What has not changed is written anew once a day, so that a host can tell it from what nobody looks after
//! any more. An object is never of more than is true. Before a run writes a pin, what it says is cut to what
//! both documents admit; what the new one admits follows when IAM has had the time to show it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use credpin_core::{
    admission,
    estate::Estate,
    footprint::{self, Place},
    id::{RoleName, VpcId},
    plan::{Hold, Plan, RolePlan, Step},
    policy::{Digest, Document},
    settings::Settings,
};
use credpin_ledger::{Admission, ObjectError, RecordStore};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::flow::Run;

/// What a run publishes, and where.
#[derive(Debug)]
pub struct Publisher<'a> {
    /// The record store.
    pub store: &'a RecordStore,
    /// What was seen.
    pub estate: &'a Estate,
    /// What was decided.
    pub settings: &'a Settings,
    /// When the run began.
    pub now: Timestamp,
}

/// It could not be published: hosts read what an older run wrote.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The store does not take it.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// What is published, by role.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Index {
    schema: u32,
    /// When all that was known was last written, changed or not.
    made: Option<Timestamp>,
    sha256: BTreeMap<String, Digest>,
}

const SCHEMA: u32 = 1;
/// How old what has not changed may get. Hosts believe it for a week, by default.
const ANEW: SignedDuration = SignedDuration::from_hours(24);

/// Which of what is known is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Changed,
    /// And when a day has passed all.
    All,
}

impl Publisher<'_> {
    /// Before the steps of `plan`: of roles that get another pin, what it admits and the one that they
    /// have.
    pub async fn before(&self, plan: &Plan) -> Result<usize, PublishError> {
        let places = self.places();
        let changed = plan.roles.iter().filter(|role| !role.steps.is_empty());
        let admissions = changed.filter_map(|role| {
            let documents = documents_at_any_step(role);
            // One that is only taken off admits more and more.
            (!documents.is_empty()).then(|| self.admission(role, &documents, &places))
        });
        self.write(plan, Which::Changed, admissions.flatten()).await
    }

    /// After a run, once IAM shows what it wrote: of each role whose pin is known, what that admits.
    pub async fn after(&self, run: &Run) -> Result<usize, PublishError> {
        let uncertain: BTreeSet<&RoleName> = run
            .applied
            .failed
            .iter()
            .map(|failure| &failure.role)
            .chain(run.unconfirmed.iter().map(|unconfirmed| &unconfirmed.role))
            .chain(&run.applied.released_meanwhile)
            .collect();
        let (plan, places) = (run.after(), self.places());
        // What somebody else made of a policy admits nobody knows whom.
        let is_known = |role: &&RolePlan| {
            let edited = role
                .holds
                .iter()
                .any(|hold| matches!(hold, Hold::Edited(_)));
            !edited && !uncertain.contains(&role.role)
        };
        let known = plan.roles.iter().filter(is_known);
        let admissions = known.filter_map(|role| {
            let in_force = role
                .in_force
                .iter()
                .flat_map(|pin| pin.documents())
                .collect::<Vec<_>>();
            self.admission(role, &in_force, &places)
        });
        self.write(&plan, Which::All, admissions).await
    }

    /// How long until all of IAM shows the pins that `run` left, those of a run before it too, where
    /// that was killed.
    pub fn wait(&self, run: &Run) -> Duration {
        let propagation = self.settings.propagation.seconds();
        let widens = |step: &Step| !matches!(step, Step::DeleteVersion { .. } | Step::Wait { .. });
        if run.plan.steps().any(widens) {
            return Duration::from_secs(propagation);
        }
        let made = self
            .estate
            .policies
            .values()
            .filter_map(|live| live.in_force()?.created);
        let youngest = made
            .max()
            .map(|made| self.now.duration_since(made).as_secs().max(0));
        let age = youngest.and_then(|age| u64::try_from(age).ok());
        Duration::from_secs(age.map_or(0, |age| propagation.saturating_sub(age)))
    }

    fn places(&self) -> BTreeMap<VpcId, Vec<Place>> {
        footprint::places(self.estate, self.settings)
    }

    fn admission(
        &self,
        plan: &RolePlan,
        documents: &[&Document],
        places: &BTreeMap<VpcId, Vec<Place>>,
    ) -> Option<Admission> {
        let role = self.estate.roles.get(&plan.role)?;
        let (footprint, settings) = (&plan.footprint, self.settings);
        Some(admission::of(
            role, footprint, documents, places, settings, self.now,
        ))
    }

    /// Writes those that are not there as they are; how many those are. What was not seen whole says
    /// nothing new.
    async fn write(
        &self,
        plan: &Plan,
        which: Which,
        admissions: impl Iterator<Item = Admission>,
    ) -> Result<usize, PublishError> {
        let unseen = match (&plan.account, plan.gaps.first()) {
            (_, Some(gap)) => Some(gap.to_string()),
            (None, None) => Some("nobody knows which account it is".to_owned()),
            _ => None,
        };
        let (Some(account), None) = (&plan.account, &unseen) else {
            // Once a run is enough.
            if let (Which::All, Some(why)) = (which, unseen) {
                tracing::warn!(
                    "nothing is published of what pins admit, because not all was seen, and what is published \
                     grows old: {why}"
                );
            }
            return Ok(0);
        };
        let folder = Admission::folder(account.as_str());
        let there: BTreeSet<String> = self.store.names_in(&folder).await?.into_iter().collect();
        let index_name = format!("pins/v1/index/{account}.json");
        let before = self.store.get_object(&index_name).await?;
        let before: Index = before
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .filter(|index: &Index| index.schema == SCHEMA)
            .unwrap_or_default();
        let is_young = |made: Timestamp| self.now.duration_since(made) < ANEW;
        let is_anew = which == Which::All && !before.made.is_some_and(is_young);
        let (mut index, mut written) = (before.sha256.clone(), 0);
        for admission in admissions {
            let digest = digest(&admission);
            let is_there = there.contains(&format!("{}.json", admission.role));
            if !is_anew && is_there && index.get(&admission.role) == Some(&digest) {
                continue;
            }
            let name = Admission::name(&admission.account, &admission.role);
            self.store.put_object(&name, admission.to_json()).await?;
            index.insert(admission.role, digest);
            written += 1;
        }
        if is_anew || index != before.sha256 {
            let index = Index {
                schema: SCHEMA,
                made: if is_anew { Some(self.now) } else { before.made },
                sha256: index,
            };
            let json = serde_json::to_vec(&index).expect("texts have a JSON form");
            self.store.put_object(&index_name, json).await?;
        }
        Ok(written)
    }
}

/// What any part of IAM may see of a role's pin while its steps are carried out.
fn documents_at_any_step(role: &RolePlan) -> Vec<&Document> {
    let now = role.in_force.iter().flat_map(|pin| pin.documents());
    let written = role.steps.iter().filter_map(|step| match step {
        Step::CreatePolicy { document, .. } | Step::CreateVersion { document, .. } => {
            Some(document)
        }
        _ => None,
    });
    now.chain(written).collect()
}

/// Of all that it says but for when it was found so.
fn digest(admission: &Admission) -> Digest {
    let mut timeless = admission.clone();
    timeless.made = Timestamp::UNIX_EPOCH;
    Digest::of_text(&String::from_utf8_lossy(&timeless.to_json()))
}
