//! Plans that are written down, read, and carried out later, or refused.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use credpin::{
    cli::Once,
    flow::carry_out,
    plan_file::{self, PlanFile, PlanFileError, Unusable},
};
use credpin_core::plan::{Plan, Step};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::{
    cli::{account, credpin, text},
    rig::{self, Account},
};

/// What `credpin ARGS` prints and complains of, where it ends with `code`.
fn says(account: &Account, code: i32, args: &[&str]) -> String {
    let output = credpin(account.path(), args);
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
    format!("{out}{err}")
}

/// Changes the JSON in a file of the cloud.
fn edit(account: &Account, file: &str, change: impl FnOnce(&mut Value)) {
    let file = account.path().join(file);
    let mut value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}

const IAM: &str = "iam/get-account-authorization-details.json";
const INSTANCES: &str = "eu-west-1/describe-instances.json";

/// What IAM has is as it was.
fn iam(account: &Account) -> (String, bool) {
    let text = fs::read_to_string(account.path().join(IAM)).unwrap();
    (text, account.path().join("pins").exists())
}

#[test]
fn a_plan_that_was_written_down_is_carried_out_without_a_question() {
    let account = account("nat");
    let shown = says(&account, 2, &["plan", "--out", "web.plan"]);
    assert!(shown.contains("+ web gets a pin"), "{shown}");
    let file = account.path().join("web.plan");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
    assert!(!account.path().join("web.plan.new").exists());

    let done = says(&account, 0, &["apply", "web.plan"]);
    assert!(done.contains("2 of 2 steps"), "{done}");
    assert!(account.path().join("pins/web/credpin-web.json").exists());
    // A second time there is nothing of it left to do.
    let again = says(&account, 1, &["apply", "web.plan"]);
    assert!(
        again.contains("role web: its pin is in force already"),
        "{again}"
    );
    assert!(
        again.contains("write it anew with `credpin plan --out web.plan`"),
        "{again}"
    );
}

#[test]
fn a_link_in_the_place_of_a_plan_is_left_alone() {
    let account = account("nat");
    let link = account.path().join("web.plan");
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    let said = says(&account, 1, &["plan", "--out", "web.plan"]);
    assert!(said.contains("no regular file"), "{said}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(!account.path().join("elsewhere").exists());
}

#[test]
fn the_file_is_what_plan_prints_for_machines_under_a_head() {
    let account = account("nat");
    let output = credpin(account.path(), &["plan", "--json", "--out", "web.plan"]);
    let printed = text(&output).0;
    let written = fs::read_to_string(account.path().join("web.plan")).unwrap();
    let mut plan: Value = serde_json::from_str(&written).unwrap();
    for field in ["digest", "made", "once"] {
        assert!(plan.as_object_mut().unwrap().remove(field).is_some());
    }
    assert_eq!(plan, serde_json::from_str::<Value>(&printed).unwrap());
    // What is printed is the same every day, and so no plan of today.
    fs::write(account.path().join("printed.json"), &printed).unwrap();
    let said = says(&account, 1, &["apply", "printed.json"]);
    assert!(
        said.contains("this is not what `credpin plan --out` of this version writes"),
        "{said}"
    );
    // An editor's line end is no edit.
    fs::write(account.path().join("web.plan"), written.trim()).unwrap();
    says(&account, 0, &["apply", "web.plan"]);
}

#[test]
fn what_was_allowed_for_the_plan_is_allowed_where_it_is_carried_out() {
    let account = account("nat");
    let file = account.path().join("credpin.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(file, config.replace("without-replay = true\n", "")).unwrap();
    says(&account, 3, &["plan"]);
    says(
        &account,
        2,
        &["plan", "--without-replay", "--out", "web.plan"],
    );
    says(&account, 0, &["apply", "web.plan"]);
    // And no more than that can be.
    says(&account, 64, &["apply", "web.plan", "--take-over"]);
}

/// Plans, lets `happen` happen and applies: what is said about the role `web`. Nothing is done.
fn refused(scenario: &str, happen: impl FnOnce(&Account)) -> String {
    let account = account(scenario);
    credpin(account.path(), &["plan", "--out", "all.plan"]);
    happen(&account);
    let before = iam(&account);
    let said = says(&account, 1, &["apply", "all.plan"]);
    assert_eq!(iam(&account), before, "nothing was done");
    let line = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("role web: "));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn a_role_that_changed_since_is_named_with_what_changed_and_nothing_is_done() {
    let arn = "arn:aws:iam::123456789012:policy/credpin/credpin-web";
    let edited = refused("nat-replaced", |account| {
        edit(account, IAM, |iam| {
            let version = &mut iam["Policies"][0]["PolicyVersionList"][4];
            version["Document"]["Statement"][0]["NotAction"] = json!(["s3:*"]);
        });
    });
    assert_eq!(
        edited,
        format!("{arn} is no longer attached, or not as credpin wrote it; it is held (edited)")
    );
    let detached = refused("nat-replaced", |account| {
        edit(account, IAM, |iam| {
            iam["RoleDetailList"][0]["AttachedManagedPolicies"] = json!([]);
        });
    });
    assert!(
        detached.starts_with(&format!("{arn} is no longer attached")),
        "{detached}"
    );
    let moved = refused("nat", |account| {
        for file in walk(&account.path().join("eu-west-1")) {
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, text.replace("198.51.100.7\"", "198.51.100.9\"")).unwrap();
        }
        rename_host(account);
    });
    assert_eq!(
        moved,
        "new hosts: i-0fff; hosts that are gone: i-0web1; hosts elsewhere: i-0web2"
    );
    let told = refused("nat", |account| {
        let file = account.path().join("credpin.toml");
        let config = fs::read_to_string(&file).unwrap();
        fs::write(file, config.replace("enforce", "observe")).unwrap();
    });
    assert_eq!(told, "its mode was enforce, and is observe");
    let other = refused("nat", |account| {
        let file = account.path().join("credpin.toml");
        let config = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("self-defence = true\n{config}")).unwrap();
    });
    assert!(
        other.ends_with("the config says something else than when the plan was made"),
        "{other}"
    );
}

/// The first host is another one, in the same place.
fn rename_host(account: &Account) {
    edit(account, INSTANCES, |seen| {
        let host = &mut seen["Reservations"][0]["Instances"][0];
        assert_eq!(host["InstanceId"], "i-0web1");
        host["InstanceId"] = json!("i-0fff");
    });
}

#[test]
fn a_host_that_came_meanwhile_and_changes_no_step_is_no_reason_to_refuse() {
    let account = account("nat");
    says(&account, 2, &["plan", "--out", "web.plan"]);
    rename_host(&account);
    says(&account, 0, &["apply", "web.plan"]);
}

/// What a plan file is refused with at `now`.
fn unusable(account: &Account, text: &str, now: Timestamp) -> Unusable {
    let file = account.path().join("a.plan");
    fs::write(&file, text).unwrap();
    PlanFile::read(&file, now).unwrap_err().why
}

#[test]
fn a_file_that_was_edited_is_too_old_or_no_plan_is_refused() {
    let account = account("nat");
    says(&account, 2, &["plan", "--out", "web.plan"]);
    let text = fs::read_to_string(account.path().join("web.plan")).unwrap();
    let plan: Value = serde_json::from_str(&text).unwrap();
    let made: Timestamp = plan["made"].as_str().unwrap().parse().unwrap();
    // Whatever is changed: what is to be done, or only what a person reads.
    for (old, new) in [
        ("198.51.100.", "203.0.113."),
        ("\"enforce\"", "\"observe\""),
        ("\"warnings\": []", "\"warnings\": [\"fine\"]"),
        ("\"made\"", " \"made\""),
    ] {
        assert!(text.contains(old), "{old}: {text}");
        let edited = unusable(&account, &text.replacen(old, new, 1), made);
        assert!(matches!(edited, Unusable::Edited), "{old}: {edited:?}");
    }
    let late = unusable(&account, &text, made + 25.hours());
    assert!(matches!(late, Unusable::TooOld(_)), "{late:?}");
    let old = unusable(&account, "{\"schema\": 2, \"roles\": []}", made);
    assert!(matches!(old, Unusable::NoFile), "{old:?}");
    let none = unusable(&account, "- a\n- b\n", made);
    assert!(matches!(none, Unusable::NoPlan(_)), "{none:?}");
    assert!(PlanFile::read(&account.path().join("web.plan"), made + 23.hours()).is_ok());

    let file = account.path().join("credpin.toml");
    edit(&account, "web.plan", |plan| plan["roles"] = json!([]));
    let said = says(&account, 1, &["apply", "web.plan"]);
    assert!(
        said.contains("web.plan: it was changed since credpin wrote it"),
        "{said}"
    );
    let said = says(&account, 1, &["apply", file.to_str().unwrap()]);
    assert!(said.contains("credpin.toml: this is no plan: "), "{said}");
    assert!(!account.path().join("pins").exists());
}

#[test]
fn a_plan_of_another_account_is_refused() {
    let account = account("nat");
    says(&account, 2, &["plan", "--out", "web.plan"]);
    for file in walk(account.path()) {
        if file
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, text.replace("123456789012", "210987654321")).unwrap();
        }
    }
    let said = says(&account, 1, &["apply", "web.plan"]);
    assert!(
        said.contains("the plan is of account 123456789012, and not of 210987654321"),
        "{said}"
    );
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = entries.map(|path| {
        if path.is_dir() {
            walk(&path)
        } else {
            vec![path]
        }
    });
    below.flatten().collect()
}

/// The plan at `now`.
async fn plan(account: &Account, now: Timestamp) -> Plan {
    let cloud = account.cloud();
    let planned = rig::plan(&cloud, &account.settings, now).await;
    planned.unwrap().plan
}

/// `fresh`, as the file with the plan `saved` has it.
fn held(account: &Account, saved: &Plan, fresh: Plan) -> Result<Plan, PlanFileError> {
    let text = plan_file::to_text(saved, NOW, &Once::default()).unwrap();
    let path = account.path().join("all.plan");
    plan_file::write(&path, &text).unwrap();
    let file = PlanFile::read(&path, NOW).unwrap();
    file.hold(file.of(None).unwrap(), fresh)
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

#[tokio::test]
async fn the_steps_of_the_file_are_done_with_its_waits() {
    let account = Account::of("nat-replaced");
    let saved = plan(&account, NOW).await;
    let same = held(&account, &saved, plan(&account, NOW).await).unwrap();
    assert_eq!(same, saved);
    let cloud = account.cloud();
    let run = carry_out(same, &cloud).await;
    assert!(run.is_complete(), "{run:?}");
    assert_eq!(run.applied.done.len(), saved.steps().count());
    assert_eq!(cloud.waited(), [Duration::from_mins(1)]);
}

#[tokio::test]
async fn of_two_waits_the_longer_one_is_kept() {
    let account = Account::of("nat-replaced");
    let saved = plan(&account, NOW).await;
    let waiting = |seconds| {
        let mut plan = saved.clone();
        for step in plan.roles.iter_mut().flat_map(|role| &mut role.steps) {
            if let Step::Wait { seconds: wait, .. } = step {
                *wait = seconds;
            }
        }
        plan
    };
    let without = |mut plan: Plan| {
        for role in &mut plan.roles {
            role.steps.retain(|step| !matches!(step, Step::Wait { .. }));
        }
        plan
    };
    for (file, fresh) in [
        (waiting(60), waiting(5)),
        (waiting(5), waiting(60)),
        (waiting(60), without(waiting(60))),
        (without(waiting(60)), waiting(60)),
    ] {
        assert_eq!(held(&account, &file, fresh).unwrap(), waiting(60));
    }
}

#[tokio::test]
async fn steps_that_the_file_has_not_are_not_done_on_the_side() {
    let account = Account::of("nat-replaced");
    let fresh = plan(&account, NOW).await;
    let mut saved = fresh.clone();
    saved.roles.retain(|role| role.role.as_str() != "web");
    let refused = held(&account, &saved, fresh.clone()).unwrap_err().why;
    let Unusable::Stale(stale) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(stale.to_string(), "  role web: the plan has nothing of it");
    let refused = held(&account, &fresh, saved).unwrap_err().to_string();
    assert!(refused.contains("role web: it is not there"), "{refused}");
}
