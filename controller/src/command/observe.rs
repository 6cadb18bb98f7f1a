//! `credpin observe`.

use std::path::PathBuf;

use super::{CommandError, Context, Exit};
use crate::{
    cloud::{Observe, dir, estate::estate},
    report,
};

impl Context {
    pub(super) async fn observe<C: Observe>(
        &self,
        cloud: &C,
        out: Option<PathBuf>,
    ) -> Result<Exit, CommandError> {
        let seen = cloud.observe().await;
        let estate = estate(&seen);
        if let Some(path) = out {
            dir::save(&seen, &path)?;
        }
        self.print(&report::view(&seen, &estate, self.paint))?;
        Ok(if estate.gaps.is_empty() {
            Exit::Done
        } else {
            Exit::Held
        })
    }
}
