//! `credpin plan`.

use std::path::PathBuf;

use credpin_core::estate::Gap;

use super::{CommandError, Context, Exit};
use crate::{
    cli::Once,
    cloud::Observe,
    flow::{self, Planned},
    plan_file, report,
};

/// How a plan is shown, and where it goes beside.
pub(super) struct Shown {
    pub(super) out: Option<PathBuf>,
    pub(super) json: bool,
    pub(super) dot: bool,
}

impl Context {
    pub(super) async fn show_plan<C: Observe>(
        &self,
        cloud: &C,
        once: &Once,
        shown: &Shown,
    ) -> Result<Exit, CommandError> {
        let planned = self.plan(cloud).await?;
        if let Some(path) = &shown.out {
            let text = plan_file::to_text(&planned.plan, self.now, once)?;
            let written = self.out.write_plan(path, text);
            written.map_err(|source| CommandError::PlanOut {
                path: path.clone(),
                source,
            })?;
        }
        self.print(&if shown.dot {
            report::chains_dot(&planned.plan)
        } else if shown.json {
            report::plan_json(&planned.plan)?
        } else {
            report::plan(&planned.plan, &self.config.settings, self.paint)
        })?;
        Ok(plan_exit(&planned))
    }

    pub(super) async fn plan<C: Observe>(&self, cloud: &C) -> Result<Planned, CommandError> {
        let records = self.records().await;
        let settings = &self.config.settings;
        let planned = flow::plan_aside(cloud, settings, records, self.now).await?;
        self.out.idle(&planned.plan.idle);
        self.is_meant(planned.estate.account.as_ref())?;
        Ok(planned)
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
