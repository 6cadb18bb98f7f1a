//! A plan in a file: written by `credpin plan --out`, read by people, replayed, and carried out by
//! `credpin apply FILE`, as it stands or not at all.
//!
//! What is carried out is never the file. The account is looked at again, what it calls for now is planned
//! and proven, and where that is step for step what the file has, it is done. So nothing is written that
//! was not proven against what is there, and nothing that nobody read.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use credpin_core::{id::AccountId, plan::Plan, policy::Digest};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{cli::Once, report};

mod stale;

use stale::RoleFile;
pub use stale::{Changed, Stale};

/// How old a plan may be that is carried out: what a person read yesterday is no decision for today.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What a plan file has beside the plan.
#[derive(Clone, Debug, Serialize)]
pub struct Head<'a> {
    /// Of the text, with nothing in this place. It finds what was changed by hand or on the way, and is no
    /// signature.
    pub digest: String,
    /// When the plan was made.
    pub made: Timestamp,
    /// What held for it only.
    pub once: &'a Once,
}

/// The plans of a file.
#[derive(Clone, Debug)]
pub struct PlanFile {
    path: PathBuf,
    plans: Plans,
}

#[derive(Clone, Debug)]
enum Plans {
    /// Of the one account that there is.
    One(Box<SavedPlan>),
    /// Of several; none where there is no plan of an account.
    Many(BTreeMap<AccountId, Option<SavedPlan>>),
}

/// A plan that was written down.
#[derive(Clone, Debug, Deserialize)]
pub struct SavedPlan {
    schema: u32,
    account: Option<AccountId>,
    /// What `--json` prints lacks these: it is the same whenever it is printed.
    digest: Option<String>,
    made: Option<Timestamp>,
    #[serde(default)]
    once: Once,
    roles: Vec<RoleFile>,
}

/// A plan file cannot be carried out.
#[derive(Debug, Error)]
#[error("{}: {why}; write it anew with `credpin plan --out {}`", path.display(), path.display())]
pub struct PlanFileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: Unusable,
}

/// Why a plan file cannot be carried out.
#[derive(Debug, Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unread(#[source] io::Error),
    /// It is no plan.
    #[error("this is no plan: {0}")]
    NoPlan(#[source] serde_json::Error),
    /// It is a plan that was printed, or one of another version.
    #[error("this is not what `credpin plan --out` of this version writes")]
    NoFile,
    /// It is not what was written.
    #[error("it was changed since credpin wrote it, and is not carried out")]
    Edited,
    /// It is too old.
    #[error("the plan is of {0}, and plans are carried out for a day")]
    TooOld(Timestamp),
    /// It is of another account.
    #[error("the plan is of account {plan}, and not of {found}")]
    OtherAccount {
        /// Whose it is.
        plan: String,
        /// Who was looked at.
        found: String,
    },
    /// It has nothing of an account.
    #[error("it has no plan of account {0}")]
    Without(AccountId),
    /// It is of several accounts, and the config has none.
    #[error("it has the plans of several accounts, and the config has none")]
    Several,
    /// Something else is called for.
    #[error("nothing was done, because it is no longer what is called for:\n{0}\n")]
    Stale(Stale),
}

/// The plan as a file has it: what `credpin plan --json` prints, under a head.
pub fn to_text(plan: &Plan, made: Timestamp, once: &Once) -> serde_json::Result<String> {
    let head = Head {
        digest: String::new(),
        made,
        once,
    };
    let text = report::plan_file(plan, &head)?;
    let digest = Digest::of_text(&text).to_string();
    Ok(text.replacen(&field(""), &field(&digest), 1))
}

fn field(digest: &str) -> String {
    format!("\"digest\": \"{digest}\"")
}

/// Puts `text` into the file as a whole, for nobody else to read: a plan says how an account is laid out.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    // A device or a link would be gone afterwards, with a file in its place.
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        let why = "it is there and no regular file: name another";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

impl PlanFile {
    /// The plans in a file, if they are whole and not too old by `now`.
    pub fn read(path: &Path, now: Timestamp) -> Result<Self, PlanFileError> {
        let refused = |why| PlanFileError {
            path: path.to_owned(),
            why,
        };
        let text = fs::read_to_string(path).map_err(|error| refused(Unusable::Unread(error)))?;
        let plans = Plans::parse(&text, now).map_err(refused)?;
        Ok(Self {
            path: path.to_owned(),
            plans,
        })
    }

    /// The accounts that it names.
    pub fn accounts(&self) -> Vec<AccountId> {
        match &self.plans {
            Plans::One(plan) => plan.account.iter().cloned().collect(),
            Plans::Many(plans) => plans.keys().cloned().collect(),
        }
    }

    /// The plan of an account; none is the one that there is.
    pub fn of(&self, account: Option<&AccountId>) -> Result<&SavedPlan, PlanFileError> {
        match (&self.plans, account) {
            (Plans::One(plan), _) => Ok(plan),
            (Plans::Many(_), None) => Err(self.refused(Unusable::Several)),
            (Plans::Many(plans), Some(account)) => plans
                .get(account)
                .and_then(Option::as_ref)
                .ok_or_else(|| self.refused(Unusable::Without(account.clone()))),
        }
    }

    /// `fresh`, with the waits that `plan` has, if it has the same steps.
    pub fn hold(&self, plan: &SavedPlan, fresh: Plan) -> Result<Plan, PlanFileError> {
        if plan.account != fresh.account {
            let named = |account: &Option<AccountId>| {
                account
                    .as_ref()
                    .map_or("nobody knows whom".to_owned(), ToString::to_string)
            };
            return Err(self.refused(Unusable::OtherAccount {
                plan: named(&plan.account),
                found: named(&fresh.account),
            }));
        }
        stale::same(&plan.roles, fresh).map_err(|stale| self.refused(Unusable::Stale(stale)))
    }

    fn refused(&self, why: Unusable) -> PlanFileError {
        PlanFileError {
            path: self.path.clone(),
            why,
        }
    }
}

impl Plans {
    fn parse(text: &str, now: Timestamp) -> Result<Self, Unusable> {
        /// What `credpin plan --json` prints of several accounts.
        #[derive(Deserialize)]
        struct Several {
            accounts: Option<Vec<OfAccount>>,
        }
        #[derive(Deserialize)]
        struct OfAccount {
            account: AccountId,
            result: Option<Box<RawValue>>,
        }
        let several: Several = serde_json::from_str(text).map_err(Unusable::NoPlan)?;
        let Some(accounts) = several.accounts else {
            return Ok(Self::One(Box::new(SavedPlan::parse(text, now)?)));
        };
        let plans = accounts.into_iter().map(|of| {
            let plan = of.result.map(|plan| SavedPlan::parse(plan.get(), now));
            Ok((of.account, plan.transpose()?))
        });
        Ok(Self::Many(plans.collect::<Result<_, Unusable>>()?))
    }
}

impl SavedPlan {
    /// What held for it only.
    pub fn once(&self) -> &Once {
        &self.once
    }

    fn parse(text: &str, now: Timestamp) -> Result<Self, Unusable> {
        let plan: Self = serde_json::from_str(text).map_err(Unusable::NoPlan)?;
        let (2, Some(digest), Some(made)) = (plan.schema, &plan.digest, plan.made) else {
            return Err(Unusable::NoFile);
        };
        let bare = text.replacen(&field(digest), &field(""), 1);
        if Digest::of_text(&bare).to_string() != *digest {
            return Err(Unusable::Edited);
        }
        if now.duration_since(made) > GOOD_FOR {
            return Err(Unusable::TooOld(made));
        }
        Ok(plan)
    }
}
