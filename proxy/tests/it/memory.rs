//! Invariant 2, in the memory of the process itself: what was in flight is gone when it has landed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use credpin_mock_imds::MockImds;
use rustix::thread::CapabilitySet;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::binary::{address, credential, run_as};
use crate::namespace::as_one_who_may;
use crate::rig::PATIENCE;
use crate::s3::S3;

/// Which of `needles` are in what the process `pid` can write to.
fn found(pid: u32, needles: &[String]) -> Vec<String> {
    let readable = "whoever has CAP_SYS_PTRACE over a process reads its memory, unless \
                    kernel.yama.ptrace_scope is 3 or a seccomp filter forbids it: allow it";
    let memory = File::open(format!("/proc/{pid}/mem")).expect(readable);
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect(readable);
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split(' ');
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let (from, to) = (address(from), address(to));
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // It may have given the region back since.
        if rights.starts_with("rw") && memory.read_exact_at(&mut bytes, from).is_ok() {
            for needle in needles {
                let mut windows = bytes.windows(needle.len());
                if windows.any(|window| window == needle.as_bytes()) {
                    found.push(needle.clone());
                }
            }
        }
    }
    found
}

/// The binary. It is not dumpable, so its memory is for who has this right alone.
fn proxy() -> Command {
    let proxy = env!("CARGO_BIN_EXE_credpin-proxy");
    as_one_who_may(CapabilitySet::SYS_PTRACE, &[proxy])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_stays_in_memory_when_its_connections_are_gone() {
    let (imds, dir) = (
        MockImds::builder().start().await.unwrap(),
        TempDir::new().unwrap(),
    );
    // Shipping to S3 uses the secret and sends the token, again from copies.
    let mut s3 = S3::start().await;
    let mut command = proxy();
    command
        .env("CREDPIN_PROXY_RECORDS", s3.url())
        .env("CREDPIN_PROXY_CACHE_RECHECK", "50ms")
        .env("CREDPIN_PROXY_SESSION_KEY", "off")
        .env("CREDPIN_PROXY_SHIP_INTERVAL", "50ms");
    let (process, ready) = run_as(command, &imds, dir.path()).await;
    let pid = process.0.id();
    let address = address(&ready);
    assert_eq!(credential(&address).await, 200);
    let upload = timeout(PATIENCE, s3.uploads.recv()).await.unwrap().unwrap();
    let token = imds.handle().issued().remove(0).token;
    assert!(upload.contains(&token), "{upload}");
    let issued = imds.handle().issued().remove(0);
    let secrets = [&issued.secret_access_key, &issued.token];
    let secrets = secrets.map(|secret| secret[..20].to_owned());
    // The id is no secret and stays in the index: this search does find things.
    assert!(!found(pid, &[issued.access_key_id]).is_empty());
    // What is cached is held until it is not what IMDS gives out any more.
    imds.handle().rotate_credentials();
    let gone = async {
        // An idle connection to the metadata service is kept for some seconds.
        while !found(pid, &secrets).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let gone = timeout(PATIENCE, gone).await;
    assert!(gone.is_ok(), "{:?} of {secrets:?}", found(pid, &secrets));
}
