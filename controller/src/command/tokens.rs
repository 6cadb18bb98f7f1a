//! `credpin tokens`: needs no cloud; records, or CloudTrail, or both.

use std::path::PathBuf;

use credpin_core::inventory::{self as core, Filter, Pins, Row, Summary};
use credpin_ledger::{Access, RecordStore, StoreUrl};
use jiff::Timestamp;

use super::{CommandError, Exit, chain, kept, print, replay, way};
use crate::{
    cli::Tokens,
    cloudtrail::{Reading, Trail},
    config::{self, CloudName, Config},
    inventory::{self, Database, Folded, PinsError},
    report::{self, Listed, Paint},
    state::{self, LastRun},
};

/// Carries out `credpin tokens`.
pub(super) async fn tokens(
    wanted: &Tokens,
    config: &Config,
    now: Timestamp,
    paint: Paint,
) -> Result<Exit, CommandError> {
    if config.records.is_none() && wanted.cloudtrail.is_none() {
        return Err(CommandError::NoSource);
    }
    let pins = pins(wanted, config).await?;
    let path = wanted.database.clone().or_else(|| default_path(config));
    let path = path.ok_or(CommandError::NoDatabase)?;
    let records = config.records.as_ref().map(StoreUrl::to_string);
    let database = Database::open(&path, records.as_deref(), wanted.rebuild)?;
    let folded = fold_records(&database, wanted, config, now).await?;
    let reading = fold_trail(&database, wanted, now).await?;

    let contents = database.contents()?;
    let facts = database.facts()?;
    let filter = Filter {
        roles: wanted.role.clone(),
        instances: wanted.instance.clone(),
        live: wanted.live,
        unpinned: wanted.unpinned,
        imdsv1: wanted.imdsv1,
    };
    let all = core::rows(contents.tokens, &contents.sightings, &pins, now);
    let mut not_shown = 0;
    let shown = all.filter(|row| {
        let shows = filter.shows(row);
        not_shown += usize::from(!shows);
        shows
    });
    let mut rows: Vec<_> = shown.collect();
    rows.sort_by(Row::in_order);
    let listed = Listed {
        made: now,
        summary: Summary::of(&rows),
        not_shown,
        rows,
        gaps: core::gaps(&contents.sequences, facts.whole),
        left_out: contents.left_out,
        records: folded.as_ref(),
        reading: reading.as_ref(),
    };
    print(&if wanted.json {
        report::tokens_json(&listed)?
    } else {
        report::tokens(&listed, paint)
    })?;
    Ok(if listed.is_whole() {
        Exit::Done
    } else {
        Exit::Held
    })
}

async fn fold_records(
    database: &Database,
    wanted: &Tokens,
    config: &Config,
    now: Timestamp,
) -> Result<Option<Folded>, CommandError> {
    let Some(url) = &config.records else {
        return Ok(None);
    };
    if let StoreUrl::Directory(path) = url
        && !path.exists()
    {
        return Err(CommandError::NoRecords(path.clone()));
    }
    let access = Access::Variables(config::variables());
    let store = RecordStore::open(url, &access)?;
    let folded = inventory::fold_records(database, &store, wanted.keep, now).await?;
    for warning in &folded.warnings {
        tracing::warn!("left out of the record store: {warning}");
    }
    Ok(Some(folded))
}

async fn fold_trail(
    database: &Database,
    wanted: &Tokens,
    now: Timestamp,
) -> Result<Option<Reading>, CommandError> {
    let Some(source) = &wanted.cloudtrail else {
        return Ok(None);
    };
    let trail = Trail::open(source, &Access::Variables(config::variables()))?;
    let reading = inventory::fold_trail(database, source, trail, wanted.keep, now).await?;
    Ok(Some(reading))
}

/// What is known of pins. What the last run kept may not be readable: then it is not known.
async fn pins(wanted: &Tokens, config: &Config) -> Result<Pins, CommandError> {
    if let Some(path) = &wanted.plan {
        let plan = replay::plan_file(path)?;
        return inventory::of_plan(&plan).map_err(|PinsError(error)| replay::no_plan(&plan, error));
    }
    let mut pins = Pins::default();
    let Some(store) = kept::store(config)? else {
        return Ok(pins);
    };
    let cloud = config.cloud.clone().unwrap_or(CloudName::Aws);
    let accounts = match way::accounts(config, &cloud).await {
        Ok(listed) => listed.accounts,
        Err(error) => {
            tracing::warn!("which tokens are pinned is not known: {}", chain(&error));
            return Ok(pins);
        }
    };
    let states = if accounts.is_empty() {
        vec![store]
    } else {
        let ids = accounts.iter().map(|account| &account.id);
        ids.map(|id| state::within(&store, id)).collect()
    };
    for state in states {
        match LastRun::read(&state).await {
            Ok(Some(last)) => inventory::of_last_run(&last, &mut pins),
            Ok(None) => tracing::warn!(
                "no run has kept its state yet: which tokens are pinned is not known"
            ),
            Err(error) => tracing::warn!("which tokens are pinned is not known: {}", chain(&error)),
        }
    }
    Ok(pins)
}

/// Beside the state, if that is a directory; else among what the user's programs keep.
fn default_path(config: &Config) -> Option<PathBuf> {
    let folder = match &config.state {
        Some(StoreUrl::Directory(folder)) => folder.clone(),
        _ => config::state_home()?.join("credpin"),
    };
    Some(folder.join("tokens.redb"))
}
