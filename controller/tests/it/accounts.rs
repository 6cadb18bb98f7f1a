//! Several accounts in one directory cloud, by the binary.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    rig::{copy, note},
    tokens::{record, ship},
};

pub(crate) const FIRST: &str = "111111111111";
pub(crate) const SECOND: &str = "222222222222";
pub(crate) const BROKEN: &str = "333333333333";

/// The account that the scenarios play in.
const PLAYED: &str = "123456789012";

/// A directory cloud with the scenario in each of these accounts, and a config that keeps state.
pub(crate) struct Organisation(TempDir);

impl Organisation {
    pub(crate) fn of(scenario: &str, accounts: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scenario = Path::new("tests/scenarios").join(scenario);
        for account in accounts {
            let cloud = folder.path().join("cloud").join(account);
            copy(&scenario.join("cloud"), &cloud);
            replace(&cloud, PLAYED, account);
        }
        let config = fs::read_to_string(scenario.join("credpin.toml")).unwrap();
        let state = folder.path().join("state");
        let config = format!(
            "cloud = \"dir:cloud\"\nstate = \"file://{}\"\n{config}",
            state.display()
        );
        fs::write(folder.path().join("credpin.toml"), config).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// IAM does not answer in that account.
    pub(crate) fn break_account(&self, account: &str) {
        let file = "iam/get-account-authorization-details.json";
        fs::remove_file(self.path().join("cloud").join(account).join(file)).unwrap();
    }

    fn has_pin(&self, account: &str) -> bool {
        let pins = self.path().join("cloud").join(account).join("pins/web");
        pins.join("credpin-web.json").exists()
    }

    pub(crate) fn credpin(&self, args: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_credpin"))
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        for account in fs::read_dir(self.path().join("cloud")).unwrap() {
            note(&account.unwrap().path());
        }
        output
    }

    /// What it prints, where it ends with `code`.
    pub(crate) fn says(&self, code: i32, args: &[&str]) -> String {
        let output = self.credpin(args);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
        out
    }

    pub(crate) fn json(&self, code: i32, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(code, args)).unwrap()
    }
}

/// Puts a text in the place of another in everything below `folder`.
pub(crate) fn replace(folder: &Path, old: &str, new: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            replace(&path, old, new);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace(old, new)).unwrap();
        }
    }
}

#[test]
fn each_account_is_told_under_its_name_and_in_order() {
    let all = Organisation::of("nat", &[SECOND, FIRST]);
    let plan = all.says(2, &["plan"]);
    let place = |text: &str| plan.find(text).unwrap_or_else(|| panic!("{text}: {plan}"));
    assert!(place("# 111111111111\n") < place("Account 111111111111"));
    assert!(place("Account 111111111111") < place("# 222222222222\n"));
    assert!(plan.contains("policy/credpin/credpin-web"), "{plan}");
    assert!(plan.ends_with("2 accounts: 2 to be changed.\n"), "{plan}");

    // One asked for by itself is told as if it were alone.
    let one = all.says(2, &["plan", "--account", FIRST]);
    assert!(one.starts_with("Account 111111111111\n"), "{one}");
    assert!(!one.contains(SECOND), "{one}");
}

#[test]
fn a_run_goes_on_where_one_account_fails_and_says_so() {
    let all = Organisation::of("nat", &[FIRST, BROKEN, SECOND]);
    all.break_account(BROKEN);
    let run = all.json(4, &["run", "--json"]);
    assert!(all.has_pin(FIRST) && all.has_pin(SECOND) && !all.has_pin(BROKEN));
    assert_eq!(run["exit"], 4);
    let accounts = run["accounts"].as_array().unwrap();
    let exits: Vec<&Value> = accounts.iter().map(|account| &account["exit"]).collect();
    assert_eq!(exits, [0, 0, 1]);
    assert_eq!(accounts[0]["result"]["done"], 2);
    let error = accounts[2]["error"].as_str().unwrap();
    assert!(
        error.contains("write it with `aws iam get-account-authorization-details"),
        "{error}"
    );

    let again = all.credpin(&["run"]);
    let line = String::from_utf8(again.stderr).unwrap();
    assert!(
        line.contains("all: 3 accounts: 2 done, 1 failed (333333333333); 0 of 0 steps done"),
        "{line}"
    );
    all.break_account(FIRST);
    all.break_account(SECOND);
    all.says(1, &["run"]);
}

#[test]
fn status_answers_from_what_the_runs_kept_of_all_accounts_and_of_one() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    all.says(0, &["run"]);
    // Nothing is left to look at: what is told comes from the state alone.
    for account in [FIRST, SECOND] {
        let folder = all.path().join("cloud").join(account);
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(folder).unwrap();
    }
    let status = all.says(0, &["status"]);
    assert!(status.contains("111111111111  done"), "{status}");
    assert!(status.ends_with("2 accounts: 2 done.\n"), "{status}");
    let one = all.says(0, &["status", "--account", SECOND]);
    assert!(one.contains("web    enforce  in force"), "{one}");

    // One that fails later is told among the others, whoever ran it.
    all.says(1, &["run", "--account", SECOND]);
    let status = all.json(4, &["status", "--json"]);
    let accounts = &status["accounts"];
    assert_eq!(accounts[FIRST]["run"]["plan"]["create"], 1, "{status}");
    assert_eq!(accounts[SECOND]["exit"], 1, "{status}");
    all.says(1, &["status", "--fresh"]);
}

#[test]
fn an_account_that_no_run_has_looked_at_yet_is_not_told_as_well() {
    let all = Organisation::of("nat", &[FIRST]);
    all.says(0, &["run"]);
    all.says(0, &["status"]);
    let second = all.path().join("cloud").join(SECOND);
    copy(&all.path().join("cloud").join(FIRST), &second);
    replace(&second, FIRST, SECOND);
    let status = all.credpin(&["status"]);
    let said = String::from_utf8(status.stderr).unwrap();
    assert_eq!(status.status.code(), Some(4), "{said}");
    assert!(
        said.contains("no run has kept anything of account 222222222222 yet"),
        "{said}"
    );
    all.says(0, &["status", "--account", FIRST]);
}

#[test]
fn a_rule_can_be_about_one_account_and_what_is_not_in_the_others_is_no_slip() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    let file = all.path().join("credpin.toml");
    let config = fs::read_to_string(&file).unwrap();
    let rule = "[[role]]\nname = \"web*\"\n";
    assert!(config.contains(rule), "{config}");
    let config = config.replace(rule, &format!("{rule}account = \"{SECOND}\"\n"));
    fs::write(&file, config).unwrap();
    let run = all.says(0, &["run"]);
    assert!(!all.has_pin(FIRST) && all.has_pin(SECOND));
    assert!(!run.contains("no role with hosts"), "{run}");
}

#[test]
fn a_plan_of_several_accounts_is_carried_out_or_refused_account_by_account() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    all.says(
        2,
        &["plan", "--out", "all.plan", "--account", "111111111111"],
    );
    all.says(2, &["plan", "--out", "all.plan"]);
    let third = all.path().join("cloud").join(BROKEN);
    copy(&all.path().join("cloud").join(FIRST), &third);
    replace(&third, FIRST, BROKEN);
    // Somebody else enforces it meanwhile in one of them.
    all.says(0, &["run", "--account", SECOND]);
    let done = all.says(4, &["apply", "all.plan"]);
    assert!(all.has_pin(FIRST));
    assert!(
        done.contains("role web: its pin is in force already"),
        "{done}"
    );
    assert!(!all.has_pin(BROKEN), "nobody read what it calls for");
    assert!(!done.contains(BROKEN), "{done}");

    let other = all.credpin(&["apply", "all.plan", "--account", BROKEN]);
    let said = String::from_utf8(other.stderr).unwrap();
    assert_eq!(other.status.code(), Some(1), "{said}");
    assert!(
        said.contains("all.plan: it has no plan of account 333333333333"),
        "{said}"
    );
    // One that could not be planned for is in the file, and is not done.
    all.break_account(BROKEN);
    all.says(4, &["plan", "--out", "all.plan"]);
    let done = all.says(4, &["apply", "all.plan"]);
    assert!(
        done.contains("it has no plan of account 333333333333"),
        "{done}"
    );
}

#[test]
fn a_plan_of_several_accounts_is_not_replayed_and_it_is_said_how_one_is_had() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    let plan = all.says(2, &["plan", "--json"]);
    fs::write(all.path().join("all.plan"), plan).unwrap();
    fs::create_dir(all.path().join("trail")).unwrap();
    for command in ["replay", "tokens"] {
        let args = [command, "--cloudtrail", "trail", "--plan", "all.plan"];
        let output = all.credpin(&args);
        let (_, err) = crate::cli::text(&output);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains("of several accounts"), "{err}");
        assert!(err.contains("--account ID"), "{err}");
    }
}

#[test]
fn a_plan_of_one_of_several_accounts_is_of_that_one() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    all.says(2, &["plan", "--out", "one.plan", "--account", SECOND]);
    all.says(0, &["apply", "one.plan"]);
    assert!(all.has_pin(SECOND) && !all.has_pin(FIRST));
}

#[test]
fn shards_have_all_accounts_between_them_and_each_just_once() {
    let ids: Vec<String> = (0..12).map(|n| format!("{n:012}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let all = Organisation::of("out-of-the-box", &ids);
    let mut seen = Vec::new();
    for shard in ["0/3", "1/3", "2/3"] {
        let run = all.json(0, &["run", "--json", "--shard", shard]);
        let accounts = run["accounts"].as_array().unwrap();
        assert!(accounts.len() < 12, "{shard} has them all");
        seen.extend(
            accounts
                .iter()
                .map(|account| account["account"].as_str().unwrap().to_owned()),
        );
    }
    seen.sort();
    assert_eq!(seen, ids);
    // Each job kept its own, and together they are all.
    let status = all.json(0, &["status", "--json"]);
    assert_eq!(status["accounts"].as_object().unwrap().len(), 12);
}

#[test]
fn each_account_has_a_lock_of_its_own() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    all.says(0, &["run"]);
    let lock = |account: &str| {
        let lock = all
            .path()
            .join(format!("state/account={account}/state/v1/lock"));
        fs::read_dir(lock).unwrap().next().unwrap().unwrap().path()
    };
    let held = lock(FIRST);
    let text = fs::read_to_string(&held).unwrap();
    let mut says: Value = serde_json::from_str(&text).unwrap();
    says["released"] = false.into();
    says["until"] = "9999-01-01T00:00:00Z".into();
    fs::write(&held, says.to_string()).unwrap();

    let run = all.json(4, &["run", "--json"]);
    let error = run["accounts"][0]["error"].as_str().unwrap();
    assert!(error.contains("another run is under way"), "{error}");
    assert_eq!(run["accounts"][1]["exit"], 0, "the other goes on: {run}");
}

#[test]
fn what_is_about_one_account_wants_to_know_which() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    for args in [
        &["release", "web"][..],
        &["revoke", "role/web"],
        &["release", "web", "--previous"],
        &["plan", "--account", BROKEN],
    ] {
        all.says(64, args);
    }
    all.says(0, &["run"]);
    all.says(0, &["release", "web", "--account", FIRST]);
    let plan = all.says(0, &["plan"]);
    assert!(
        plan.contains("`credpin release --undo web` ends that"),
        "{plan}"
    );
    assert!(!all.has_pin(FIRST) && all.has_pin(SECOND));
    all.says(0, &["release", "--all"]);
    assert!(!all.has_pin(SECOND));
}

#[test]
fn accounts_are_asked_for_where_there_are_some() {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new("tests/scenarios/nat/cloud"), folder.path());
    let alone = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_credpin"))
            .args(args)
            .current_dir(folder.path())
            .env_clear()
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!(alone(&["plan", "--cloud", "dir:."]), Some(0));
    for flag in [["--account", PLAYED], ["--shard", "0/2"]] {
        let args = [&["plan", "--cloud", "dir:."][..], &flag].concat();
        assert_eq!(alone(&args), Some(64), "{flag:?}");
    }
}

#[test]
fn an_organisation_without_accounts_is_not_the_account_of_the_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[organization]\naccounts = \"accounts.json\"\nrole = \"credpin-controller\"\n";
    fs::write(folder.path().join("credpin.toml"), config).unwrap();
    for list in [
        r#"{"Accounts": []}"#,
        r#"{"Accounts": [{"Id": "111111111111", "Status": "SUSPENDED"}]}"#,
    ] {
        fs::write(folder.path().join("accounts.json"), list).unwrap();
        for args in [&["run"][..], &["release", "web"]] {
            let output = crate::cli::credpin(folder.path(), args);
            let (_, err) = crate::cli::text(&output);
            assert_eq!(output.status.code(), Some(1), "{err}");
            assert!(err.contains("[organization] comes to no account"), "{err}");
        }
    }
}

#[test]
fn a_release_of_a_named_account_needs_no_list_of_the_organisation() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[organization]\naccounts = \"missing.json\"\nrole = \"credpin-controller\"\n";
    fs::write(folder.path().join("credpin.toml"), config).unwrap();
    // No AWS is there: what stops them is that, or the list.
    for (args, needs_list) in [
        (&["release", "web", "--account", FIRST][..], false),
        (&["revoke", "role/web", "--account", FIRST], false),
        (&["release", "--all"], true),
        (&["plan", "--account", FIRST], true),
    ] {
        let output = crate::cli::credpin(folder.path(), args);
        let (_, err) = crate::cli::text(&output);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert_eq!(err.contains("missing.json"), needs_list, "{args:?}: {err}");
    }
}

#[test]
fn what_lies_in_the_folder_of_another_account_is_not_planned_on() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    let cloud = all.path().join("cloud");
    fs::rename(cloud.join(FIRST), cloud.join(BROKEN)).unwrap();
    let run = all.json(4, &["run", "--json"]);
    let error = run["accounts"][1]["error"].as_str().unwrap();
    assert!(error.contains("of account 111111111111"), "{error}");
    assert!(!all.has_pin(BROKEN));
}

#[test]
fn a_view_of_all_accounts_is_a_directory_cloud_of_all() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    all.says(0, &["observe", "--out", "copy"]);
    let plan = all.says(2, &["plan"]);
    assert_eq!(all.says(2, &["plan", "--cloud", "dir:copy"]), plan);
}

#[test]
fn an_apply_asks_about_each_account_and_without_a_terminal_does_nothing() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    all.says(64, &["apply"]);
    assert!(!all.has_pin(FIRST) && !all.has_pin(SECOND));
    all.says(0, &["apply", "--yes"]);
    assert!(all.has_pin(FIRST) && all.has_pin(SECOND));
}

#[test]
fn a_trace_knows_the_homes_of_all_accounts() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    // In one of them only, and as CloudTrail has it.
    replace(&all.path().join("cloud").join(SECOND), "i-0web1", "i-0abc1");
    let call = |event: &str, address: &str| {
        format!(
            r#"{{"eventVersion": "1.11", "eventID": "{event}", "eventTime": "2026-05-04T09:00:00Z", "awsRegion": "eu-west-1",
            "eventSource": "s3.amazonaws.com", "eventName": "ListBuckets", "sourceIPAddress": "{address}",
            "recipientAccountId": "{SECOND}", "userIdentity": {{"type": "AssumedRole", "accountId": "{SECOND}",
            "principalId": "AROAWEB:i-0abc1", "arn": "arn:aws:sts::{SECOND}:assumed-role/web/i-0abc1",
            "accessKeyId": "ASIAEXAMPLEEXAMPLE01", "sessionContext": {{"ec2RoleDelivery": "2.0", "sessionIssuer": {{
            "type": "Role", "principalId": "AROAWEB", "userName": "web", "accountId": "{SECOND}",
            "arn": "arn:aws:iam::{SECOND}:role/web"}}}}}}}}"#
        )
    };
    let trail = all.path().join("trail");
    fs::create_dir(&trail).unwrap();
    let records = [call("a", "198.51.100.7"), call("b", "192.0.2.99")].join(",");
    fs::write(
        trail.join("trail.json"),
        format!("{{\"Records\": [{records}]}}"),
    )
    .unwrap();
    let trace = all.says(
        0,
        &["trace", "ASIAEXAMPLEEXAMPLE01", "--cloudtrail", "trail"],
    );
    assert!(trace.contains("198.51.100.7 (1) home"), "{trace}");
    assert!(trace.contains("192.0.2.99 (1) AWAY"), "{trace}");
}

#[test]
fn what_detect_and_tokens_ask_of_accounts_they_ask_of_all() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    let roles = "iam/get-account-authorization-details.json";
    let roles = all.path().join("cloud").join(SECOND).join(roles);
    let text = fs::read_to_string(&roles).unwrap();
    let service = "\"Service\": \"ec2.amazonaws.com\"";
    fs::write(&roles, text.replacen(service, "\"AWS\": \"*\"", 1)).unwrap();
    let event = serde_json::json!({
        "eventVersion": "1.11",
        "eventID": "4d0e2f8a-1111-2222-3333-444455556666",
        "eventTime": "2026-05-01T00:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "awsRegion": "eu-west-1",
        "recipientAccountId": SECOND,
    });
    let trail = all.path().join("trail");
    fs::create_dir(&trail).unwrap();
    let events = serde_json::json!({ "Records": [event] }).to_string();
    fs::write(trail.join("events.json"), events).unwrap();
    let found = all.says(2, &["detect", "--cloudtrail", "trail", "--json"]);
    let found: Vec<Value> = found
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["rule"] == "trust-anyone")
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["account"], SECOND);

    all.says(0, &["run"]);
    let mut delivered = record(1, 10);
    delivered.host.account = SECOND.into();
    ship(all.path(), &[delivered]);
    let store = format!("file://{}/store", all.path().display());
    let tokens = all.json(0, &["tokens", "--records", &store, "--json"]);
    assert_eq!(tokens["tokens"][0]["pinned"], true, "{tokens}");
}
