//! `credpin --cloud aws` against moto's IAM and EC2, read back with boto3.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use credpin_core::policy::Document;
use credpin_e2e::{
    account::Account,
    controller::{Controller, ENFORCE_WEB},
    estate::{Estate, Extras},
    moto::Moto,
    process::Finished,
    relay::{Call, Fate, Relay},
    tools::Tools,
};
use serde_json::{Value, json};
use tempfile::TempDir;

struct World {
    tools: Tools,
    moto: Moto,
    relay: Relay,
    account: Account,
    estate: Estate,
}

impl World {
    async fn build(extras: Extras) -> Result<Self> {
        let tools = Tools::find()?;
        let moto = Moto::start(&tools).await?;
        let estate = Estate::build(&tools, &moto, extras).await?;
        let address: SocketAddr = moto.endpoint().trim_start_matches("http://").parse()?;
        Ok(Self {
            relay: Relay::start(address).await?,
            account: Account::sign_in(&tools, &moto)?,
            tools,
            moto,
            estate,
        })
    }

    fn controller(&self, config: &str) -> Controller {
        Controller::new(&self.tools, config).unwrap()
    }

    async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        self.controller(ENFORCE_WEB)
            .on_aws(self.relay.endpoint(), arguments)
            .await
    }

    /// Calls of the last command that change something.
    fn writes(&self) -> Vec<String> {
        let reads = ["Describe", "Get", "List"];
        let calls = self.relay.take_calls().into_iter().map(|call| call.action);
        calls
            .filter(|action| !reads.iter().any(|read| action.starts_with(read)))
            .collect()
    }

    async fn pins(&self, role: &str) -> Vec<(String, Document)> {
        let policies = self.account.role_policies(role).await.unwrap();
        let ours = policies
            .into_iter()
            .filter(|policy| policy.name.contains(":policy/credpin/"));
        ours.map(|policy| {
            let document = Document::parse(&policy.document.to_string()).unwrap();
            (policy.name, document)
        })
        .collect()
    }

    async fn versions(&self, arn: &str) -> Vec<Value> {
        let request = json!({"PolicyArn": arn});
        let answer = self
            .account
            .call("iam", "us-east-1", "list_policy_versions", request)
            .await;
        answer.unwrap()["Versions"].as_array().unwrap().clone()
    }
}

const ARN: &str = "arn:aws:iam::123456789012:policy/credpin/credpin-web";

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
async fn many_changes_never_need_a_sixth_version() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    for round in 0..7 {
        if round > 0 {
            // One more NAT gateway in the VPC each time: one more address in the pin.
            let vpc = &world.estate.vpcs["a"];
            let address = format!("198.51.100.{}", 100 + 2 * round);
            let request = json!({"Domain": "vpc", "Address": address});
            let made = world
                .account
                .call("ec2", &vpc.region, "allocate_address", request)
                .await?;
            let request =
                json!({"SubnetId": vpc.public_subnet, "AllocationId": made["AllocationId"]});
            let made = world
                .account
                .call("ec2", &vpc.region, "create_nat_gateway", request)
                .await?;
            let nat = made["NatGateway"]["NatGatewayId"].clone();
            let request = json!({"VpcId": vpc.id});
            let table = world
                .account
                .call("ec2", &vpc.region, "create_route_table", request)
                .await?;
            let table = table["RouteTable"]["RouteTableId"].clone();
            let cidr = format!("10.0.{}.0/24", 100 + round);
            let request = json!({"VpcId": vpc.id, "CidrBlock": cidr});
            let subnet = world
                .account
                .call("ec2", &vpc.region, "create_subnet", request)
                .await?;
            let request = json!({"RouteTableId": table, "SubnetId": subnet["Subnet"]["SubnetId"]});
            world
                .account
                .call("ec2", &vpc.region, "associate_route_table", request)
                .await?;
            let request = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": nat});
            world
                .account
                .call("ec2", &vpc.region, "create_route", request)
                .await?;
        }
        world.run(&["run"]).await?.success()?;
        assert!(world.versions(ARN).await.len() <= 5);
        let json = world.pins("web").await[0].1.to_json();
        assert!(
            round == 0 || json.contains(&format!("198.51.100.{}", 100 + 2 * round)),
            "{json}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn killed_at_any_call_and_run_again_it_ends_in_the_planned_state() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let planned = {
        world.run(&["run"]).await?.success()?;
        world.pins("web").await
    };
    for fate in [
        Fate::Lose,
        Fate::CarryOutAndLose,
        Fate::Refuse(403, "AccessDenied"),
    ] {
        for kept in 0..2 {
            // From nothing: the pin of before is taken away.
            let request = json!({"RoleName": "web", "PolicyArn": ARN});
            world
                .account
                .call("iam", "us-east-1", "detach_role_policy", request)
                .await?;
            world
                .account
                .call(
                    "iam",
                    "us-east-1",
                    "delete_policy",
                    json!({"PolicyArn": ARN}),
                )
                .await?;
            // The calls after the first `kept` writes meet their fate, however often they are retried.
            let (fate, writes) = (fate.clone(), Arc::new(AtomicUsize::new(0)));
            let killed = writes.clone();
            world.relay.decide(move |call: &Call| {
                let write = ["Create", "Attach"]
                    .iter()
                    .any(|word| call.action.starts_with(word));
                if write && killed.fetch_add(1, Ordering::SeqCst) >= kept {
                    fate.clone()
                } else {
                    Fate::Pass
                }
            });
            let failed = world.run(&["run"]).await?;
            assert_eq!(
                failed.status.code(),
                Some(1),
                "{}{}",
                failed.stdout,
                failed.stderr
            );
            assert!(writes.load(Ordering::SeqCst) > kept);
            world.relay.decide(|_| Fate::Pass);
            world.run(&["run"]).await?.success()?;
            assert_eq!(world.pins("web").await, planned);
        }
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
    let controller = world.controller("allow-launch-gap = true\nmode = \"enforce\"\n");
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
    assert_eq!(world.versions(ARN).await.len(), 1);
    Ok(())
}

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
