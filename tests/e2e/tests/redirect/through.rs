//! The redirect is on, and the proxy runs.

use anyhow::Result;
use credpin_e2e::namespace::Family;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Answered, World};

#[tokio::test]
async fn everybodys_requests_go_through_the_proxy_and_nobody_gets_past_it() -> Result<()> {
    let world = World::build().await?;
    let World {
        host,
        container,
        stranger,
        ..
    } = &world;
    for family in Family::ALL {
        // It is the table that does all that follows.
        for from in [host, container, stranger] {
            assert_eq!(world.ask(from, family).await?, Answered::Metadata);
        }
    }
    world.redirected("install").await?;
    for family in Family::ALL {
        for (from, expected) in [
            (host, Answered::Proxy),
            (container, Answered::Proxy),
            // Its packets pass the host; there is no bridge that they come by.
            (stranger, Answered::Refused),
        ] {
            assert_eq!(world.ask(from, family).await?, expected, "{family:?}");
        }
        assert_eq!(world.ask_as_proxy(None, family).await?, Answered::Metadata);
    }
    Ok(())
}

#[tokio::test]
async fn what_real_clients_take_is_on_record() -> Result<()> {
    let world = World::build().await?;
    world.redirected("install").await?;
    assert_eq!(world.ledger().await?, serde_json::json!([]));
    for family in Family::ALL {
        for from in [&world.host, &world.container] {
            let id = world.take(from, family).await?;
            let ledger = world.ledger().await?;
            let mut ids = ledger.as_array().unwrap().iter();
            assert!(ids.any(|record| record["access_key_id"] == *id), "{ledger}");
        }
    }
    let ledger = world.ledger().await?.to_string();
    for container in ["10.9.0.2", "fd99::2"] {
        assert!(ledger.contains(container), "{container} is not in {ledger}");
    }
    Ok(())
}

#[tokio::test]
async fn a_machine_on_the_network_gets_nothing_whatever_host_it_names() -> Result<()> {
    let world = World::build().await?;
    world.redirected("install").await?;
    for (from, v4, v6) in [
        (&world.stranger, "10.9.1.1:9337", "[fd99:1::1]:9337"),
        // A container is served on its way to the metadata service, and in no other.
        (&world.container, "10.9.0.1:9337", "[fd99::1]:9337"),
    ] {
        for (family, port) in [(Family::V4, v4), (Family::V6, v6)] {
            let got = world.ask_at(from, family, port).await?;
            assert_eq!(got, Answered::Nobody, "{port}");
        }
    }
    // The host itself reaches it.
    let own = world
        .ask_at(&world.host, Family::V4, "127.0.0.1:9337")
        .await?;
    assert_eq!(own, Answered::Proxy);
    Ok(())
}

#[tokio::test]
async fn a_connection_from_before_the_redirect_is_cut() -> Result<()> {
    let world = World::build().await?;
    let script = "trap '' PIPE; exec 3<>/dev/tcp/169.254.169.254/80 || exit
        echo open; read -r _
        printf 'GET / HTTP/1.0\\r\\nHost: 169.254.169.254\\r\\n\\r\\n' >&3; head -c 4 <&3; echo .";
    for (on, expected) in [(false, "HTTP.\n"), (true, ".\n")] {
        let bash = world.tools.system("bash", "bash")?.args(["-c", script]);
        let mut held = world.host.client(bash, Family::V4).await?.spawn()?;
        let (mut stdin, mut stdout) = held.pipes()?;
        let mut open = [0; 5];
        stdout.read_exact(&mut open).await?;
        if on {
            world.redirected("install").await?;
        }
        stdin.write_all(b"\n").await?;
        let mut got = String::new();
        stdout.read_to_string(&mut got).await?;
        assert_eq!(got, expected, "{}", held.complaint());
    }
    Ok(())
}
