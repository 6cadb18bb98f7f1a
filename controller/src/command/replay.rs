//! `credpin replay` and `credpin triage`: history against pins.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use credpin_core::{
    footprint::Host,
    id::{AccountId, RoleName},
    lineage::Homes,
    policy::Document,
    replay::{self, Cause, Denials, PinnedRole, Pins, Replay},
    replayed::Replayed,
};
use credpin_ledger::{Access, RecordStore};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CommandError, Context, Exit, chain, kept, print, trace};
use crate::{
    cloud::Observe,
    cloudtrail::{self, Reading, Source, Trail},
    config, flow,
    report::{self, Paint},
    state,
};

/// A plan, as `credpin plan --json` writes it.
#[derive(Deserialize)]
struct PlanFile {
    account: Option<AccountId>,
    roles: Vec<RoleFile>,
}

#[derive(Deserialize)]
struct RoleFile {
    role: RoleName,
    pin: Option<PinFile>,
    footprint: FootprintFile,
}

/// A pin of several policies, or of one.
#[derive(Deserialize)]
struct PinFile {
    #[serde(default)]
    policies: Vec<PolicyFile>,
    document: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct PolicyFile {
    document: Box<RawValue>,
}

#[derive(Deserialize)]
struct FootprintFile {
    hosts: Vec<Host>,
}

/// The text of a file that `credpin plan --json` wrote.
pub(super) fn plan_file(path: &Path) -> Result<String, CommandError> {
    fs::read_to_string(path).map_err(|source| CommandError::PlanFile {
        path: path.to_owned(),
        source,
    })
}

/// The pins of a plan, from its JSON: what is replayed is what was printed.
pub(super) fn pins(plan: &str, homes: Homes) -> Result<Pins, CommandError> {
    let plan: PlanFile = serde_json::from_str(plan).map_err(CommandError::NoPlan)?;
    let mut roles = BTreeMap::new();
    for role in plan.roles {
        let Some(pin) = role.pin else { continue };
        let policies = pin.policies.into_iter().map(|policy| policy.document);
        let documents = policies.chain(pin.document);
        let documents = documents.map(|document| Document::parse(document.get()));
        let pinned = PinnedRole {
            documents: documents.collect::<Result<_, _>>()?,
            hosts: role.footprint.hosts,
        };
        roles.insert(role.role, pinned);
    }
    Ok(Pins {
        account: plan.account,
        roles,
        homes,
    })
}

impl Context {
    /// `credpin replay` of what the account calls for, enforced or not.
    pub(super) async fn replay<C: Observe>(
        &self,
        cloud: &C,
        source: &Source,
        json: bool,
    ) -> Result<Exit, CommandError> {
        let seen = cloud.observe().await;
        let records = self.records().await;
        let settings = &self.config.settings;
        let planned = flow::understand(&seen, settings, &records, self.now)?;
        let plan = report::plan_json(&planned.plan)?;
        let pins = pins(&plan, trace::homes_in(&seen, settings))?;
        let (state, how) = (self.store.as_ref(), (json, self.paint));
        replay(pins, source, state, self.now, how).await
    }

    /// `credpin triage`.
    pub(super) async fn triage<C: Observe>(
        &self,
        cloud: &C,
        source: &Source,
        json: bool,
    ) -> Result<Exit, CommandError> {
        let seen = cloud.observe().await;
        let homes = trace::homes_in(&seen, &self.config.settings);
        triage(&homes, source, json, self.paint).await
    }
}

/// Carries out `credpin replay`, and keeps what it found in `state`, where a first pin looks for it.
pub(super) async fn replay(
    pins: Pins,
    source: &Source,
    state: Option<&RecordStore>,
    now: Timestamp,
    (json, paint): (bool, Paint),
) -> Result<Exit, CommandError> {
    let trail = Trail::open(source, &Access::Variables(config::variables()))?;
    let pins = Arc::new(pins);
    let (replay, reading) = cloudtrail::read(trail, move || Replay::new(Arc::clone(&pins))).await?;
    print(&if json {
        report::replay_json(&replay, &reading)?
    } else {
        report::replay(&replay, &reading, paint)
    })?;
    if let Some(state) = state {
        keep(&replay, &reading, state, now).await;
    }
    Ok(replay_exit(&replay, &reading))
}

/// Roles without a recorded call are left out: nothing was found out about them. That nothing can be kept
/// is told and holds nothing up; a first pin goes on waiting.
async fn keep(replay: &Replay, reading: &Reading, state: &RecordStore, now: Timestamp) {
    if !reading.is_whole() {
        tracing::warn!(
            "not all of the trail was read, so no first pin is let through by this replay"
        );
        return;
    }
    let mut replays = kept::replays(Some(state)).await;
    for (role, figures) in replay.roles().filter(|(_, figures)| figures.calls > 0) {
        replays.add(Replayed {
            role: role.clone(),
            made: now,
            calls: figures.calls,
            denied: figures.denied,
            unknown: figures.unknown,
            chained: replay.looks_at_sessions_of_others(role),
        });
    }
    if let Err(error) = state::keep_replays(state, &replays).await {
        tracing::warn!("what this replay found cannot be kept: {}", chain(&error));
    }
}

/// Only what was seen, whole and known passes.
fn replay_exit(replay: &Replay, reading: &Reading) -> Exit {
    let total = replay.total();
    if total.denied > 0 {
        Exit::Held
    } else if total.unknown > 0
        || total.calls == 0
        || !replay.unseen().is_empty()
        || !reading.is_whole()
    {
        Exit::Changes
    } else {
        Exit::Done
    }
}

/// Carries out `credpin triage`.
async fn triage(
    homes: &Homes,
    source: &Source,
    json: bool,
    paint: Paint,
) -> Result<Exit, CommandError> {
    let trail = Trail::open(source, &Access::Variables(config::variables()))?;
    let (denials, reading) = cloudtrail::read(trail, Denials::default).await?;
    let sorted = replay::triage(&denials, homes);
    print(&if json {
        report::triage_json(&sorted, &reading)?
    } else {
        report::triage(&sorted, &reading, paint)
    })?;
    let is_theft = |cause: &Cause| matches!(cause, Cause::Theft | Cause::OtherHost(_));
    Ok(if sorted.iter().any(|denied| is_theft(&denied.cause)) {
        Exit::Held
    } else if sorted.is_empty() && reading.is_whole() {
        Exit::Done
    } else {
        Exit::Changes
    })
}
