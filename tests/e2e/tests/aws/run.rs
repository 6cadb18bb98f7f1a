//! Runs: what they write, what they hold, and what they leave alone.

use anyhow::Result;
use credpin_e2e::{controller::ENFORCE_WEB, estate::Extras, relay::Fate};
use serde_json::json;
use tempfile::TempDir;

use crate::world::{ARN, World};

#[tokio::test]
async fn a_run_writes_the_pin_once_and_then_writes_nothing() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let plan = world.run(&["plan"]).await?;
    assert_eq!(
        plan.status.code(),
        Some(2),
        "there are changes: {}",
        plan.stderr
    );
    assert_eq!(
        world.writes(),
        Vec::<String>::new(),
        "a plan writes nothing"
    );

    world.run(&["run"]).await?.success()?;
    assert_eq!(world.writes(), ["CreatePolicy", "AttachRolePolicy"]);
    let pins = world.pins("web").await;
    assert_eq!(pins.len(), 1);
    assert_eq!(pins[0].0, ARN);
    let json = pins[0].1.to_json();
    for vpc in world.estate.vpcs.values() {
        assert!(
            json.contains(&vpc.id) && json.contains(&format!("{}/32", vpc.nat_address)),
            "{json}"
        );
    }
    assert_eq!(world.pins("batch").await, [], "nothing enforces batch");
    let tags = world.account.call(
        "iam",
        "us-east-1",
        "list_policy_tags",
        json!({"PolicyArn": ARN}),
    );
    let tags = tags.await?.to_string();
    assert!(
        tags.contains("credpin:managed") && tags.contains("credpin:role"),
        "{tags}"
    );

    let again = world.run(&["run"]).await?;
    assert_eq!(again.status.code(), Some(0), "{}", again.stderr);
    assert_eq!(world.writes(), Vec::<String>::new());
    let plan = world.run(&["plan"]).await?;
    assert_eq!(
        plan.status.code(),
        Some(0),
        "nothing to do: {}",
        plan.stdout
    );
    Ok(())
}

#[tokio::test]
async fn a_plan_in_a_file_is_carried_out_as_it_stands_or_refused() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let folder = TempDir::new()?;
    let file = folder.path().join("web.plan").display().to_string();
    world.run(&["plan", "--out", &file]).await?;
    assert_eq!(world.writes(), Vec::<String>::new());
    world.run(&["apply", &file]).await?.success()?;
    assert_eq!(world.writes(), ["CreatePolicy", "AttachRolePolicy"]);

    // Its address changes, and before that is carried out somebody takes the pin off.
    let address = world.grow(1).await?;
    world.run(&["plan", "--out", &file]).await?;
    let request = json!({"RoleName": "web", "PolicyArn": ARN});
    world.iam("detach_role_policy", request.clone()).await?;
    let refused = world.run(&["apply", &file]).await?;
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    let why = format!("role web: {ARN} is no longer attached");
    assert!(refused.stderr.contains(&why), "{}", refused.stderr);
    assert_eq!(world.writes(), Vec::<String>::new());

    // As it was, it can be carried out after all.
    world.iam("attach_role_policy", request).await?;
    world.run(&["apply", &file]).await?.success()?;
    let json = world.pins("web").await[0].1.to_json();
    assert!(json.contains(&address), "{json}");
    Ok(())
}

#[tokio::test]
async fn many_changes_never_need_a_sixth_version() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    world.run(&["run"]).await?.success()?;
    for round in 1..7 {
        let address = world.grow(round).await?;
        world.run(&["run"]).await?.success()?;
        assert!(world.versions().await.len() <= 5);
        let json = world.pins("web").await[0].1.to_json();
        assert!(json.contains(&address), "{json}");
    }
    Ok(())
}

#[tokio::test]
async fn a_call_that_fails_on_a_later_page_is_a_gap_and_holds() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    world.relay.make_pages_small(1);
    world.run(&["plan"]).await?;
    let pages = world.relay.take_calls();
    assert!(
        pages.iter().any(|call| call.next_page),
        "small pages make several: {pages:?}"
    );

    world
        .relay
        .decide(|call| match (call.action.as_str(), call.next_page) {
            (
                "DescribeRouteTables"
                | "DescribeSubnets"
                | "DescribeInstances"
                | "DescribeNetworkInterfaces",
                true,
            ) => Fate::Refuse(400, "UnauthorizedOperation"),
            _ => Fate::Pass,
        });
    let run = world.run(&["run"]).await?;
    assert_eq!(
        run.status.code(),
        Some(3),
        "held: {}{}",
        run.stdout,
        run.stderr
    );
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(world.pins("web").await, []);
    Ok(())
}

#[tokio::test]
async fn throttling_is_waited_out() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let mut throttled = 0;
    world.relay.decide(move |call| {
        if call.action == "GetAccountAuthorizationDetails" && throttled < 2 {
            throttled += 1;
            return Fate::Refuse(400, "Throttling");
        }
        Fate::Pass
    });
    world.run(&["run"]).await?.success()?;
    assert_eq!(world.pins("web").await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn what_the_aws_cli_prints_gives_the_same_plan_byte_for_byte() -> Result<()> {
    let world = World::build(Extras {
        public_host: true,
        ipv6: true,
    })
    .await?;
    let folder = TempDir::new()?;
    world
        .moto
        .dump(folder.path(), &["eu-west-1", "eu-central-1"])
        .await?;
    let controller =
        world.controller("allow-launch-gap = true\nwithout-replay = true\nmode = \"enforce\"\n");
    let of_aws = controller
        .on_aws(world.relay.endpoint(), &["plan", "--json"])
        .await?;
    let of_cli = controller
        .on_dir(folder.path(), &["plan", "--json"])
        .await?;
    assert_eq!(of_aws.status.code(), Some(2), "{}", of_aws.stderr);
    assert_eq!(of_aws.stdout, of_cli.stdout);

    // And so does what credpin itself writes down.
    let observed = folder.path().join("observed");
    let out = observed.display().to_string();
    controller
        .on_aws(world.relay.endpoint(), &["observe", "--out", &out])
        .await?
        .success()?;
    let of_observed = controller.on_dir(&observed, &["plan", "--json"]).await?;
    assert_eq!(of_aws.stdout, of_observed.stdout);
    Ok(())
}

#[tokio::test]
async fn a_policy_that_is_not_ours_is_not_touched() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let theirs = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#;
    let request =
        json!({"Path": "/credpin/", "PolicyName": "credpin-web", "PolicyDocument": theirs});
    world
        .account
        .call("iam", "us-east-1", "create_policy", request)
        .await?;
    let run = world.run(&["run"]).await?;
    assert_ne!(run.status.code(), Some(0), "{}", run.stdout);
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(world.versions().await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn each_service_can_have_an_endpoint_of_its_own() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let endpoint = world.relay.endpoint();
    let services = [("IAM", endpoint), ("EC2", endpoint), ("STS", endpoint)];
    let controller = world.controller(ENFORCE_WEB);
    let plan = controller.on_services(&services, &["plan"]).await?;
    assert_eq!(plan.status.code(), Some(2), "{}", plan.stderr);
    Ok(())
}
