//! What a command on several accounts tells: each under its name, and all of them together.

use std::{collections::BTreeMap, path::PathBuf};

use credpin_core::{
    id::AccountId,
    plan::{Decision, Idle},
};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{
    Command, CommandError, Exit,
    many::{Ended, together},
    metrics,
    out::Gathered,
    print,
};
use crate::{
    cloud::Calls,
    plan_file,
    report::{self, AccountJson, AccountsJson, Paint},
    state::OfAccount,
};

/// What was told of the accounts that have ended.
pub(super) struct Told {
    pub(super) json: bool,
    paint: Paint,
    began: Timestamp,
    /// The files that all accounts go into.
    plan_to: Option<PathBuf>,
    metrics_to: Option<PathBuf>,
    all: BTreeMap<AccountId, OfAccount>,
    calls: Calls,
    results: Vec<(AccountId, String)>,
    plans: Vec<(AccountId, String)>,
    metrics: Vec<String>,
    /// What bears on nothing in each account so far; none before the first.
    idle: Option<BTreeMap<Decision, Option<String>>>,
    /// Whether an account was not planned for: something may bear on that one.
    is_blind: bool,
}

impl Told {
    pub(super) fn new(command: &Command, calls: Calls, began: Timestamp, paint: Paint) -> Self {
        let (plan_to, metrics_to) = match command {
            Command::Plan { out, .. } => (out.clone(), None),
            Command::Run { metrics, .. } | Command::Status { metrics, .. } => {
                (None, metrics.clone())
            }
            _ => (None, None),
        };
        Self {
            json: command.for_machines(),
            paint,
            began,
            plan_to,
            metrics_to,
            all: BTreeMap::new(),
            calls,
            results: Vec::new(),
            plans: Vec::new(),
            metrics: Vec::new(),
            idle: None,
            is_blind: false,
        }
    }

    /// Tells of one.
    pub(super) fn tell(&mut self, ended: Ended) -> Result<(), CommandError> {
        for (call, number) in &ended.calls {
            *self.calls.entry(call.clone()).or_default() += number;
        }
        let exit = ended.exit.as_ref().map_or(Exit::Failed, |exit| *exit);
        let (id, of) = ended.of_account(exit);
        let Gathered {
            said,
            idle,
            plan,
            metrics,
            ..
        } = ended.gathered;
        if self.json {
            self.results.push((id.clone(), said));
        } else {
            let error = of.error.as_deref();
            print(&report::account(&id, &said, error, self.paint))?;
        }
        match idle {
            Some(idle) => self.idle_in_one_more(idle),
            None => self.is_blind = true,
        }
        self.plans.push((id.clone(), plan.unwrap_or_default()));
        self.metrics.extend(metrics);
        self.all.insert(id, of);
        Ok(())
    }

    /// Tells of all together; `is_all` if there are no others.
    pub(super) fn end(
        self,
        is_all: bool,
    ) -> Result<(BTreeMap<AccountId, OfAccount>, Calls, Exit), CommandError> {
        let exit = together(&self.all);
        let warnings: Vec<String> = if is_all && !self.is_blind {
            let idle = self.idle.iter().flat_map(BTreeMap::values);
            idle.flatten().cloned().collect()
        } else {
            Vec::new()
        };
        if let Some(path) = self.plan_to.clone() {
            let text = self.machines(&self.plans, &warnings, exit)?;
            plan_file::write(&path, &text)
                .map_err(|source| CommandError::PlanOut { path, source })?;
        }
        if let Some(path) = &self.metrics_to {
            metrics::write(path, &report::metrics_of_all(&self.metrics, &self.all));
        }
        if self.json {
            print(&self.machines(&self.results, &warnings, exit)?)?;
        } else {
            let warned = report::accounts_warned(&warnings, self.paint);
            let all = report::accounts(&self.all, &self.calls, self.paint);
            print(&format!("{warned}{all}"))?;
        }
        Ok((self.all, self.calls, exit))
    }

    /// What bears on nothing in this account either.
    fn idle_in_one_more(&mut self, idle: Vec<Idle>) {
        let mut here: BTreeMap<_, _> = idle
            .into_iter()
            .map(|idle| (idle.decision, idle.why))
            .collect();
        match &mut self.idle {
            None => self.idle = Some(here),
            Some(so_far) => so_far.retain(|decision, why| match here.remove(decision) {
                Some(also) => {
                    *why = why.take().or(also);
                    true
                }
                None => false,
            }),
        }
    }

    fn machines(
        &self,
        said: &[(AccountId, String)],
        warnings: &[String],
        exit: Exit,
    ) -> Result<String, CommandError> {
        let accounts = said.iter().map(|(id, said)| {
            let of = &self.all[id];
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
            began: self.began,
            exit: exit as u8,
            calls: &self.calls,
            warnings,
            accounts: accounts.collect::<Result<_, serde_json::Error>>()?,
        })?)
    }
}
