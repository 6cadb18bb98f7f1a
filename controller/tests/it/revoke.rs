//! Cuts on a directory cloud: made once, made on after a fault, taken off exactly.

use std::fs;

use credpin::{
    cloud::{contain::Contain, dir::Dir},
    revoke::{Choices, RevokeError, Stamp, Target, carry_out, expire, plan, resolve, undo},
};
use credpin_core::cut::{CUT_PATH, On, Stolen};
use credpin_ledger::Record;
use jiff::{SignedDuration, Timestamp};

use crate::rig::Account;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const STAMP: Stamp<'_> = Stamp {
    made: NOW,
    lineage: None,
};

fn dir(account: &Account) -> Dir {
    Dir::open(account.path()).unwrap()
}

async fn stolen(cloud: &Dir, target: &str, choices: &Choices) -> Result<Stolen, RevokeError> {
    let target: Target = target.parse().unwrap();
    resolve(cloud, &target, choices, &[]).await
}

fn files(account: &Account) -> Vec<String> {
    let entries = fs::read_dir(account.path().join("cuts"))
        .into_iter()
        .flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn a_cut_made_twice_is_there_once_and_undone_leaves_nothing() {
    let account = Account::of("nat");
    let cloud = dir(&account);
    let instance = stolen(&cloud, "role/web/i-0abc", &Choices::default()).await;
    let cuts = plan(&instance.unwrap(), NOW).unwrap();
    for _ in 0..2 {
        let made = carry_out(&cloud, cuts.clone(), STAMP).await;
        assert!(made.failed.is_none(), "{made:?}");
    }
    let standing = cloud.standing().await.unwrap();
    assert_eq!(standing.len(), 1);
    assert!(standing[0].arn.resource().contains(CUT_PATH));
    undo(&cloud, &cuts[0].id).await.unwrap();
    assert_eq!(files(&account), Vec::<String>::new());
    let again = undo(&cloud, &cuts[0].id).await.unwrap_err();
    assert!(matches!(again, RevokeError::NoCut(_)), "{again}");
}

#[tokio::test]
async fn the_cut_on_who_assumed_a_role_comes_before_the_one_on_its_sessions() {
    let account = Account::of("nat");
    let cloud = dir(&account);
    let choices = Choices {
        assumed_by: Some(On::Role("web".parse().unwrap())),
        ..Choices::default()
    };
    let session = stolen(&cloud, "role/web/deploy", &choices).await.unwrap();
    let said: Vec<String> = plan(&session, NOW)
        .unwrap()
        .into_iter()
        .map(|cut| cut.says)
        .collect();
    assert_eq!(
        said,
        [
            "deny role/web to assume role/web",
            "deny role/web all that its session deploy got before 1970-01-01T00:00:30Z",
        ]
    );
}

#[tokio::test]
async fn only_cuts_that_have_ended_are_taken_off_and_without_them_nothing_is_asked() {
    let account = Account::of("nat");
    let cloud = dir(&account);
    let isolate = Choices {
        isolate: true,
        ..Choices::default()
    };
    for choices in [Choices::default(), isolate] {
        let instance = stolen(&cloud, "role/web/i-0abc", &choices).await.unwrap();
        let made = carry_out(&cloud, plan(&instance, NOW).unwrap(), STAMP).await;
        assert!(made.failed.is_none(), "{made:?}");
    }
    let names = || async {
        let standing = cloud.standing().await.unwrap();
        standing.into_iter().map(|cut| cut.name).collect()
    };
    let before = NOW + SignedDuration::from_hours(12);
    let ended = expire(&cloud, &names().await, before).await.unwrap();
    assert!(ended.is_empty(), "{ended:?}");
    let after = NOW + SignedDuration::from_hours(13);
    let ended = expire(&cloud, &names().await, after).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert!(ended[0].1.is_ok());
    assert_eq!(names().await.len(), 1, "the isolation stays");
}

#[tokio::test]
async fn what_is_not_meant_is_refused_before_anything_is_written() {
    let account = Account::of("nat");
    let cloud = dir(&account);
    let isolate = Choices {
        isolate: true,
        ..Choices::default()
    };
    for (target, choices, wanted) in [
        (
            "role/web/deploy",
            &isolate,
            "--isolate goes with an instance",
        ),
        ("role/nobody", &Choices::default(), "has no such role"),
        (
            "root",
            &Choices::default(),
            "no policy in an account binds its root user",
        ),
        (
            "user/alice",
            &Choices::default(),
            "a directory cloud has no users",
        ),
        (
            "ASIAIOSFODNN7EXAMPLE",
            &Choices::default(),
            "no host recorded",
        ),
    ] {
        let error = stolen(&cloud, target, choices).await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    assert_eq!(files(&account), Vec::<String>::new());
}

#[tokio::test]
async fn a_role_that_takes_no_policy_is_refused_with_what_to_do_instead() {
    for (folder, instead) in [
        ("aws-reserved/sso.amazonaws.com", "IAM Identity Center"),
        ("aws-service-role/ec2.amazonaws.com", "AWS Support"),
    ] {
        let account = Account::of("nat");
        let file = account
            .path()
            .join("iam/get-account-authorization-details.json");
        let text = fs::read_to_string(&file).unwrap();
        let moved = text.replace(":role/web\"", &format!(":role/{folder}/web\""));
        assert_ne!(moved, text);
        fs::write(&file, moved).unwrap();
        let cloud = dir(&account);
        for target in ["role/web", "role/web/deploy", "role/web/i-0abc"] {
            let error = stolen(&cloud, target, &Choices::default())
                .await
                .unwrap_err();
            assert!(error.to_string().contains(instead), "{error}");
        }
    }
}

fn record(instance: &str) -> Record {
    serde_json::from_value(serde_json::json!({
        "schema": 1, "kind": "issued", "time": "2026-11-23T11:00:00Z", "boot_id": "b", "seq": 1,
        "account": "111122223333", "region": "eu-west-1", "instance_id": instance,
        "public_ipv4s": [], "private_ipv4s": ["10.66.6.6"], "vpc": "vpc-0abc",
        "role": "web", "access_key_id": "ASIAIOSFODNN7EXAMPLE", "issued": "2026-11-23T11:00:00Z",
        "expires": "2026-11-23T17:00:00Z", "consumer": {"peer": "127.0.0.1"},
        "imds_version": "2", "proxy_version": "0.1.0",
    }))
    .unwrap()
}

#[tokio::test]
async fn a_recorded_key_is_its_hosts_and_one_on_record_twice_is_nobodys() {
    let account = Account::of("nat");
    let cloud = dir(&account);
    let key: Target = "ASIAIOSFODNN7EXAMPLE".parse().unwrap();
    let choices = Choices::default();
    // A second consumer on the same host is no contradiction.
    let records = [record("i-0abc"), record("i-0abc")];
    let found = resolve(&cloud, &key, &choices, &records).await.unwrap();
    let named = stolen(&cloud, "role/web/i-0abc", &choices).await.unwrap();
    assert_eq!(found, named);

    let records = [record("i-0abc"), record("i-0forged")];
    let error = resolve(&cloud, &key, &choices, &records).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("role/web/i-0abc and role/web/i-0forged"),
        "{said}"
    );
}
