//! Where a command's words go: to the reader at once, or together with those of other accounts later.

use std::{
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use credpin_core::{plan::Idle, replay::Pins};

use super::{metrics, terminal};
use crate::{plan_file, report::RunFigures};

/// Where they go, and what is left of it to be told later.
#[derive(Debug)]
pub(super) struct Out {
    at_once: bool,
    gathered: Mutex<Gathered>,
}

/// What is told with that of other accounts.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// What was said.
    pub(super) said: String,
    /// What was done, in figures.
    pub(super) did: Option<RunFigures>,
    /// Decisions that bear on nothing in the account; none where it was not planned for.
    pub(super) idle: Option<Vec<Idle>>,
    /// The plan for a file.
    pub(super) plan: Option<String>,
    /// The metrics for a file.
    pub(super) metrics: Option<String>,
    /// What history is to be run against.
    pub(super) pins: Option<Pins>,
}

impl Out {
    pub(super) fn stdout() -> Self {
        Self {
            at_once: true,
            gathered: Mutex::default(),
        }
    }

    pub(super) fn gathered() -> Self {
        Self {
            at_once: false,
            gathered: Mutex::default(),
        }
    }

    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        if self.at_once {
            return terminal::print(text);
        }
        self.gather(|gathered| gathered.said.push_str(text));
        Ok(())
    }

    /// Notes what a run did.
    pub(super) fn did(&self, run: RunFigures) {
        self.gather(|gathered| gathered.did = Some(run));
    }

    /// Notes what bears on nothing in the account.
    pub(super) fn idle(&self, idle: &[Idle]) {
        self.gather(|gathered| gathered.idle = Some(idle.to_vec()));
    }

    /// Writes a plan to its file, or keeps it to be written with those of other accounts.
    pub(super) fn write_plan(&self, path: &Path, text: String) -> io::Result<()> {
        if self.at_once {
            return plan_file::write(path, &text);
        }
        self.gather(|gathered| gathered.plan = Some(text));
        Ok(())
    }

    /// The same of metrics.
    pub(super) fn write_metrics(&self, path: &Path, text: &str) {
        if self.at_once {
            metrics::write(path, text);
        } else {
            self.gather(|gathered| gathered.metrics = Some(text.to_owned()));
        }
    }

    /// Keeps pins that history is run against together with those of other accounts, or gives them back.
    pub(super) fn keep_pins(&self, pins: Pins) -> Option<Pins> {
        if self.at_once {
            return Some(pins);
        }
        self.gather(|gathered| gathered.pins = Some(pins));
        None
    }

    /// What is left to be told.
    pub(super) fn end(self) -> Gathered {
        self.gathered
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn gather(&self, what: impl FnOnce(&mut Gathered)) {
        what(&mut self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
