//! `credpin replay` and `credpin triage`: history against pins.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use credpin_core::{
    cloudtrail::{Event, Fold},
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

use super::{
    CommandError, Context, Exit, chain, kept,
    many::{Chosen, Ended, Many},
    print, trace, way,
};
use crate::{
    cloud::Observe,
    cloudtrail::{self, Reading, Source, Trail},
    config::{self, CloudName, Config},
    flow,
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
    chained: Option<ChainedFile>,
}

/// What is about sessions that others make.
#[derive(Deserialize)]
struct ChainedFile {
    /// Not in the pin yet: it may wait for this very replay.
    pending: Option<Box<RawValue>>,
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

/// Why a text is no plan that one account's pins can be taken from.
pub(super) fn no_plan(text: &str, error: serde_json::Error) -> CommandError {
    /// What `credpin plan --json` prints of several accounts.
    #[derive(Deserialize)]
    struct Several {
        #[serde(rename = "accounts")]
        _accounts: Vec<serde::de::IgnoredAny>,
    }
    match serde_json::from_str::<Several>(text) {
        Ok(_) => CommandError::SeveralPlans,
        Err(_) => CommandError::NoPlan(error),
    }
}

/// The pins of a plan, from its JSON: what is replayed is what was printed.
pub(super) fn pins(plan: &str, homes: Homes) -> Result<Pins, CommandError> {
    let plan: PlanFile = serde_json::from_str(plan).map_err(|error| no_plan(plan, error))?;
    let mut roles = BTreeMap::new();
    for role in plan.roles {
        let pending = role.chained.and_then(|chained| chained.pending);
        if role.pin.is_none() && pending.is_none() {
            continue;
        }
        let of_pin = role.pin.into_iter().flat_map(|pin| {
            let policies = pin.policies.into_iter().map(|policy| policy.document);
            policies.chain(pin.document)
        });
        let documents = of_pin
            .chain(pending)
            .map(|document| Document::parse(document.get()));
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
        self.is_meant(planned.estate.account.as_ref())?;
        let plan = report::plan_json(&planned.plan)?;
        let pins = pins(&plan, trace::homes_in(&seen, settings))?;
        let Some(pins) = self.out.keep_pins(pins) else {
            return Ok(Exit::Done);
        };
        let (state, how) = (self.store.as_ref(), (json, self.paint));
        replay(pins, source, state, self.now, how).await
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

impl Many {
    /// Runs one trail against the pins of all accounts that could be planned for, each event against those
    /// of its own.
    pub(super) async fn replay(
        &self,
        mut ended: Vec<Ended>,
        source: &Source,
        json: bool,
    ) -> Result<Vec<Ended>, CommandError> {
        let pins = ended.iter_mut().filter_map(|ended| {
            let pins = ended.gathered.pins.take()?;
            Some((ended.account.to_string(), Arc::new(pins)))
        });
        let pins: BTreeMap<String, Arc<Pins>> = pins.collect();
        if pins.is_empty() {
            return Ok(ended);
        }
        let trail = Trail::open(source, &Access::Variables(config::variables()))?;
        let begin = move || ByAccount::new(&pins);
        let (replays, reading) = cloudtrail::read(trail, begin).await?;
        for ended in &mut ended {
            let Some(replay) = replays.0.get(ended.account.as_str()) else {
                continue;
            };
            ended.gathered.said = if json {
                report::replay_json(replay, &reading)?
            } else {
                report::replay(replay, &reading, self.paint)
            };
            if let Some(state) = self.store_of(&ended.account) {
                keep(replay, &reading, &state, self.now).await;
            }
            ended.exit = Ok(replay_exit(replay, &reading));
        }
        Ok(ended)
    }
}

/// A replay for each account.
struct ByAccount(BTreeMap<String, Replay>);

impl ByAccount {
    fn new(pins: &BTreeMap<String, Arc<Pins>>) -> Self {
        let replays = pins
            .iter()
            .map(|(account, pins)| (account.clone(), Replay::new(Arc::clone(pins))));
        Self(replays.collect())
    }
}

impl Fold for ByAccount {
    fn event(&mut self, event: &Event<'_>) {
        let account = event.user_identity.account_id.as_deref();
        if let Some(replay) = account.and_then(|account| self.0.get_mut(account)) {
            replay.event(event);
        }
    }

    fn merge(&mut self, other: Self) {
        for (account, replay) in other.0 {
            if let Some(known) = self.0.get_mut(&account) {
                known.merge(replay);
            }
        }
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

/// Carries out `credpin triage`: where tokens are at home is known of all accounts at once.
pub(super) async fn triage(
    config: &Config,
    chosen: &Chosen,
    source: &Source,
    json: bool,
    paint: Paint,
) -> Result<Exit, CommandError> {
    let cloud = config.cloud.clone().unwrap_or(CloudName::Aws);
    let seen = way::observe(config, &cloud, chosen).await?;
    let homes = trace::homes_of(&seen.accounts, &config.settings);
    let trail = Trail::open(source, &Access::Variables(config::variables()))?;
    let (denials, reading) = cloudtrail::read(trail, Denials::default).await?;
    let sorted = replay::triage(&denials, &homes);
    print(&if json {
        report::triage_json(&sorted, &reading)?
    } else {
        report::triage(&sorted, &reading, paint)
    })?;
    // What is not kept cannot be told from a theft.
    let is_full = denials.has_more();
    if is_full {
        tracing::warn!(
            "the trail has more denied calls, or more sessions, than are kept: what is not told, and calls of unknown \
             callers, may be thefts; read fewer days at a time"
        );
    }
    let is_theft = |cause: &Cause| match cause {
        Cause::Theft | Cause::OtherHost(_) => true,
        Cause::UnknownCaller => is_full,
        _ => false,
    };
    Ok(if sorted.iter().any(|denied| is_theft(&denied.cause)) {
        Exit::Held
    } else if seen.failed > 0 {
        Exit::Partly
    } else if sorted.is_empty() && reading.is_whole() {
        Exit::Done
    } else {
        Exit::Changes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_replay_is_replayed_beside_the_pin() {
        let document = |sid: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"{sid}","Effect":"Deny","NotAction":["es:ES*"],"Resource":"*"}}]}}"#
            )
        };
        let plan = format!(
            r#"{{"account":"123456789012","roles":[
                {{"role":"deploy","footprint":{{"hosts":[]}},"pin":{{"document":{}}},"chained":{{"pending":{}}}}},
                {{"role":"prod","footprint":{{"hosts":[]}},"pin":null,"chained":{{"pending":{}}}}},
                {{"role":"web","footprint":{{"hosts":[]}},"pin":null}}]}}"#,
            document("PublicVpcB"),
            document("ChainedPublic"),
            document("ChainedPublic")
        );
        let pins = pins(&plan, Homes::default()).unwrap();
        let of = |role: &RoleName| pins.roles.get(role).map(|role| role.documents.len());
        let roles = ["deploy", "prod", "web"].map(|role| of(&role.parse().unwrap()));
        assert_eq!(roles, [Some(2), Some(1), None]);
    }
}
