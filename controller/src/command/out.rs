//! Where a command's words go: to the reader at once, or together with those of other accounts later.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use super::terminal;
use crate::report::RunFigures;

/// Where they go, and what was done, in figures.
#[derive(Debug)]
pub(super) struct Out {
    /// None where they go to stdout.
    said: Option<Mutex<String>>,
    did: Mutex<Option<RunFigures>>,
}

impl Out {
    pub(super) fn stdout() -> Self {
        Self {
            said: None,
            did: Mutex::default(),
        }
    }

    pub(super) fn gathered() -> Self {
        Self {
            said: Some(Mutex::default()),
            did: Mutex::default(),
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

    /// What was said and not printed, and what was done.
    pub(super) fn end(self) -> (String, Option<RunFigures>) {
        let said = self.said.unwrap_or_default();
        (
            said.into_inner().unwrap_or_else(PoisonError::into_inner),
            self.did
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}
