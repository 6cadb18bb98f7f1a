//! What the subcommands do: settle what is meant, run the flow, print, say how it ended.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::CommandFactory;
use credpin_core::{estate::Gap, explain::ExplainError, id::AccountId, plan::Plan};
use credpin_ledger::{Access, ReadError, Record, RecordStore, StoreError, StoreUrl};
use jiff::Timestamp;
use thiserror::Error;
use tokio::time::Instant;

use crate::{
    account::SelectError,
    cli::{Cli, Command, Common},
    cloud::{
        Observe, WriteIam,
        contain::Contain,
        dir::{self, Dir},
        estate::estate,
    },
    cloudtrail::TrailError,
    config::{self, CloudName, Config, Mistakes, Regions},
    flow::{self, Answer, Blind, Planned, Run},
    publish::{PublishError, Publisher},
    release::{self, Released, Whose},
    report::{self, Paint, RunFigures},
};

mod detect;
mod kept;
mod lineage;
mod many;
mod metrics;
mod out;
mod replay;
mod revoke;
mod terminal;
mod tokens;
mod trace;
mod way;

use many::{Chosen, Many};
use out::Out;
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

/// Why a command could not be carried out.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The config file named cannot be read.
    #[error("cannot read the config file {}", path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The config file has mistakes.
    #[error(transparent)]
    Config(#[from] Mistakes),
    /// The directory cloud cannot be opened.
    #[error(transparent)]
    Dir(#[from] dir::OpenError),
    /// AWS cannot be asked.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    Aws(#[from] crate::cloud::aws::OpenError),
    /// This build has no AWS.
    #[error("this build has no AWS: use --cloud dir:PATH, or a build with the feature `aws`")]
    NoAws,
    /// A directory cloud is looked at whole.
    #[error(
        "a directory cloud is planned on whole: leave out --region (and CREDPIN_REGIONS), or \
         leave the other regions out of the directory"
    )]
    RegionsOfDir,
    /// The accounts asked for are not there, or too many.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The organisation's accounts cannot be read.
    #[error(transparent)]
    Organization(#[from] crate::organization::OrganizationError),
    /// What was seen is not of the account that was meant.
    #[error("what was seen is of account {found}: put it into the folder of that account")]
    OtherAccount {
        /// The account that it is of.
        found: AccountId,
    },
    /// What was done in an account ended by a bug of ours.
    #[error("this is a bug of credpin, told on stderr: please report it")]
    Bug,
    /// The roles were not seen.
    #[error(transparent)]
    Blind(#[from] Blind),
    /// The view could not be written.
    #[error(transparent)]
    Save(#[from] dir::SaveError),
    /// There is no answer to the question.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// Nobody is there to be asked.
    #[error("nobody can be asked here: say --yes, or let the scheduled job be `credpin run`")]
    NobodyToAsk,
    /// Nothing can be taken back.
    #[error(transparent)]
    Revoke(#[from] crate::revoke::RevokeError),
    /// A lineage cannot be ended.
    #[error(transparent)]
    Lineage(#[from] crate::revoke::lineage::EndError),
    /// The result cannot be written down.
    #[error("cannot make JSON of the result")]
    Json(#[from] serde_json::Error),
    /// The result cannot be printed.
    #[error("cannot print the result")]
    Print(#[from] io::Error),
    /// The record store named is not there: a wrong name, or a share that is not mounted.
    #[error(
        "the record store {} of --records (or CREDPIN_RECORDS, or `records` in the config) is not there: \
         name the directory that hosts ship to, make it, or leave records out",
        .0.display()
    )]
    NoRecords(PathBuf),
    /// The trail cannot be read.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// The plan file named cannot be read.
    #[error("cannot read the plan {}", path.display())]
    PlanFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The plan file named is none.
    #[error("this is no plan: write one with `credpin plan --json`")]
    NoPlan(#[source] serde_json::Error),
    /// The plan has a pin that credpin would not write.
    #[error("the plan has a pin that credpin would not write")]
    Pin(#[from] credpin_core::policy::ParseError),
    /// The page cannot be written.
    #[error("cannot write the page {}", path.display())]
    Page {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another run has the lock, or it cannot be had.
    #[error("nothing was done, because runs must not interleave")]
    Lock(#[from] crate::state::LockError),
    /// What the last run kept cannot be read.
    #[error("cannot tell how the last run left things; --fresh looks at the account")]
    LastRun(#[from] crate::state::LastRunError),
    /// What the last runs over several accounts kept cannot be read.
    #[error("cannot tell how the last runs left things; --fresh looks at the accounts")]
    Overview(#[from] crate::state::OverviewError),
    /// `--new` needs to know what was told.
    #[error(
        "--new keeps what was told where the controller keeps its state: say where with --state (or \
         CREDPIN_STATE, or `state` in the config)"
    )]
    NoState,
    /// What was told cannot be read or kept.
    #[error(
        "cannot tell what was told before, or keep what is told now: findings may be told again"
    )]
    Told(#[from] crate::state::ToldError),
    /// A run took longer than it may have the lock.
    #[error(
        "the run took longer than it may have the lock, and stopped; the next one goes on from there"
    )]
    TooLong,
    /// The record store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record store cannot be read.
    #[error(transparent)]
    Records(#[from] ReadError),
    /// Nothing says which tokens there are.
    #[error(
        "nothing to make a list of: name the record store (--records, CREDPIN_RECORDS, or `records` in the \
         config), or --cloudtrail, or both"
    )]
    NoSource,
    /// There is no place for the inventory.
    #[error("there is no place to keep the inventory: name a file with --database")]
    NoDatabase,
    /// The inventory cannot be used.
    #[error(transparent)]
    Database(#[from] crate::inventory::DatabaseError),
    /// The inventory cannot be brought up to date.
    #[error(transparent)]
    Fold(#[from] crate::inventory::FoldError),
}

impl CommandError {
    /// What a command ends with that could not be carried out.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NobodyToAsk
            | Self::RegionsOfDir
            | Self::NoState
            | Self::NoSource
            | Self::Select(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

/// Carries out what the command line says.
pub async fn execute(cli: Cli, now: Timestamp) -> Result<Exit, CommandError> {
    if let Command::Completions { shell } = &cli.command {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "credpin", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        return Ok(Exit::Done);
    }
    let mut config = settle(&cli.common)?;
    if let Some(once) = cli.command.once() {
        once.over(&mut config.settings);
    }
    let chosen = Chosen {
        named: cli.common.account,
        shard: cli.common.shard,
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
            let state = kept::store_of(&config, pins.account.as_ref())?;
            replay::replay(
                pins,
                &trail.cloudtrail,
                state.as_ref(),
                now,
                (json, paint()),
            )
            .await
        }
        Command::Detect(asked) => detect::detect(&asked, &config, paint(), now).await,
        Command::Tokens(wanted) => tokens::tokens(&wanted, &config, now, paint()).await,
        command => on_cloud(command, config, chosen, now).await,
    }
}

/// Carries out a command that looks at a cloud.
async fn on_cloud(
    command: Command,
    config: Config,
    chosen: Chosen,
    now: Timestamp,
) -> Result<Exit, CommandError> {
    // A release must work when all else does not.
    let store = match &command {
        Command::Release { .. } | Command::Observe { .. } => None,
        _ => kept::store(&config)?,
    };
    let cloud = config.cloud.clone().unwrap_or(CloudName::Aws);
    let accounts = way::accounts(&config, &cloud)?;
    if accounts.is_empty() {
        if !chosen.named.is_empty() || chosen.shard.is_some() {
            return Err(SelectError::None.into());
        }
        return Box::pin(on_the_one(command, config, store, cloud, now)).await;
    }
    let many = Many {
        way: Way::open(&config, cloud).await?,
        config,
        store,
        chosen,
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
    cloud: CloudName,
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
    let context = Context {
        config,
        store,
        now,
        paint: paint(),
        account: None,
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

/// The config file, with what the command line and the environment have to say over it.
fn settle(common: &Common) -> Result<Config, CommandError> {
    let path = common
        .config
        .clone()
        .unwrap_or_else(|| config::DEFAULT_PATH.into());
    let mut config = match fs::read_to_string(&path) {
        Ok(text) => config::parse(&path.display().to_string(), &text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && common.config.is_none() => {
            Config::default()
        }
        Err(source) => return Err(CommandError::ConfigFile { path, source }),
    };
    if common.all_regions {
        config.regions = Regions::All;
    } else if !common.region.is_empty() {
        config.regions = Regions::Only(common.region.clone());
    }
    if common.all_regions || !common.region.is_empty() {
        for account in &mut config.accounts {
            account.regions = None;
        }
    }
    config.cloud = common.cloud.clone().or(config.cloud);
    config.records = common.records.clone().or(config.records);
    config.state = common.state.clone().or(config.state);
    if let Some(CloudName::Dir(path)) = &config.cloud {
        if !common.all_regions && !common.region.is_empty() {
            return Err(CommandError::RegionsOfDir);
        }
        // The file may be the one of AWS, of which the directory is a copy.
        if let Regions::Only(_) = config.regions {
            tracing::warn!(
                "`regions` of the config says nothing about {}, which is planned on whole",
                path.display()
            );
        }
    }
    Ok(config)
}

/// What a command works with, but for the cloud.
struct Context {
    config: Config,
    /// The controller's own.
    store: Option<RecordStore>,
    now: Timestamp,
    paint: Paint,
    /// Where it is one of several.
    account: Option<AccountId>,
    /// Records, where they have been read already.
    records: Option<Arc<[Record]>>,
    out: Out,
}

impl Context {
    fn print(&self, text: &str) -> io::Result<()> {
        self.out.print(text)
    }

    async fn execute<C: Observe + WriteIam + Contain>(
        &self,
        command: Command,
        cloud: &C,
    ) -> Result<Exit, CommandError> {
        match command {
            Command::Observe { out } => self.observe(cloud, out).await,
            Command::Plan { json, dot, .. } => {
                let planned = self.plan(cloud).await?;
                self.print(&if dot {
                    report::chains_dot(&planned.plan)
                } else if json {
                    report::plan_json(&planned.plan)?
                } else {
                    report::plan(&planned.plan, &self.config.settings, self.paint)
                })?;
                Ok(plan_exit(&planned))
            }
            Command::Apply { yes, .. } => {
                let apply = self.apply(cloud, yes);
                kept::alone(self.store.as_ref(), self.now, apply).await
            }
            Command::Run { json, metrics, .. } => {
                let run = self.run(cloud, json, metrics.as_deref());
                kept::alone(self.store.as_ref(), self.now, run).await
            }
            Command::Status { json, metrics, .. } => {
                let planned = self.plan(cloud).await?;
                let plan = &planned.plan;
                let recorded = self.config.records.is_some();
                if let Some(path) = metrics {
                    let text = report::metrics(plan, self.now, recorded, None);
                    metrics::write(&path, &text);
                }
                self.print(&if json {
                    report::status_json(plan, recorded)?
                } else {
                    report::status(plan, recorded, self.paint)
                })?;
                Ok(
                    if plan.is_held() || planned.is_denying_a_host(&self.config.settings) {
                        Exit::Held
                    } else {
                        Exit::Done
                    },
                )
            }
            Command::Explain {
                role,
                instance,
                from,
                action,
                json,
            } => {
                let Planned { estate, plan } = self.plan(cloud).await?;
                let is_pinned = plan.role(&role).is_some_and(|role| role.in_force.is_some());
                let answer = credpin_core::explain::explain(
                    &estate, &plan, &role, &instance, &from, &action,
                )?;
                self.print(&if json {
                    serde_json::to_string_pretty(&answer)? + "\n"
                } else {
                    report::explain(&answer, is_pinned, self.paint)
                })?;
                Ok(Exit::Done)
            }
            Command::Release {
                roles,
                all,
                previous,
                undo,
            } => {
                let whose = if all { Whose::All } else { Whose::Roles(roles) };
                let released = match (previous, undo) {
                    (true, _) => {
                        release::previous(cloud, &whose, &self.config.settings, self.now).await?
                    }
                    (_, true) => release::undo(cloud, &whose, &self.config.settings).await,
                    _ => release::release(cloud, &whose, self.now).await,
                };
                self.released(&released)
            }
            Command::Replay { trail, json, .. } => {
                let seen = cloud.observe().await;
                let records = self.records().await;
                let settings = &self.config.settings;
                let planned = flow::understand(&seen, settings, &records, self.now)?;
                let plan = report::plan_json(&planned.plan)?;
                let pins = replay::pins(&plan, trace::homes_in(&seen, settings))?;
                let (state, how) = (self.store.as_ref(), (json, self.paint));
                replay::replay(pins, &trail.cloudtrail, state, self.now, how).await
            }
            Command::Triage { trail, json } => {
                let seen = cloud.observe().await;
                let homes = trace::homes_in(&seen, &self.config.settings);
                replay::triage(&homes, &trail.cloudtrail, json, self.paint).await
            }
            Command::Revoke(revoke) => self.revoke(cloud, revoke).await,
            Command::Trace { .. }
            | Command::Detect(_)
            | Command::Tokens(_)
            | Command::Completions { .. } => Ok(Exit::Done),
        }
    }

    async fn observe<C: Observe>(
        &self,
        cloud: &C,
        out: Option<PathBuf>,
    ) -> Result<Exit, CommandError> {
        let seen = cloud.observe().await;
        let estate = estate(&seen);
        if let Some(path) = out {
            dir::save(&seen, &path)?;
        }
        self.print(&report::view(&seen, &estate, self.paint))?;
        Ok(if estate.gaps.is_empty() {
            Exit::Done
        } else {
            Exit::Held
        })
    }

    async fn plan<C: Observe>(&self, cloud: &C) -> Result<Planned, CommandError> {
        let records = self.records().await;
        let planned = flow::plan(cloud, &self.config.settings, &records, self.now).await?;
        match (&self.account, &planned.estate.account) {
            (Some(meant), Some(found)) if meant != found => Err(CommandError::OtherAccount {
                found: found.clone(),
            }),
            _ => Ok(planned),
        }
    }

    async fn apply<C: Observe + WriteIam + Contain>(
        &self,
        cloud: &C,
        yes: bool,
    ) -> Result<Exit, CommandError> {
        if yes {
            return self.run(cloud, false, None).await;
        }
        let records = self.records().await;
        let mut asked = false;
        let agree = |plan: &Plan| {
            if asked {
                self.print("\nMeanwhile the account has changed. Now this is to be done:\n\n")?;
            }
            asked = true;
            self.print(&report::plan(plan, &self.config.settings, self.paint))?;
            if plan.steps().next().is_none() {
                return Ok(false);
            }
            let agreed = confirmed()?;
            if !agreed {
                self.print("Nothing was done.\n")?;
            }
            Ok::<_, CommandError>(agreed)
        };
        let settings = &self.config.settings;
        match flow::agreed(cloud, settings, &records, self.now, agree).await? {
            Answer::Yes(planned) => self.carry_out(cloud, planned, false, None).await,
            Answer::No(planned) => Ok(plan_exit(&planned)),
        }
    }

    async fn run<C: Observe + WriteIam + Contain>(
        &self,
        cloud: &C,
        json: bool,
        metrics: Option<&Path>,
    ) -> Result<Exit, CommandError> {
        let planned = self.plan(cloud).await?;
        if !json {
            let settings = &self.config.settings;
            self.print(&report::plan(&planned.plan, settings, self.paint))?;
        }
        let cuts = planned.estate.cuts.clone();
        let exit = self.carry_out(cloud, planned, json, metrics).await;
        self.expire_cuts(cloud, &cuts).await;
        exit
    }

    async fn carry_out<C: Observe + WriteIam>(
        &self,
        cloud: &C,
        planned: Planned,
        json: bool,
        metrics: Option<&Path>,
    ) -> Result<Exit, CommandError> {
        let Planned { plan, estate } = planned;
        let store = self.published_to();
        let publisher = store.as_ref().map(|store| Publisher {
            store,
            estate: &estate,
            settings: &self.config.settings,
            now: self.now,
        });
        if let Some(publisher) = &publisher {
            published(publisher.before(&plan).await);
        }
        let run = flow::carry_out(plan, cloud).await;
        let exit = self.carried_out(&run, json, metrics).await;
        if let Some(publisher) = &publisher {
            cloud.settle(publisher.wait(&run)).await;
            published(publisher.after(&run).await);
        }
        exit
    }

    /// Where hosts read what pins admit, if the config wants that. A run is done whether or not it
    /// can be said there.
    fn published_to(&self) -> Option<RecordStore> {
        let url = self
            .config
            .records
            .as_ref()
            .filter(|_| self.config.publish_pins)?;
        let access = Access::Variables(config::variables());
        let opened = RecordStore::open(url, &access);
        opened
            .inspect_err(|error| {
                tracing::warn!("what pins admit is not published: {}", chain(error));
            })
            .ok()
    }

    async fn carried_out(
        &self,
        run: &Run,
        json: bool,
        metrics: Option<&Path>,
    ) -> Result<Exit, CommandError> {
        let figures = RunFigures::of(run, self.now);
        self.print(&if json {
            figures.to_json()?
        } else {
            report::run(run, self.paint)
        })?;
        tracing::info!(target: "credpin::run", "{}", report::run_line(run));
        let recorded = self.config.records.is_some();
        kept::keep(self.store.as_ref(), metrics, run, &figures, recorded).await?;
        self.out.did(figures);
        Ok(match run {
            run if !run.is_complete() => Exit::Failed,
            run if run.plan.is_held() => Exit::Held,
            _ => Exit::Done,
        })
    }

    fn released(&self, released: &Released) -> Result<Exit, CommandError> {
        self.print(&report::released(released, self.paint))?;
        let complete = released.failed.is_empty() && released.gaps.is_empty();
        Ok(if complete { Exit::Done } else { Exit::Failed })
    }

    /// What hosts recorded of late; of the one account, where there are several.
    async fn records(&self) -> Vec<Record> {
        let mut records = match &self.records {
            Some(records) => records.to_vec(),
            None => kept::records(&self.config, self.now).await,
        };
        if let Some(account) = &self.account {
            records.retain(|record| record.host.account == account.as_str());
        }
        records
    }
}

/// What hosts recorded since then.
async fn read_records(
    config: &Config,
    since: Option<Timestamp>,
) -> Result<Vec<Record>, CommandError> {
    let Some(url) = &config.records else {
        return Ok(Vec::new());
    };
    if let StoreUrl::Directory(path) = url
        && !path.exists()
    {
        return Err(CommandError::NoRecords(path.clone()));
    }
    let access = Access::Variables(config::variables());
    let read = RecordStore::open(url, &access)?.read(since).await?;
    for warning in &read.warnings {
        tracing::warn!("left out of the record store: {warning}");
    }
    Ok(read.records)
}

/// Says what became of what hosts read.
fn published(result: Result<usize, PublishError>) {
    match result {
        Ok(roles) => tracing::info!(roles, "published what pins admit"),
        Err(error) => tracing::warn!("hosts read what an older run published: {}", chain(&error)),
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

fn plan_exit(planned: &Planned) -> Exit {
    let blind = |gap: &Gap| gap.region.is_none();
    if planned.plan.is_held() || planned.plan.gaps.iter().any(blind) {
        Exit::Held
    } else if planned.plan.steps().next().is_some() {
        Exit::Changes
    } else {
        Exit::Done
    }
}
