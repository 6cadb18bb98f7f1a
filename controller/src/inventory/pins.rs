//! Which roles have a pin in force: from a plan, or from what the last run kept.

use credpin_core::inventory::Pins;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::state::LastRun;

/// A text that is no plan.
#[derive(Debug, Error)]
#[error("this is no plan: write one with `credpin plan --json`")]
pub struct PinsError(#[from] pub serde_json::Error);

#[derive(Deserialize)]
struct PlanFile {
    account: Option<String>,
    roles: Vec<RoleFile>,
}

#[derive(Deserialize)]
struct RoleFile {
    role: String,
    in_force: Option<Value>,
    #[serde(default)]
    exposure_now: Value,
}

/// What `credpin status --json` prints.
#[derive(Deserialize)]
struct StatusFile {
    account: String,
    roles: Vec<StatusRow>,
}

#[derive(Deserialize)]
struct StatusRow {
    role: String,
    pin: String,
    exposure: Value,
}

/// What a plan says, as `credpin plan --json` writes it. One that does not know its account says
/// nothing.
pub fn of_plan(plan: &str) -> Result<Pins, PinsError> {
    let plan: PlanFile = serde_json::from_str(plan)?;
    let mut pins = Pins::default();
    if let Some(account) = &plan.account {
        for role in &plan.roles {
            // One that is about sessions which others make leaves tokens of instances usable from anywhere.
            let is_open = role.exposure_now == "everything";
            pins.say(account, &role.role, role.in_force.is_some() && !is_open);
        }
    }
    Ok(pins)
}

/// Adds to `pins` what the last run found, after what it did. One that did not see its account says nothing.
pub fn of_last_run(last: &LastRun, pins: &mut Pins) {
    let Ok(status) = StatusFile::deserialize(&last.status) else {
        return;
    };
    for row in status.roles {
        let pinned = match &*row.pin {
            // Its pin is about sessions that others make, and not about tokens of instances.
            _ if row.exposure == "everything" => false,
            "none" | "released" => false,
            "in_force" | "stale" | "rolled_back" => true,
            // A role that is held may have a pin or none.
            _ if row.exposure.get("limited").is_some() => true,
            _ => continue,
        };
        pins.say(&status.account, &row.role, pinned);
    }
}
