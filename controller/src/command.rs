//! What the subcommands do: settle what is meant, run the flow, print, say how it ended.

use std::sync::Arc;

use clap::CommandFactory;
use credpin_ledger::RecordStore;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    cli::{Cli, Command},
    cloud::dir::Dir,
    config::{CloudName, Config},
    plan_file::PlanFile,
    report::Paint,
};

mod apply;
mod context;
mod detect;
mod error;
mod explain;
mod kept;
mod lineage;
mod many;
mod metrics;
mod observe;
mod out;
mod plan;
mod records;
mod release;
mod replay;
mod revoke;
mod run;
mod settle;
mod several;
mod status;
mod terminal;
mod tokens;
mod trace;
mod way;
mod whose;

pub use error::CommandError;

use context::Context;
use many::{Chosen, Many};
use out::Out;
use records::read_records;
use terminal::{confirmed, paint, print};
use way::Way;

/// How a command ended; the number is the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// There is nothing (left) to do.
    Done = 0,
    /// Something failed, and was said.
    Failed = 1,
    /// The plan has changes.
    Changes = 2,
    /// Something is held, or was not seen.
    Held = 3,
    /// Some accounts failed, and the others did not.
    Partly = 4,
    /// The command line makes no sense.
    Usage = 64,
}

/// Carries out what the command line says.
pub async fn execute(cli: Cli, now: Timestamp) -> Result<Exit, CommandError> {
    if let Command::Completions { shell } = &cli.command {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "credpin", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        return Ok(Exit::Done);
    }
    let is_response = matches!(cli.command, Command::Revoke(_));
    let mut config = settle::settle(&cli.common, is_response)?;
    if let Some(once) = cli.command.once() {
        once.over(&mut config.settings);
    }
    let chosen = Chosen {
        named: cli.common.account,
        shard: cli.common.shard,
    };
    let file = match &cli.command {
        Command::Apply {
            file: Some(path), ..
        } => Some(Arc::new(PlanFile::read(path, now)?)),
        _ => None,
    };
    match cli.command {
        Command::Trace {
            target,
            trail,
            json,
            dot,
            html,
        } => {
            let source = trail.cloudtrail;
            let wanted = trace::Wanted { json, dot, html };
            trace::trace(&target, &source, &wanted, &config, paint(), now).await
        }
        Command::Replay {
            trail,
            plan: Some(plan),
            json,
        } => {
            let plan = replay::plan_file(&plan)?;
            let homes = trace::homes(&config).await.unwrap_or_default();
            let pins = replay::pins(&plan, homes)?;
            let state = kept::store_of(&config, pins.account.as_ref()).await?;
            replay::replay(
                pins,
                &trail.cloudtrail,
                state.as_ref(),
                now,
                (json, paint()),
            )
            .await
        }
        Command::Triage { trail, json } => {
            replay::triage(&config, &chosen, &trail.cloudtrail, json, paint()).await
        }
        Command::Detect(asked) => detect::detect(&asked, &config, paint(), now).await,
        Command::Tokens(wanted) => tokens::tokens(&wanted, &config, now, paint()).await,
        command => on_cloud(command, config, chosen, file, now).await,
    }
}

/// Carries out a command that looks at a cloud.
async fn on_cloud(
    command: Command,
    config: Config,
    mut chosen: Chosen,
    file: Option<Arc<PlanFile>>,
    now: Timestamp,
) -> Result<Exit, CommandError> {
    // What is urgent must work when all else does not.
    let store = match &command {
        Command::Release { .. } | Command::Revoke(_) | Command::Observe { .. } => None,
        _ => kept::store(&config)?,
    };
    let cloud = config.cloud.clone().unwrap_or(CloudName::Aws);
    let is_urgent = matches!(command, Command::Release { .. } | Command::Revoke(_));
    let way::Accounts { accounts, calls } = match &config.organization {
        Some(organization) if is_urgent && cloud == CloudName::Aws && !chosen.named.is_empty() => {
            way::by_name(&config, organization, &chosen.named)?
        }
        _ => way::accounts(&config, &cloud).await?,
    };
    if accounts.is_empty() {
        chosen.needs_none()?;
        return Box::pin(on_the_one(command, config, store, (cloud, file), now)).await;
    }
    // Accounts that it says nothing of were not read about.
    if let Some(file) = &file
        && chosen.named.is_empty()
    {
        chosen.named = file.accounts();
    }
    let many = Many {
        file,
        way: Way::open(&config, cloud).await?,
        config,
        store,
        chosen,
        calls,
        now,
        paint: paint(),
        began: Instant::now(),
    };
    Box::pin(many.execute(command, accounts)).await
}

/// Carries out a command on the one account that there is.
async fn on_the_one(
    command: Command,
    mut config: Config,
    store: Option<RecordStore>,
    (cloud, file): (CloudName, Option<Arc<PlanFile>>),
    now: Timestamp,
) -> Result<Exit, CommandError> {
    if let (
        Command::Status {
            fresh: false,
            json,
            metrics,
        },
        Some(store),
    ) = (&command, &store)
        && let Some(exit) = kept::status(store, metrics.as_deref(), *json).await?
    {
        return Ok(exit);
    }
    config.settings.replays = kept::replays(store.as_ref()).await;
    if let Some(file) = &file {
        file.of(None)?.once().over(&mut config.settings);
    }
    let context = Context {
        config,
        store,
        now,
        paint: paint(),
        file,
        account: command.account().cloned(),
        records: None,
        out: Out::stdout(),
    };
    match cloud {
        CloudName::Dir(path) => context.execute(command, &Dir::open(path)?).await,
        #[cfg(feature = "aws")]
        CloudName::Aws => {
            let aws = crate::cloud::aws::Aws::open(context.config.regions.clone()).await?;
            // Large, because of all the calls that it may make.
            Box::pin(context.execute(command, &aws)).await
        }
        #[cfg(not(feature = "aws"))]
        CloudName::Aws => Err(CommandError::NoAws),
    }
}

/// An error with all of its causes, in a line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
