//! `credpin release`.

use super::{CommandError, Context, Exit};
use crate::{
    cloud::{Observe, WriteIam},
    release::{self, Whose},
    report,
};

impl Context {
    pub(super) async fn release<C: Observe + WriteIam>(
        &self,
        cloud: &C,
        whose: &Whose,
        previous: bool,
        undo: bool,
    ) -> Result<Exit, CommandError> {
        let settings = &self.config.settings;
        let released = match (previous, undo) {
            (true, _) => release::previous(cloud, whose, settings, self.now).await?,
            (_, true) => release::undo(cloud, whose, settings).await,
            _ => release::release(cloud, whose, self.now).await,
        };
        self.print(&report::released(&released, self.paint))?;
        let complete = released.failed.is_empty() && released.gaps.is_empty();
        Ok(if complete { Exit::Done } else { Exit::Failed })
    }
}
