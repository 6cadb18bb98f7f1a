//! Invariant 2, seen from outside: nobody reads the process, and a panic quotes nothing.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use credpin_mock_imds::MockImds;
use credpin_proxy::hardening;
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::binary::{Process, credpin_proxy, output, run_as, stdout};

/// Whose the files in `/proc/PID` are: its user and group, and root's where it is not dumpable
/// (`proc_pid(5)`); `/proc/PID` itself always is its own.
fn owner(pid: u32) -> (u32, u32) {
    let metadata = fs::metadata(format!("/proc/{pid}/environ")).unwrap();
    (metadata.uid(), metadata.gid())
}

/// A user that every machine has.
const NOBODY: u32 = 65534;

/// Where this is root, another group still tells a process from one that is not dumpable.
fn unlike_root(mut command: Command) -> Command {
    if geteuid().is_root() {
        command.gid(1);
    }
    command
}

#[tokio::test]
async fn the_binary_is_not_dumpable() {
    let mut other = unlike_root(Command::new("cat"));
    let other = Process(other.stdin(Stdio::piped()).spawn().unwrap());
    assert_ne!(owner(other.0.id()), (0, 0), "any other process is dumpable");

    let (imds, dir) = (
        MockImds::builder().start().await.unwrap(),
        TempDir::new().unwrap(),
    );
    let proxy = unlike_root(credpin_proxy(&[]));
    let (proxy, ready) = run_as(proxy, &imds, dir.path()).await;
    assert!(ready.contains(" ready on "), "{ready}");
    assert_eq!(owner(proxy.0.id()), (0, 0), "the proxy is dumpable");
}

#[tokio::test]
async fn the_doctor_tells_how_well_the_running_proxy_is_shut_in() {
    let (imds, dir) = (
        MockImds::builder().start().await.unwrap(),
        TempDir::new().unwrap(),
    );
    let mut proxy = credpin_proxy(&[]);
    if geteuid().is_root() {
        chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        proxy.uid(NOBODY).gid(NOBODY);
    }
    let (proxy, ready) = run_as(proxy, &imds, dir.path()).await;
    assert!(ready.contains(" ready on "), "{ready}");
    let (upstream, ledger) = (imds.endpoint(), dir.path().join("ledger"));
    let ledger = ledger.to_str().unwrap();
    let check = output(&["check", "--upstream", &upstream, "--ledger", ledger]).await;
    let told = format!(
        "hardening process {} cannot be dumped; it has no",
        proxy.0.id()
    );
    assert!(stdout(&check).contains(&told), "{}", stdout(&check));
}

/// Set in the process that is to panic, which is this test once more: the hook is for all of a
/// process, and what it writes is seen from outside only.
const PANICS: &str = "CREDPIN_TEST_PANICS";
const SECRET: &str = "wJalrXUtnFEMI";

#[test]
fn a_panic_tells_its_place_and_not_what_it_was_about() {
    if env::var_os(PANICS).is_some() {
        tracing_subscriber::fmt().with_ansi(false).init();
        hardening::apply();
        panic!("cannot parse {SECRET}");
    }
    let name = "hardening::a_panic_tells_its_place_and_not_what_it_was_about";
    let mut panics = Command::new(env::current_exe().unwrap());
    panics.args(["--exact", name, "--nocapture"]);
    let output = panics.env(PANICS, "1").output().unwrap();
    assert!(!output.status.success());
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("panic: a bug; please report it"), "{said}");
    assert!(said.contains("hardening.rs:"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
}
