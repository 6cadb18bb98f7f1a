//! A command on several accounts: side by side, each on its own, told in the order of their ids.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use credpin_core::{id::AccountId, shard::Shard};
use credpin_ledger::{Record, RecordStore};
use futures::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Command, CommandError, Context, Exit, chain, kept,
    out::{Gathered, Out},
    print,
    several::Told,
    way::{self, Way},
};
use crate::{
    account::{Account, SelectError, select},
    cli,
    cloud::Calls,
    config::Config,
    plan_file::PlanFile,
    report::{self, Paint},
    state::{self, OfAccount, Overview},
};

/// Which accounts the command line names.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) named: Vec<AccountId>,
    pub(super) shard: Option<Shard>,
}

impl Chosen {
    /// That nothing is chosen, where there is nothing to choose from.
    pub(super) fn needs_none(&self) -> Result<(), SelectError> {
        if self.named.is_empty() && self.shard.is_none() {
            Ok(())
        } else {
            Err(SelectError::None)
        }
    }
}

/// What all accounts of a command have in common.
pub(super) struct Many {
    pub(super) way: Way,
    pub(super) config: Config,
    pub(super) store: Option<RecordStore>,
    pub(super) chosen: Chosen,
    /// What is to be carried out, where it was planned before.
    pub(super) file: Option<Arc<PlanFile>>,
    /// What it took to know which accounts there are.
    pub(super) calls: Calls,
    pub(super) now: Timestamp,
    pub(super) paint: Paint,
    /// When `now` was, by a clock that goes on.
    pub(super) began: Instant,
}

/// What became of an account.
pub(super) struct Ended {
    pub(super) account: AccountId,
    pub(super) began: Timestamp,
    pub(super) exit: Result<Exit, CommandError>,
    pub(super) gathered: Gathered,
    pub(super) calls: Calls,
}

impl Command {
    /// Whether it says so much of each account by itself that it can be about several.
    fn is_for_many(&self) -> bool {
        match self {
            Command::Observe { .. }
            | Command::Plan { dot: false, .. }
            | Command::Apply { .. }
            | Command::Run { .. }
            | Command::Replay { .. }
            | Command::Status { .. } => true,
            Command::Release { all, .. } => *all,
            Command::Revoke(asked) => asked.list,
            _ => false,
        }
    }

    pub(super) fn for_machines(&self) -> bool {
        matches!(
            self,
            Command::Plan { json: true, .. }
                | Command::Run { json: true, .. }
                | Command::Replay { json: true, .. }
                | Command::Status { json: true, .. }
                | Command::Revoke(cli::Revoke { json: true, .. })
        )
    }

    fn writes_pins(&self) -> bool {
        matches!(self, Command::Run { .. } | Command::Apply { .. })
    }

    fn plans(&self) -> bool {
        let writes = self.writes_pins();
        writes
            || matches!(
                self,
                Command::Plan { .. } | Command::Replay { .. } | Command::Status { .. }
            )
    }

    /// Whether a person is asked about each account.
    fn asks(&self) -> bool {
        matches!(
            self,
            Command::Apply {
                yes: false,
                file: None,
                ..
            }
        )
    }

    /// The same for one of several accounts: what is seen of it goes to a folder of its own.
    fn of_account(&self, account: &AccountId) -> Self {
        let mut command = self.clone();
        if let Command::Observe { out: Some(path) } = &mut command {
            path.push(account.as_str());
        }
        command
    }
}

impl Many {
    /// Carries `command` out on those of `accounts` that are chosen.
    pub(super) async fn execute(
        self,
        command: Command,
        accounts: Vec<Account>,
    ) -> Result<Exit, CommandError> {
        let named = &self.chosen.named;
        let is_named = !named.is_empty();
        // Many accounts have a role of that name: neither of the two is to be guessed at.
        if let Some(arn) = command.account()
            && is_named
            && !named.contains(arn)
        {
            let (arn, named) = (arn.clone(), named.clone());
            return Err(SelectError::Otherwise { arn, named }.into());
        }
        let mut accounts = select(accounts, named, self.chosen.shard)?;
        if !is_named
            && !command.is_for_many()
            && let Some(id) = self.whose(&command, &accounts).await
        {
            accounts = select(accounts, &[id], None)?;
        }
        match <[Account; 1]>::try_from(accounts) {
            // One that is asked for by itself is told as if there were no other.
            Ok([account]) if is_named || !command.is_for_many() => {
                Box::pin(self.alone(&command, account)).await
            }
            Ok([account]) => self.side_by_side(command, vec![account]).await,
            Err(accounts) if command.is_for_many() => self.side_by_side(command, accounts).await,
            Err(accounts) => Err(SelectError::One(accounts.len()).into()),
        }
    }

    async fn alone(self, command: &Command, account: Account) -> Result<Exit, CommandError> {
        let store = self.store_of(&account.id);
        if let (
            Command::Status {
                fresh: false,
                json,
                metrics,
            },
            Some(store),
        ) = (command, &store)
            && let Some(exit) = kept::status(store, metrics.as_deref(), *json).await?
        {
            return Ok(exit);
        }
        let ended = Box::pin(self.one(command, &account, Out::stdout(), None)).await;
        let exit = ended.exit.as_ref().map_or(Exit::Failed, |exit| *exit);
        if command.writes_pins() {
            self.keep(&[ended.of_account(exit)].into(), true).await;
        }
        ended.exit
    }

    async fn side_by_side(
        mut self,
        command: Command,
        accounts: Vec<Account>,
    ) -> Result<Exit, CommandError> {
        if let (
            Command::Status {
                fresh: false,
                json,
                metrics: None,
            },
            Some(store),
        ) = (&command, &self.store)
            && let Some(exit) = self.status(store, &accounts, *json).await?
        {
            return Ok(exit);
        }
        if command.plans() && self.config.follow_accounts {
            let (elsewhere, calls) = way::elsewhere(&self.config, &self.way, &accounts).await;
            self.config.settings.elsewhere = Arc::new(elsewhere);
            for (call, number) in calls {
                *self.calls.entry(call).or_default() += number;
            }
        }
        let records = match command {
            Command::Observe { .. } | Command::Release { .. } | Command::Revoke(_) => None,
            _ => Some(Arc::from(kept::records(&self.config, self.now).await)),
        };
        let is_run = command.writes_pins();
        let mut told = Told::new(&command, self.calls.clone(), self.now, self.paint);
        let replayed = match &command {
            Command::Replay { trail, .. } => Some(trail.cloudtrail.clone()),
            _ => None,
        };
        let many = Arc::new(self);
        let at_a_time = if command.asks() {
            1
        } else {
            many.config.concurrency.0
        };
        let ends = stream::iter(accounts).map(|account| {
            Arc::clone(&many).begin(command.of_account(&account.id), account, records.clone())
        });
        let ends = ends.buffered(at_a_time);
        if let Some(source) = replayed {
            for ended in many
                .replay(ends.collect().await, &source, told.json)
                .await?
            {
                told.tell(ended)?;
            }
        } else {
            let mut ends = std::pin::pin!(ends);
            while let Some(ended) = ends.next().await {
                if let Err(CommandError::NobodyToAsk) = ended.exit {
                    return ended.exit;
                }
                told.tell(ended)?;
            }
        }
        let is_all = many.chosen.needs_none().is_ok();
        let (all, calls, exit) = told.end(is_all)?;
        if is_run {
            tracing::info!(target: "credpin::run", "{}", report::accounts_line(&all, &calls));
            let is_whole = many.chosen.named.is_empty();
            many.keep(&all, !is_whole).await;
        }
        Ok(exit)
    }

    /// Begins with an account: not even a bug that one comes upon ends the others.
    async fn begin(
        self: Arc<Self>,
        command: Command,
        account: Account,
        records: Option<Arc<[Record]>>,
    ) -> Ended {
        let (id, began) = (account.id.clone(), self.now());
        // Whatever is logged is about this account.
        let span = tracing::error_span!("account", %id);
        let work = async move {
            let out = if command.asks() {
                Out::stdout()
            } else {
                Out::gathered()
            };
            Box::pin(self.one(&command, &account, out, records)).await
        };
        let ended = Box::pin(AssertUnwindSafe(work.instrument(span)).catch_unwind()).await;
        ended.unwrap_or_else(|_| Ended {
            account: id,
            began,
            exit: Err(CommandError::Bug),
            gathered: Gathered::default(),
            calls: Calls::new(),
        })
    }

    async fn one(
        &self,
        command: &Command,
        account: &Account,
        out: Out,
        records: Option<Arc<[Record]>>,
    ) -> Ended {
        let began = self.now();
        let store = match command {
            // What is urgent must work when all else does not.
            Command::Release { .. } | Command::Revoke(_) | Command::Observe { .. } => None,
            _ => self.store_of(&account.id),
        };
        let mut config = self.config.clone();
        config.settings.replays = kept::replays(store.as_ref()).await;
        config.settings.shared = true;
        if let Some(plan) = self
            .file
            .as_ref()
            .and_then(|file| file.of(Some(&account.id)).ok())
        {
            plan.once().over(&mut config.settings);
        }
        let context = Context {
            config,
            store,
            now: began,
            paint: self.paint,
            file: self.file.clone(),
            account: Some(account.id.clone()),
            records,
            out,
        };
        let command = command.clone();
        let (exit, calls) = match &self.way {
            Way::Dir(dir) => match dir.in_account(&account.id) {
                Ok(dir) => {
                    let exit = Box::pin(context.execute(command, &dir)).await;
                    (exit, Calls::new())
                }
                Err(error) => (Err(error.into()), Calls::new()),
            },
            #[cfg(feature = "aws")]
            Way::Aws(aws) => match aws.in_account(account).await {
                Ok(aws) => {
                    use crate::cloud::Observe;
                    // Large, because of all the calls that it may make.
                    let exit = Box::pin(context.execute(command, &aws)).await;
                    (exit, aws.calls())
                }
                Err(error) => (Err(error.into()), Calls::new()),
            },
        };
        let gathered = context.out.end();
        Ended {
            account: account.id.clone(),
            began,
            exit,
            gathered,
            calls,
        }
    }

    pub(super) fn store_of(&self, account: &AccountId) -> Option<RecordStore> {
        let store = self.store.as_ref()?;
        Some(state::within(store, account))
    }

    /// The time by now: the lock of an account that is come to late must not be one that began with the
    /// first.
    fn now(&self) -> Timestamp {
        let past = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        self.now.saturating_add(past).unwrap_or(Timestamp::MAX)
    }

    /// Keeps what all came to, in the place of what was kept, or `among` it. The runs are done whether or
    /// not that can be kept.
    async fn keep(&self, all: &BTreeMap<AccountId, OfAccount>, among: bool) {
        let Some(store) = &self.store else { return };
        let overview = Overview::new(all.clone());
        let kept = if among {
            overview.amend(store).await
        } else {
            let shard = self.chosen.shard.unwrap_or_default();
            overview.keep(store, shard).await.map_err(Into::into)
        };
        if let Err(error) = kept {
            tracing::warn!("`credpin status` shows older runs: {}", chain(&error));
        }
    }

    /// The status as the last runs left it; none where none has kept one.
    async fn status(
        &self,
        store: &RecordStore,
        accounts: &[Account],
        json: bool,
    ) -> Result<Option<Exit>, CommandError> {
        let Some(mut overview) = Overview::read(store).await? else {
            tracing::warn!("no run has kept its state yet: looking at the accounts");
            return Ok(None);
        };
        let asked = |id: &AccountId| accounts.iter().any(|account| account.id == *id);
        overview.accounts.retain(|id, _| asked(id));
        let kept = |account: &&Account| overview.accounts.contains_key(&account.id);
        let unknown: Vec<_> = accounts.iter().filter(|it| !kept(it)).collect();
        for account in &unknown {
            tracing::warn!("no run has kept anything of account {} yet", account.id);
        }
        // Of some there is nothing to tell, as of those that failed.
        let is_partial = !unknown.is_empty();
        print(&if json {
            serde_json::to_string_pretty(&overview)? + "\n"
        } else {
            format!(
                "As the last runs left it; --fresh looks at the accounts, --account ID shows one's roles.\n\n{}",
                report::accounts_status(&overview, self.paint)
            )
        })?;
        Ok(Some(match together(&overview.accounts) {
            Exit::Failed => Exit::Failed,
            _ if is_partial => Exit::Partly,
            exit => exit,
        }))
    }
}

impl Ended {
    pub(super) fn of_account(&self, exit: Exit) -> (AccountId, OfAccount) {
        let of = OfAccount {
            began: self.began,
            exit: exit as u8,
            error: self.exit.as_ref().err().map(|error| chain(error)),
            run: self.gathered.did.clone(),
        };
        (self.account.clone(), of)
    }
}

/// What all accounts come to: the worst, but that where only some failed, that is told apart.
pub(super) fn together(all: &BTreeMap<AccountId, OfAccount>) -> Exit {
    let failed = all.values().filter(|account| account.failed()).count();
    let any = |exit: Exit| all.values().any(|account| account.exit == exit as u8);
    if failed > 0 && failed == all.len() {
        Exit::Failed
    } else if failed > 0 {
        Exit::Partly
    } else if any(Exit::Held) {
        Exit::Held
    } else if any(Exit::Changes) {
        Exit::Changes
    } else {
        Exit::Done
    }
}
