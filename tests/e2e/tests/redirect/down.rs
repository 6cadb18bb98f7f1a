//! The proxy stops, or stays down, and comes back.

use anyhow::Result;
use credpin_e2e::namespace::Family;

use crate::world::{Answered, PROXY, World};

async fn everywhere(world: &World) -> Result<[Answered; 6]> {
    let mut got = Vec::new();
    for family in Family::ALL {
        for from in [&world.host, &world.container, &world.stranger] {
            got.push(world.ask(from, family).await?);
        }
    }
    Ok(got.try_into().unwrap())
}

const REFUSED: [Answered; 6] = [Answered::Refused; 6];
const PAST: [Answered; 6] = [Answered::Metadata; 6];
const THROUGH: [Answered; 6] = [
    Answered::Proxy,
    Answered::Proxy,
    Answered::Refused,
    Answered::Proxy,
    Answered::Proxy,
    Answered::Refused,
];

#[tokio::test]
async fn a_stopped_proxy_is_not_gone_around() -> Result<()> {
    let mut world = World::build().await?;
    world.redirected("install").await?;
    world.stop_proxy().await?;
    assert_eq!(everywhere(&world).await?, REFUSED);
    // What was decided is the settings' to say, not the start's.
    assert_eq!(world.redirected("install --if-down").await?, "");
    assert_eq!(everywhere(&world).await?, REFUSED);
    world.start_proxy().await?;
    assert_eq!(everywhere(&world).await?, THROUGH);
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_stays_down_blocks_and_its_next_start_takes_it_back() -> Result<()> {
    let mut world = World::build().await?;
    world.redirected("install").await?;
    world.stop_proxy().await?;
    let said = world.redirected("install --proxy-down").await?;
    assert!(
        said.contains("ERROR") && said.contains("on-proxy-down = \"block\""),
        "{said}"
    );
    assert_eq!(everywhere(&world).await?, REFUSED);
    // It is the rules that refuse, and no port that is closed.
    world.start_proxy().await?;
    assert_eq!(everywhere(&world).await?, REFUSED);
    let said = world.redirected("install --if-down").await?;
    assert!(said.contains("up again"), "{said}");
    assert_eq!(everywhere(&world).await?, THROUGH);
    Ok(())
}

#[tokio::test]
async fn with_bypass_everybody_gets_past_until_the_next_start() -> Result<()> {
    let mut world = World::build().await?;
    world.redirected("install").await?;
    world.stop_proxy().await?;
    world.configure("bypass", PROXY)?;
    let said = world.redirected("install --proxy-down").await?;
    assert!(
        said.contains("ERROR") && said.contains("unguarded and unrecorded"),
        "{said}"
    );
    assert_eq!(everywhere(&world).await?, PAST);

    world.start_proxy().await?;
    let port = world
        .ask_at(&world.stranger, Family::V4, "10.9.1.1:9337")
        .await?;
    assert_eq!(port, Answered::Nobody, "the port stays shut to the network");
    world.redirected("install --if-down").await?;
    assert_eq!(everywhere(&world).await?, THROUGH);
    Ok(())
}

#[tokio::test]
async fn where_there_is_no_redirect_a_failed_proxy_makes_none() -> Result<()> {
    let world = World::build().await?;
    assert_eq!(world.redirected("install --proxy-down").await?, "");
    assert_eq!(world.redirected("install --if-down").await?, "");
    assert_eq!(world.nft("list tables").await?, "");
    Ok(())
}
