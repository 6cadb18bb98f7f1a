//! `credpin status`, where the account is looked at.

use std::path::Path;

use super::{CommandError, Context, Exit};
use crate::{cloud::Observe, report};

impl Context {
    pub(super) async fn status<C: Observe>(
        &self,
        cloud: &C,
        json: bool,
        metrics: Option<&Path>,
    ) -> Result<Exit, CommandError> {
        let planned = self.plan(cloud).await?;
        let plan = &planned.plan;
        let recorded = self.config.records.is_some();
        if let Some(path) = metrics {
            let text = report::metrics(plan, self.now, recorded, None);
            self.out.write_metrics(path, &text);
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
}
