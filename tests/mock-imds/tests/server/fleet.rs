//! Several hosts at once.

use std::sync::Arc;

use credpin_mock_imds::{Address, Fleet, Host, Settings, SystemClock};
use tokio::sync::oneshot;

use super::{CREDENTIALS, ask, body, get};

fn host(id: &str, imdsv2_only: bool) -> (Address, Settings) {
    let address = Address {
        hostname: "127.0.0.1".into(),
        port: 0,
    };
    let host = Host {
        instance_id: id.into(),
        ..Host::default()
    };
    let settings = Settings {
        host,
        imdsv2_only,
        seed: Some(1),
        ..Settings::default()
    };
    (address, settings)
}

#[tokio::test]
async fn each_host_of_a_fleet_is_itself_and_all_end_at_once() {
    let fleet = Fleet::bind([host("i-1", false), host("i-2", true)])
        .await
        .unwrap();
    let members: Vec<_> = fleet
        .members()
        .map(|(addr, state)| (addr, Arc::clone(state)))
        .collect();
    let [(one, first), (two, second)] = &members[..] else {
        panic!("two hosts");
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(fleet.run(Arc::new(SystemClock), async {
        let _ = stopped.await;
    }));

    let id = "/latest/meta-data/instance-id";
    assert!(get(*one, id).await.ends_with("i-1"));
    assert!(get(*two, id).await.starts_with("HTTP/1.1 401"));
    let put =
        "PUT /latest/api/token HTTP/1.1\nHost: imds\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    let answer = ask(*two, put).await;
    let with_token = |path| {
        let token = body(&answer);
        format!("GET {path} HTTP/1.1\nHost: imds\nX-aws-ec2-metadata-token: {token}")
    };
    assert!(ask(*two, &with_token(id)).await.ends_with("i-2"));
    let foreign = ask(*one, &with_token(id)).await;
    assert!(
        foreign.starts_with("HTTP/1.1 401"),
        "another instance's token"
    );

    get(*one, CREDENTIALS).await;
    ask(*two, &with_token(CREDENTIALS)).await;
    let key = |state: &credpin_mock_imds::State| state.issued().remove(0).access_key_id;
    assert_ne!(key(first), key(second), "a seed is each host's own");

    drop(stop);
    running.await.unwrap();
    assert_eq!(Arc::strong_count(first), 1, "nobody serves it any more");
}

#[tokio::test]
async fn one_address_that_is_taken_is_named() {
    let (mut address, settings) = host("i-1", false);
    let fleet = Fleet::bind([(address.clone(), settings.clone())])
        .await
        .unwrap();
    let (addr, _) = fleet.members().next().unwrap();
    address.port = addr.port();
    let error = Fleet::bind([(address, settings)]).await.unwrap_err();
    let expected = format!("cannot listen on 127.0.0.1 port {}", addr.port());
    assert_eq!(error.to_string(), expected);
}
