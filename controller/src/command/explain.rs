//! `credpin explain`.

use super::{CommandError, Context, Exit, context::same};
use crate::{cli, cloud::Observe, flow::Planned, report};

impl Context {
    pub(super) async fn explain<C: Observe>(
        &self,
        cloud: &C,
        asked: &cli::Explain,
    ) -> Result<Exit, CommandError> {
        let Planned { estate, plan } = self.plan(cloud).await?;
        same(asked.role.account.as_ref(), estate.account.as_ref())?;
        let role = &asked.role.role;
        let is_pinned = plan.role(role).is_some_and(|role| role.in_force.is_some());
        let answer = credpin_core::explain::explain(
            &estate,
            &plan,
            role,
            &asked.instance,
            &asked.from,
            &asked.action,
        )?;
        self.print(&if asked.json {
            serde_json::to_string_pretty(&answer)? + "\n"
        } else {
            report::explain(&answer, is_pinned, self.paint)
        })?;
        Ok(Exit::Done)
    }
}
