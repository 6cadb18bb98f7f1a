//! Rules in a proxy that runs.

use std::path::Path;

use credpin_proxy::Config;
use credpin_proxy::rules::Rules;
use rustix::process::getuid;

use crate::rig::{ROLE, Rig};

/// The rules of a config file.
fn rules(text: &str) -> Rules {
    let file = Path::new("proxy.toml");
    let config = Config::resolve(Some((file, text)), &std::collections::BTreeMap::new(), &[]);
    config.unwrap().rules
}

fn only_for(uid: u32) -> Rules {
    rules(&format!(
        "[[rule]]\nconsumer = {{ uid = {uid} }}\npath = \"/meta-data/*security-credentials/*\"\n\
         action = \"allow\"\n\
         [[rule]]\npath = \"/meta-data/*security-credentials/*\"\naction = \"deny\"\n"
    ))
}

fn us() -> u32 {
    getuid().as_raw()
}

#[tokio::test]
async fn credentials_are_for_the_user_that_a_rule_names() {
    let ours = Rig::with(|config| config.rules = only_for(us())).await;
    assert_eq!(ours.credential().await.status, 200);
    let theirs = Rig::with(|config| config.rules = only_for(us() + 1)).await;
    let token = theirs.token().await;
    for path in [
        ROLE,
        &ROLE.replace("latest", "2021-03-23"),
        &format!("/{ROLE}/"),
    ] {
        let reply = theirs.get(path, &token).await;
        assert!(reply.is_imds_error(403), "{path}: {reply:?}");
    }
    let id = theirs.get("/latest/meta-data/instance-id", &token).await;
    assert_eq!(id.status, 200);
    assert!(theirs.records().is_empty());
}

/// Who is denied gets nothing that another's request brought into the cache.
#[tokio::test]
async fn a_rule_comes_before_the_cache_and_can_be_exchanged() {
    let rig = Rig::start().await;
    assert_eq!(rig.credential().await.status, 200);
    rig.proxy.rules.replace(&only_for(us() + 1));
    assert!(rig.credential().await.is_imds_error(403));
    rig.metric_where(|line| {
        line.starts_with("credpin_proxy_refusals_total{rule=\"rule\"") && line.ends_with(" 1")
    })
    .await;
    rig.proxy.rules.replace(&Rules::default());
    assert_eq!(rig.credential().await.status, 200);
}

#[tokio::test]
async fn a_rule_that_warns_lets_pass_and_counts() {
    let warn = rules("[[rule]]\npath = \"/user-data\"\naction = \"warn\"\n");
    let rig = Rig::with(|config| config.rules = warn).await;
    let token = rig.token().await;
    let reply = rig.get("/latest/user-data", &token).await;
    assert!([200, 404].contains(&reply.status), "{reply:?}");
    rig.metric_where(|line| {
        line.starts_with("credpin_proxy_warnings_total{rule=\"rule\"") && line.ends_with(" 1")
    })
    .await;
}
