//! `credpin revoke`, and what a run does about cuts.

use std::collections::BTreeSet;

use credpin_core::id::PolicyName;

use super::{CommandError, Context, Exit, chain, confirmed, context::same, print};
use crate::{
    cli,
    cloud::contain::Contain,
    report,
    revoke::{self, Choices, Planned, RevokeError, Stamp, Target},
};

impl Context {
    pub(super) async fn revoke<C: Contain>(
        &self,
        cloud: &C,
        asked: cli::Revoke,
    ) -> Result<Exit, CommandError> {
        // A role of that name can be another account's.
        if asked.account().is_some() {
            let found = cloud.account().await.map_err(RevokeError::from)?;
            self.is_meant(Some(&found))?;
            // The account that the command is about is not always the one of the ARN.
            same(asked.account(), Some(&found))?;
        }
        if let Some(id) = &asked.undo {
            let undone = revoke::undo(cloud, id).await?;
            print(&format!("{} is off, and gone.\n", undone.name))?;
            return Ok(Exit::Done);
        }
        if let Some(source) = &asked.cloudtrail {
            let Some(Target::Key(key)) = asked.target() else {
                return Err(RevokeError::NotAKey.into());
            };
            let done = self.revoke_by_trail(cloud, key, source, &asked);
            return Box::pin(done).await;
        }
        let Some(stolen) = asked.target() else {
            let standing = cloud.standing().await.map_err(RevokeError::from)?;
            self.print(&if asked.json {
                report::standing_json(&standing)?
            } else {
                report::standing(&standing, self.paint)
            })?;
            return Ok(Exit::Done);
        };
        let choices = Choices {
            isolate: asked.isolate,
            assumed_by: asked.assumed_by.clone(),
        };
        let records = self.records().await;
        let stolen = revoke::resolve(cloud, stolen, &choices, &records).await?;
        let mut cuts = revoke::plan(&stolen, self.now)?;
        revoke::find_left_keys(cloud, &mut cuts).await;
        print(&if asked.json {
            serde_json::to_string_pretty(&cuts)? + "\n"
        } else {
            report::cuts(&cuts, self.paint)
        })?;
        self.make(cloud, cuts, &asked).await
    }

    /// Makes the cuts that were shown, if that is wanted.
    pub(super) async fn make<C: Contain>(
        &self,
        cloud: &C,
        cuts: Vec<Planned>,
        asked: &cli::Revoke,
    ) -> Result<Exit, CommandError> {
        if !asked.apply {
            if !asked.json {
                print("\nNothing was done. The same with --apply does it.\n")?;
            }
            return Ok(Exit::Changes);
        }
        if !asked.yes && !confirmed()? {
            print("Nothing was done.\n")?;
            return Ok(Exit::Changes);
        }
        let stamp = Stamp {
            made: self.now,
            lineage: None,
        };
        let made = revoke::carry_out(cloud, cuts, stamp).await;
        let report = report::made(&made, self.paint);
        if asked.json {
            eprint!("{report}");
        } else {
            print(&report)?;
        }
        Ok(if made.failed.is_none() {
            Exit::Done
        } else {
            Exit::Failed
        })
    }

    /// Takes ended cuts off. That one stays deny nothing to anybody, so it is told and holds nothing up.
    pub(super) async fn expire_cuts<C: Contain>(&self, cloud: &C, seen: &BTreeSet<PolicyName>) {
        match revoke::expire(cloud, seen, self.now).await {
            Ok(done) => {
                for (standing, result) in done {
                    match result {
                        Ok(()) => tracing::info!("{} has ended and is off", standing.name),
                        Err(error) => {
                            let why = chain(&error);
                            tracing::warn!("{} has ended and is still there: {why}", standing.name);
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(
                "cuts that have ended were not looked for: {}",
                chain(&error)
            ),
        }
    }
}
