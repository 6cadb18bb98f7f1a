//! Where a command's words go: to the reader at once, or together with those of other accounts later.

use std::{
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::terminal;
use crate::{plan_file, report::RunFigures};

/// What was said and not printed, what was done, and the plan that was not written.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) said: String,
    pub(super) did: Option<RunFigures>,
    pub(super) plan: Option<String>,
}

/// Where they go, and what was done, in figures.
#[derive(Debug)]
pub(super) struct Out {
    /// None where they go to stdout.
    said: Option<Mutex<String>>,
    did: Mutex<Option<RunFigures>>,
    plan: Mutex<Option<String>>,
}

impl Out {
    pub(super) fn stdout() -> Self {
        Self {
            said: None,
            did: Mutex::default(),
            plan: Mutex::default(),
        }
    }

    pub(super) fn gathered() -> Self {
        Self {
            said: Some(Mutex::default()),
            did: Mutex::default(),
            plan: Mutex::default(),
        }
    }

    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        let Some(said) = &self.said else {
            return terminal::print(text);
        };
        said.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(text);
        Ok(())
    }

    /// Notes what a run did.
    pub(super) fn did(&self, run: RunFigures) {
        *self.did.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
    }

    /// Writes a plan to its file, or keeps it to be written with those of other accounts.
    pub(super) fn write_plan(&self, path: &Path, text: String) -> io::Result<()> {
        if self.said.is_none() {
            return plan_file::write(path, &text);
        }
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        Ok(())
    }

    /// What is left of it to be told later.
    pub(super) fn end(self) -> Gathered {
        let said = self.said.unwrap_or_default();
        let inner = PoisonError::into_inner;
        Gathered {
            said: said.into_inner().unwrap_or_else(inner),
            did: self
                .did
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            plan: self
                .plan
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        }
    }
}
