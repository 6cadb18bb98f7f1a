//! The accounts that are measured are what they are taken for.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{collections::BTreeSet, fs, path::Path};

use credpin::cloud::{Observe, dir::Dir, estate::estate};
use credpin_core::{
    estate::{Estate, Instance},
    id::RoleName,
    plan::{self, Outcome, Plan, Step},
    settings::{Mode, Settings},
};
use credpin_e2e::fleet::{self, Fleet};

const FLEET: Fleet = Fleet {
    instances: 400,
    roles: 40,
    vpcs: 8,
    regions: 2,
    seed: 7,
};

fn planned(estate: &Estate) -> Plan {
    planned_within(None, estate)
}

fn planned_within(policy_quota: Option<usize>, estate: &Estate) -> Plan {
    let settings = Settings {
        mode: Mode::Enforce,
        without_replay: true,
        allow_launch_gap: true,
        policy_quota,
        ..Settings::default()
    };
    let now = "2026-11-27T12:00:00Z".parse().unwrap();
    let plan = plan::plan(estate, &[], &settings, now);
    for step in plan.steps() {
        if let Step::CreatePolicy { document, .. } | Step::CreateVersion { document, .. } = step {
            credpin_witness::note(document.to_json());
        }
    }
    plan
}

fn outcomes(plan: &Plan) -> BTreeSet<&str> {
    let of = |outcome| match outcome {
        Outcome::Change => "change",
        Outcome::Unchanged => "unchanged",
        _ => "else",
    };
    plan.roles.iter().map(|role| of(role.outcome)).collect()
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_same_seed_gives_the_same_account_and_another_one_another() {
    let other = Fleet { seed: 8, ..FLEET };
    assert_eq!(FLEET.estate(), FLEET.estate());
    assert_ne!(FLEET.estate(), other.estate());
    let [once, again, else_where] = [FLEET, FLEET, other].map(|fleet| {
        let folder = tempfile::tempdir().unwrap();
        fleet.write(folder.path()).unwrap();
        files(folder.path())
    });
    assert_eq!(once, again);
    assert_ne!(once, else_where);
}

#[test]
fn an_account_has_as_much_in_it_as_was_asked_for() {
    let estate = FLEET.estate();
    assert_eq!(estate.instances().count(), FLEET.instances);
    assert_eq!(estate.roles.len(), FLEET.roles);
    let subnets = estate.regions.values().flat_map(|it| it.subnets.values());
    let vpcs: BTreeSet<_> = subnets.map(|subnet| &subnet.vpc).collect();
    assert_eq!(vpcs.len(), FLEET.vpcs);
    let mut addresses = BTreeSet::new();
    for (_, instance) in estate.instances() {
        for address in &instance.interfaces[0].ipv4 {
            assert!(addresses.insert((&instance.vpc, address.private)));
        }
    }
    let own_public = |it: &&Instance| it.interfaces[0].ipv4[0].public.is_some();
    let public = estate.instances().map(|(_, it)| it).filter(own_public);
    assert!((1..FLEET.instances / 2).contains(&public.count()));
    assert!(addresses.len() > FLEET.instances, "some have two");
}

#[tokio::test]
async fn what_is_in_the_files_is_what_is_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    FLEET.write(folder.path()).unwrap();
    let seen = Dir::open(folder.path()).unwrap().observe().await;
    assert_eq!(estate(&seen), FLEET.estate());
}

#[test]
fn every_role_can_be_pinned_and_stays_so_until_something_changes() {
    let mut estate = FLEET.estate();
    let first = planned(&estate);
    assert_eq!(first.roles.len(), FLEET.roles);
    assert_eq!(outcomes(&first), ["change"].into());
    let is_first = |step: &Step| matches!(step, Step::CreatePolicy { .. } | Step::Attach { .. });
    assert!(first.steps().all(is_first));

    fleet::pinned(&mut estate, &first);
    let settled = planned(&estate);
    assert_eq!(outcomes(&settled), ["unchanged"].into());
    assert_eq!(settled.steps().count(), 0);

    fleet::move_gateways(&mut estate, FLEET, 8);
    let moved = planned(&estate);
    let changed: Vec<_> = moved
        .roles
        .iter()
        .filter(|role| role.outcome == Outcome::Change)
        .collect();
    // Of one VPC in eight, and those whose hosts are spread to it.
    assert!((4..=7).contains(&changed.len()), "{}", changed.len());
    for role in changed {
        let writes = role.steps.iter().filter(|step| step.arn().is_some());
        // Widened, then narrowed.
        assert!(writes.count() >= 2);
    }
}

#[test]
fn roles_are_planned_alike_side_by_side_and_one_after_the_other() {
    let estate = FLEET.estate();
    let side_by_side = planned(&estate);
    let made = |step: &&Step| matches!(step, Step::CreatePolicy { .. });
    let needed = side_by_side.steps().filter(made).count();
    // With no room to spare, each role has what those before it leave.
    assert_eq!(planned_within(Some(needed), &estate), side_by_side);
    assert_ne!(planned_within(Some(needed - 1), &estate), side_by_side);
}

#[test]
fn one_instance_that_is_replaced_is_written_for_its_role_in_two_calls_a_phase() {
    let mut estate = FLEET.estate();
    fleet::pinned(&mut estate, &planned(&FLEET.estate()));
    let has_own = |it: &Instance| it.interfaces[0].ipv4[0].public.is_some();
    let mut instances = estate.regions.values_mut().map(|it| &mut it.instances);
    let (instances, old) = instances
        .find_map(|all| {
            let old = all.values().find(|it| has_own(it)).cloned()?;
            Some((all, old))
        })
        .unwrap();
    let mut new = old.clone();
    new.id = "i-0123456789abcdef0".parse().unwrap();
    new.interfaces[0].id = "eni-0123456789abcdef0".parse().unwrap();
    new.interfaces[0].ipv4[0].public = Some("198.51.100.7".parse().unwrap());
    instances.remove(old.id.as_str());
    instances.insert(new.id.clone(), new);

    let plan = planned(&estate);
    let profile = old.profile.unwrap();
    let role = |name: &RoleName| &estate.roles[name.as_str()];
    let roles: BTreeSet<&RoleName> = plan.steps().map(Step::role).collect();
    assert_eq!(roles.len(), 1);
    assert!(
        roles
            .iter()
            .all(|name| role(name).profiles.contains(&profile))
    );
    let steps: Vec<&Step> = plan.steps().collect();
    let phases = steps.split(|step| matches!(step, Step::Wait { .. }));
    let phases: Vec<usize> = phases.map(<[_]>::len).collect();
    assert_eq!(phases.len(), 2, "widened, then narrowed");
    assert!(
        phases.iter().all(|calls| (1..=2).contains(calls)),
        "{phases:?}"
    );
}
