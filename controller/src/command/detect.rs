//! `credpin detect`: needs no cloud and no records, and says what it cannot decide without them.

use std::sync::Arc;

use credpin_core::{
    detect::{Detect, Facts, Known, Report},
    estate::Estate,
    id::Arn,
    lineage::Homes,
};
use credpin_ledger::{Access, Record, RecordStore};
use jiff::{SignedDuration, Timestamp};

use super::{CommandError, Exit, chain, kept, print, read_records, trace, way};
use crate::{
    cli,
    cloud::estate::{estate, own_role},
    cloudtrail::{self, Reading, Trail},
    config::{self, Config},
    report::{self, Paint},
    state::{Told, ToldError},
};

/// How long before the first event of a trail records are read: a token may have been delivered that
/// long before it was used.
const RECORDS_BEFORE: SignedDuration = SignedDuration::from_hours(36);

/// What was seen of the accounts.
struct Seen {
    estates: Vec<Estate>,
    own_roles: Vec<Arn>,
    homes: Arc<Homes>,
}

/// Carries out `credpin detect`.
pub(super) async fn detect(
    asked: &cli::Detect,
    config: &Config,
    paint: Paint,
    now: Timestamp,
) -> Result<Exit, CommandError> {
    let Some(source) = &asked.cloudtrail else {
        print(&if asked.json {
            report::detect_rules_json()?
        } else {
            report::detect_rules(paint)
        })?;
        return Ok(Exit::Done);
    };
    let store = if asked.new {
        Some(kept::store(config)?.ok_or(CommandError::NoState)?)
    } else {
        None
    };
    let told = match &store {
        Some(store) => Told::read(store).await?,
        None => Told::default(),
    };
    let seen = look(config).await;
    let homes = seen.as_ref().map(|seen| Arc::clone(&seen.homes));
    let trail = Trail::open(source, &Access::Variables(config::variables()))?;
    let from = told.known.read_from(asked.since);
    let make = move || Detect::new(homes.clone());
    let (detect, reading) = cloudtrail::read_since(trail, from, make).await?;
    let records = records(config, &reading).await;
    let estates = seen.as_ref().map(|seen| &*seen.estates);
    let roles: Option<Vec<_>> = estates.map(|estates| {
        let roles = estates.iter().flat_map(|estate| estate.roles.values());
        roles.collect()
    });
    let report = detect.report(&Facts {
        roles: roles.as_deref(),
        records: records.as_deref(),
        controllers: &config.controller_roles,
        own_roles: seen.as_ref().map_or(&[], |seen| &seen.own_roles),
        accept: &config.accept,
        known: &told.known,
        since: asked.since,
        trail: &source.to_string(),
        now,
    });
    let known = store.as_ref().map(|_| &told.known);
    let exit = tell(asked, &report, known, &reading, (paint, now))?;
    if let Some(store) = &store {
        keep(store, told, &report, &reading, now).await?;
    }
    let all_seen = estates.map_or(config.cloud.is_none(), |estates| {
        estates.iter().all(|estate| estate.gaps.is_empty())
    });
    Ok(match exit {
        Exit::Done if !reading.is_whole() || !all_seen => Exit::Held,
        exit => exit,
    })
}

/// Prints what is to be told. `known`, where only what is new is.
fn tell(
    asked: &cli::Detect,
    report: &Report,
    known: Option<&Known>,
    reading: &Reading,
    (paint, now): (Paint, Timestamp),
) -> Result<Exit, CommandError> {
    let mut report = report.clone();
    if let Some(known) = known {
        report = report.without_told(known);
    }
    print(&if asked.json {
        report::detect_json(&report, reading)?
    } else if asked.ocsf {
        report::detect_ocsf(&report, now)
    } else {
        report::detect(&report, known, reading, paint)
    })?;
    Ok(match report.open().next() {
        Some(_) => Exit::Changes,
        None => Exit::Done,
    })
}

/// Keeps what was told, after it was: a run that is killed between the two tells it again. What could not
/// be read this time lies in what the next runs read again.
async fn keep(
    store: &RecordStore,
    told: Told,
    report: &Report,
    reading: &Reading,
    now: Timestamp,
) -> Result<(), ToldError> {
    let known = told.known.clone().after(report, reading.counts.last, now);
    told.replace(store, known).await
}

/// The accounts, if a cloud is named. One that cannot be looked at costs a warning: the trail says much
/// without it.
async fn look(config: &Config) -> Option<Seen> {
    let seen = way::observed(config).await?;
    let estates: Vec<_> = seen.iter().map(estate).collect();
    let own_roles = seen.iter().zip(&estates);
    Some(Seen {
        own_roles: own_roles
            .filter_map(|(seen, estate)| own_role(seen, estate))
            .collect(),
        homes: Arc::new(trace::homes_of(&seen, &config.settings)),
        estates,
    })
}

/// What hosts recorded at the time of the trail; none where no store is named, or it cannot be read.
async fn records(config: &Config, reading: &Reading) -> Option<Vec<Record>> {
    config.records.as_ref()?;
    let first = reading.counts.first;
    let since = first.and_then(|first| first.checked_sub(RECORDS_BEFORE).ok());
    match read_records(config, since).await {
        Ok(records) => Some(records),
        Err(error) => {
            tracing::warn!("going on without records: {}", chain(&error));
            None
        }
    }
}
