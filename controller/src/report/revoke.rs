//! Cuts: what would be done and whom it hits, what was done, what there is.

use std::fmt::Write as _;

use credpin_core::cut::{CutName, ON_TAG};
use serde::Serialize;

use super::{Paint, count};
use crate::{
    cloud::contain::Standing,
    revoke::{LeftKey, Made, Planned},
};

/// What would be done, and how to do it.
pub fn cuts(cuts: &[Planned], paint: Paint) -> String {
    let mut out = String::from("To end it:\n\n");
    for planned in cuts {
        let _ = writeln!(out, "  {} {}", paint.red("-"), paint.bold(&planned.says));
        let _ = writeln!(out, "      also hit  {}", planned.also_hits);
        if !planned.leaves.is_empty() {
            let left = planned.leaves.iter().map(|LeftKey { key, works }| {
                let works = if *works { "works" } else { "inactive" };
                format!("{key} ({works})")
            });
            let left = left.collect::<Vec<_>>().join(", ");
            let _ = writeln!(out, "      leaves    {left}; denied to take this off");
        }
        let ends = match planned.ends {
            Some(ends) => {
                format!("{ends}, when nothing is left that it denies; a later run takes it off")
            }
            None => format!("with `credpin revoke --undo {}`", planned.id),
        };
        let _ = writeln!(out, "      ends      {ends}");
        let _ = writeln!(
            out,
            "      policy    /credpin/cuts/{} ({} characters)",
            planned.policy,
            planned.document.size()
        );
    }
    out
}

/// What was done, and how to undo it.
pub fn made(made: &Made, paint: Paint) -> String {
    let mut out = String::new();
    for planned in &made.done {
        let _ = writeln!(
            out,
            "{} {}; undone by `credpin revoke --undo {}`",
            paint.green("Done:"),
            planned.says,
            planned.id
        );
    }
    if !made.done.is_empty() {
        out.push_str("It takes seconds, seldom minutes, until all of AWS has it.\n");
    }
    if let Some((planned, error)) = &made.failed {
        let _ = writeln!(out, "{} {}: {error}", paint.red("Not done:"), planned.says);
        out.push_str(
            "Nothing after it was tried. Say the same again: what was done stays, and being there twice, \
             with a later time, does no harm.\n",
        );
    }
    out
}

/// The cuts that there are.
pub fn standing(standing: &[Standing], paint: Paint) -> String {
    if standing.is_empty() {
        return "There is no cut.\n".to_owned();
    }
    let mut out = String::new();
    for row in standing.iter().map(Row::of) {
        let ends = row.ends.as_deref().unwrap_or("when it is undone");
        let _ = writeln!(
            out,
            "{}  {:<30} ends {ends}",
            paint.bold(&row.id),
            row.on.as_deref().unwrap_or("not ours: no tags of credpin"),
        );
    }
    let _ = writeln!(
        out,
        "\n{}. `credpin revoke --undo ID` takes one off.",
        count(standing.len(), "cut")
    );
    out
}

/// The same for machines.
pub fn standing_json(standing: &[Standing]) -> serde_json::Result<String> {
    let rows: Vec<Row> = standing.iter().map(Row::of).collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}

#[derive(Serialize)]
struct Row {
    id: String,
    policy: String,
    on: Option<String>,
    ends: Option<String>,
}

impl Row {
    fn of(standing: &Standing) -> Self {
        let name: Option<CutName> = standing.name.as_str().parse().ok();
        Self {
            id: name
                .as_ref()
                .map_or_else(|| standing.name.to_string(), |name| name.id.clone()),
            policy: standing.arn.to_string(),
            on: standing.tags.get(ON_TAG).cloned(),
            ends: name.and_then(|name| Some(name.ends?.to_string())),
        }
    }
}
