//! `credpin apply`.

use credpin_core::plan::Plan;

use super::{CommandError, Context, Exit, confirmed, plan::plan_exit};
use crate::{
    cloud::{Observe, WriteIam, contain::Contain},
    flow::{self, Answer, Planned},
    plan_file::PlanFile,
    report,
};

impl Context {
    pub(super) async fn apply<C: Observe + WriteIam + Contain>(
        &self,
        cloud: &C,
        yes: bool,
    ) -> Result<Exit, CommandError> {
        if yes {
            return self.run(cloud, false, None).await;
        }
        let records = self.records().await;
        let mut asked = false;
        let agree = |plan: &Plan| {
            if asked {
                self.print("\nMeanwhile the account has changed. Now this is to be done:\n\n")?;
            }
            asked = true;
            self.print(&report::plan(plan, &self.config.settings, self.paint))?;
            if plan.steps().next().is_none() {
                return Ok(false);
            }
            let agreed = confirmed()?;
            if !agreed {
                self.print("Nothing was done.\n")?;
            }
            Ok::<_, CommandError>(agreed)
        };
        let settings = &self.config.settings;
        match flow::agreed(cloud, settings, &records, self.now, agree).await? {
            Answer::Yes(planned) => self.carry_out(cloud, planned, false, None).await,
            Answer::No(planned) => Ok(plan_exit(&planned)),
        }
    }

    /// Carries out what `file` has of the account, if that is what is called for now.
    pub(super) async fn apply_file<C: Observe + WriteIam + Contain>(
        &self,
        cloud: &C,
        file: &PlanFile,
    ) -> Result<Exit, CommandError> {
        let saved = file.of(self.account.as_ref())?;
        let Planned { estate, plan } = self.plan(cloud).await?;
        let plan = file.hold(saved, plan)?;
        self.print(&report::plan(&plan, &self.config.settings, self.paint))?;
        let planned = Planned { estate, plan };
        self.carry_out(cloud, planned, false, None).await
    }
}
