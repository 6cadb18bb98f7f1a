//! A command on several accounts: side by side, each on its own, told in the order of their ids.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use credpin_core::{id::AccountId, shard::Shard};
use credpin_ledger::{Record, RecordStore};
use futures::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Command, CommandError, Context, Exit, chain, kept,
    out::{Gathered, Out},
    print,
    way::Way,
};
use crate::{
    account::{Account, SelectError, select},
    cloud::Calls,
    config::Config,
    plan_file::{self, PlanFile},
    report::{self, AccountJson, AccountsJson, Paint},
    state::{self, OfAccount, Overview},
};

/// Which accounts the command line names.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) named: Vec<AccountId>,
    pub(super) shard: Option<Shard>,
}

/// What all accounts of a command have in common.
pub(super) struct Many {
    pub(super) way: Way,
    pub(super) config: Config,
    pub(super) store: Option<RecordStore>,
    pub(super) chosen: Chosen,
    /// What is to be carried out, where it was planned before.
    pub(super) file: Option<Arc<PlanFile>>,
    pub(super) now: Timestamp,
    pub(super) paint: Paint,
    /// When `now` was, by a clock that goes on.
    pub(super) began: Instant,
}

/// What became of an account.
struct Ended {
    account: AccountId,
    began: Timestamp,
    exit: Result<Exit, CommandError>,
    gathered: Gathered,
    calls: Calls,
}

impl Command {
    /// Whether it says so much of each account by itself that it can be about several.
    fn is_for_many(&self) -> bool {
        match self {
            Command::Observe { .. }
            | Command::Plan { dot: false, .. }
            | Command::Apply { .. }
            | Command::Run { .. }
            | Command::Status { .. } => true,
            Command::Release { all, .. } => *all,
            _ => false,
        }
    }

    fn for_machines(&self) -> bool {
        matches!(
            self,
            Command::Plan { json: true, .. }
                | Command::Run { json: true, .. }
                | Command::Status { json: true, .. }
        )
    }

    fn writes_pins(&self) -> bool {
        matches!(self, Command::Run { .. } | Command::Apply { .. })
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

    /// The same for one of several accounts: what is written to files goes to the account's own.
    fn of_account(&self, account: &AccountId) -> Self {
        let mut command = self.clone();
        match &mut command {
            Command::Observe { out: Some(path) } => path.push(account.as_str()),
            // Beside each other, as `node_exporter` reads them.
            Command::Run {
                metrics: Some(path),
                ..
            }
            | Command::Status {
                metrics: Some(path),
                ..
            } => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                path.set_file_name(format!("{stem}-{account}.prom"));
            }
            _ => {}
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
        let accounts = select(accounts, &self.chosen.named, self.chosen.shard)?;
        let is_named = !self.chosen.named.is_empty();
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
        let store = self.store_of(&account);
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
        self,
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
        let records = match command {
            Command::Observe { .. } | Command::Release { .. } => None,
            _ => Some(Arc::from(kept::records(&self.config, self.now).await)),
        };
        let (began, paint, json) = (self.now, self.paint, command.for_machines());
        let is_run = command.writes_pins();
        let plan_out = match &command {
            Command::Plan { out, .. } => out.clone(),
            _ => None,
        };
        let many = Arc::new(self);
        let mut all = BTreeMap::new();
        let (mut results, mut plans) = (Vec::new(), Vec::new());
        let mut calls = Calls::new();
        let at_a_time = if command.asks() {
            1
        } else {
            many.config.concurrency.0
        };
        let ends = stream::iter(accounts).map(|account| {
            Arc::clone(&many).begin(command.of_account(&account.id), account, records.clone())
        });
        let mut ends = ends.buffered(at_a_time);
        while let Some(ended) = ends.next().await {
            if let Err(CommandError::NobodyToAsk) = ended.exit {
                return ended.exit;
            }
            for (call, number) in &ended.calls {
                *calls.entry(call.clone()).or_default() += number;
            }
            let exit = ended.exit.as_ref().map_or(Exit::Failed, |exit| *exit);
            let (id, of) = ended.of_account(exit);
            let Gathered { said, plan, .. } = ended.gathered;
            if json {
                results.push((id.clone(), said));
            } else {
                let error = of.error.as_deref();
                print(&report::account(&id, &said, error, paint))?;
            }
            plans.push((id.clone(), plan.unwrap_or_default()));
            all.insert(id, of);
        }
        drop(ends);
        let exit = together(&all);
        if let Some(path) = plan_out {
            let text = machines(&all, &plans, &calls, began, exit)?;
            plan_file::write(&path, &text)
                .map_err(|source| CommandError::PlanOut { path, source })?;
        }
        if json {
            print(&machines(&all, &results, &calls, began, exit)?)?;
        } else {
            print(&report::accounts(&all, &calls, paint))?;
        }
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
            // A release must work when all else does not.
            Command::Release { .. } | Command::Observe { .. } => None,
            _ => self.store_of(account),
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

    fn store_of(&self, account: &Account) -> Option<RecordStore> {
        let store = self.store.as_ref()?;
        Some(state::within(store, &account.id))
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
        for account in accounts {
            if !overview.accounts.contains_key(&account.id) {
                tracing::warn!("no run has kept anything of account {} yet", account.id);
            }
        }
        print(&if json {
            serde_json::to_string_pretty(&overview)? + "\n"
        } else {
            format!(
                "As the last runs left it; --fresh looks at the accounts, --account ID shows one's roles.\n\n{}",
                report::accounts_status(&overview, self.paint)
            )
        })?;
        Ok(Some(together(&overview.accounts)))
    }
}

impl Ended {
    fn of_account(&self, exit: Exit) -> (AccountId, OfAccount) {
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
fn together(all: &BTreeMap<AccountId, OfAccount>) -> Exit {
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

fn machines(
    all: &BTreeMap<AccountId, OfAccount>,
    said: &[(AccountId, String)],
    calls: &Calls,
    began: Timestamp,
    exit: Exit,
) -> Result<String, CommandError> {
    let accounts = said.iter().map(|(id, said)| {
        let of = &all[id];
        let result = match said.trim() {
            "" => None,
            said => Some(serde_json::from_str::<&RawValue>(said)?),
        };
        Ok(AccountJson {
            account: id,
            exit: of.exit,
            error: of.error.as_deref(),
            result,
        })
    });
    Ok(report::accounts_json(&AccountsJson {
        schema: 1,
        began,
        exit: exit as u8,
        calls,
        accounts: accounts.collect::<Result<_, serde_json::Error>>()?,
    })?)
}
