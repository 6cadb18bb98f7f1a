//! A forged `Host` opens nothing: in a network of its own, with redirects of its own.

use rustix::thread::CapabilitySet;
use tempfile::TempDir;

use crate::namespace::{HELP, as_one_who_may};

#[test]
fn who_was_not_on_the_way_to_imds_gets_nothing_whatever_host_it_names() {
    let dir = TempDir::new().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/original.sh");
    let (proxy, folder) = (
        env!("CARGO_BIN_EXE_credpin-proxy"),
        dir.path().to_str().unwrap(),
    );
    let program = ["unshare", "--net", "--", "sh", script, proxy, folder];
    let mut command = as_one_who_may(CapabilitySet::SYS_ADMIN, &program);
    let done = command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output();
    let done = done.unwrap();
    let (got, said) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    // 401 is the guard's: it saw a request. 000 is no answer at all.
    let expected = "imds 401\nimds-v6 401\nitself 401\nown-address 401\n\
        network 000\nnetwork-v6 000\nother-port 000\nelsewhere 000\n";
    assert_eq!(
        got, expected,
        "{said}\n{HELP}; it takes ip, nft and curl too"
    );
    for rule in ["network", "elsewhere"] {
        assert!(said.contains(&format!("rule=\"{rule}\"")), "{said}");
    }
}
