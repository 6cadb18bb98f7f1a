//! Why a command could not be carried out, and what it then ends with.

use std::{io, path::PathBuf};

use credpin_core::{explain::ExplainError, id::AccountId};
use credpin_ledger::{ReadError, StoreError};
use thiserror::Error;

use super::Exit;
use crate::{
    account::SelectError, cloud::dir, cloudtrail::TrailError, config::Mistakes, flow::Blind,
};

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
    /// There is no role of a responder.
    #[error(
        "--as-responder (CREDPIN_AS_RESPONDER): the config names no responder-role, in [organization] or in an \
         [[account]]: name it there, or leave the flag out"
    )]
    NoResponder,
    /// The accounts asked for are not there, or too many.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The organisation's accounts cannot be read.
    #[error(transparent)]
    Organization(#[from] crate::organization::OrganizationError),
    /// What was seen is not of the account that was meant.
    #[error(
        "what was seen is of account {found}, and not of {meant}: look at it with that account's credentials, \
         or in its folder"
    )]
    OtherAccount {
        /// The account that was meant.
        meant: AccountId,
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
    /// The plan cannot be written to a file.
    #[error("cannot write the plan {}", path.display())]
    PlanOut {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The plan cannot be carried out from its file.
    #[error(transparent)]
    PlanToApply(#[from] crate::plan_file::PlanFileError),
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
    /// The plan file named is of several accounts.
    #[error(
        "this is a plan of several accounts: write one of a single account, with `--account ID` of `credpin plan`"
    )]
    SeveralPlans,
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
            | Self::NoResponder
            | Self::NoState
            | Self::NoSource
            | Self::Select(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}
