//! The demo, as `make demo` runs it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use credpin_e2e::{
    demo::{self, Decision},
    judge::{self, Fact, Judge, Policy, Question, allow_everything},
    tools::Tools,
};
use serde_json::Value;
use tempfile::TempDir;

/// What docs/threat-model.md promises of each row.
const EXPECTED: [(&str, &str, &str); 10] = [
    ("home, by the internet", "allowed", "-"),
    ("home, by its VPC endpoint", "allowed", "-"),
    ("a service, on home's behalf", "allowed", "-"),
    (
        "the other host, by the internet",
        "denied",
        "PublicVpc0a1f5e7c2d3b4a596",
    ),
    (
        "the other host, by its VPC endpoint",
        "denied",
        "EndpointVpc",
    ),
    (
        "a neighbour, by home's VPC endpoint",
        "denied",
        "EndpointIpv4",
    ),
    (
        "another VPC's endpoint, same address",
        "denied",
        "EndpointVpc",
    ),
    (
        "the internet at large",
        "denied",
        "PublicVpc0a1f5e7c2d3b4a596",
    ),
    ("a neighbour behind home's NAT gateway", "allowed", "-"),
    ("the other host, with its own token", "allowed", "-"),
];

/// The demo's binary; it starts no process and needs no environment.
fn demo(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn it_prints_a_table_that_is_as_promised_and_can_be_run_again() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("demo");
    for _ in 0..2 {
        let output = demo(&[], &place);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!said.contains("NOT AS PROMISED"), "{said}");
        assert!(
            !said.contains('\u{1b}'),
            "no colour where there is no terminal"
        );
    }
    assert!(place.join("cloud/pins/web/credpin-web.json").exists());
}

#[test]
fn for_machines_it_is_an_array_of_from_before_after_and_statement() {
    let folder = TempDir::new().unwrap();
    let output = demo(&["--json"], &folder.path().join("demo"));
    assert!(output.status.success());
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let decided = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        (text("from"), text("after"), text("statement"))
    };
    let expected =
        EXPECTED.map(|(from, after, by)| (from.to_owned(), after.to_owned(), by.to_owned()));
    assert_eq!(rows.iter().map(decided).collect::<Vec<_>>(), expected);
    for row in &rows {
        let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 4, "{row}");
        assert_eq!(row["before"], "allowed");
        let denied = row["after"] == "denied";
        assert!(denied || row["after"] == "allowed", "{row}");
        assert_eq!(row["statement"].is_string(), denied, "{row}");
        assert!(row["from"].is_string());
    }
}

#[tokio::test]
async fn a_row_that_is_not_as_promised_is_found() {
    let folder = TempDir::new().unwrap();
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let mut shown = demo::run(&folder.path().join("demo"), now).await.unwrap();
    assert!(shown.is_as_promised());
    let thief = shown
        .rows
        .iter_mut()
        .find(|row| row.after == Decision::Denied)
        .unwrap();
    thief.after = Decision::Allowed;
    assert!(!shown.is_as_promised());
    let mut said = Vec::new();
    demo::print_table(&shown, false, &mut said).unwrap();
    assert!(String::from_utf8(said).unwrap().contains("NOT AS PROMISED"));
}

#[tokio::test]
async fn the_independent_judge_decides_every_row_the_same() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("demo");
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let shown = demo::run(&place, now).await.unwrap();
    credpin_witness::note_directory(&place.join("cloud"), |_| true);
    let pin = std::fs::read_to_string(place.join("cloud/pins/web/credpin-web.json")).unwrap();
    let judge = Judge::start(&Tools::find().unwrap()).unwrap();
    for row in &shown.rows {
        let context = row.request.context();
        let question = Question {
            policies: vec![
                allow_everything(),
                Policy {
                    name: "pin".into(),
                    document: serde_json::from_str(&pin).unwrap(),
                },
            ],
            principal: "arn:aws:sts::111122223333:assumed-role/web/i-0a1111111111111aa".into(),
            action: row.request.action.to_string(),
            resource: "arn:aws:s3:::loot/object".into(),
            context: context
                .map(|(key, value)| (key.name().to_owned(), Fact::from(value)))
                .collect(),
        };
        let verdict = judge.judge(&question).await.unwrap();
        let expected = match row.after {
            Decision::Allowed => judge::Decision::Allowed,
            Decision::Denied => judge::Decision::Denied,
        };
        assert_eq!(verdict.decision, expected, "{}", row.from);
    }
}

#[test]
fn the_readme_shows_what_it_prints() {
    let folder = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let masked = |text: &str| {
        let words = text.split_inclusive([' ', ',']);
        let word = |word: &str| match word.strip_prefix("ASIA") {
            Some(rest) => format!("ASIA…{}", &rest[16..]),
            None => word.to_owned(),
        };
        words.map(word).collect::<String>()
    };
    let printed = String::from_utf8(output.stdout).unwrap();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    assert!(
        masked(&readme).contains(&masked(printed.trim_end())),
        "README.md shows another output than:\n{printed}"
    );
}

#[test]
fn it_clears_no_folder_that_is_not_its_own() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("precious"), "").unwrap();
    let output = demo(&[], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no earlier demo's"));
    assert!(folder.path().join("precious").exists());
}
