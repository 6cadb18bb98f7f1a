//! Plans: steps, holds and modes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../fleet/mod.rs"]
mod fleet;
mod held;
mod places;
mod rollout;
mod steps;
mod told;

use credpin_core::{
    plan::{Hold, Outcome, RolePlan},
    settings::{Glob, Mode, RoleRule},
};
use credpin_ledger::Record;
use fleet::Fleet;

fn web() -> Fleet {
    Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .host("a1", "web", "a", "10.0.1.5")
}

/// `web` with a NAT gateway in a second zone: its pin has one address more.
fn grown() -> Fleet {
    web()
        .usual_vpc("z", "198.51.100.2")
        .host("z1", "web", "z", "10.9.1.5")
}

/// The later fleet, with IAM as the earlier one left it.
fn later(earlier: Fleet, mut later: Fleet) -> Fleet {
    later.estate.policies = earlier.estate.policies;
    for (name, role) in earlier.estate.roles {
        if let Some(seen) = later.estate.roles.get_mut(&name) {
            seen.attached = role.attached;
        }
    }
    later
}

fn only(fleet: &Fleet) -> RolePlan {
    let plan = fleet.plan();
    assert_eq!(plan.roles.len(), 1);
    plan.roles.into_iter().next().unwrap()
}

fn steps(fleet: &Fleet) -> Vec<String> {
    fleet.plan().steps().map(ToString::to_string).collect()
}

fn rule(name: &str, mode: Mode) -> RoleRule {
    RoleRule {
        name: Glob::new(name),
        account: None,
        mode,
    }
}

fn all() -> usize {
    usize::MAX
}

fn hold(fleet: &Fleet) -> Hold {
    let role = only(fleet);
    assert_eq!(role.outcome, Outcome::Held);
    assert_eq!(role.steps, []);
    assert!(fleet.plan().is_held());
    role.holds.into_iter().next().unwrap()
}

/// A record of a token that expires after [`fleet::NOW`].
fn record(instance: &str, role: &str) -> Record {
    serde_json::from_value(serde_json::json!({
        "schema": 1, "kind": "issued", "time": "2026-11-23T11:00:00Z", "boot_id": "b", "seq": 1,
        "account": "111122223333", "region": "eu-west-1", "instance_id": instance,
        "public_ipv4s": ["203.0.113.66"], "private_ipv4s": ["10.66.6.6"], "vpc": "vpc-0badbad",
        "role": role, "access_key_id": "ASIAEXAMPLE", "issued": "2026-11-23T11:00:00Z",
        "expires": "2026-11-23T17:00:00Z", "consumer": {"peer": "127.0.0.1"},
        "imds_version": "2", "proxy_version": "0.1.0",
    }))
    .unwrap()
}

/// `web` with its NAT gateway replaced.
fn replaced() -> Fleet {
    Fleet::new()
        .usual_vpc("a", "198.51.100.99")
        .host("a1", "web", "a", "10.0.1.5")
}
