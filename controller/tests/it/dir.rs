//! The directory cloud keeps IAM's own limits, and says what is wrong with its files.

use std::fs;

use credpin::cloud::{
    NewPolicy, Observe, WriteIam,
    dir::{Dir, save},
    estate::own_role,
};
use credpin_core::id::{Arn, PolicyName, RoleName};

use crate::rig::Account;

const ARN: &str = "arn:aws:iam::123456789012:policy/credpin/credpin-web";

async fn create(account: &Account, role: &str, document: &str) -> Result<(), String> {
    let role: RoleName = role.parse().unwrap();
    let name: PolicyName = "credpin-web".parse().unwrap();
    let new = NewPolicy {
        role: &role,
        name: &name,
        arn: &ARN.parse().unwrap(),
        document,
        tags: &[("credpin:managed", "pin"), ("credpin:role", role.as_str())],
    };
    account
        .cloud()
        .create_policy(&new)
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_policy_has_five_versions_and_keeps_the_one_in_force() {
    let account = Account::of("nat");
    let (cloud, arn): (_, Arn) = (account.cloud(), ARN.parse().unwrap());
    create(&account, "web", "{}").await.unwrap();
    for _ in 0..4 {
        cloud.create_version(&arn, "{}").await.unwrap();
    }
    let sixth = cloud.create_version(&arn, "{}").await.unwrap_err();
    assert!(sixth.why.starts_with("LimitExceeded"), "{sixth}");
    let in_force = cloud
        .delete_version(&arn, &"v5".parse().unwrap())
        .await
        .unwrap_err();
    assert!(in_force.why.starts_with("DeleteConflict"), "{in_force}");
    let unknown = cloud
        .delete_version(&arn, &"v9".parse().unwrap())
        .await
        .unwrap_err();
    assert!(unknown.not_found, "{unknown}");
}

#[tokio::test]
async fn a_document_has_its_quota_and_blanks_are_free() {
    let account = Account::of("nat");
    let padded = format!("{{\"a\":\"{}\"{}}}", "x".repeat(6144 - 8), " ".repeat(1000));
    assert_eq!(create(&account, "web", &padded).await, Ok(()));
    let longer = padded.replacen('x', "xx", 1);
    let error = account
        .cloud()
        .create_version(&ARN.parse().unwrap(), &longer)
        .await
        .unwrap_err();
    assert!(error.why.starts_with("LimitExceeded"), "{error}");
}

#[tokio::test]
async fn a_policy_that_is_there_is_not_made_again() {
    let account = Account::of("nat");
    create(&account, "web", "{}").await.unwrap();
    assert!(
        create(&account, "web", "{}")
            .await
            .unwrap_err()
            .contains("EntityAlreadyExists")
    );
}

#[tokio::test]
async fn a_role_named_like_a_parent_folder_writes_nowhere() {
    let account = Account::of("nat");
    for role in ["..", "."] {
        let error = create(&account, role, "{}").await.unwrap_err();
        assert!(error.contains("has no folder"), "{error}");
    }
    assert!(!account.path().join("pins").exists());
}

#[tokio::test]
async fn state_that_is_cut_is_a_gap_and_not_taken_for_no_policy() {
    let account = Account::of("nat");
    create(&account, "web", "{}").await.unwrap();
    let file = account.path().join("pins/web/credpin-web.state.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    let gaps = account.cloud().observe().await.gaps;
    let said: Vec<String> = gaps.iter().map(ToString::to_string).collect();
    assert!(
        said.iter().any(|gap| gap.contains("credpin-web.state.json")
            && gap.contains("cut short")
            && gap.contains("the next run writes both anew")),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_folder_that_hides_hosts_under_no_regions_name_is_a_gap() {
    let account = Account::of("nat");
    fs::rename(
        account.path().join("eu-west-1"),
        account.path().join("Ireland"),
    )
    .unwrap();
    let seen = account.cloud().observe().await;
    assert_eq!(seen.regions.len(), 0);
    assert!(
        seen.gaps
            .iter()
            .any(|gap| gap.why.contains("is not named like a region")),
        "{:?}",
        seen.gaps
    );
}

/// What the directory's view does not know, in words.
async fn gaps(account: &Account) -> Vec<String> {
    let seen = account.cloud().observe().await;
    seen.gaps.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_regions_folder_without_an_answer_is_a_gap() {
    for foreign in [None, Some("notes.txt")] {
        let account = Account::of("nat");
        let folder = account.path().join("us-gov-west-1");
        fs::create_dir(&folder).unwrap();
        if let Some(name) = foreign {
            fs::write(folder.join(name), "mine").unwrap();
        }
        let said = gaps(&account).await;
        assert_eq!(said.len(), 8, "{foreign:?}: {said:?}");
        assert!(
            said[0].contains("us-gov-west-1/describe-addresses.json is missing"),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn a_reservation_without_its_instances_is_a_gap() {
    let account = Account::of("nat");
    let file = account.path().join("eu-west-1/describe-instances.json");
    let text = fs::read_to_string(&file).unwrap();
    for other in ["\"instances\"", "\"Machines\""] {
        fs::write(&file, text.replacen("\"Instances\"", other, 1)).unwrap();
        let said = gaps(&account).await;
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("missing field `Instances`"), "{said:?}");
    }
}

#[test]
fn a_path_that_is_no_directory_is_an_error_at_once() {
    let error = Dir::open("tests/no-such-cloud").unwrap_err();
    assert!(error.to_string().contains("tests/no-such-cloud"), "{error}");
}

#[tokio::test]
async fn the_role_that_asks_is_known_by_its_name() {
    let account = Account::of("nat");
    fs::create_dir(account.path().join("sts")).unwrap();
    for (arn, own) in [
        (
            "arn:aws:sts::123456789012:assumed-role/web/i-0a",
            Some("arn:aws:iam::123456789012:role/web"),
        ),
        ("arn:aws:sts::999999999999:assumed-role/web/i-0a", None),
        ("arn:aws:iam::123456789012:user/web", None),
    ] {
        let identity =
            format!(r#"{{"UserId": "AROA1:i-0a", "Account": "123456789012", "Arn": "{arn}"}}"#);
        fs::write(
            account.path().join("sts/get-caller-identity.json"),
            identity,
        )
        .unwrap();
        let seen = account.cloud().observe_iam().await;
        let estate = credpin::cloud::estate::estate(&seen);
        let found = own_role(&seen, &estate).map(|arn| arn.to_string());
        assert_eq!(found.as_deref(), own, "{arn}");
    }
}

#[tokio::test]
async fn a_view_saved_over_an_earlier_one_leaves_nothing_of_it() {
    let account = Account::of("nat-replaced");
    let out = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let file = out.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    save(
        &Account::of("dual-stack").cloud().observe().await,
        out.path(),
    )
    .unwrap();
    write("iam/list-policy-tags/credpin-gone.json", r#"{"Tags": []}"#);
    write(
        "sts/get-caller-identity.json",
        r#"{"Account": "1", "Arn": "a"}"#,
    );
    for kept in [
        "notes/read-me.txt",
        "notes/describe-me.json",
        "pins/web/credpin-web.json",
        "us-east-1/mine.txt",
        "iam/mine.txt",
    ] {
        write(kept, "mine");
    }
    write("us-east-1/describe-vpcs.json", r#"{"Vpcs": []}"#);
    assert!(out.path().join("eu-central-1").exists());

    save(&account.cloud().observe().await, out.path()).unwrap();
    for gone in [
        "iam/list-policy-tags/credpin-gone.json",
        "sts/get-caller-identity.json",
        "us-east-1/describe-vpcs.json",
        "eu-central-1",
    ] {
        assert!(!out.path().join(gone).exists(), "{gone}");
    }
    for kept in [
        "notes/read-me.txt",
        "notes/describe-me.json",
        "pins/web/credpin-web.json",
        "us-east-1/mine.txt",
        "iam/mine.txt",
        "iam/list-policy-tags/credpin-web.json",
        "eu-west-1/describe-vpcs.json",
    ] {
        assert!(out.path().join(kept).exists(), "{kept}");
    }
}

/// The marks of the plan of `web`, and what a run then makes of its document.
async fn run_over(account: &Account) -> (String, String) {
    let (cloud, now) = (account.cloud(), jiff::Timestamp::UNIX_EPOCH);
    let run = credpin::run(&cloud, &account.settings, &[], now);
    let plan = run.await.unwrap().plan;
    let text = credpin::report::plan(&plan, &account.settings, credpin::report::Paint::default());
    let file = account.path().join("pins/web/credpin-web.json");
    (text, fs::read_to_string(file).unwrap_or_default())
}

#[tokio::test]
async fn a_document_that_somebody_edited_is_held_and_one_that_is_gone_is_written_again() {
    let mut account = Account::of("nat");
    let (_, written) = run_over(&account).await;
    let file = account.path().join("pins/web/credpin-web.json");

    fs::write(&file, written.replace("198.51.100.7/32", "203.0.113.66/32")).unwrap();
    let (said, left) = run_over(&account).await;
    assert!(said.contains("! [edited] somebody else"), "{said}");
    assert!(said.contains("+ 203.0.113.66/32"), "{said}");
    assert!(left.contains("203.0.113.66/32"), "{left}");
    account.settings.take_over = true;
    let (said, again) = run_over(&account).await;
    assert!(said.contains("~ web gets a new pin"), "{said}");
    assert_eq!(again, written);
    account.settings.take_over = false;

    fs::remove_file(&file).unwrap();
    let (said, again) = run_over(&account).await;
    assert!(said.contains("+ web gets its pin attached again"), "{said}");
    assert_eq!(again, written);

    fs::write(&file, "{}").unwrap();
    let (said, _) = run_over(&account).await;
    assert!(said.contains("! [edited] somebody else"), "{said}");

    let laid_out_otherwise = written.replace('\n', " ");
    fs::write(&file, &laid_out_otherwise).unwrap();
    let (said, left) = run_over(&account).await;
    assert!(said.contains("= web is as it should be"), "{said}");
    assert_eq!(left, laid_out_otherwise);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_named() {
    let account = Account::of("nat");
    fs::create_dir(account.path().join("pins")).unwrap();
    fs::write(account.path().join("pins/web"), "in the way").unwrap();
    let error = create(&account, "web", "{}").await.unwrap_err();
    assert!(
        error.contains("cannot write") && error.contains("pins/web/credpin-web"),
        "{error}"
    );
}
