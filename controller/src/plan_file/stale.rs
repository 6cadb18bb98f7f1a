//! Whether what a plan file has is what is called for now, step for step; and where not, what has changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use credpin_core::{
    id::RoleName,
    plan::{Outcome, Plan, RolePlan, Step},
};
use serde::Deserialize;
use serde_json::Value;

use crate::report::hold_name;

/// What a plan file has of a role.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RoleFile {
    role: RoleName,
    mode: Value,
    steps: Vec<Value>,
    pin: Option<PinFile>,
    in_force: Option<PinFile>,
    footprint: FootprintFile,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct PinFile {
    policies: Vec<PolicyFile>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct PolicyFile {
    arn: String,
    document: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct FootprintFile {
    hosts: Vec<Value>,
}

/// Roles that call for something else than a plan file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale(pub Vec<Changed>);

/// A role that calls for something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The role.
    pub role: RoleName,
    /// What has changed.
    pub why: Vec<String>,
}

/// `fresh`, with waits as long as those of the file, if its roles have the steps of the file.
pub(super) fn same(file: &[RoleFile], mut fresh: Plan) -> Result<Plan, Stale> {
    let mut by_name: BTreeMap<&RoleName, &RoleFile> =
        file.iter().map(|role| (&role.role, role)).collect();
    let mut changed = Vec::new();
    for role in &mut fresh.roles {
        let why = match by_name.remove(&role.role) {
            Some(file) if writes(&file.steps) == writes(&values(&role.steps)) => {
                role.steps = with_waits(&file.steps, role);
                continue;
            }
            Some(file) => file.difference(role),
            None if role.steps.is_empty() => continue,
            None => vec!["the plan has nothing of it".to_owned()],
        };
        let role = role.role.clone();
        changed.push(Changed { role, why });
    }
    let gone = by_name.into_values().filter(|file| !file.steps.is_empty());
    changed.extend(gone.map(|file| Changed {
        role: file.role.clone(),
        why: vec!["it is not there, or has neither hosts nor a pin".to_owned()],
    }));
    if changed.is_empty() {
        Ok(fresh)
    } else {
        Err(Stale(changed))
    }
}

fn value<T: serde::Serialize>(of: &T) -> Value {
    serde_json::to_value(of).expect("what plans are made of has a JSON form")
}

fn values(steps: &[Step]) -> Vec<Value> {
    steps.iter().map(value).collect()
}

/// Steps without the waits: how long these have to be depends on when the plan is made.
fn writes(steps: &[Value]) -> Vec<&Value> {
    steps
        .iter()
        .filter(|step| seconds(step).is_none())
        .collect()
}

fn seconds(step: &Value) -> Option<u64> {
    (step["step"] == "wait").then(|| step["seconds"].as_u64().unwrap_or_default())
}

/// The steps of `role`, each behind the longer of the waits that the two have before it.
fn with_waits(file: &[Value], role: &RolePlan) -> Vec<Step> {
    // What the file waits, by the number of the write that comes next.
    let mut waits: BTreeMap<usize, u64> = BTreeMap::new();
    let mut number = 0;
    for step in file {
        match seconds(step) {
            Some(seconds) => *waits.entry(number).or_default() += seconds,
            None => number += 1,
        }
    }
    let (mut steps, mut number, mut waited) = (Vec::new(), 0, 0);
    for step in &role.steps {
        if let Step::Wait { seconds, .. } = step {
            waited = *seconds;
            continue;
        }
        let seconds = waits.remove(&number).unwrap_or_default().max(waited);
        if seconds > 0 {
            let role = role.role.clone();
            steps.push(Step::Wait { role, seconds });
        }
        steps.push(step.clone());
        (number, waited) = (number + 1, 0);
    }
    steps
}

impl RoleFile {
    /// What `now` has that the file has not, or the other way round.
    fn difference(&self, now: &RolePlan) -> Vec<String> {
        let in_force = now.in_force.as_ref().map(pin);
        if now.steps.is_empty() && in_force.is_some() && in_force == self.pin {
            return vec!["its pin is in force already".to_owned()];
        }
        match now.outcome {
            Outcome::Released => return vec!["it was released".to_owned()],
            Outcome::RolledBack => return vec!["somebody went back to an earlier pin".to_owned()],
            _ => {}
        }
        let mut why = Vec::new();
        let mode = value(&now.mode);
        if self.mode != mode {
            why.push(format!(
                "its mode was {}, and is {}",
                plain(&self.mode),
                plain(&mode)
            ));
        }
        why.extend(policies(self.in_force.as_ref(), in_force.as_ref()));
        why.extend(self.digests(now));
        why.extend(hosts(&self.footprint.hosts, now));
        if now.steps.is_empty() {
            let names: BTreeSet<String> = now.holds.iter().filter_map(hold_name).collect();
            let names: Vec<String> = names.into_iter().collect();
            if !names.is_empty() {
                why.push(format!("it is held ({})", names.join(", ")));
            }
        }
        if why.is_empty() {
            why.push(
                "its hosts and its pin are the same, and other steps are called for: the config says \
                 something else than when the plan was made"
                    .to_owned(),
            );
        }
        why
    }

    /// Policies that are not attached, and say something else than when the plan was made.
    fn digests(&self, now: &RolePlan) -> Vec<String> {
        let expected = |step: &Value| {
            let digest = step.get("replaces").or_else(|| step.get("says"))?;
            Some((
                step["arn"].as_str()?.to_owned(),
                digest.as_str()?.to_owned(),
            ))
        };
        // The first one is of what is there; later ones, and all of a policy that is made, are of what the
        // steps themselves write.
        let first = |steps: &[Value]| {
            let mut first: BTreeMap<String, String> = BTreeMap::new();
            for (arn, digest) in steps.iter().filter_map(expected) {
                first.entry(arn).or_insert(digest);
            }
            let made = steps.iter().filter(|step| step["step"] == "create_policy");
            for arn in made.filter_map(|step| step["arn"].as_str()) {
                first.remove(arn);
            }
            first
        };
        let attached = |arn: &str| {
            let pins = self.in_force.iter().flat_map(|pin| &pin.policies);
            pins.clone().any(|policy| policy.arn == arn)
        };
        let now = first(&values(&now.steps));
        let of_file = first(&self.steps);
        let changed = of_file.into_iter().filter(|(arn, digest)| {
            !attached(arn) && now.get(arn).is_some_and(|now| now != digest)
        });
        changed
            .map(|(arn, _)| format!("{arn} says something else"))
            .collect()
    }
}

fn pin(pin: &credpin_core::plan::Pin) -> PinFile {
    let policies = pin.policies.iter().map(|policy| PolicyFile {
        arn: policy.arn.to_string(),
        document: value(&policy.document),
    });
    PinFile {
        policies: policies.collect(),
    }
}

/// What was attached, detached or changed.
fn policies(then: Option<&PinFile>, now: Option<&PinFile>) -> Vec<String> {
    let by_arn = |pin: Option<&PinFile>| -> BTreeMap<String, Value> {
        let policies = pin.map(|pin| pin.policies.clone()).unwrap_or_default();
        let pairs = policies
            .into_iter()
            .map(|policy| (policy.arn, policy.document));
        pairs.collect()
    };
    let (then, mut now) = (by_arn(then), by_arn(now));
    let mut said = Vec::new();
    for (arn, document) in then {
        match now.remove(&arn) {
            None => said.push(format!(
                "{arn} is no longer attached, or not as credpin wrote it"
            )),
            Some(other) if other != document => said.push(format!("{arn} says something else")),
            Some(_) => {}
        }
    }
    said.extend(now.into_keys().map(|arn| format!("{arn} was attached")));
    said
}

fn hosts(then: &[Value], now: &RolePlan) -> Vec<String> {
    let by_id = |hosts: &[Value]| -> BTreeMap<String, Value> {
        let pairs = hosts
            .iter()
            .map(|host| (plain(&host["instance"]), host.clone()));
        pairs.collect()
    };
    let now: Vec<Value> = now.footprint.hosts.iter().map(value).collect();
    let (then, mut now) = (by_id(then), by_id(&now));
    let (mut gone, mut moved) = (Vec::new(), Vec::new());
    for (id, host) in then {
        match now.remove(&id) {
            None => gone.push(id),
            Some(other) if other != host => moved.push(id),
            Some(_) => {}
        }
    }
    let new: Vec<String> = now.into_keys().collect();
    let mut said = Vec::new();
    for (what, ids) in [
        ("new hosts", new),
        ("hosts that are gone", gone),
        ("hosts elsewhere", moved),
    ] {
        const SHOWN: usize = 3;
        if !ids.is_empty() {
            let more = match ids.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let shown = ids[..ids.len().min(SHOWN)].join(", ");
            said.push(format!("{what}: {shown}{more}"));
        }
    }
    said
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self
            .0
            .iter()
            .map(|changed| format!("  role {}: {}", changed.role, changed.why.join("; ")));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}
