//! A session that another user, or another container, has got hold of.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use credpin_mock_imds::MockImds;
use rustix::process::geteuid;

use crate::binary::{address, credpin_proxy, run_as};
use crate::rig::{ROLE, talk};

/// A user that every machine has.
const NOBODY: u32 = 65534;

/// A cgroup of version 2 that looks like a container's; gone when this is.
struct Container(PathBuf);

impl Container {
    /// Nothing where a test may make none.
    fn make() -> Option<Self> {
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let mut mounts = mounts.into_iter();
        let mount = mounts.find(|mount| mount.join("cgroup.controllers").exists())?;
        let id = format!("{:064x}", std::process::id());
        let folder = mount.join(format!("docker-{id}.scope"));
        fs::create_dir(&folder).ok().map(|()| Self(folder))
    }

    /// What makes the process that it is run by one of this container.
    fn enter(&self) -> String {
        format!("echo $$ > {}/cgroup.procs && ", self.0.display())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // One that a process is left in stays.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The status that curl gets with `token`, run by a shell after `first`, as `user`.
async fn asked(first: &str, user: u32, at: &str, token: &str) -> String {
    let curl = "curl -q -s -o /dev/null -w '%{http_code}' -H 'Host: 169.254.169.254' \
                -H \"X-aws-ec2-metadata-token: $0\" \"$1\"";
    let mut shell = Command::new("sh");
    let url = format!("http://{at}{ROLE}");
    shell.args(["-c", &format!("{first}{curl}"), token, &url]);
    if user != geteuid().as_raw() {
        shell.uid(user);
    }
    let done = tokio::task::spawn_blocking(move || shell.output().unwrap());
    String::from_utf8(done.await.unwrap().stdout).unwrap()
}

async fn session(at: &str) -> String {
    let put = format!(
        "PUT /latest/api/token HTTP/1.1\r\nHost: {at}\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\
         Connection: close\r\n\r\n"
    );
    talk(at.parse().unwrap(), put.as_bytes()).await.text()
}

#[tokio::test]
async fn a_session_is_good_for_whom_it_is_bound_to_and_for_nobody_else() {
    if !geteuid().is_root() {
        eprintln!("left out: only root can be two users and make a container");
        return;
    }
    let container = Container::make();
    let us = geteuid().as_raw();
    for (binding, other_user, in_container) in [
        ("none", "200", "200"),
        ("uid", "401", "200"),
        ("container", "200", "401"),
    ] {
        let (imds, dir) = (
            MockImds::builder().start().await.unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let mut command = credpin_proxy(&[]);
        command.env("CREDPIN_PROXY_SESSION_BINDING", binding);
        let (_process, ready) = run_as(command, &imds, dir.path()).await;
        let at = address(&ready);
        let token = session(&at).await;
        assert_eq!(asked("", us, &at, &token).await, "200", "{binding}");
        let other = asked("", NOBODY, &at, &token).await;
        assert_eq!(other, other_user, "{binding}: another user");
        if let Some(container) = &container {
            let inside = asked(&container.enter(), us, &at, &token).await;
            assert_eq!(inside, in_container, "{binding}: in a container");
        }
    }
}
