//! Roles that can be assumed with the fleet's tokens: what pins do not follow.

use std::{collections::BTreeSet, fmt::Write as _};

use credpin_core::{
    chain::Chained,
    id::RoleName,
    plan::{Pin, Plan},
};

use super::{Paint, text::dot};

/// So many names of a list are shown.
const SHOWN: usize = 8;

/// Which roles count as pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Those that are.
    Now,
    /// Those that are once the plan is carried out.
    Then,
}

/// For a person; nothing where there are none.
pub(super) fn chains(out: &mut String, plan: &Plan, when: When, paint: Paint) {
    let is_wide = |chained: &&Chained| chained.by.account || chained.by.anybody;
    let (wide, named): (Vec<_>, Vec<_>) = plan.chained.iter().partition(is_wide);
    if wide.is_empty() && named.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n{}",
        paint.yellow(if plan.roles.iter().any(|role| role.chained.is_some()) {
            "Roles that can be assumed with these tokens; pins of instances do not follow there:"
        } else {
            "Roles that can be assumed with these tokens; no pin follows there:"
        })
    );
    let pinned = pinned(plan, when);
    for chained in named {
        let by = chained.by.roles.iter().map(|role| {
            if pinned.contains(role) {
                format!("{role} (pinned)")
            } else {
                role.to_string()
            }
        });
        let mut by: Vec<String> = by.collect();
        match chained.by.others.len() {
            0 => {}
            1 => by.push("1 principal outside of it".into()),
            more => by.push(format!("{more} principals outside of it")),
        }
        let by = by.join(", ");
        let _ = writeln!(
            out,
            "  {}{} by {by}",
            chained.role,
            own_pin(plan, when, chained)
        );
    }
    let anybody = wide.iter().filter(|chained| chained.by.anybody);
    list(
        out,
        (plan, when),
        anybody,
        "by anybody, of whatever account, unless its conditions say no",
    );
    let account = wide.iter().filter(|chained| !chained.by.anybody);
    list(
        out,
        (plan, when),
        account,
        "by whatever in the account has a policy that allows it",
    );
}

/// What is to be said of a role that is pinned by egress itself.
fn own_pin(plan: &Plan, when: When, chained: &Chained) -> &'static str {
    let role = plan.role(&chained.role);
    let is_pinned = role.is_some_and(|role| match &role.chained {
        _ if when == When::Then && role.reaches_its_goal() => {
            role.is_enforced && role.goal().is_some_and(Pin::has_chained)
        }
        Some(part) => part.in_force,
        None => false,
    });
    if is_pinned { " (pinned by egress)" } else { "" }
}

fn list<'a>(
    out: &mut String,
    (plan, when): (&Plan, When),
    roles: impl Iterator<Item = &'a &'a Chained>,
    by: &str,
) {
    let roles = roles.map(|chained| format!("{}{}", chained.role, own_pin(plan, when, chained)));
    let names: Vec<String> = roles.collect();
    if names.is_empty() {
        return;
    }
    let mut shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        let _ = write!(shown, " and {} more", names.len() - SHOWN);
    }
    let _ = writeln!(out, "  {shown} {by}");
}

fn pinned(plan: &Plan, when: When) -> BTreeSet<&RoleName> {
    let pinned = plan.roles.iter().filter(|role| match when {
        When::Then if role.reaches_its_goal() => role.is_enforced,
        _ => role.in_force.is_some(),
    });
    pinned.map(|role| &role.role).collect()
}

/// The same as a graph for Graphviz: pinned roles (once it is carried out) are green, and what leads to a role by a trust policy that
/// names no one in particular is dashed.
pub fn chains_dot(plan: &Plan) -> String {
    let mut out = String::from(
        "digraph chains {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\", style=filled, fillcolor=white];\n",
    );
    let pinned = pinned(plan, When::Then);
    let mut roles: BTreeSet<&RoleName> = plan.chained.iter().map(|chained| &chained.role).collect();
    roles.extend(plan.chained.iter().flat_map(|chained| &chained.by.roles));
    roles.extend(plan.roles.iter().map(|role| &role.role));
    for role in roles {
        let fill = if pinned.contains(role) {
            "palegreen"
        } else {
            "mistyrose"
        };
        let _ = writeln!(out, "  \"{role}\" [fillcolor={fill}];");
    }
    for chained in &plan.chained {
        let to = &chained.role;
        for from in &chained.by.roles {
            let _ = writeln!(out, "  \"{from}\" -> \"{to}\";");
        }
        for from in &chained.by.others {
            let _ = writeln!(out, "  \"{}\" -> \"{to}\";", dot(from));
        }
        if chained.by.account {
            let _ = writeln!(out, "  \"the account\" -> \"{to}\" [style=dashed];");
        }
        if chained.by.anybody {
            let _ = writeln!(out, "  \"anybody\" -> \"{to}\" [style=dashed];");
        }
    }
    out.push_str("}\n");
    out
}
