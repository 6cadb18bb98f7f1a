//! Plans of whole accounts, byte for byte: each folder of `scenarios/` is a directory cloud and a
//! config, and the plan of it as a person and as a machine reads it.
//!
//! `UPDATE_GOLDEN=1 cargo test -p credpin --test it scenarios` writes what is found; read the diff.

use std::{
    fs,
    path::{Path, PathBuf},
};

use credpin::{
    Planned,
    apply::Applied,
    cloud::{Calls, Observe, dir::Dir},
    config,
    report::{self, Paint},
};
use credpin_core::{exposure::Exposure, plan::Outcome, settings::Settings};
use jiff::Timestamp;

use crate::rig;

/// Every scenario, relative to the crate: paths are part of what gaps say.
fn scenarios() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir("tests/scenarios")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

async fn plan(scenario: &Path) -> (credpin::Planned, Settings) {
    let file = scenario.join("credpin.toml");
    let config = config::parse("credpin.toml", &fs::read_to_string(file).unwrap()).unwrap();
    let cloud = Dir::open(scenario.join("cloud")).unwrap();
    let planned = rig::plan(&cloud, &config.settings, Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    (planned, config.settings)
}

#[tokio::test]
async fn plans_are_as_they_were_read_and_agreed_to() {
    let mut wrong = Vec::new();
    let scenarios = scenarios();
    assert!(scenarios.len() >= 11, "where have the scenarios gone?");
    for scenario in scenarios {
        let (Planned { plan, .. }, settings) = plan(&scenario).await;
        for (name, text) in [
            ("plan.txt", report::plan(&plan, &settings, Paint::default())),
            ("plan.json", report::plan_json(&plan).unwrap()),
        ] {
            let file = scenario.join(name);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&file, &text).unwrap();
            }
            let agreed = fs::read_to_string(&file).unwrap_or_default();
            if agreed != text {
                let line = agreed
                    .lines()
                    .zip(text.lines())
                    .position(|(old, new)| old != new);
                let line = line.unwrap_or_else(|| agreed.lines().count().min(text.lines().count()));
                let (old, new) = (agreed.lines().nth(line), text.lines().nth(line));
                wrong.push(format!(
                    "{}:{}:\n  - {old:?}\n  + {new:?}",
                    file.display(),
                    line + 1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_same_view_gives_the_same_plan_byte_for_byte() {
    for scenario in scenarios() {
        let first = report::plan_json(&plan(&scenario).await.0.plan).unwrap();
        let second = report::plan_json(&plan(&scenario).await.0.plan).unwrap();
        assert_eq!(first, second, "{}", scenario.display());
    }
}

/// As a look right after the run finds it, and not as it would be if nothing were held.
#[tokio::test]
async fn what_a_run_leaves_of_a_pin_that_is_held_in_part_is_that_part() {
    let (Planned { plan, .. }, _) = plan(Path::new("tests/scenarios/held-in-part")).await;
    let run = credpin::Run {
        plan,
        applied: Applied::default(),
        unconfirmed: Vec::new(),
        calls: Calls::new(),
    };
    let after = run.after();
    let deploy = after.role(&"deploy".parse().unwrap()).unwrap();
    assert_eq!(deploy.outcome, Outcome::Held);
    assert!(deploy.in_force.is_some() && deploy.in_force == deploy.meanwhile);
    assert_ne!(deploy.in_force, deploy.pin);
    assert_eq!(deploy.exposure_now, Exposure::Everything);
}

/// What `observe --out` writes is the cloud it was seen in, holes included.
#[tokio::test]
async fn a_saved_view_reads_as_the_view_that_was_saved() {
    for scenario in scenarios() {
        let seen = Dir::open(scenario.join("cloud")).unwrap().observe().await;
        let out = tempfile::tempdir().unwrap();
        credpin::cloud::dir::save(&seen, out.path()).unwrap();
        let again = Dir::open(out.path()).unwrap().observe().await;
        let whats = |gaps: &std::collections::BTreeSet<credpin_core::estate::Gap>| {
            gaps.iter()
                .map(|gap| (gap.region.clone(), gap.what.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            whats(&again.gaps),
            whats(&seen.gaps),
            "{}",
            scenario.display()
        );
        assert_eq!(again.iam, seen.iam, "{}", scenario.display());
        assert_eq!(again.regions, seen.regions, "{}", scenario.display());
    }
}
