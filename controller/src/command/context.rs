//! A command on one account: what it works with, and who does it.

use std::{io, sync::Arc};

use credpin_core::id::AccountId;
use credpin_ledger::{Record, RecordStore};
use jiff::Timestamp;

use super::{CommandError, Exit, kept, out::Out, plan::Shown};
use crate::{
    cli::Command,
    cloud::{Observe, WriteIam, contain::Contain},
    config::Config,
    plan_file::PlanFile,
    release::Whose,
    report::Paint,
};

/// What a command works with, but for the cloud.
pub(super) struct Context {
    pub(super) config: Config,
    /// The controller's own.
    pub(super) store: Option<RecordStore>,
    pub(super) now: Timestamp,
    pub(super) paint: Paint,
    /// What is to be carried out, where it was planned before.
    pub(super) file: Option<Arc<PlanFile>>,
    /// Where it is one of several.
    pub(super) account: Option<AccountId>,
    /// Records, where they have been read already.
    pub(super) records: Option<Arc<[Record]>>,
    pub(super) out: Out,
}

impl Context {
    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        self.out.print(text)
    }

    pub(super) async fn execute<C: Observe + WriteIam + Contain>(
        &self,
        command: Command,
        cloud: &C,
    ) -> Result<Exit, CommandError> {
        match command {
            Command::Observe { out } => self.observe(cloud, out).await,
            Command::Plan {
                once,
                out,
                json,
                dot,
            } => {
                let shown = Shown { out, json, dot };
                self.show_plan(cloud, &once, &shown).await
            }
            Command::Apply { yes, .. } => {
                let apply = async {
                    match &self.file {
                        Some(file) => self.apply_file(cloud, file).await,
                        None => self.apply(cloud, yes).await,
                    }
                };
                kept::alone(self.store.as_ref(), self.now, apply).await
            }
            Command::Run { json, metrics, .. } => {
                let run = self.run(cloud, json, metrics.as_deref());
                kept::alone(self.store.as_ref(), self.now, run).await
            }
            Command::Status { json, metrics, .. } => {
                self.status(cloud, json, metrics.as_deref()).await
            }
            Command::Explain(asked) => self.explain(cloud, &asked).await,
            Command::Release {
                roles,
                all,
                previous,
                undo,
            } => {
                let whose = if all { Whose::All } else { Whose::Roles(roles) };
                self.release(cloud, &whose, previous, undo).await
            }
            Command::Replay { trail, json, .. } => {
                self.replay(cloud, &trail.cloudtrail, json).await
            }
            Command::Revoke(revoke) => self.revoke(cloud, revoke).await,
            Command::Trace { .. }
            | Command::Triage { .. }
            | Command::Detect(_)
            | Command::Tokens(_)
            | Command::Completions { .. } => Ok(Exit::Done),
        }
    }

    /// That what was seen is of the account that was meant.
    pub(super) fn is_meant(&self, found: Option<&AccountId>) -> Result<(), CommandError> {
        same(self.account.as_ref(), found)
    }

    /// What hosts recorded of late; of the one account, where there are several.
    pub(super) async fn records(&self) -> Arc<[Record]> {
        let mut records = match &self.records {
            Some(records) => records.to_vec(),
            None => kept::records(&self.config, self.now).await,
        };
        if let Some(account) = &self.account {
            records.retain(|record| record.host.account == account.as_str());
        }
        records.into()
    }
}

/// That what was found is of the account that was meant, as far as both are known.
pub(super) fn same(
    meant: Option<&AccountId>,
    found: Option<&AccountId>,
) -> Result<(), CommandError> {
    match (meant, found) {
        (Some(meant), Some(found)) if meant != found => Err(CommandError::OtherAccount {
            meant: meant.clone(),
            found: found.clone(),
        }),
        _ => Ok(()),
    }
}
