//! Who asked, as the kernel tells.

use std::fs;

use rustix::process::getuid;

use crate::rig::{Rig, logs, talk_from};

/// This process's cgroup of version 2, as it says itself.
fn own_cgroup() -> String {
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
    path.expect("a kernel with cgroup2").to_owned()
}

#[tokio::test]
async fn a_record_says_which_user_asked_and_from_where_on_the_host() {
    let rig = Rig::start().await;
    assert_eq!(rig.credential().await.status, 200);
    let consumer = rig.records().remove(0).consumer;
    assert_eq!(consumer.uid, Some(getuid().as_raw()));
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let own = format!(":{}:", getuid().as_raw());
    let named = passwd.lines().find(|line| {
        let after_name = line.split_once(":x").map(|(_, rest)| rest);
        after_name.is_some_and(|rest| rest.starts_with(&own))
    });
    let name = named.and_then(|line| line.split(':').next());
    assert_eq!(consumer.user.as_deref(), name);
    assert_eq!(consumer.cgroup, Some(own_cgroup()));

    let key = rig.imds().issued().remove(0).access_key_id;
    let log = String::from_utf8_lossy(&logs().lock().unwrap()).into_owned();
    let line = log.lines().find(|line| line.contains(&key)).unwrap();
    let who = format!("127.0.0.1 uid={}", getuid().as_raw());
    assert!(line.contains(&who), "{line}");
}

#[tokio::test]
async fn the_connections_of_one_process_are_one_consumer() {
    let rig = Rig::start().await;
    assert_eq!(rig.credential().await.status, 200);
    assert_eq!(rig.credential().await.status, 200);
    let token = rig.token().await;
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: 169.254.169.254\r\nX-aws-ec2-metadata-token: {token}\r\n\
         Connection: close\r\n\r\n",
        crate::rig::ROLE
    );
    let reply = talk_from("127.0.0.7", rig.proxy.addr, head.as_bytes()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(rig.records().len(), 1);
}
