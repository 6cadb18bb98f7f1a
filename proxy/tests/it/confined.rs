//! The proxy as a user without any right, shut in by landlock: it does all of its work.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

use credpin_ledger::scan;
use credpin_mock_imds::MockImds;
use rustix::process::{Pid, Signal, kill_process};

use crate::binary::{address, credential, run_as};

/// Who owns nothing.
const NOBODY: u32 = 65534;

#[tokio::test]
async fn shut_in_it_serves_records_and_reads_its_settings_again() {
    let imds = MockImds::builder().start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("proxy.toml");
    fs::write(&settings, "").unwrap();
    let binary = env!("CARGO_BIN_EXE_credpin-proxy");
    let mut command = if rustix::process::geteuid().is_root() {
        chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        // Where that user may start it from.
        let copy = dir.path().join("credpin-proxy");
        fs::copy(binary, &copy).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg("--bounding-set=-all").arg(copy);
        command
    } else {
        Command::new(binary)
    };
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("CREDPIN_PROXY_CONFIG", &settings)
        .env("CREDPIN_PROXY_SESSION_KEY", dir.path().join("run/key"))
        .env(
            "CREDPIN_PROXY_ADMIN",
            format!("unix:{}", dir.path().join("run/admin").display()),
        );
    let (mut process, ready) = run_as(command, &imds, dir.path()).await;
    assert!(ready.contains("ready on "), "{ready}");
    assert_eq!(credential(&address(&ready)).await, 200);
    assert_eq!(scan(&dir.path().join("ledger")).unwrap().len(), 1);

    fs::write(&settings, "ledgr = 1\n").unwrap();
    let us = Pid::from_child(&process.0);
    kill_process(us, Signal::HUP).unwrap();
    // Its log ends with it, and what it was told before comes first.
    let log = process.0.stderr.take().unwrap();
    let told = tokio::task::spawn_blocking(move || {
        let mut told = String::new();
        for line in std::io::BufRead::lines(std::io::BufReader::new(log)) {
            told.push_str(&line.unwrap());
            told.push('\n');
            if told.contains("there is no such setting") {
                break;
            }
        }
        told
    });
    let told = told.await.unwrap();
    assert!(
        told.contains("proxy.toml:1:1: ledgr: there is no such setting"),
        "{told}"
    );
    assert!(!told.contains("landlock failed"), "{told}");
    let restricted = told.contains("landlock: the process writes its own directories only");
    assert!(
        restricted || told.contains("no landlock in this kernel"),
        "{told}"
    );
    assert_eq!(credential(&address(&ready)).await, 200, "as before");
    kill_process(us, Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || process.0.wait().unwrap());
    assert!(ended.await.unwrap().success());
}
