//! The answer to "what if a token were used from there?".

use std::fmt::Write as _;

use credpin_core::explain::{Explanation, Verdict};

use super::Paint;

/// The answer for a person.
pub fn explain(answer: &Explanation, paint: Paint) -> String {
    let mut out = format!("{}, as IAM sees the call:\n", answer.request.action);
    for (key, value) in answer.request.context() {
        let _ = writeln!(out, "    {key} = {value}");
    }
    let _ = writeln!(out, "in force now:  {}", verdict(&answer.in_force, paint));
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
