use std::net::{Ipv4Addr, SocketAddr};

use credpin_ledger::Directory;
use credpin_mock_imds::MockImds;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::config::AdminAddress;

async fn seen(config: &Config, name: &str) -> (Verdict, String) {
    let findings = check(config, &Clock::system()).await;
    let named: Vec<_> = findings.iter().filter(|f| f.name == name).collect();
    assert_eq!(named.len(), 1, "each is told once: {findings:?}");
    (named[0].verdict, named[0].words.clone())
}

/// A config with nothing there yet, in a directory of its own.
async fn config() -> (MockImds, TempDir, Config) {
    let (imds, dir) = (
        MockImds::builder().start().await.unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let records = format!("file://{}", dir.path().join("records").display());
    let config = Config {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        upstream: imds.endpoint().parse().unwrap(),
        ledger: dir.path().join("a/ledger"),
        records: Some(records.parse().unwrap()),
        ..Config::default()
    };
    (imds, dir, config)
}

#[tokio::test]
async fn what_is_not_there_yet_is_told_and_not_made() {
    let (_imds, dir, config) = config().await;
    for name in ["ledger", "store"] {
        let (verdict, words) = seen(&config, name).await;
        assert_eq!(verdict, Verdict::Good);
        assert!(
            words.ends_with(" does not exist yet; `run` makes it"),
            "{words}"
        );
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_there_is_left_as_it_is() {
    let (_imds, dir, config) = config().await;
    let there = [dir.path().join("a/ledger"), dir.path().join("records")];
    for dir in &there {
        std::fs::create_dir_all(dir).unwrap();
    }
    for name in ["ledger", "store"] {
        let (verdict, words) = seen(&config, name).await;
        assert_eq!(verdict, Verdict::Good);
        assert!(words.ends_with(" can be written"), "{words}");
    }
    for dir in &there {
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_port_that_another_process_has_is_told() {
    let (_imds, _dir, mut config) = config().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    config.admin = Some(AdminAddress::Tcp(address));
    let (verdict, words) = seen(&config, "ports").await;
    assert_eq!(verdict, Verdict::Bad);
    let told = format!("cannot listen on {address} (`admin`): another process has this port");
    assert!(words.starts_with(&told), "{words}");
    // With the ledger in use, it is the proxy itself that runs.
    let _held = Directory::open(&config.ledger).unwrap();
    let (verdict, words) = seen(&config, "ports").await;
    assert_eq!(verdict, Verdict::Good, "{words}");
    assert!(words.ends_with("a proxy runs"), "{words}");
}

#[tokio::test]
async fn a_ledger_of_another_user_is_told() {
    let (_imds, _dir, config) = config().await;
    std::fs::create_dir_all(&config.ledger).unwrap();
    // Only root can give a directory away.
    if std::os::unix::fs::chown(&config.ledger, Some(12345), None).is_ok() {
        let (verdict, words) = seen(&config, "ledger").await;
        assert_eq!(verdict, Verdict::Mind);
        assert!(words.contains("belongs to user 12345"), "{words}");
    }
}

#[tokio::test]
async fn a_clock_is_not_to_blame_for_a_dead_upstream() {
    let (_imds, _dir, mut config) = config().await;
    config.upstream = "http://127.0.0.1:9".parse().unwrap();
    assert_eq!(seen(&config, "upstream").await.0, Verdict::Bad);
    let (verdict, words) = seen(&config, "clock").await;
    assert_eq!(verdict, Verdict::NotChecked);
    assert_eq!(words, "not checked: upstream fails");
}
