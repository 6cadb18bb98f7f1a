//! What a run did, and what a release did.

use std::fmt::Write as _;

use super::{Paint, Summary, count};
use crate::{cloud::Calls, flow::Run, release::Released};

/// What was done, what was not, and what it took.
pub fn run(run: &Run, paint: Paint) -> String {
    let mut out = String::new();
    let done = count(run.applied.done.len(), "step");
    let failed = &run.applied.failed;
    let result = match (run.is_complete(), run.applied.done.is_empty()) {
        (true, true) => "Done: nothing was to be written.".to_owned(),
        (true, false) => format!("Done: {done}, read back as planned."),
        (false, _) => format!(
            "Not done: {done} done, {} stopped, {} not read back as planned.",
            count(failed.len(), "role"),
            run.unconfirmed.len()
        ),
    };
    let result = if run.is_complete() {
        paint.green(&result)
    } else {
        paint.red(&result)
    };
    let _ = writeln!(out, "{result}");
    for failure in failed {
        let _ = writeln!(out, "  {} {failure}", paint.red("!"));
    }
    for role in &run.applied.released_meanwhile {
        let _ = writeln!(
            out,
            "  {} role {role} was released meanwhile and left as it is; \
             `credpin release --undo {role}` ends that",
            paint.yellow("!")
        );
    }
    for unconfirmed in &run.unconfirmed {
        let _ = writeln!(out, "  {} {unconfirmed}", paint.red("!"));
    }
    // A directory cloud makes none.
    if !run.calls.is_empty() {
        let _ = writeln!(out, "Calls to AWS: {}.", calls(&run.calls));
    }
    out
}

/// The same in a line, for a log.
pub fn run_line(run: &Run) -> String {
    let mut line = format!(
        "run {}: {}, {} of {} done, {} stopped, {} not read back; plan: {}",
        if run.is_complete() {
            "complete"
        } else {
            "not complete"
        },
        count(run.plan.roles.len(), "role"),
        run.applied.done.len(),
        count(run.plan.steps().count(), "step"),
        run.applied.failed.len(),
        run.unconfirmed.len(),
        Summary::of(&run.plan),
    );
    if !run.calls.is_empty() {
        let _ = write!(line, "; calls to AWS: {}", calls(&run.calls));
    }
    line
}

/// What became of each role that was to be released.
pub fn released(released: &Released, paint: Paint) -> String {
    let mut out = String::new();
    for (role, done) in &released.done {
        let _ = writeln!(out, "{role}: {done}");
    }
    for (role, gap) in &released.unseen {
        let _ = writeln!(
            out,
            "{} {role} was not seen: {gap}; it was gone about by its name alone",
            paint.yellow("!")
        );
    }
    for (role, error) in &released.failed {
        let _ = writeln!(out, "{} {role}: {error}", paint.red("!"));
    }
    for gap in &released.gaps {
        let _ = writeln!(
            out,
            "{} not seen, so there may be pins left: {gap}",
            paint.red("!")
        );
    }
    if released.done.is_empty() && released.failed.is_empty() {
        let _ = writeln!(out, "There is no pin.");
    }
    out
}

pub(super) fn calls(calls: &Calls) -> String {
    let by_name: Vec<String> = calls
        .iter()
        .map(|(name, number)| format!("{name} {number}"))
        .collect();
    let all: u64 = calls.values().sum();
    format!("{all} ({})", by_name.join(", "))
}
