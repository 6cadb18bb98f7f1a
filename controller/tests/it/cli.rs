//! The binary, run as users run it.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::rig::Account;

/// `credpin ARGS` in `folder`, with nothing of the environment.
fn credpin(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_credpin"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// An account with a config that points at it.
fn account(scenario: &str) -> Account {
    let account = Account::of(scenario);
    let config = fs::read_to_string(
        Path::new("tests/scenarios")
            .join(scenario)
            .join("credpin.toml"),
    )
    .unwrap();
    fs::write(
        account.path().join("credpin.toml"),
        format!("cloud = \"dir:.\"\n{config}"),
    )
    .unwrap();
    account
}

#[test]
fn bad_usage_is_64_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &[][..],
        &["plam"],
        &["plan", "--jason"],
        &["plan", "--cloud", "gcp"],
        &["plan", "--region", "Europe"],
        &["plan", "--cloud", "dir:.", "--region", "eu-west-1"],
        &["release"],
        &["release", "web", "--all"],
        &["release", "web", "--previous", "--undo"],
        &[
            "explain",
            "--role",
            "web",
            "--instance",
            "i-0a",
            "--from",
            "nowhere",
        ],
    ] {
        let output = credpin(folder.path(), args);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = tempfile::tempdir().unwrap();
    for (args, word) in [
        (&["--help"][..], "Exit codes: 0 nothing (left) to do"),
        (&["plan", "-h"], "Say what would be done"),
        (
            &["observe", "--help"],
            "aws ec2 describe-instances --include-managed-resources --region",
        ),
        (
            &["observe", "--help"],
            "get-account-authorization-details --filter Role LocalManagedPolicy >",
        ),
        (&["--version"], "credpin 0."),
        (&["completions", "bash"], "_credpin"),
    ] {
        let output = credpin(folder.path(), args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            text(&output).0.contains(word),
            "{args:?}: {}",
            text(&output).0
        );
    }
}

#[test]
fn a_plan_tells_by_its_exit_code_what_is_to_be_done() {
    for (scenario, code) in [("nat", 2), ("public-hosts", 3), ("incomplete", 3)] {
        let account = account(scenario);
        assert_eq!(
            credpin(account.path(), &["plan"]).status.code(),
            Some(code),
            "{scenario}"
        );
    }
    let account = account("nat");
    assert_eq!(credpin(account.path(), &["run"]).status.code(), Some(0));
    assert_eq!(credpin(account.path(), &["plan"]).status.code(), Some(0));
}

#[test]
fn what_is_not_a_terminal_gets_no_colour() {
    let account = account("incomplete");
    let (out, err) = text(&credpin(account.path(), &["plan"]));
    assert!(
        !out.contains('\u{1b}') && !err.contains('\u{1b}'),
        "{out}{err}"
    );
}

#[test]
fn apply_does_not_go_ahead_where_nobody_can_be_asked() {
    let account = account("nat");
    let output = credpin(account.path(), &["apply"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(
        text(&output)
            .1
            .contains("nobody can be asked here: say --yes"),
        "{:?}",
        text(&output)
    );
    assert!(!account.path().join("pins").exists());

    let output = credpin(account.path(), &["apply", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    assert!(account.path().join("pins/web/credpin-web.json").exists());
}

#[test]
fn a_run_that_could_not_write_is_an_error() {
    let account = account("nat");
    fs::write(account.path().join("pins"), "a file in the way").unwrap();
    let output = credpin(account.path(), &["run"]);
    assert_ne!(output.status.code(), Some(0), "{:?}", text(&output));
    assert_ne!(output.status.code(), Some(2), "{:?}", text(&output));
}

#[test]
fn a_config_with_mistakes_is_an_error_that_lists_them_all() {
    let account = account("nat");
    fs::write(
        account.path().join("credpin.toml"),
        "mode = \"strict\"\nspeed = 9\n",
    )
    .unwrap();
    let output = credpin(account.path(), &["plan"]);
    assert_eq!(output.status.code(), Some(1));
    let (_, err) = text(&output);
    assert!(
        err.contains("credpin.toml:1:9: mode: `strict` is no mode"),
        "{err}"
    );
    assert!(
        err.contains("credpin.toml:2:1: speed: unknown key"),
        "{err}"
    );
}

#[test]
fn a_config_that_was_named_must_be_there() {
    let account = account("nat");
    let output = credpin(account.path(), &["plan", "--config", "other.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output)
            .1
            .contains("cannot read the config file other.toml"),
        "{:?}",
        text(&output)
    );
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let (file, variable, flag) = (
        account("nat"),
        Account::of("public-hosts"),
        Account::of("operator"),
    );
    let environment = format!("dir:{}", variable.path().display());
    let plan = |arguments: &[&str], environment: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_credpin"));
        command
            .arg("plan")
            .args(arguments)
            .current_dir(file.path())
            .env_clear();
        if let Some(cloud) = environment {
            command.env("CREDPIN_CLOUD", cloud);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(plan(&[], None).contains("+ web"));
    assert!(plan(&[], Some(&environment)).contains("edge"));
    let flag = format!("dir:{}", flag.path().display());
    assert!(plan(&["--cloud", &flag], Some(&environment)).contains("loose"));
}

#[test]
fn explain_names_the_statement_that_decides() {
    let account = account("nat");
    let explain = |from: &str| {
        let args = [
            "explain",
            "--role",
            "web",
            "--instance",
            "i-0web1",
            "--from",
            from,
        ];
        let output = credpin(account.path(), &args);
        assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
        text(&output).0
    };
    let thief = explain("203.0.113.9");
    assert!(
        thief.contains("in force now:  allowed (no pin in force)"),
        "{thief}"
    );
    assert!(
        thief.contains("with the pin:  denied by statement PublicVpc0aaa of credpin-web"),
        "{thief}"
    );
    assert!(explain("198.51.100.7").contains("with the pin:  allowed"));
    assert!(explain("vpc-0aaa/10.0.1.11").contains("with the pin:  allowed"));
    assert!(explain("vpc-0aaa/10.0.1.12").contains("denied by statement EndpointIpv4"));
    assert!(explain("vpc-0bad/10.0.1.11").contains("denied by statement EndpointVpc"));

    let output = credpin(
        account.path(),
        &[
            "explain",
            "--role",
            "web",
            "--instance",
            "i-0no",
            "--from",
            "192.0.2.1",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).1.contains("it has i-0web1, i-0web2"),
        "{:?}",
        text(&output)
    );
}

#[test]
fn status_is_one_line_a_role() {
    let account = account("nat");
    credpin(account.path(), &["run"]);
    let (out, _) = text(&credpin(account.path(), &["status"]));
    assert_eq!(
        out,
        "ROLE   MODE     PIN       HOSTS  OPEN TO\n\
         batch  observe  none      1      everything: usable from anywhere\n\
         web    enforce  in force  2      2 other hosts, no foreign addresses, no foreign endpoint VPCs\n\n\
         Instances by their tokens: 1 usable from anywhere, 2 pinned (other hosts: 2 at worst, 2.0 in \
         the mean).\n"
    );
    let (json, _) = text(&credpin(account.path(), &["status", "--json"]));
    let status: serde_json::Value = serde_json::from_str(&json).unwrap();
    let web = &status["roles"][1];
    assert_eq!(
        (&web["pin"], &web["hosts"]),
        (&"in_force".into(), &2.into())
    );
    let instances = &web["exposure"]["limited"]["instances"];
    assert_eq!(instances[1]["hosts"], 2);
    assert_eq!(status["exposure"]["everything"], 1);
    assert_eq!(status["exposure"]["hosts"]["worst"], 2);
}

#[test]
fn metrics_are_written_whole_by_a_run_and_by_status() {
    let (account, _state) = account_with_state();
    let file = account.path().join("credpin.prom");
    let metrics = |args: &[&str]| {
        let output = credpin(
            account.path(),
            &[args, &["--metrics", "credpin.prom"]].concat(),
        );
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.ends_with("# EOF\n"), "{text}");
        text
    };
    let account_label = r#"account="123456789012""#;
    let before = metrics(&["status", "--fresh"]);
    let ran = metrics(&["run"]);
    for (text, line) in [
        (
            &before,
            r#"credpin_role_pin{ACCOUNT,role="web",mode="enforce",pin="none"} 1"#,
        ),
        (&before, r#"credpin_instances{ACCOUNT,usable="anywhere"} 3"#),
        (
            &ran,
            r#"credpin_role_pin{ACCOUNT,role="web",mode="enforce",pin="in_force"} 1"#,
        ),
        (&ran, r#"credpin_role_instances{ACCOUNT,role="web"} 2"#),
        (
            &ran,
            r#"credpin_role_exposure{ACCOUNT,role="web",open_to="hosts",measure="worst"} 2"#,
        ),
        (
            &ran,
            r#"credpin_role_exposure{ACCOUNT,role="web",open_to="v4",measure="mean"} 0"#,
        ),
        (&ran, r#"credpin_instances{ACCOUNT,usable="pinned"} 2"#),
        (
            &ran,
            r#"credpin_exposure{ACCOUNT,open_to="hosts",measure="mean"} 2"#,
        ),
        (&ran, "credpin_run_complete{ACCOUNT} 1"),
        (&ran, "credpin_view_gaps{ACCOUNT} 0"),
    ] {
        let line = line.replace("ACCOUNT", account_label);
        let as_float = format!("{line}.0");
        let found = text.lines().any(|found| found == line || found == as_float);
        assert!(found, "{line} in:\n{text}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(metrics(&["status"]), ran, "as the run left them");
    let named = |entry: &fs::DirEntry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("credpin.prom")
    };
    let files = fs::read_dir(account.path()).unwrap().map(Result::unwrap);
    assert_eq!(files.filter(named).count(), 1, "nothing is left beside it");
}

#[test]
fn metrics_that_cannot_be_written_are_said_and_stop_no_run() {
    let account = account("nat");
    let output = credpin(
        account.path(),
        &["run", "--metrics", "nowhere/credpin.prom"],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output).1.contains("nowhere/credpin.prom"),
        "{output:?}"
    );
    assert!(account.path().join("pins/web/credpin-web.json").exists());
}

#[test]
fn a_document_that_is_gone_is_said_once() {
    let account = account("nat");
    credpin(account.path(), &["run"]);
    fs::remove_file(account.path().join("pins/web/credpin-web.json")).unwrap();
    let output = credpin(account.path(), &["run"]);
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    let said = "pins/web/credpin-web.json is missing: somebody else removed it";
    assert_eq!(text(&output).1.matches(said).count(), 1, "{output:?}");
    assert!(account.path().join("pins/web/credpin-web.json").exists());
}

#[test]
fn status_tells_by_its_exit_code_of_a_pin_that_denies_a_live_host() {
    let account = account("nat");
    credpin(account.path(), &["run"]);
    assert_eq!(credpin(account.path(), &["status"]).status.code(), Some(0));
    // The NAT gateway is replaced, and no run has come since.
    for file in ["describe-nat-gateways.json", "describe-addresses.json"] {
        let file = account.path().join("eu-west-1").join(file);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace("198.51.100.7", "198.51.100.8")).unwrap();
    }
    let output = credpin(account.path(), &["status"]);
    assert_eq!(output.status.code(), Some(3), "{:?}", text(&output));
    assert!(
        text(&output).0.contains("the pin in force is stale"),
        "{:?}",
        text(&output)
    );
}

#[test]
fn observe_writes_a_cloud_that_gives_the_same_plan() {
    let account = account("nat-replaced");
    let output = credpin(account.path(), &["observe", "--out", "copy"]);
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    assert!(
        text(&output).0.contains("eu-west-1: 3 instances"),
        "{:?}",
        text(&output)
    );
    let plan = |cloud| {
        text(&credpin(
            account.path(),
            &["plan", "--cloud", cloud, "--json"],
        ))
        .0
    };
    assert_eq!(plan("dir:copy"), plan("dir:."));
}

#[test]
fn records_that_cannot_be_read_hold_nothing_up() {
    let account = account("nat");
    let output = credpin(account.path(), &["plan", "--records", "file:///dev/null"]);
    assert_eq!(output.status.code(), Some(2), "{:?}", text(&output));
    let (out, err) = text(&output);
    assert!(out.contains("+ web gets a pin"), "{out}");
    assert!(err.contains("going on without records"), "{err}");
}

#[test]
fn a_record_store_that_is_not_there_is_told_once_with_the_way_out() {
    let account = account("nat");
    for (command, exit) in [("plan", 2), ("status", 0), ("run", 0)] {
        let output = credpin(account.path(), &[command, "--records", "file:///no/such"]);
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(exit), "{command}: {err}");
        assert_eq!(err.matches("/no/such").count(), 1, "{command}: {err}");
        assert!(
            err.contains("make it, or leave records out"),
            "{command}: {err}"
        );
    }
    assert!(
        account.path().join("pins").exists(),
        "the run did its work all the same"
    );
}

#[test]
fn status_tells_what_records_tell_where_there_is_a_store() {
    let account = account("nat");
    let records = tempfile::tempdir().unwrap();
    let url = format!("file://{}", records.path().display());
    let (out, _) = text(&credpin(account.path(), &["status", "--records", &url]));
    let web = out.lines().find(|line| line.starts_with("web")).unwrap();
    let cells: Vec<&str> = web.split_whitespace().collect();
    assert_eq!(
        cells[..7],
        ["web", "enforce", "none", "2", "0", "of", "2"],
        "{out}"
    );
}

/// An account whose config names a store for the controller's own.
fn account_with_state() -> (Account, tempfile::TempDir) {
    let (account, state) = (account("nat"), tempfile::tempdir().unwrap());
    let file = account.path().join("credpin.toml");
    let config = fs::read_to_string(&file).unwrap();
    let line = format!("state = \"file://{}\"\n", state.path().display());
    fs::write(file, line + &config).unwrap();
    (account, state)
}

#[test]
fn status_is_what_the_last_run_left_and_needs_no_account() {
    let (account, _state) = account_with_state();
    let looked = text(&credpin(account.path(), &["status"]));
    assert!(looked.0.contains("web    enforce  none"), "{looked:?}");
    assert!(
        looked.1.contains("no run has kept its state yet"),
        "{looked:?}"
    );
    assert_eq!(credpin(account.path(), &["run"]).status.code(), Some(0));
    let fresh = text(&credpin(account.path(), &["status", "--fresh"])).0;

    fs::remove_dir_all(account.path().join("iam")).unwrap();
    let output = credpin(account.path(), &["status"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let kept = text(&output).0;
    assert!(kept.starts_with("As the run of 20"), "{kept}");
    assert!(kept.ends_with(&fresh), "{kept}\n{fresh}");
    let json = text(&credpin(account.path(), &["status", "--json"])).0;
    let status: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status["roles"][1]["pin"], "in_force");
}

#[test]
fn two_runs_do_not_interleave() {
    let (account, state) = account_with_state();
    let lock = state.path().join("state/v1/lock/000000000001.json");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let says = |until: &str| {
        format!(
            r#"{{"schema": 1, "holder": "process 7 on a", "since": "2026-01-01T00:00:00Z",
                "until": "{until}", "released": false}}"#
        )
    };
    fs::write(&lock, says("2999-01-01T00:00:00Z")).unwrap();
    for command in [&["run"][..], &["apply", "--yes"]] {
        let output = credpin(account.path(), command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let (_, err) = text(&output);
        assert!(
            err.contains("another run is under way: process 7 on a"),
            "{err}"
        );
        assert!(!account.path().join("pins").exists());
    }
    assert_eq!(credpin(account.path(), &["plan"]).status.code(), Some(2));

    fs::write(&lock, says("2026-01-01T00:30:00Z")).unwrap();
    assert_eq!(credpin(account.path(), &["run"]).status.code(), Some(0));
    assert_eq!(credpin(account.path(), &["run"]).status.code(), Some(0));
}

#[test]
fn a_run_tells_what_it_did_for_a_machine_and_in_a_line() {
    let account = account("nat");
    let (out, err) = text(&credpin(account.path(), &["run", "--json"]));
    let did: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(did["schema"], 1);
    assert_eq!(
        (&did["complete"], &did["held"]),
        (&true.into(), &false.into())
    );
    assert_eq!((&did["steps"], &did["done"]), (&2.into(), &2.into()));
    assert_eq!(did["plan"]["create"], 1);
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(
        err.contains("run complete: 2 roles, 2 of 2 steps done, 0 stopped"),
        "{err}"
    );
}

#[test]
fn a_replay_that_is_kept_lets_a_first_pin_be_written() {
    let (account, state) = account_with_state();
    let file = account.path().join("credpin.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(
        file,
        config.replace("without-replay = true", "replay-max-age = \"900000h\""),
    )
    .unwrap();
    let held = credpin(account.path(), &["plan"]);
    assert_eq!(held.status.code(), Some(3), "{held:?}");
    assert!(
        text(&held)
            .0
            .contains("[replay] no replay of its calls is known"),
        "{held:?}"
    );
    assert_eq!(
        credpin(account.path(), &["plan", "--without-replay"])
            .status
            .code(),
        Some(2)
    );

    let replay = state.path().join("state/v1/replay.json");
    fs::create_dir_all(replay.parent().unwrap()).unwrap();
    let said = r#"{"schema": 1, "roles": [{"role": "web", "made": "2026-01-01T00:00:00Z",
                  "calls": 10, "denied": 0, "unknown": 0}]}"#;
    fs::write(replay, said).unwrap();
    assert_eq!(credpin(account.path(), &["plan"]).status.code(), Some(2));
}
