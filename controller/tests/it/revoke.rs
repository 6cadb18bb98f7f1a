//! Cuts on a directory cloud: made once, made on after a fault, taken off exactly.

use std::fs;

use credpin::{
    cloud::{contain::Contain, dir::Dir},
    revoke::{Choices, RevokeError, Target, carry_out, expire, plan, resolve, undo},
};
use credpin_core::cut::{CUT_PATH, On, Stolen};
use jiff::{SignedDuration, Timestamp};

use crate::rig::Account;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

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
        let made = carry_out(&cloud, cuts.clone()).await;
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
        let made = carry_out(&cloud, plan(&instance, NOW).unwrap()).await;
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
