//! `credpin plan`.

use credpin_core::estate::Gap;

use super::{CommandError, Context, Exit};
use crate::{
    cloud::Observe,
    flow::{self, Planned},
    report,
};

impl Context {
    pub(super) async fn show_plan<C: Observe>(
        &self,
        cloud: &C,
        json: bool,
        dot: bool,
    ) -> Result<Exit, CommandError> {
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

    pub(super) async fn plan<C: Observe>(&self, cloud: &C) -> Result<Planned, CommandError> {
        let records = self.records().await;
        let planned = flow::plan(cloud, &self.config.settings, &records, self.now).await?;
        match (&self.account, &planned.estate.account) {
            (Some(meant), Some(found)) if meant != found => Err(CommandError::OtherAccount {
                found: found.clone(),
            }),
            _ => Ok(planned),
        }
    }
}

/// What a plan ends with that is not carried out.
pub(super) fn plan_exit(planned: &Planned) -> Exit {
    let blind = |gap: &Gap| gap.region.is_none();
    if planned.plan.is_held() || planned.plan.gaps.iter().any(blind) {
        Exit::Held
    } else if planned.plan.steps().next().is_some() {
        Exit::Changes
    } else {
        Exit::Done
    }
}
