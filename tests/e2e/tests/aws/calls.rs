//! How many calls a run makes of AWS.

use std::collections::BTreeMap;

use anyhow::Result;
use credpin_e2e::estate::{Estate, Extras};
use serde_json::json;

use crate::world::World;

/// How often each action was called since the last time this was asked.
fn counted(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in world.relay.take_calls() {
        *counts.entry(call.action).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn where_nothing_changed_each_list_is_asked_for_once_however_many_roles_there_are()
-> Result<()> {
    let world = World::build(Extras::default()).await?;
    world.run(&["run"]).await?.success()?;
    counted(&world);

    world.run(&["run"]).await?.success()?;
    let calls = counted(&world);
    for (action, times) in &calls {
        let most = match action.as_str() {
            "DescribeRegions" | "GetCallerIdentity" | "GetAccountAuthorizationDetails" => 1,
            describe if describe.starts_with("Describe") => Estate::REGIONS.len(),
            _ => 0,
        };
        assert!(*times <= most, "{action} {times} times: {calls:?}");
    }
    assert_eq!(calls["GetAccountAuthorizationDetails"], 1);
    assert_eq!(calls["DescribeInstances"], Estate::REGIONS.len());

    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    for number in 0..20 {
        let name = format!("more-{number}");
        let request = json!({"RoleName": name, "AssumeRolePolicyDocument": trust});
        world.iam("create_role", request).await?;
    }
    counted(&world);
    world.run(&["run"]).await?.success()?;
    assert_eq!(counted(&world), calls);
    Ok(())
}

#[tokio::test]
async fn one_more_gateway_is_written_for_its_role_in_one_call_a_phase() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    world.run(&["run"]).await?.success()?;
    world.grow(1).await?;
    world.writes();
    world.run(&["run"]).await?.success()?;
    // Hosts behind it are kept apart from the others: both ways are admitted first, and then each its own.
    assert_eq!(world.writes(), ["CreatePolicyVersion"; 2]);
    Ok(())
}
