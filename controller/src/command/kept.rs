//! What runs keep for each other and for people: the lock, the last run, what replays said.

use std::path::Path;

use credpin_core::{id::AccountId, replayed::Replays};
use credpin_ledger::{Access, Record, RecordStore};
use jiff::{SignedDuration, Timestamp};

use super::{CommandError, Exit, Out, Paint, chain, print, way};
use crate::{
    config::{self, CloudName, Config},
    flow::Run,
    report::{self, RunFigures},
    state::{self, LONGEST_RUN, LastRun, Lock},
};

/// How far back records are read: twice the life of a credential (six hours, "Retrieve security
/// credentials from instance metadata", EC2 User Guide), and a day for hosts that ship late.
const RECORDS_WINDOW: SignedDuration = SignedDuration::from_hours(36);

/// The controller's own store, if the config names one.
pub(super) fn store(config: &Config) -> Result<Option<RecordStore>, CommandError> {
    let Some(url) = &config.state else {
        return Ok(None);
    };
    let access = Access::Variables(config::variables());
    Ok(Some(RecordStore::create(url, &access)?))
}

/// The part of it that is the account's, where there are several. None where it cannot be told which: a
/// replay is told whether or not it can be kept.
pub(super) async fn store_of(
    config: &Config,
    account: Option<&AccountId>,
) -> Result<Option<RecordStore>, CommandError> {
    let Some(store) = store(config)? else {
        return Ok(None);
    };
    let cloud = config.cloud.as_ref().unwrap_or(&CloudName::Aws);
    let accounts = match way::accounts(config, cloud).await {
        Ok(listed) => listed.accounts,
        Err(error) => {
            tracing::warn!("what this replay finds is not kept: {}", chain(&error));
            return Ok(None);
        }
    };
    let account = account.filter(|id| accounts.iter().any(|account| account.id == **id));
    Ok(Some(match account {
        Some(account) => state::within(&store, account),
        None => store,
    }))
}

/// What hosts recorded of late. Records never hold anything up (invariant 3): a store that cannot be
/// read, or is not there, is told about and left out.
pub(super) async fn records(config: &Config, now: Timestamp) -> Vec<Record> {
    let since = now.checked_sub(RECORDS_WINDOW).ok();
    let read = super::read_records(config, since).await;
    read.unwrap_or_else(|error| {
        tracing::warn!("going on without records: {}", chain(&error));
        Vec::new()
    })
}

/// What replays said. One that cannot be read is as one that is not there: a first pin then waits.
pub(super) async fn replays(store: Option<&RecordStore>) -> Replays {
    let Some(store) = store else {
        return Replays::default();
    };
    state::replays(store).await.unwrap_or_else(|error| {
        tracing::warn!("going on without replays: {}", chain(&error));
        Replays::default()
    })
}

/// Does `work` while no other run does any. It is broken off before the lock's lease is over: wherever
/// that is, the next run goes on from there.
pub(super) async fn alone<T>(
    store: Option<&RecordStore>,
    now: Timestamp,
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let Some(store) = store else {
        return work.await;
    };
    let lock = Lock::take(store, &state::holder(), now).await?;
    let done = tokio::time::timeout(LONGEST_RUN, work).await;
    if let Err(error) = lock.release().await {
        tracing::warn!(
            "the lock of this run stays until its lease is over: {}",
            chain(&error)
        );
    }
    done.unwrap_or(Err(CommandError::TooLong))
}

/// Keeps what a run found and did, in the store and as the file of metrics, where there are such. The
/// run is done whether or not that can be kept.
pub(super) async fn keep(
    store: Option<&RecordStore>,
    (metrics, out): (Option<&Path>, &Out),
    run: &Run,
    figures: &RunFigures,
    recorded: bool,
) -> Result<(), CommandError> {
    if store.is_none() && metrics.is_none() {
        return Ok(());
    }
    let plan = run.after();
    let text = report::metrics(&plan, figures.began, recorded, Some(run));
    if let Some(path) = metrics {
        out.write_metrics(path, &text);
    }
    let Some(store) = store else {
        return Ok(());
    };
    let kept = LastRun {
        schema: state::SCHEMA,
        made: figures.began,
        held: plan.is_held(),
        text: report::status(&plan, recorded, Paint::default()),
        status: serde_json::from_str(&report::status_json(&plan, recorded)?)?,
        metrics: text,
        run: serde_json::to_value(figures)?,
    };
    if let Err(error) = kept.keep(store).await {
        tracing::warn!("`credpin status` shows an older run: {}", chain(&error));
    }
    Ok(())
}

/// The status as the last run left it; none where no run has kept one.
pub(super) async fn status(
    store: &RecordStore,
    metrics: Option<&Path>,
    json: bool,
) -> Result<Option<Exit>, CommandError> {
    let Some(last) = LastRun::read(store).await? else {
        tracing::warn!("no run has kept its state yet: looking at the account");
        return Ok(None);
    };
    if let Some(path) = metrics {
        super::metrics::write(path, &last.metrics);
    }
    print(&if json {
        serde_json::to_string_pretty(&last.status)? + "\n"
    } else {
        format!(
            "As the run of {} left it; --fresh looks at the account.\n\n{}",
            last.made, last.text
        )
    })?;
    Ok(Some(if last.held { Exit::Held } else { Exit::Done }))
}
