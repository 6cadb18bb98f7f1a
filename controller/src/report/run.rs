//! What a run did, and what a release did.

use std::fmt::Write as _;

use credpin_core::id::RoleName;
use jiff::Timestamp;
use serde::Serialize;

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

/// The same for a machine. `schema` changes when a field's meaning does.
pub fn run_json(run: &Run, began: Timestamp) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Stopped<'a> {
        role: &'a RoleName,
        why: String,
    }
    #[derive(Serialize)]
    struct Json<'a> {
        schema: u32,
        began: Timestamp,
        complete: bool,
        held: bool,
        plan: Summary,
        steps: usize,
        done: usize,
        stopped: Vec<Stopped<'a>>,
        unconfirmed: Vec<Stopped<'a>>,
        released_meanwhile: &'a [RoleName],
        calls: &'a Calls,
    }
    let stopped = run.applied.failed.iter().map(|failure| Stopped {
        role: &failure.role,
        why: failure.error.to_string(),
    });
    let unconfirmed = run.unconfirmed.iter().map(|unconfirmed| Stopped {
        role: &unconfirmed.role,
        why: unconfirmed.what.to_owned(),
    });
    serde_json::to_string_pretty(&Json {
        schema: 1,
        began,
        complete: run.is_complete(),
        held: run.plan.is_held(),
        plan: Summary::of(&run.plan),
        steps: run.plan.steps().count(),
        done: run.applied.done.len(),
        stopped: stopped.collect(),
        unconfirmed: unconfirmed.collect(),
        released_meanwhile: &run.applied.released_meanwhile,
        calls: &run.calls,
    })
    .map(|json| json + "\n")
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

fn calls(calls: &Calls) -> String {
    let by_name: Vec<String> = calls
        .iter()
        .map(|(name, number)| format!("{name} {number}"))
        .collect();
    let all: u64 = calls.values().sum();
    format!("{all} ({})", by_name.join(", "))
}
