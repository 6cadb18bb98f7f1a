//! Carrying plans out, with the plug pulled after every call in turn.

use std::{collections::BTreeMap, fs};

use credpin::{
    Blind, Run,
    cloud::{Observe, estate::estate},
    flow::{Answer, agreed, carry_out},
    release::{Whose, release},
    report::{self, Paint},
};
use credpin_core::{
    id::{PolicyName, RoleName},
    plan::{Outcome, Plan, Step},
    settings::{Glob, Mode, RoleRule},
};
use jiff::Timestamp;

use crate::rig::{self, Account, Fault, Watched};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// Scenarios whose plans have steps of every kind.
const CHANGING: [&str; 5] = ["nat", "nat-replaced", "operator", "dual-stack", "chained"];

async fn run(account: &Account, cloud: &Watched) -> Run {
    credpin::run(cloud, &account.settings, &[], NOW)
        .await
        .unwrap()
}

/// What holds in IAM in the end: each policy's document in force and who has it attached.
async fn in_force(account: &Account) -> BTreeMap<PolicyName, (Option<String>, Vec<String>)> {
    let seen = estate(&account.cloud().observe_iam().await);
    seen.policies
        .values()
        .map(|policy| {
            let text = policy.in_force().and_then(|version| version.text.clone());
            let roles = seen
                .roles
                .values()
                .filter(|role| role.attached.contains(&policy.arn));
            (
                policy.name.clone(),
                (text, roles.map(|role| role.name.to_string()).collect()),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_run_makes_the_plan_true_and_the_next_one_writes_nothing() {
    for scenario in CHANGING {
        let account = Account::of(scenario);
        let cloud = account.cloud();
        let first = run(&account, &cloud).await;
        assert!(first.is_complete(), "{scenario}: {first:?}");
        assert_eq!(
            first.applied.done.len(),
            first.plan.steps().count(),
            "{scenario}"
        );
        let waits = |step: &&Step| matches!(step, Step::Wait { .. });
        let waits = first.applied.done.iter().filter(waits).count();
        assert_eq!(cloud.waited().len(), waits, "{scenario}");
        assert_eq!(
            cloud.writes().len() + waits,
            first.applied.done.len(),
            "{scenario}"
        );

        let cloud = account.cloud();
        let second = run(&account, &cloud).await;
        assert!(second.is_complete(), "{scenario}: {second:?}");
        assert_eq!(cloud.writes(), Vec::<&str>::new(), "{scenario}");
        let changes = second
            .plan
            .roles
            .iter()
            .any(|role| role.outcome == Outcome::Change);
        assert!(!changes, "{scenario}");
    }
}

#[tokio::test]
async fn wherever_a_run_is_stopped_the_next_one_ends_in_the_planned_state() {
    let mut stops = 0;
    for scenario in CHANGING {
        let account = Account::of(scenario);
        let cloud = account.cloud();
        run(&account, &cloud).await;
        let (writes, planned) = (cloud.writes().len(), in_force(&account).await);

        for at in 0..writes {
            for fault in [Fault::NotDone, Fault::DoneUnheard] {
                let account = Account::of(scenario);
                let stopped = run(&account, &account.failing(at, fault)).await;
                assert!(!stopped.is_complete(), "{scenario}, call {at}, {fault:?}");
                let next = run(&account, &account.cloud()).await;
                assert!(
                    next.is_complete(),
                    "{scenario}, call {at}, {fault:?}: {next:?}"
                );
                assert_eq!(
                    in_force(&account).await,
                    planned,
                    "{scenario}, call {at}, {fault:?}"
                );
                stops += 1;
            }
        }
    }
    assert!(
        stops >= 14,
        "only {stops} places to stop at: what happened to the scenarios?"
    );
}

#[tokio::test]
async fn a_role_that_stops_does_not_stop_the_others() {
    let mut account = Account::of("nat");
    account.settings.mode = credpin_core::settings::Mode::Enforce;
    let stopped = run(&account, &account.failing(0, Fault::NotDone)).await;
    let failed: Vec<String> = stopped
        .applied
        .failed
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        failed,
        [
            "role batch: create_policy on arn:aws:iam::123456789012:policy/credpin/credpin-batch \
          failed: the test pulled the plug"
        ]
    );
    let done: Vec<&str> = stopped
        .applied
        .done
        .iter()
        .map(|step| step.role().as_str())
        .collect();
    assert_eq!(done, ["web", "web"]);
    assert_eq!(stopped.unconfirmed, []);
}

#[tokio::test]
async fn a_policy_without_our_tags_is_left_alone() {
    for tags in [
        r#"{"Tags": []}"#,
        r#"{"Tags": [{"Key": "credpin:managed", "Value": "pin"}]}"#,
        r#"{"Tags": [{"Key": "credpin:managed", "Value": "pin"}, {"Key": "credpin:role", "Value": "api"}]}"#,
        r#"{"Tags": [{"Key": "credpin:managed", "Value": "mine"}, {"Key": "credpin:role", "Value": "web"}]}"#,
    ] {
        let account = Account::of("nat-replaced");
        fs::write(
            account.path().join("iam/list-policy-tags/credpin-web.json"),
            tags,
        )
        .unwrap();
        let cloud = account.cloud();
        let refused = run(&account, &cloud).await;
        assert_eq!(cloud.writes(), Vec::<&str>::new(), "{tags}");
        let said = refused.applied.failed[0].to_string();
        assert!(said.contains("policy/credpin/credpin-web"), "{said}");
    }
}

#[tokio::test]
async fn of_five_versions_the_oldest_goes_and_the_previous_one_stays() {
    let account = Account::of("nat-replaced");
    let cloud = account.cloud();
    run(&account, &cloud).await;
    assert_eq!(
        cloud.writes(),
        [
            "delete_version",
            "create_version",
            "delete_version",
            "create_version"
        ]
    );
    let seen = estate(&cloud.observe_iam().await);
    let web = &seen.policies["credpin-web"];
    let ids: Vec<&str> = web
        .versions
        .iter()
        .map(|version| version.id.as_str())
        .collect();
    assert_eq!(ids, ["v5", "v6", "v7", "v8", "v9"]);
    assert_eq!(web.in_force().unwrap().id.as_str(), "v9");
    let before: Vec<&str> = web.earlier().iter().map(|it| it.id.as_str()).collect();
    assert_eq!(
        before[..2],
        ["v8", "v7"],
        "the union, and the pin before it"
    );
}

#[tokio::test]
async fn the_document_in_force_lies_in_the_directory_as_a_person_reads_it() {
    let account = Account::of("nat");
    let run = run(&account, &account.cloud()).await;
    let document = fs::read_to_string(account.path().join("pins/web/credpin-web.json")).unwrap();
    let pin = run
        .plan
        .role(&"web".parse().unwrap())
        .unwrap()
        .pin
        .as_ref()
        .unwrap();
    let sealed = pin.policies[0].document.sealed();
    assert_eq!(document, sealed.to_json_pretty() + "\n");
}

#[tokio::test]
async fn without_roles_nothing_is_planned_and_the_reason_is_told() {
    let account = Account::of("nat");
    fs::remove_file(
        account
            .path()
            .join("iam/get-account-authorization-details.json"),
    )
    .unwrap();
    let blind = rig::plan(&account.cloud(), &account.settings, NOW)
        .await
        .unwrap_err();
    let said = blind.to_string();
    assert!(
        said.starts_with("nothing can be planned without the account's roles: "),
        "{said}"
    );
    assert!(
        said.contains("write it with `aws iam get-account-authorization-details --filter Role LocalManagedPolicy > "),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_released_between_plan_and_apply_is_left_as_it_is() {
    let account = Account::of("nat-replaced");
    let cloud = account.cloud();
    let planned = rig::plan(&cloud, &account.settings, NOW).await.unwrap();
    account.tag_web("credpin:released", "by hand");
    let run = carry_out(planned.plan, &cloud).await;
    assert_eq!(cloud.writes(), Vec::<&str>::new());
    assert_eq!(
        run.applied.released_meanwhile,
        ["web".parse::<RoleName>().unwrap()]
    );
    assert!(
        run.is_complete(),
        "nothing failed and nothing is missing: {run:?}"
    );
    let told = report::run(&run, Paint::default());
    assert!(
        told.contains("role web was released meanwhile and left as it is"),
        "{told}"
    );
}

/// Two roles whose pins lose an address each.
fn narrowing() -> Account {
    let mut account = Account::of("nat");
    account.settings.mode = Mode::Enforce;
    account
}

/// Gives the NAT gateway of `account` another address.
fn replace_nat(account: &Account) {
    for file in ["describe-nat-gateways.json", "describe-addresses.json"] {
        let file = account.path().join("eu-west-1").join(file);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace("198.51.100.7", "198.51.100.77")).unwrap();
    }
}

#[tokio::test]
async fn all_roles_are_widened_wait_together_and_are_narrowed() {
    let account = narrowing();
    run(&account, &account.cloud()).await;
    replace_nat(&account);
    let cloud = account.cloud();
    let changed = run(&account, &cloud).await;
    assert!(changed.is_complete(), "{changed:?}");
    assert_eq!(cloud.waited(), [std::time::Duration::from_mins(1)]);
    let done: Vec<(&str, bool)> = changed
        .applied
        .done
        .iter()
        .map(|step| {
            (
                step.role().as_str(),
                matches!(step, Step::CreateVersion { .. }),
            )
        })
        .collect();
    assert_eq!(
        done,
        [
            ("batch", true),
            ("web", true),
            ("batch", false),
            ("web", false),
            ("batch", true),
            ("web", true)
        ]
    );
}

#[tokio::test]
async fn what_is_released_during_the_wait_is_not_narrowed() {
    let account = narrowing();
    run(&account, &account.cloud()).await;
    replace_nat(&account);
    let cloud = account.cloud().during_the_wait({
        let path = account.path().to_owned();
        move || {
            let file = path.join("pins/web/credpin-web.state.json");
            let text = fs::read_to_string(&file).unwrap();
            let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
            let tag = serde_json::json!({"Key": "credpin:released", "Value": "by hand"});
            state["Tags"].as_array_mut().unwrap().push(tag);
            fs::write(file, state.to_string()).unwrap();
        }
    });
    let changed = run(&account, &cloud).await;
    assert_eq!(
        changed.applied.released_meanwhile,
        ["web".parse::<RoleName>().unwrap()]
    );
    assert_eq!(
        cloud.writes(),
        ["create_version"; 3],
        "both wider, one narrower"
    );
}

#[tokio::test]
async fn what_somebody_else_changes_meanwhile_is_left_as_it_is() {
    let edit = |path: &std::path::Path| {
        let file = path.join("pins/web/credpin-web.json");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("vpc-lattice-svcs:*", "s3:*")).unwrap();
    };
    // Between plan and apply.
    let account = Account::of("nat");
    run(&account, &account.cloud()).await;
    replace_nat(&account);
    let cloud = account.cloud();
    let planned = rig::plan(&cloud, &account.settings, NOW).await.unwrap();
    edit(account.path());
    let changed = carry_out(planned.plan, &cloud).await;
    assert_eq!(cloud.writes(), Vec::<&str>::new());
    let said = changed.applied.failed[0].to_string();
    assert!(
        said.contains("was changed since the plan was made"),
        "{said}"
    );

    // While the run waits.
    let account = Account::of("nat");
    run(&account, &account.cloud()).await;
    replace_nat(&account);
    let path = account.path().to_owned();
    let cloud = account.cloud().during_the_wait(move || edit(&path));
    let changed = run(&account, &cloud).await;
    assert_eq!(cloud.writes(), ["create_version"]);
    assert_eq!(changed.applied.failed.len(), 1, "{changed:?}");
}

#[tokio::test]
async fn what_is_released_meanwhile_is_still_detached() {
    let mut account = Account::of("nat-replaced");
    account.settings.mode = Mode::Observe;
    account.settings.roles = vec![RoleRule {
        name: Glob::new("*"),
        account: None,
        mode: Mode::Observe,
    }];
    let cloud = account.cloud();
    let planned = rig::plan(&cloud, &account.settings, NOW).await.unwrap();
    account.tag_web("credpin:released", "by hand");
    let run = carry_out(planned.plan, &cloud).await;
    assert!(cloud.writes().contains(&"detach"), "{run:?}");
    assert_eq!(run.applied.released_meanwhile, []);
}

#[tokio::test]
async fn a_role_with_a_comma_in_its_name_is_pinned_and_known_again() {
    let account = Account::of("nat");
    for file in [
        "iam/get-account-authorization-details.json",
        "eu-west-1/describe-instances.json",
    ] {
        let file = account.path().join(file);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(
            file,
            text.replace("role/web\"", "role/web,eu\"")
                .replace("\"RoleName\": \"web\"", "\"RoleName\": \"web,eu\""),
        )
        .unwrap();
    }
    let mut account = account;
    account.settings.mode = Mode::Enforce;
    let web: RoleName = "web,eu".parse().unwrap();
    let first = run(&account, &account.cloud()).await;
    assert!(first.is_complete(), "{first:?}");
    let state = account.path().join("pins/web,eu/credpin-web,eu.state.json");
    let state = fs::read_to_string(state).unwrap();
    assert!(
        state.contains("\"web/eu\""),
        "IAM takes no comma in a tag: {state}"
    );

    // Found again, changed and detached: each reads the tags first.
    account.settings.hub_vpcs = Some(["vpc-0hub".parse().unwrap()].into());
    let second = run(&account, &account.cloud()).await;
    assert!(second.is_complete(), "{second:?}");
    let released = release(&account.cloud(), &Whose::Roles(vec![web]), NOW).await;
    assert_eq!(released.failed.len(), 0, "{released:?}");
}

#[tokio::test]
async fn what_was_agreed_to_is_what_is_done() {
    let account = Account::of("nat");
    let cloud = account.cloud();
    let routes = account.path().join("eu-west-1/describe-nat-gateways.json");
    let mut asked = Vec::new();
    let answer = agreed(&cloud, &account.settings, &[], NOW, |plan: &Plan| {
        asked.push(plan.steps().cloned().collect::<Vec<_>>());
        if asked.len() == 1 {
            // While the person reads, the gateway gets another address.
            let text = fs::read_to_string(&routes).unwrap();
            fs::write(&routes, text.replace("198.51.100.7", "198.51.100.77")).unwrap();
        }
        Ok::<_, Blind>(true)
    })
    .await
    .unwrap();
    let Answer::Yes(planned) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(asked.len(), 2, "asked again about what had changed");
    assert_ne!(asked[0], asked[1]);
    let run = carry_out(planned.plan, &cloud).await;
    assert_eq!(run.applied.done, asked[1]);
    let pin = fs::read_to_string(account.path().join("pins/web/credpin-web.json")).unwrap();
    assert!(pin.contains("198.51.100.77/32") && !pin.contains("198.51.100.7/32"));
}

#[tokio::test]
async fn a_no_writes_nothing_and_asks_once() {
    let account = Account::of("nat");
    let cloud = account.cloud();
    let mut asked = 0;
    let answer = agreed(&cloud, &account.settings, &[], NOW, |_| {
        asked += 1;
        Ok::<_, Blind>(false)
    })
    .await
    .unwrap();
    assert!(matches!(answer, Answer::No(_)), "{answer:?}");
    assert_eq!((asked, cloud.writes().len()), (1, 0));
}
