//! Taking pins off and giving them back.

use std::fs;

use credpin::{
    cloud::{Observe, estate::estate},
    release::{Whose, previous, release, undo},
};
use credpin_core::plan::{Outcome, Plan};
use jiff::Timestamp;

use crate::rig::{self, Account, Fault};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn web() -> Whose {
    Whose::Roles(vec!["web".parse().unwrap()])
}

/// An account whose role `web` has its pin in force.
async fn pinned() -> Account {
    let account = Account::of("nat");
    assert!(
        credpin::run(&account.cloud(), &account.settings, &[], NOW)
            .await
            .unwrap()
            .is_complete()
    );
    account
}

async fn plan(account: &Account) -> Plan {
    rig::plan(&account.cloud(), &account.settings, NOW)
        .await
        .unwrap()
        .plan
}

async fn outcome(account: &Account) -> Outcome {
    plan(account)
        .await
        .role(&"web".parse().unwrap())
        .unwrap()
        .outcome
}

#[tokio::test]
async fn a_release_marks_first_then_detaches_and_the_next_run_leaves_it_off() {
    let account = pinned().await;
    let cloud = account.cloud();
    let released = release(&cloud, &web(), NOW).await;
    assert_eq!(released.done.len(), 1, "{released:?}");
    assert_eq!(cloud.writes(), ["tag_policy", "detach"]);
    assert!(!account.path().join("pins/web/credpin-web.json").exists());

    let cloud = account.cloud();
    credpin::run(&cloud, &account.settings, &[], NOW)
        .await
        .unwrap();
    assert_eq!(cloud.writes(), Vec::<&str>::new());
    assert_eq!(outcome(&account).await, Outcome::Released);
}

#[tokio::test]
async fn a_release_needs_no_ec2() {
    let account = pinned().await;
    fs::remove_dir_all(account.path().join("eu-west-1")).unwrap();
    let released = release(&account.cloud(), &Whose::All, NOW).await;
    assert_eq!(released.done.len(), 1, "{released:?}");
    assert!(released.gaps.is_empty(), "{released:?}");
}

#[tokio::test]
async fn a_release_that_was_stopped_ends_when_it_is_said_again() {
    for at in 0..2 {
        for fault in [Fault::NotDone, Fault::DoneUnheard] {
            let account = pinned().await;
            let stopped = release(&account.failing(at, fault), &web(), NOW).await;
            assert_eq!(stopped.failed.len(), 1, "call {at}, {fault:?}");
            let again = release(&account.cloud(), &web(), NOW).await;
            assert_eq!(again.done.len(), 1, "call {at}, {fault:?}: {again:?}");
            assert_eq!(
                outcome(&account).await,
                Outcome::Released,
                "call {at}, {fault:?}"
            );
            let seen = estate(&account.cloud().observe_iam().await);
            assert!(
                seen.roles["web"].attached.is_empty(),
                "call {at}, {fault:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_release_touches_only_what_is_ours() {
    let account = Account::of("nat-replaced");
    fs::write(
        account.path().join("iam/list-policy-tags/credpin-web.json"),
        r#"{"Tags": []}"#,
    )
    .unwrap();
    let cloud = account.cloud();
    let released = release(
        &cloud,
        &Whose::Roles(vec!["web".parse().unwrap(), "nobody".parse().unwrap()]),
        NOW,
    )
    .await;
    assert_eq!(cloud.writes(), Vec::<&str>::new());
    let said: Vec<String> = released
        .failed
        .iter()
        .map(|(_, error)| error.to_string())
        .collect();
    assert!(
        said[1].contains("there is no policy credpin-nobody"),
        "{said:?}"
    );
    assert_eq!(said.len(), 2);
}

#[tokio::test]
async fn where_a_pin_may_be_hidden_nobody_says_that_there_is_none() {
    let account = Account::of("nat-replaced");
    fs::remove_file(
        account
            .path()
            .join("iam/get-account-authorization-details.json"),
    )
    .unwrap();
    let cloud = account.cloud();
    for refused in [
        release(&cloud, &web(), NOW).await,
        undo(&cloud, &web(), &account.settings).await,
    ] {
        let said = refused.failed[0].1.to_string();
        assert!(
            said.starts_with("was not seen: GetAccountAuthorizationDetails: "),
            "{said}"
        );
    }
    let all = release(&cloud, &Whose::All, NOW).await;
    assert_eq!(
        (all.done.len(), all.gaps.len()),
        (0, 1),
        "said and not passed over: {all:?}"
    );
}

#[tokio::test]
async fn an_undone_release_is_pinned_again_by_the_next_run() {
    let account = pinned().await;
    release(&account.cloud(), &web(), NOW).await;
    let undone = undo(&account.cloud(), &web(), &account.settings).await;
    assert_eq!(
        undone.done[0].1,
        "given back to runs: the next one puts the pin in force again"
    );
    assert_eq!(outcome(&account).await, Outcome::Change);
    let cloud = account.cloud();
    credpin::run(&cloud, &account.settings, &[], NOW)
        .await
        .unwrap();
    assert_eq!(cloud.writes(), ["attach"]);
    assert_eq!(outcome(&account).await, Outcome::Unchanged);
}

#[tokio::test]
async fn an_undo_says_what_is_true_of_the_role_and_the_config() {
    let mut account = pinned().await;
    let undone = undo(&account.cloud(), &web(), &account.settings).await;
    assert_eq!(
        undone.done[0].1,
        "was not released: there is nothing to undo"
    );
    release(&account.cloud(), &web(), NOW).await;
    account.settings.roles.clear();
    let undone = undo(&account.cloud(), &web(), &account.settings).await;
    assert_eq!(
        undone.done[0].1,
        "given back to runs: the config says observe, so the next one leaves the pin off"
    );
    assert_eq!(outcome(&account).await, Outcome::Observed);
}

/// In this scenario the pin in force was written for another NAT gateway, and so was the one before.
#[tokio::test]
async fn a_previous_document_that_would_lock_a_host_out_is_refused() {
    let account = Account::of("nat-replaced");
    let cloud = account.cloud();
    let refused = previous(&cloud, &web(), &account.settings, NOW)
        .await
        .unwrap();
    assert_eq!(cloud.writes(), Vec::<&str>::new());
    let said = refused.failed[0].1.to_string();
    assert!(
        said.starts_with("v6 is not safe to go back to: a call of i-0web1 from home"),
        "{said}"
    );
}

#[tokio::test]
async fn a_previous_document_is_not_proven_against_a_view_with_holes() {
    let account = Account::of("nat-replaced");
    fs::remove_file(account.path().join("eu-west-1/describe-addresses.json")).unwrap();
    let cloud = account.cloud();
    let refused = previous(&cloud, &web(), &account.settings, NOW)
        .await
        .unwrap();
    assert_eq!(cloud.writes(), Vec::<&str>::new());
    let said = refused.failed[0].1.to_string();
    assert!(
        said.starts_with("v6 cannot be proven safe: DescribeAddresses"),
        "{said}"
    );
}

#[tokio::test]
async fn a_previous_document_that_holds_comes_back_and_stays_until_it_is_undone() {
    // The config gains a hub, so the pin is written anew; the first document still holds without it.
    let mut account = pinned().await;
    account.settings.hub_vpcs = Some(["vpc-0hub".parse().unwrap()].into());
    credpin::run(&account.cloud(), &account.settings, &[], NOW)
        .await
        .unwrap();
    account.settings.hub_vpcs = None;

    let cloud = account.cloud();
    let back = previous(&cloud, &web(), &account.settings, NOW)
        .await
        .unwrap();
    assert_eq!(
        back.done[0].1,
        "went back a version, v2 -> v1; runs leave it in force until `credpin release --undo web`"
    );
    assert_eq!(cloud.writes(), ["set_default_version"]);
    assert_eq!(outcome(&account).await, Outcome::RolledBack);
    let cloud = account.cloud();
    credpin::run(&cloud, &account.settings, &[], NOW)
        .await
        .unwrap();
    assert_eq!(cloud.writes(), Vec::<&str>::new());

    undo(&account.cloud(), &web(), &account.settings).await;
    assert_eq!(outcome(&account).await, Outcome::Unchanged);
}

#[tokio::test]
async fn what_a_run_was_only_on_its_way_by_is_passed_over() {
    let account = pinned().await;
    let nat = |from: &str, to: &str| {
        for file in ["describe-nat-gateways.json", "describe-addresses.json"] {
            let file = account.path().join("eu-west-1").join(file);
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, text.replace(from, to)).unwrap();
        }
    };
    nat("198.51.100.7", "198.51.100.8");
    credpin::run(&account.cloud(), &account.settings, &[], NOW)
        .await
        .unwrap();
    nat("198.51.100.8", "198.51.100.7");
    // Version 2 admits both addresses, and one of them is nobody's now.
    let back = previous(&account.cloud(), &web(), &account.settings, NOW)
        .await
        .unwrap();
    assert!(
        back.done[0].1.starts_with("went back a version, v3 -> v1"),
        "{back:?}"
    );
}

#[tokio::test]
async fn there_must_be_a_previous_document() {
    let account = pinned().await;
    let refused = previous(&account.cloud(), &web(), &account.settings, NOW)
        .await
        .unwrap();
    assert_eq!(
        refused.failed[0].1.to_string(),
        "there is no version before the one in force"
    );
}
