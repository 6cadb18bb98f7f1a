//! SIGHUP to the binary: the rules of a good file are in force, those of a bad one never.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::ChildStderr;

use credpin_mock_imds::MockImds;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::binary::{Process, address, credential, credpin_proxy, run_as};
use crate::rig::PATIENCE;

const DENY: &str = "[[rule]]\npath = \"/meta-data/*security-credentials/*\"\naction = \"deny\"\n";
const ALLOW: &str = "[[rule]]\npath = \"/meta-data/*security-credentials/*\"\naction = \"allow\"\n";

/// The lines of its log, as they come.
fn lines(log: ChildStderr) -> UnboundedReceiver<String> {
    let (line, lines) = unbounded_channel();
    std::thread::spawn(move || {
        let mut all = BufReader::new(log).lines().map_while(Result::ok);
        all.all(|next| line.send(next).is_ok())
    });
    lines
}

/// Asks it to read its settings again, and waits until it says what came of that.
async fn reload(process: &Process, log: &mut UnboundedReceiver<String>) -> String {
    kill_process(Pid::from_child(&process.0), Signal::HUP).unwrap();
    let told = async {
        loop {
            let line = log.recv().await.expect("it runs");
            if line.contains("reloaded") {
                return line;
            }
        }
    };
    timeout(PATIENCE, told).await.expect("it says so")
}

#[tokio::test]
async fn the_rules_of_a_good_file_are_in_force_and_a_bad_one_changes_nothing() {
    let (imds, dir) = (
        MockImds::builder().start().await.unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let settings = dir.path().join("proxy.toml");
    fs::write(&settings, "").unwrap();
    let mut command = credpin_proxy(&[]);
    command.env("CREDPIN_PROXY_CONFIG", &settings);
    let (mut process, ready) = run_as(command, &imds, dir.path()).await;
    let mut log = lines(process.0.stderr.take().unwrap());
    let at = address(&ready);
    assert_eq!(credential(&at).await, 200);

    let bad = format!("{ALLOW}{}", ALLOW.replace("action", "acton"));
    for (text, says, status) in [
        (DENY, "reloaded: the rules are in force", 403),
        // Whatever else is right in it, and though another part of it would let everybody.
        (&bad, "not reloaded, everything stays as it was", 403),
        (
            "listen = [",
            "not reloaded, everything stays as it was",
            403,
        ),
        (ALLOW, "reloaded: the rules are in force", 200),
        (&bad, "not reloaded, everything stays as it was", 200),
        (DENY, "reloaded: the rules are in force", 403),
        ("", "reloaded: the rules are in force", 200),
    ] {
        fs::write(&settings, text).unwrap();
        let told = reload(&process, &mut log).await;
        assert!(told.contains(says), "{text}: {told}");
        assert_eq!(credential(&at).await, status, "{text}");
    }
    fs::remove_file(&settings).unwrap();
    let told = reload(&process, &mut log).await;
    assert!(told.contains("cannot read the config file"), "{told}");
    assert_eq!(credential(&at).await, 200, "as before");
}
