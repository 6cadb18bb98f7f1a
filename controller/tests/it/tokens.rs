//! `credpin tokens`, the binary.

use std::{fs, path::Path};

use credpin::inventory::Database;
use credpin_ledger::{Consumer, Host, ImdsVersion, Key, Kind, Record, SCHEMA};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::cli::{account, credpin, text};

/// A record of the scenario's host, made some minutes ago.
pub(crate) fn record(seq: u64, minutes: i64) -> Record {
    #[expect(clippy::disallowed_methods, reason = "the binary reads the clock too")]
    let time = Timestamp::now() - SignedDuration::from_mins(minutes);
    Record {
        schema: SCHEMA,
        kind: Kind::Issued,
        time,
        boot_id: "1b4e28ba-2fa1-41d2-883f-0016d3cca427".into(),
        seq,
        host: Host {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            instance_id: "i-0a1".into(),
            ..Host::default()
        },
        role: "web".into(),
        access_key_id: format!("ASIAEXAMPLEKEYID{seq:04}"),
        issued: time,
        expires: time + SignedDuration::from_hours(6),
        consumer: Consumer::at([127, 0, 0, 1].into()),
        imds_version: ImdsVersion::V2,
        proxy_version: "0".into(),
    }
}

/// Ships records, each in a batch of its own.
pub(crate) fn ship(folder: &Path, records: &[Record]) {
    for record in records {
        let key = Key::of(record, None).unwrap().to_string();
        let path = folder.join("store").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, serde_json::to_string(record).unwrap() + "\n").unwrap();
    }
}

/// `credpin tokens ARGS` in `folder`, on its record store and a database of its own; with the exit code.
fn tokens(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let store = format!("file://{}/store", folder.display());
    let mut all = vec![
        "tokens",
        "--records",
        &store,
        "--database",
        "new/tokens.redb",
    ];
    all.extend(args);
    let output = credpin(folder, &all);
    let (out, err) = text(&output);
    (output.status.code(), out, err)
}

fn json(folder: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let (code, out, err) = tokens(folder, &[args, &["--json"]].concat());
    assert_eq!(err, "");
    (code, serde_json::from_str(&out).unwrap())
}

#[test]
fn every_token_is_listed_once_however_often_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut expired = record(1, 500);
    expired.imds_version = ImdsVersion::V1;
    let mut live = record(2, 10);
    live.consumer.unit = Some("shop.service".into());
    ship(folder.path(), &[expired, live]);

    let (code, first) = json(folder.path(), &[]);
    assert_eq!(code, Some(0), "{first}");
    let (_, second) = json(folder.path(), &[]);
    assert_eq!(first["records"]["new"], 2);
    assert_eq!(
        (&second["records"]["new"], &second["records"]["known"]),
        (&0.into(), &2.into())
    );
    assert_eq!(first["tokens"], second["tokens"]);
    assert_eq!(first["summary"]["live"], 1);
    assert_eq!(first["summary"]["pin_unknown"], 2);
    assert_eq!(
        first["tokens"][0]["pinned"],
        Value::Null,
        "not known is not said"
    );
    for (filter, key) in [("--live", "0002"), ("--imdsv1", "0001")] {
        let (_, shown) = json(folder.path(), &[filter]);
        let rows = shown["tokens"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{filter}");
        assert_eq!(rows[0]["access_key_id"], format!("ASIAEXAMPLEKEYID{key}"));
        assert_eq!(shown["not_shown"], 1);
    }
    for pattern in [["--role", "w?b*"], ["--instance", "i-0a*"]] {
        assert_eq!(json(folder.path(), &pattern).1["summary"]["tokens"], 2);
    }
    assert_eq!(
        json(folder.path(), &["--role", "we"]).1["summary"]["tokens"],
        0
    );
    let (_, table, _) = tokens(folder.path(), &[]);
    assert!(
        table.contains("ASIAEXAMPLEKEYID0002  web   i-0a1"),
        "{table}"
    );
    assert!(
        table.contains("shop.service") && table.contains("expired"),
        "{table}"
    );
    assert!(
        table.contains("2 tokens of 1 role on 1 instance, 1 live."),
        "{table}"
    );
}

#[test]
fn a_record_that_is_missing_is_told_by_its_number_and_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    ship(folder.path(), &[record(1, 300), record(4, 10)]);
    let (code, out, _) = tokens(folder.path(), &[]);
    assert_eq!(code, Some(3));
    assert!(
        out.contains("i-0a1: records 2 to 3 of boot 1b4e28ba-"),
        "{out}"
    );
    ship(folder.path(), &[record(2, 200), record(3, 100)]);
    let (code, out, _) = tokens(folder.path(), &[]);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn what_a_host_wrote_is_shown_and_never_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let mut forged = record(1, 10);
    forged.role = "web\u{1b}[2J\nASIAFORGED".into();
    forged.consumer.exe = Some("/bin/\u{202e}sh".into());
    ship(folder.path(), &[forged]);
    let (_, out, _) = tokens(folder.path(), &[]);
    assert!(out.contains("web\\u{1b}[2J\\u{a}ASIAFORGED"), "{out}");
    assert!(out.contains("/bin/\\u{202e}sh"), "{out}");
    assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'));
}

#[test]
fn the_last_run_or_a_plan_tells_which_tokens_are_pinned() {
    let account = account("nat");
    let folder = account.path();
    let mut other = record(2, 10);
    other.role = "elsewhere".into();
    ship(folder, &[record(1, 10), other]);
    let of = |listed: &Value, role: &str| {
        let rows = listed["tokens"].as_array().unwrap();
        rows.iter().find(|row| row["role"] == role).unwrap()["pinned"].clone()
    };
    let plan = credpin(folder, &["plan", "--json"]);
    fs::write(folder.join("plan.json"), plan.stdout).unwrap();
    let (_, listed) = json(folder, &["--plan", "plan.json"]);
    assert_eq!(of(&listed, "web"), Value::Bool(false), "before a pin");

    let state = format!("file://{}/kept", folder.display());
    let run = credpin(folder, &["run", "--state", &state]);
    assert_eq!(run.status.code(), Some(0), "{:?}", text(&run));
    let (_, listed) = json(folder, &["--state", &state]);
    assert_eq!(of(&listed, "web"), Value::Bool(true));
    assert_eq!(of(&listed, "elsewhere"), Value::Null, "no run looked at it");
    let (_, listed) = json(folder, &["--state", &state, "--unpinned"]);
    assert_eq!(listed["tokens"][0]["role"], "elsewhere");

    // Without --database it lies beside the state.
    let store = format!("file://{}/store", folder.display());
    let listed = credpin(folder, &["tokens", "--records", &store, "--state", &state]);
    assert_eq!(listed.status.code(), Some(0));
    assert!(folder.join("kept/tokens.redb").exists());
}

#[test]
fn accounts_that_cannot_be_listed_leave_pins_unknown_and_tokens_listed() {
    let folder = tempfile::tempdir().unwrap();
    ship(folder.path(), &[record(1, 10)]);
    let config = "[organization]\naccounts = \"missing.json\"\nrole = \"credpin-controller\"\n";
    fs::write(folder.path().join("credpin.toml"), config).unwrap();
    let state = format!("file://{}/kept", folder.path().display());
    let (code, out, err) = tokens(folder.path(), &["--state", &state, "--json"]);
    assert_eq!(code, Some(0), "{err}");
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed["tokens"][0]["pinned"], Value::Null);
    assert!(
        err.contains("which tokens are pinned is not known"),
        "{err}"
    );
    assert!(err.contains("missing.json"), "{err}");
}

#[test]
fn what_stands_in_the_way_is_said_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = tokens(folder.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("is not there"), "{err}");
    ship(folder.path(), &[record(1, 10)]);

    let path = folder.path().join("new/tokens.redb");
    let first = Database::open(&path, None, false).unwrap();
    let (code, _, err) = tokens(folder.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("wait until it is done"), "{err}");
    drop(first);

    fs::write(&path, "nonsense").unwrap();
    let (code, _, err) = tokens(folder.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("`credpin tokens --rebuild` makes it anew"),
        "{err}"
    );
    let (code, rebuilt) = json(folder.path(), &["--rebuild"]);
    assert_eq!((code, &rebuilt["summary"]["tokens"]), (Some(0), &1.into()));

    for args in [
        &["tokens"][..],
        &["tokens", "--keep", "1h", "--cloudtrail", "."],
    ] {
        let output = credpin(folder.path(), args);
        assert_eq!(
            output.status.code(),
            Some(64),
            "{args:?}: {:?}",
            text(&output)
        );
    }
    let nowhere = credpin(folder.path(), &["tokens", "--cloudtrail", "."]);
    assert!(text(&nowhere).1.contains("name a file with --database"));
}
