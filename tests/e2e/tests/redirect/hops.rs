//! Who is in another network namespace is a hop away, though every answer comes from the host.

use anyhow::Result;
use credpin_e2e::namespace::Family;

use crate::world::World;

#[tokio::test]
async fn a_container_is_served_from_a_hop_limit_of_two_on() -> Result<()> {
    let mut world = World::build().await?;
    world.redirected("install").await?;
    for (hop_limit, for_container) in [(1, "403"), (2, "200")] {
        world.set_hop_limit(hop_limit).await?;
        for family in Family::ALL {
            let World {
                host, container, ..
            } = &world;
            let got = [
                world.session(host, family).await?,
                world.session(container, family).await?,
            ];
            assert_eq!(got, ["200", for_container], "{family:?}, {hop_limit}");
        }
    }
    // The host's own are known by user, also where the redirect led them here.
    world.take(&world.host, Family::V4).await?;
    world.take(&world.container, Family::V4).await?;
    let ledger = world.ledger().await?;
    let uids: Vec<_> = ledger.as_array().unwrap().iter().collect();
    let by_uid = |known: bool| {
        let mut of = uids.iter();
        of.any(|record| record["consumer"]["uid"].is_number() == known)
    };
    assert!(by_uid(true) && by_uid(false), "{ledger}");
    Ok(())
}
