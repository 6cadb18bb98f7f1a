//! One line a role: what is pinned, and what is open.

use std::fmt::Write as _;

use credpin_core::{
    exposure::{Exposure, OfAccount},
    id::{AccountId, RoleName},
    plan::{Hold, Outcome, Plan, RolePlan},
    settings::Mode,
};
use serde::Serialize;

use super::{
    Paint,
    chain::{When, chains},
    plan::{gaps, hold},
    table::align,
};

/// A role as `status` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    role: &'a RoleName,
    stage: Mode,
    mode: Mode,
    pin: Pin,
    hosts: usize,
    exposure: &'a Exposure,
    holds: Vec<String>,
    /// What is about sessions that others make by assuming it, where the config opts that in.
    #[serde(skip_serializing_if = "Option::is_none")]
    chained: Option<Chained>,
    /// Roles whose trust policies name this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    can_assume: Vec<&'a RoleName>,
    recorded_hosts: Option<usize>,
    live_tokens: Option<usize>,
}

/// The part of a role's pin that is about sessions which others make.
#[derive(Debug, Serialize)]
struct Chained {
    stage: Mode,
    mode: Mode,
    in_force: bool,
}

/// How a role's pin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pin {
    None,
    InForce,
    Stale,
    Held,
    Released,
    RolledBack,
}

/// The table for a person. `recorded`: whether records were read, without which what they tell is
/// not shown.
pub fn status(plan: &Plan, recorded: bool, paint: Paint) -> String {
    let mut out = String::new();
    gaps(&mut out, plan.gaps.iter(), paint);
    let rows: Vec<Row<'_>> = plan
        .roles
        .iter()
        .map(|role| Row::new(role, plan, recorded))
        .collect();
    let mut table = vec![vec![
        "ROLE".to_owned(),
        "MODE".into(),
        "PIN".into(),
        "HOSTS".into(),
    ]];
    if recorded {
        table[0].extend(["PROXY".into(), "TOKENS".into()]);
    }
    table[0].push("OPEN TO".into());
    table.extend(rows.iter().map(Row::cells));
    align(&mut out, &table);
    let _ = writeln!(out, "\nInstances by their tokens: {}.", plan.exposure_now);
    chains(&mut out, plan, When::Now, paint);
    for role in plan.roles.iter().filter(|role| Pin::of(role) == Pin::Held) {
        let _ = writeln!(out, "\n{} {} is held:", paint.red("!"), role.role);
        for hold in &role.holds {
            let _ = writeln!(out, "    {}", self::hold(hold));
        }
    }
    for warning in plan
        .roles
        .iter()
        .flat_map(|role| &role.warnings)
        .chain(&plan.warnings)
    {
        let _ = writeln!(out, "{}", paint.yellow(&format!("\nWarning: {warning}")));
    }
    out
}

/// The same for a machine. `schema` changes when a field's meaning does.
pub fn status_json(plan: &Plan, recorded: bool) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Json<'a> {
        schema: u32,
        account: Option<&'a AccountId>,
        exposure: &'a OfAccount,
        roles: Vec<Row<'a>>,
    }
    let rows = plan.roles.iter().map(|role| Row::new(role, plan, recorded));
    serde_json::to_string_pretty(&Json {
        schema: 1,
        account: plan.account.as_ref(),
        exposure: &plan.exposure_now,
        roles: rows.collect(),
    })
    .map(|json| json + "\n")
}

impl<'a> Row<'a> {
    fn new(plan: &'a RolePlan, all: &'a Plan, recorded: bool) -> Self {
        let chained = all.chained.iter();
        let can_assume = chained.filter(|chained| chained.by.roles.contains(&plan.role));
        Self {
            role: &plan.role,
            stage: plan.stage,
            mode: plan.mode,
            pin: Pin::of(plan),
            hosts: plan.footprint.hosts.len(),
            exposure: &plan.exposure_now,
            holds: plan.holds.iter().map(Hold::to_string).collect(),
            chained: plan.chained.as_ref().map(|chained| Chained {
                stage: chained.stage,
                mode: chained.mode,
                in_force: chained.in_force,
            }),
            can_assume: can_assume.map(|chained| &chained.role).collect(),
            recorded_hosts: recorded.then_some(plan.coverage.recorded_hosts),
            live_tokens: recorded.then_some(plan.coverage.live_tokens),
        }
    }

    fn cells(&self) -> Vec<String> {
        let mode = match (self.stage, self.mode) {
            (Mode::Canary, Mode::Observe) => "canary, not yet",
            (Mode::Canary, _) => "canary",
            (_, Mode::Observe) => "observe",
            (_, Mode::Canary | Mode::Enforce) => "enforce",
        };
        let mut cells = vec![
            self.role.to_string(),
            mode.to_owned(),
            self.pin.words().to_owned(),
            self.hosts.to_string(),
        ];
        if let (Some(recorded), Some(tokens)) = (self.recorded_hosts, self.live_tokens) {
            cells.push(format!("{recorded} of {}", self.hosts));
            cells.push(tokens.to_string());
        }
        cells.push(self.exposure.to_string());
        cells
    }
}

/// A mode's name.
pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Canary => "canary",
        Mode::Enforce => "enforce",
    }
}

impl Pin {
    pub(super) fn of(plan: &RolePlan) -> Self {
        match plan.outcome {
            Outcome::Held => Pin::Held,
            Outcome::Released => Pin::Released,
            Outcome::RolledBack => Pin::RolledBack,
            _ if plan.in_force.is_none() => Pin::None,
            Outcome::Change => Pin::Stale,
            Outcome::Observed | Outcome::Unchanged | Outcome::Idle => Pin::InForce,
        }
    }

    /// As `status --json` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Pin::None => "none",
            Pin::InForce => "in_force",
            Pin::Stale => "stale",
            Pin::Held => "held",
            Pin::Released => "released",
            Pin::RolledBack => "rolled_back",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Pin::None => "none",
            Pin::InForce => "in force",
            Pin::Stale => "stale",
            Pin::Held => "held",
            Pin::Released => "released",
            Pin::RolledBack => "rolled back",
        }
    }
}
