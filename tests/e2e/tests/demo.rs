//! The demo, as `make demo` runs it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use credpin_e2e::demo::{self, Decision};
use serde_json::Value;
use tempfile::TempDir;

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
        assert_eq!(said.matches("DENIED").count(), 5, "{said}");
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
    assert!(rows.len() >= 9);
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

#[test]
fn it_clears_no_folder_that_is_not_its_own() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("precious"), "").unwrap();
    let output = demo(&[], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no earlier demo's"));
    assert!(folder.path().join("precious").exists());
}
