//! A plan, laid out like terraform's: what comes, what goes, what stands in the way.

use std::{collections::BTreeSet, fmt::Write as _};

use credpin_core::{
    estate::Gap,
    exposure::{Exposure, Limits},
    pin::is_chained,
    plan::{ChainedPlan, Difference, Hold, Outcome, Plan, RolePlan, difference},
    policy::{MANAGED_POLICY_QUOTA, Statement},
    settings::{Mode, Settings},
};
use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;
use serde_json::Value;

use crate::plan_file::Head;

use super::{
    Paint,
    chain::{When, chains},
    count,
    summary::{Change, Summary},
};

/// The plan for a person; `settings` are those that it was made under.
pub fn plan(plan: &Plan, settings: &Settings, paint: Paint) -> String {
    let mut out = String::new();
    match &plan.account {
        Some(account) => line(&mut out, 0, &format!("Account {account}")),
        None => line(&mut out, 0, "An account that nothing names"),
    }
    gaps(&mut out, plan.gaps.iter(), paint);
    for role in &plan.roles {
        out.push('\n');
        self::role(&mut out, role, paint);
    }
    chains(&mut out, plan, When::Then, paint);
    for warning in &plan.warnings {
        line(&mut out, 0, &paint.yellow(&format!("\nWarning: {warning}")));
    }
    out.push('\n');
    line(
        &mut out,
        0,
        &format!("Instances by their tokens: {}.", plan.exposure_now),
    );
    line(
        &mut out,
        0,
        &paint.bold(&format!("Plan: {}.", Summary::of(plan))),
    );
    // Whoever wrote rules or has pins knows how.
    let is_new = settings.roles.is_empty()
        && plan
            .roles
            .iter()
            .all(|role| role.mode == Mode::Observe && role.in_force.is_none());
    let ready = plan
        .roles
        .iter()
        .find(|role| !role.footprint.hosts.is_empty() && role.holds.is_empty());
    if let Some(role) = ready.filter(|_| is_new) {
        line(
            &mut out,
            0,
            "Every role is only observed. To pin one, write in credpin.toml:",
        );
        line(&mut out, 1, "[[role]]");
        line(&mut out, 1, &format!("name = \"{}\"", role.role));
        line(&mut out, 1, "mode = \"enforce\"");
        line(
            &mut out,
            0,
            "A first pin wants a replay of the role's calls (`credpin replay`), or --without-replay.",
        );
    }
    out
}

/// The plan for a machine. `schema` changes when a field's meaning does.
pub fn plan_json(plan: &Plan) -> serde_json::Result<String> {
    json(plan, None)
}

/// The same for a file that can be carried out.
pub fn plan_file(plan: &Plan, head: &Head<'_>) -> serde_json::Result<String> {
    json(plan, Some(head))
}

fn json(plan: &Plan, head: Option<&Head<'_>>) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Json<'a> {
        schema: u32,
        #[serde(flatten)]
        head: Option<&'a Head<'a>>,
        summary: Summary,
        #[serde(flatten)]
        plan: &'a Plan,
    }
    let summary = Summary::of(plan);
    serde_json::to_string_pretty(&Json {
        schema: 2,
        head,
        summary,
        plan,
    })
    .map(|json| json + "\n")
}

/// What was not seen, if anything.
pub(super) fn gaps<'a>(out: &mut String, gaps: impl Iterator<Item = &'a Gap>, paint: Paint) {
    let mut gaps = gaps.peekable();
    if gaps.peek().is_some() {
        line(
            out,
            0,
            &paint.red("! The view is incomplete, and no pin changes until it is whole:"),
        );
    }
    for gap in gaps {
        line(out, 2, &gap.to_string());
    }
}

fn role(out: &mut String, role: &RolePlan, paint: Paint) {
    let whose = match &role.chained {
        Some(chained) if role.footprint.hosts.is_empty() => assumed_by(chained),
        _ => count(role.footprint.hosts.len(), "host"),
    };
    let (mark, what) = headline(role, paint);
    line(
        out,
        0,
        &format!("{mark} {} {what} ({whose})", paint.bold(role.role.as_str())),
    );
    match Change::of(role) {
        Some(Change::Create) => admits(out, role),
        Some(Change::Update) => differences(out, role, paint),
        _ => {}
    }
    for step in &role.steps {
        line(out, 2, &paint.dim(&format!("-> {step}")));
    }
    if !role.holds.is_empty() && role.outcome == Outcome::Observed {
        line(out, 2, "mode = \"enforce\" would be held:");
    }
    if matches!(
        role.outcome,
        Outcome::Observed | Outcome::Held | Outcome::Idle
    ) {
        holds(out, &role.holds, paint);
    }
    exposure(out, role);
    for warning in &role.warnings {
        line(out, 2, &paint.yellow(&format!("warning: {warning}")));
    }
}

/// Gaps hold every role alike and stand at the top: they are not told again for each.
fn holds(out: &mut String, holds: &[Hold], paint: Paint) {
    let mark = paint.red("!");
    if holds.iter().any(|hold| matches!(hold, Hold::Gap(_))) {
        line(
            out,
            2,
            &format!("{mark} [gap] the view is incomplete, see above"),
        );
    }
    for hold in holds.iter().filter(|hold| !matches!(hold, Hold::Gap(_))) {
        line(out, 2, &format!("{mark} {}", self::hold(hold)));
        if let Hold::Edited(edit) = hold {
            changes(out, &edit.changes, paint);
        }
    }
}

/// A hold under its name, as `plan --json` and the table of holds in the documentation have it.
pub(super) fn hold(hold: &Hold) -> String {
    hold_name(hold).map_or_else(|| hold.to_string(), |name| format!("[{name}] {hold}"))
}

pub(crate) fn hold_name(hold: &Hold) -> Option<String> {
    if let Hold::Chained(hold) = hold {
        return hold_name(hold).map(|name| format!("chained_{name}"));
    }
    match serde_json::to_value(hold) {
        Ok(Value::String(name)) => Some(name),
        Ok(Value::Object(tagged)) => tagged.into_iter().next().map(|(name, _)| name),
        _ => None,
    }
}

fn headline(role: &RolePlan, paint: Paint) -> (String, String) {
    let size = || match role
        .pin
        .iter()
        .flat_map(|pin| &pin.policies)
        .collect::<Vec<_>>()[..]
    {
        [one] => format!("{} of {MANAGED_POLICY_QUOTA} characters", one.size),
        ref many => format!(
            "{} characters in {}",
            many.iter().map(|policy| policy.size).sum::<usize>(),
            count(many.len(), "document"),
        ),
    };
    match (Change::of(role), role.outcome) {
        (Some(_), Outcome::Held) if is_held_in_part(role) => (
            paint.red("!"),
            "is held in part; the rest of its pin goes on".into(),
        ),
        (Some(_), Outcome::Held) => (
            paint.red("!"),
            "is held; its pin is widened meanwhile".into(),
        ),
        (Some(Change::Create), _) => (paint.green("+"), format!("gets a pin, {}", size())),
        (Some(Change::Update), _) => (paint.yellow("~"), format!("gets a new pin, {}", size())),
        (Some(Change::Attach), _) => (paint.green("+"), "gets its pin attached again".into()),
        (Some(Change::Detach), _) => (
            paint.red("-"),
            "loses its pin: it is only observed now".into(),
        ),
        (None, Outcome::Held) if role.in_force.is_some() => {
            (paint.red("!"), "is held, with the pin that it has".into())
        }
        (None, Outcome::Held)
            if role
                .holds
                .iter()
                .any(|hold| matches!(hold, Hold::Edited(_))) =>
        {
            (
                paint.red("!"),
                "is held, with a policy that somebody else changed".into(),
            )
        }
        (None, Outcome::Held) => (paint.red("!"), "is held, without a pin".into()),
        (None, Outcome::Observed) => (".".into(), "is only observed".into()),
        (None, Outcome::Released) => (
            ".".into(),
            format!(
                "was released; `credpin release --undo {}` ends that",
                role.role
            ),
        ),
        (None, Outcome::RolledBack) => (
            ".".into(),
            format!(
                "was put back to an earlier pin; `credpin release --undo {}` ends that",
                role.role
            ),
        ),
        (None, Outcome::Idle) if role.in_force.is_none() => (".".into(), "has no host yet".into()),
        (None, Outcome::Idle) => (".".into(), "has no host; what is in force stays".into()),
        (None, Outcome::Unchanged | Outcome::Change) => ("=".into(), "is as it should be".into()),
    }
}

fn is_held_in_part(role: &RolePlan) -> bool {
    role.meanwhile.is_some() || (role.reaches_its_goal() && !role.footprint.hosts.is_empty())
}

/// Who makes a role's sessions by assuming it.
fn assumed_by(chained: &ChainedPlan) -> String {
    let callers = &chained.callers;
    let lists = [listed(&callers.roles), listed(&callers.elsewhere)];
    let lists: Vec<&str> = lists
        .iter()
        .map(String::as_str)
        .filter(|it| !it.is_empty())
        .collect();
    if lists.is_empty() {
        return "assumed by no instance".to_owned();
    }
    format!("assumed by {}", lists.join(", "))
}

/// Where a new pin lets the role's tokens be used from, and sessions that others make.
fn admits(out: &mut String, role: &RolePlan) {
    let pin = role.goal().into_iter().flat_map(|pin| pin.documents());
    let statements: Vec<&Statement> = pin.flat_map(|document| &document.statements).collect();
    if statements.iter().any(|statement| !is_chained(statement)) {
        admits_instances(out, role);
    }
    if let Some(chained) = &role.chained
        && statements.iter().any(|statement| is_chained(statement))
    {
        let callers = &chained.callers;
        let whose = format!("sessions made by assuming it ({})", assumed_by(chained));
        let from = match listed(&callers.public) {
            none if none.is_empty() => "nowhere".to_owned(),
            from => from,
        };
        line(out, 2, &format!("{whose}, from the internet: {from}"));
        let vpcs = match listed(&callers.vpcs) {
            none if none.is_empty() => "hubs only".to_owned(),
            vpcs => format!("those of {vpcs}, or a hub"),
        };
        line(out, 2, &format!("through endpoints: {vpcs}"));
    }
}

fn admits_instances(out: &mut String, role: &RolePlan) {
    for (vpc, egress) in &role.footprint.egress {
        let groups = role.footprint.groups.get(vpc).map(Vec::as_slice);
        let Some([groups @ .., rest]) = groups else {
            from_the_internet(out, &vpc.to_string(), egress);
            continue;
        };
        for group in groups {
            let whose = format!("{vpc} at {}", addresses(&group.private));
            from_the_internet(out, &whose, &group.public);
        }
        from_the_internet(out, &format!("{vpc} at any other address"), &rest.public);
    }
    let mut own = "their host's own address, in their own VPC or a hub".to_owned();
    let more = &role.footprint;
    for list in [listed(&more.more_private_ipv4), listed(&more.private_ipv6)] {
        if !list.is_empty() {
            let _ = write!(own, ", {list}");
        }
    }
    line(out, 2, &format!("through endpoints: {own}"));
}

fn from_the_internet(out: &mut String, whose: &str, egress: &BTreeSet<IpNet>) {
    let from = listed(egress);
    let from = if egress.is_empty() { "nowhere" } else { &from };
    line(
        out,
        2,
        &format!("tokens of {whose}, from the internet: {from}"),
    );
}

/// Prefixes, of which many are only counted.
fn addresses(prefixes: &BTreeSet<Ipv4Net>) -> String {
    const SHOWN: usize = 4;
    let shown = listed(prefixes.iter().take(SHOWN));
    match prefixes.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn listed<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join(", ")
}

/// What an update lets in and shuts out, by statement.
fn differences(out: &mut String, role: &RolePlan, paint: Paint) {
    let (Some(old), Some(new)) = (&role.in_force, role.goal()) else {
        return;
    };
    changes(out, &difference(&old.documents(), &new.documents()), paint);
}

fn changes(out: &mut String, changes: &[Difference], paint: Paint) {
    for change in changes {
        line(out, 2, &change.sid);
        for value in &change.added {
            line(out, 3, &paint.green(&format!("+ {value}")));
        }
        for value in &change.removed {
            line(out, 3, &paint.red(&format!("- {value}")));
        }
    }
}

fn exposure(out: &mut String, role: &RolePlan) {
    let now = &role.exposure_now;
    let detached = Change::of(role) == Some(Change::Detach);
    match &role.exposure_pinned {
        _ if detached => line(out, 2, &format!("open now: {now}; then: everything")),
        // What is held may not come to be: its figures would promise too much.
        Some(pinned) if pinned != now && !is_held(role) => {
            let when = if role.steps.is_empty() {
                "with a pin"
            } else {
                "then"
            };
            line(out, 2, &format!("open now: {now}"));
            line(out, 2, &format!("{when}: {pinned}"));
        }
        _ => line(out, 2, &format!("open now: {now}")),
    }
    if let Exposure::Limited(limits) = now
        && let Some(text) = worst_off(limits)
    {
        line(out, 3, &text);
    }
}

/// Whether anything but the part of its pin that is about sessions of others is held.
fn is_held(role: &RolePlan) -> bool {
    let has_hosts = !role.footprint.hosts.is_empty();
    let matters = |hold: &Hold| !(has_hosts && matches!(hold, Hold::Chained(_)));
    role.holds.iter().any(matters)
}

/// Whose token is open to most other hosts; nothing where all are alike, which the figure says.
fn worst_off(limits: &Limits) -> Option<String> {
    let worst = limits.instances.iter().max_by_key(|of| of.hosts)?;
    let differ = limits.instances.iter().any(|of| of.hosts != worst.hosts);
    differ.then(|| {
        format!(
            "most of all that of {}; other hosts in the mean: {:.1}",
            worst.instance, limits.hosts.mean
        )
    })
}

fn line(out: &mut String, indent: usize, text: &str) {
    let _ = writeln!(out, "{:width$}{text}", "", width = indent * 2);
}

#[cfg(test)]
mod tests {
    use credpin_core::exposure::{Measure, OfInstance};

    use super::*;

    #[test]
    fn the_instance_that_is_worst_off_is_named_where_they_differ() {
        let of = |hosts: [u64; 3]| {
            let mut instances: Vec<OfInstance> = Vec::new();
            for (number, hosts) in hosts.into_iter().enumerate() {
                instances.push(OfInstance {
                    instance: format!("i-0{number}").parse().unwrap(),
                    hosts,
                    v4: 0,
                    v6: 0,
                    endpoints: 0,
                });
            }
            let mean = 1.5;
            Limits {
                hosts: Measure { worst: 3, mean },
                v4: Measure::default(),
                v6: Measure::default(),
                endpoints: Measure::default(),
                instances: instances.into(),
            }
        };
        let said = worst_off(&of([0, 3, 1]));
        let expected = "most of all that of i-01; other hosts in the mean: 1.5";
        assert_eq!(said.as_deref(), Some(expected));
        assert_eq!(worst_off(&of([3, 3, 3])), None);
    }
}
