//! The answer to "what if a token were used from there?".

use std::fmt::Write as _;

use credpin_core::explain::{Explanation, Verdict};

use super::Paint;

/// The answer for a person; `is_pinned` says whether the role has a pin in force.
pub fn explain(answer: &Explanation, is_pinned: bool, paint: Paint) -> String {
    let mut out = format!("{}, as IAM sees the call:\n", answer.request.action);
    for (key, value) in answer.request.context() {
        let _ = writeln!(out, "    {key} = {value}");
    }
    let now = if is_pinned {
        verdict(&answer.in_force, paint)
    } else {
        format!("{} (no pin in force)", paint.yellow("allowed"))
    };
    let _ = writeln!(out, "in force now:  {now}");
    if let Some(pinned) = &answer.pinned {
        let _ = writeln!(out, "with the pin:  {}", verdict(pinned, paint));
    }
    out
}

fn verdict(verdict: &Verdict, paint: Paint) -> String {
    match verdict {
        Verdict::Allowed => format!("{} (no pin denies it)", paint.yellow("allowed")),
        Verdict::Denied { policy, statement } => {
            format!(
                "{} by statement {statement} of {policy}",
                paint.green("denied")
            )
        }
    }
}
