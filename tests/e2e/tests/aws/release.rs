//! Taking a pin off, and going back.

use anyhow::Result;
use credpin_e2e::{estate::Extras, relay::Fate};

use crate::world::World;

#[tokio::test]
async fn release_takes_the_pin_off_with_ec2_down_and_it_stays_off() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    world.run(&["run"]).await?.success()?;
    world.relay.decide(|call| {
        if call.action.starts_with("Describe") {
            Fate::Refuse(503, "Unavailable")
        } else {
            Fate::Pass
        }
    });
    world.writes();
    world.run(&["release", "web"]).await?.success()?;
    assert_eq!(
        world.writes(),
        ["TagPolicy", "DetachRolePolicy"],
        "marked before it is detached"
    );
    assert_eq!(world.pins("web").await, []);

    world.relay.decide(|_| Fate::Pass);
    world.run(&["run"]).await?.success()?;
    assert_eq!(
        world.pins("web").await,
        [],
        "the next run leaves it released"
    );
    world.run(&["release", "--undo", "web"]).await?.success()?;
    world.run(&["run"]).await?.success()?;
    assert_eq!(world.pins("web").await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn release_previous_goes_back_and_stays_there_until_it_is_undone() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    world.run(&["run"]).await?.success()?;
    let before = world.pins("web").await;
    world.grow(1).await?;
    world.run(&["run"]).await?.success()?;
    let after = world.pins("web").await;
    assert_ne!(before, after);
    world.writes();

    world
        .run(&["release", "--previous", "web"])
        .await?
        .success()?;
    assert_eq!(world.writes(), ["SetDefaultPolicyVersion"]);
    // The first document would deny who starts in the new subnet, so it does not verify any more. The one
    // by which the run widened the pin does.
    let back = world.pins("web").await;
    assert_ne!(back, before);
    assert_ne!(back, after);
    world.run(&["run"]).await?.success()?;
    assert_eq!(
        world.writes(),
        Vec::<String>::new(),
        "the next run leaves it"
    );
    assert_eq!(world.pins("web").await, back);

    world.run(&["release", "--undo", "web"]).await?.success()?;
    world.run(&["run"]).await?.success()?;
    assert_eq!(world.pins("web").await, after);
    Ok(())
}
