//! A role that is assumed with the tokens of instances: opted in, pinned by a run, judged, and let go again.

use anyhow::Result;
use credpin_e2e::{
    controller::ENFORCE_WEB,
    estate::Extras,
    judge::{Decision, Fact, Judge, Policy, Question, allow_everything},
};
use serde_json::json;

use crate::world::World;

/// Opts `deploy` in beside `web`.
fn opted_in(mode: &str) -> String {
    format!("{ENFORCE_WEB}[[chained]]\nname = \"deploy\"\nmode = \"{mode}\"\n")
}

/// Makes a role with this trust policy's statements.
async fn make_role(world: &World, name: &str, principal: &serde_json::Value) -> Result<()> {
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"},
    ]});
    let request = json!({"RoleName": name, "AssumeRolePolicyDocument": trust.to_string()});
    world.iam("create_role", request).await.map(drop)
}

/// The name of the statement that denies a session of `deploy` a call with these keys; none if it passes.
async fn denied(world: &World, judge: &Judge, keys: &[(&str, &str)]) -> Result<Option<String>> {
    let pins = world.pins("deploy").await.into_iter();
    let pins = pins.map(|(name, document)| Policy {
        name,
        document: serde_json::from_str(&document.to_json()).unwrap(),
    });
    let account = &world.estate.account;
    let always = [
        ("aws:userid", "AROADEPLOY:made-by-hand".to_owned()),
        (
            "aws:PrincipalArn",
            format!("arn:aws:iam::{account}:role/deploy"),
        ),
        ("aws:ViaAWSService", "false".to_owned()),
    ];
    let of_call = keys.iter().map(|(key, value)| (*key, (*value).to_owned()));
    let facts = always.into_iter().chain(of_call);
    let question = Question {
        policies: [allow_everything()].into_iter().chain(pins).collect(),
        principal: format!("arn:aws:sts::{account}:assumed-role/deploy/made-by-hand"),
        action: "s3:GetObject".into(),
        resource: "arn:aws:s3:::loot/object".into(),
        context: facts
            .map(|(key, value)| (key.to_owned(), Fact::from(value.as_str())))
            .collect(),
    };
    let verdict = judge.judge(&question).await?;
    Ok((verdict.decision == Decision::Denied).then(|| verdict.by[0].statement.clone()))
}

#[tokio::test]
async fn a_session_of_a_role_that_hosts_assume_passes_where_they_are_and_nowhere_else() -> Result<()>
{
    let world = World::build(Extras::default()).await?;
    let judge = Judge::start(&world.tools)?;
    let web = &world.estate.roles["web"].arn;
    make_role(&world, "deploy", &json!({"AWS": web})).await?;
    let stolen = [("aws:SourceIp", "203.0.113.66")];

    // Out of the box it is left alone.
    world.run(&["run"]).await?.success()?;
    assert_eq!(world.pins("deploy").await, []);
    assert_eq!(denied(&world, &judge, &stolen).await?, None);

    let enforce = world.controller(&opted_in("enforce"));
    enforce
        .on_aws(world.relay.endpoint(), &["run"])
        .await?
        .success()?;
    for host in world
        .estate
        .hosts
        .values()
        .filter(|host| host.role == "web")
    {
        let vpc = world
            .estate
            .vpcs
            .values()
            .find(|vpc| vpc.id == host.vpc)
            .unwrap();
        let (egress, private) = (
            vpc.nat_address.to_string(),
            host.private_address.to_string(),
        );
        for home in [
            &[("aws:SourceIp", egress.as_str())][..],
            &[("aws:SourceVpc", &vpc.id), ("aws:VpcSourceIp", &private)],
        ] {
            assert_eq!(denied(&world, &judge, home).await?, None, "{home:?}");
        }
        let elsewhere = [
            ("aws:SourceVpc", "vpc-0attacker"),
            ("aws:VpcSourceIp", &private),
        ];
        let by = denied(&world, &judge, &elsewhere).await?;
        assert!(by.is_some_and(|by| by.starts_with("ChainedEndpoint")));
    }
    let by = denied(&world, &judge, &stolen).await?;
    assert_eq!(by.as_deref(), Some("ChainedPublic"));

    // Its callers grow, and it with them.
    world.writes();
    let address = world.grow(1).await?;
    world.writes();
    enforce
        .on_aws(world.relay.endpoint(), &["run"])
        .await?
        .success()?;
    let at_it = [("aws:SourceIp", address.as_str())];
    assert_eq!(denied(&world, &judge, &at_it).await?, None);
    enforce
        .on_aws(world.relay.endpoint(), &["run"])
        .await?
        .success()?;
    world.writes();
    enforce
        .on_aws(world.relay.endpoint(), &["run"])
        .await?
        .success()?;
    assert_eq!(world.writes(), Vec::<String>::new());

    // A release takes it off and leaves it off, and so does a rule that says so.
    enforce
        .on_aws(world.relay.endpoint(), &["release", "deploy"])
        .await?
        .success()?;
    assert_eq!(denied(&world, &judge, &stolen).await?, None);
    enforce
        .on_aws(world.relay.endpoint(), &["run"])
        .await?
        .success()?;
    assert_eq!(world.pins("deploy").await, []);
    enforce
        .on_aws(world.relay.endpoint(), &["release", "--undo", "deploy"])
        .await?
        .success()?;
    enforce
        .on_aws(world.relay.endpoint(), &["run"])
        .await?
        .success()?;
    assert!(denied(&world, &judge, &stolen).await?.is_some());
    let observe = world.controller(&opted_in("observe"));
    observe
        .on_aws(world.relay.endpoint(), &["run"])
        .await?
        .success()?;
    assert_eq!(world.pins("deploy").await, []);
    Ok(())
}

#[tokio::test]
async fn a_role_that_a_service_may_assume_too_is_held_and_left_as_it_is() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let web = &world.estate.roles["web"].arn;
    let both = json!({"AWS": web, "Service": "lambda.amazonaws.com"});
    make_role(&world, "deploy", &both).await?;
    let enforce = world.controller(&opted_in("enforce"));
    let run = enforce.on_aws(world.relay.endpoint(), &["run"]).await?;
    assert_eq!(run.status.code(), Some(3), "{}{}", run.stdout, run.stderr);
    assert!(
        run.stdout
            .contains("lambda.amazonaws.com may assume deploy"),
        "{}",
        run.stdout
    );
    assert_eq!(world.pins("deploy").await, []);
    assert_eq!(world.pins("web").await.len(), 1, "it holds up nobody else");
    Ok(())
}
