//! What people see of the redirect.

use anyhow::Result;

use crate::world::World;

/// What `show` prints: the rules, what it says of them, and whether all is well.
async fn show(world: &World) -> Result<(String, String, bool)> {
    let shown = world.redirect("show").await?;
    Ok((shown.stdout, shown.stderr, shown.status.success()))
}

#[tokio::test]
async fn show_tells_whether_what_is_loaded_is_what_it_prints() -> Result<()> {
    let world = World::build().await?;
    let (rules, said, good) = show(&world).await?;
    assert!(said.contains("not loaded") && !good, "{said}");
    for part in [
        "169.254.169.254",
        "fd00:ec2::254",
        "skuid \"nobody\"",
        ":9337",
    ] {
        assert!(rules.contains(part), "{rules}");
    }

    // Twice is once.
    world.redirected("install").await?;
    let once = world.nft("list ruleset").await?;
    world.redirected("install").await?;
    assert_eq!(world.nft("list ruleset").await?, once);
    let (same, said, good) = show(&world).await?;
    assert!(said.contains("loaded, exactly as shown") && good, "{said}");
    assert_eq!(same, rules);

    world
        .nft("add rule inet credpin from_elsewhere accept")
        .await?;
    let (_, said, good) = show(&world).await?;
    assert!(said.contains("something else is loaded") && !good, "{said}");
    assert!(said.lines().any(|line| line == "+ accept"), "{said}");
    world.redirected("install").await?;
    assert_eq!(world.nft("list ruleset").await?, once);

    world.redirected("install --proxy-down").await?;
    let (_, said, good) = show(&world).await?;
    assert!(said.contains("the proxy is down") && !good, "{said}");

    world.redirected("remove").await?;
    assert_eq!(world.nft("list ruleset").await?, "");
    world.redirected("remove").await?;
    Ok(())
}

#[tokio::test]
async fn what_others_have_loaded_is_left_alone() -> Result<()> {
    let world = World::build().await?;
    world.nft("add table inet theirs").await?;
    world.redirected("install").await?;
    world.redirected("remove").await?;
    assert_eq!(world.nft("list tables").await?, "table inet theirs\n");
    Ok(())
}

#[tokio::test]
async fn rules_that_cannot_be_loaded_change_nothing() -> Result<()> {
    let world = World::build().await?;
    world.redirected("install").await?;
    let before = world.nft("list ruleset").await?;
    world.configure("block", "no-such-user")?;
    let failed = world.redirect("install").await?;
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        failed.stderr.contains("make that user first"),
        "{}",
        failed.stderr
    );
    assert_eq!(world.nft("list ruleset").await?, before);
    Ok(())
}
