//! `credpin trace`, the binary, on files as CloudTrail writes them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{fs, path::Path};

use credpin_e2e::{
    process::Finished,
    tools::Tools,
    trail::incident::{A, AGENT, B, BYSTANDER, C, COLLEAGUE, DEF, THIEF, incident},
};
use serde_json::Value;
use tempfile::TempDir;

fn written() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    incident().write(folder.path()).unwrap();
    folder
}

async fn trace(target: &str, folder: &Path, more: &[&str]) -> Finished {
    let trail = folder.display().to_string();
    let launch = Tools::find().unwrap().binary("credpin").unwrap();
    let launch = launch.args(["trace", target, "--cloudtrail", &trail]);
    launch.args(more).finish().await.unwrap()
}

/// Each key of the tree with the one above it.
fn parents(json: &str) -> Vec<(String, Option<String>)> {
    let json: Value = serde_json::from_str(json).unwrap();
    let nodes = json["trace"]["nodes"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let above = |node: &Value| (node["above"]["kind"] == "key").then(|| text(&node["above"]["id"]));
    nodes
        .iter()
        .map(|node| (text(&node["key"]), above(node)))
        .collect()
}

#[tokio::test]
async fn from_the_key_that_stole_the_data_the_one_that_was_kept_is_found_and_all_that_it_made() {
    let folder = written();
    let of = |child: &str, parent: &str| (child.to_owned(), Some(parent.to_owned()));
    let tree = vec![
        (A.to_owned(), None),
        of(B, A),
        of(DEF[0], B),
        of(DEF[1], B),
        of(DEF[2], B),
        of(C, A),
    ];
    for target in [A, B, C, DEF[1]] {
        let json = trace(target, folder.path(), &["--json"]).await;
        assert_eq!(parents(&json.success().unwrap()), tree, "{target}");
    }
    let text = trace(C, folder.path(), &[]).await.success().unwrap();
    assert!(text.contains("GetSessionToken without MFA"), "{text}");
    assert!(text.contains("<- asked about"), "{text}");
    assert!(text.contains(THIEF), "{text}");
    for bystander in [BYSTANDER, COLLEAGUE] {
        assert!(!text.contains(bystander), "{text}");
    }
}

#[tokio::test]
async fn a_role_names_the_sessions_of_everybody_who_assumed_it() {
    let folder = written();
    let role = "arn:aws:iam::111122223333:role/data";
    let json = trace(role, folder.path(), &["--json"])
        .await
        .success()
        .unwrap();
    let keys: Vec<_> = parents(&json).into_iter().map(|(key, _)| key).collect();
    assert!(keys.contains(&COLLEAGUE.to_owned()) && keys.contains(&C.to_owned()));
    assert!(!keys.contains(&BYSTANDER.to_owned()));
}

#[tokio::test]
async fn what_a_caller_called_itself_is_shown_and_never_obeyed() {
    let folder = written();
    let page = folder.path().join("page.html");
    let page = page.to_str().unwrap();
    trace(A, folder.path(), &["--html", page])
        .await
        .success()
        .unwrap();
    let html = fs::read_to_string(page).unwrap();
    let text = trace(A, folder.path(), &[]).await.success().unwrap();
    let dot = trace(A, folder.path(), &["--dot"]).await.success().unwrap();
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(html.contains("default-src 'none'"));
    for alive in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!html.contains(alive), "{alive}");
    }
    assert!(AGENT.contains('\u{1b}'));
    for out in [&html, &text, &dot] {
        assert!(!out.contains('\u{1b}'));
        assert!(out.contains(A));
    }
}

#[tokio::test]
async fn the_exit_code_tells_found_from_not_there_and_from_not_all_read() {
    let folder = written();
    assert_eq!(trace(A, folder.path(), &[]).await.status.code(), Some(0));
    let nobody = trace("AKIANOBODY2222222222", folder.path(), &[]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(nobody.stdout.contains("No key of AKIANOBODY2222222222"));
    fs::write(folder.path().join("cut.json"), "{\"Records\":[{").unwrap();
    let cut = trace(A, folder.path(), &[]).await;
    assert_eq!(cut.status.code(), Some(3));
    assert!(
        cut.stdout.contains("cut.json: it ends in the middle"),
        "{}",
        cut.stdout
    );
    let gone = trace(A, &folder.path().join("gone"), &[]).await;
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        gone.stderr.contains("cannot read the trail"),
        "{}",
        gone.stderr
    );
    let usage = trace("nonsense", folder.path(), &[]).await;
    assert_eq!(usage.status.code(), Some(64));
}
