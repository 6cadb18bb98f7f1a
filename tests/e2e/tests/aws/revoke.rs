//! Taking stolen credentials back: the writes in moto's IAM, and what the judge makes of them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use credpin_e2e::{
    account::ApiError,
    estate::Extras,
    judge::{Decision, Fact, Judge, Policy, Question, allow_everything},
    relay::Fate,
};
use serde_json::{Value, json};

use crate::world::World;

/// Long before any cut that a test makes, and long after.
const BEFORE: &str = "2020-01-01T00:00:00Z";
pub(crate) const AFTER: &str = "2099-01-01T00:00:00Z";

impl World {
    /// Makes the user alice, and gives the id of a key of hers.
    pub(crate) async fn alice(&self) -> Result<String> {
        self.iam(
            "create_user",
            json!({"UserName": "alice", "Path": "/team/"}),
        )
        .await?;
        let made = self
            .iam("create_access_key", json!({"UserName": "alice"}))
            .await?;
        let key = made["AccessKey"]["AccessKeyId"].as_str();
        Ok(key.context("a key")?.to_owned())
    }

    /// The policies on alice, as IAM has them.
    pub(crate) async fn on_alice(&self) -> Result<Vec<Policy>> {
        let attached = self
            .iam("list_attached_user_policies", json!({"UserName": "alice"}))
            .await?;
        let mut policies = Vec::new();
        for policy in attached["AttachedPolicies"].as_array().context("a list")? {
            let arn = policy["PolicyArn"].as_str().context("an ARN")?;
            let request = json!({"PolicyArn": arn, "VersionId": "v1"});
            let version = self.iam("get_policy_version", request).await?;
            policies.push(Policy {
                name: arn.to_owned(),
                document: version["PolicyVersion"]["Document"].clone(),
            });
        }
        Ok(policies)
    }

    pub(crate) async fn status_of(&self, key: &str) -> Result<String> {
        let keys = self
            .iam("list_access_keys", json!({"UserName": "alice"}))
            .await?;
        let mut keys = keys["AccessKeyMetadata"].as_array().into_iter().flatten();
        let found = keys
            .find(|it| it["AccessKeyId"] == key)
            .context("the key")?;
        Ok(found["Status"].as_str().context("a status")?.to_owned())
    }

    /// Makes the role ci, which anybody of the account may assume, and gives its id.
    pub(crate) async fn ci(&self) -> Result<String> {
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole",
             "Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        ]});
        let request = json!({"RoleName": "ci", "AssumeRolePolicyDocument": trust.to_string()});
        let made = self.iam("create_role", request).await?;
        let id = made["Role"]["RoleId"].as_str().context("a role's id")?;
        Ok(id.to_owned())
    }

    /// Makes the cuts, and gives what each is undone by, in order.
    async fn revoke(&self, arguments: &[&str]) -> Result<Vec<String>> {
        let arguments = [&["revoke"], arguments, &["--apply", "--yes"]].concat();
        let said = self.run(&arguments).await?.success()?;
        let done = said.lines().filter(|line| line.starts_with("Done:"));
        done.map(|line| {
            let id = line.split("--undo ").nth(1).context(said.clone())?;
            Ok(id.trim_end_matches('`').to_owned())
        })
        .collect()
    }
}

/// Whether a call is denied, by the judge.
pub(crate) async fn denied(
    judge: &Judge,
    policies: &[Policy],
    (principal, userid): (&str, &str),
    issued: Option<&str>,
    (action, resource): (&str, &str),
) -> Result<bool> {
    let issued = issued.map(|time| ("aws:TokenIssueTime".to_owned(), Fact::from(time)));
    let userid = ("aws:userid".to_owned(), Fact::from(userid));
    let question = Question {
        policies: [&[allow_everything()], policies].concat(),
        principal: principal.to_owned(),
        action: action.to_owned(),
        resource: resource.to_owned(),
        context: issued
            .into_iter()
            .chain([userid])
            .collect::<BTreeMap<_, _>>(),
    };
    let verdict = judge.judge(&question).await?;
    Ok(verdict.decision == Decision::Denied)
}

pub(crate) const READ: (&str, &str) = ("s3:GetObject", "arn:aws:s3:::loot/file");

#[tokio::test]
async fn a_users_stolen_tokens_end_and_her_keys_stay() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let key = world.alice().await?;
    let judge = Judge::start(&world.tools)?;
    let said = world.run(&["revoke", "user/alice"]).await?.stdout;
    let left = format!("leaves    {key} (works); denied to take this off");
    assert!(said.contains(&left), "{said}");
    let ids = world.revoke(&["user/alice"]).await?;
    assert_eq!(world.writes(), ["CreatePolicy", "AttachUserPolicy"]);

    let policies = world.on_alice().await?;
    let alice = ("arn:aws:iam::123456789012:user/team/alice", "AIDAEXAMPLE");
    let ask = |issued, call| denied(&judge, &policies, alice, issued, call);
    assert!(ask(Some(BEFORE), READ).await?, "the thief's token");
    assert!(!ask(Some(AFTER), READ).await?, "one that she makes later");
    assert!(!ask(None, READ).await?, "her long-lived key");
    // A token of GetFederationToken has its user's policies, and a name of its own.
    let federated = (
        "arn:aws:sts::123456789012:federated-user/bob",
        "123456789012:bob",
    );
    let by_federation = |issued| denied(&judge, &policies, federated, Some(issued), READ);
    assert!(by_federation(BEFORE).await?, "the thief's federation");
    assert!(!by_federation(AFTER).await?, "a later one");
    let cut = policies[0].name.clone();
    for (action, resource) in [
        ("iam:DetachUserPolicy", alice.0),
        ("iam:CreateAccessKey", alice.0),
        ("iam:CreateLoginProfile", alice.0),
        ("iam:CreateServiceSpecificCredential", alice.0),
        ("iam:PutUserPolicy", alice.0),
        ("iam:CreatePolicyVersion", cut.as_str()),
        ("iam:DeletePolicy", cut.as_str()),
    ] {
        let by_key = ask(None, (action, resource)).await?;
        assert!(by_key, "who has the key takes it off by {action}");
    }
    assert_eq!(world.status_of(&key).await?, "Active");

    world.run(&["revoke", "--undo", &ids[0]]).await?.success()?;
    assert_eq!(world.writes(), ["DetachUserPolicy", "DeletePolicy"]);
    let gone = world
        .iam("get_policy", json!({"PolicyArn": cut}))
        .await
        .unwrap_err();
    let gone: &ApiError = gone.downcast_ref().context("an answer of IAM")?;
    assert_eq!(gone.code, "NoSuchEntity");
    Ok(())
}

#[tokio::test]
async fn a_long_lived_key_is_made_inactive_and_active_again() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let key = world.alice().await?;
    let ids = world.revoke(&[&key]).await?;
    assert_eq!(
        world.writes(),
        ["CreatePolicy", "AttachUserPolicy", "UpdateAccessKey"]
    );
    assert_eq!(world.status_of(&key).await?, "Inactive");
    world.run(&["revoke", "--undo", &ids[0]]).await?.success()?;
    assert_eq!(world.status_of(&key).await?, "Active");
    assert_eq!(world.on_alice().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn one_hosts_stolen_tokens_end_and_no_other_hosts() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let judge = Judge::start(&world.tools)?;
    let role = world.iam("get_role", json!({"RoleName": "web"})).await?;
    let id = role["Role"]["RoleId"].as_str().context("a role's id")?;
    let host = world.estate.host("web-1").id.clone();
    let other = world.estate.host("web-2").id.clone();
    world.revoke(&[&format!("role/web/{host}")]).await?;

    let policies = world.account.role_policies("web").await?;
    let session = |instance: &str| {
        let principal = format!("arn:aws:sts::123456789012:assumed-role/web/{instance}");
        (principal, format!("{id}:{instance}"))
    };
    for (instance, issued, wanted) in [
        (&host, BEFORE, true),
        (&host, AFTER, false),
        (&other, BEFORE, false),
    ] {
        let (principal, userid) = session(instance);
        let who = (principal.as_str(), userid.as_str());
        let denied = denied(&judge, &policies, who, Some(issued), READ).await?;
        assert_eq!(denied, wanted, "{instance} {issued}");
    }
    let listed = world.run(&["revoke", "--list"]).await?.success()?;
    assert!(listed.contains("role/web"), "{listed}");
    assert!(listed.ends_with("1 cut. `credpin revoke --undo ID` takes one off.\n"));
    Ok(())
}

#[tokio::test]
async fn an_isolated_host_gets_nothing_more_until_that_is_undone() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let judge = Judge::start(&world.tools)?;
    let role = world.iam("get_role", json!({"RoleName": "web"})).await?;
    let id = role["Role"]["RoleId"].as_str().context("a role's id")?;
    let host = world.estate.host("web-1").id.clone();
    let ids = world
        .revoke(&[&format!("role/web/{host}"), "--isolate"])
        .await?;

    let principal = format!("arn:aws:sts::123456789012:assumed-role/web/{host}");
    let userid = format!("{id}:{host}");
    let who = (principal.as_str(), userid.as_str());
    let policies = world.account.role_policies("web").await?;
    assert!(denied(&judge, &policies, who, Some(AFTER), READ).await?);
    world.run(&["revoke", "--undo", &ids[0]]).await?.success()?;
    let policies = world.account.role_policies("web").await?;
    assert!(!denied(&judge, &policies, who, Some(AFTER), READ).await?);
    Ok(())
}

#[tokio::test]
async fn a_stolen_session_ends_and_who_assumed_it_cannot_do_so_again() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let judge = Judge::start(&world.tools)?;
    world.alice().await?;
    let id = world.ci().await?;
    let ids = world
        .revoke(&["role/ci/deploy", "--assumed-by", "user/alice"])
        .await?;
    assert_eq!(
        world.writes(),
        [
            "CreatePolicy",
            "AttachUserPolicy",
            "CreatePolicy",
            "AttachRolePolicy"
        ]
    );

    let on_alice = world.on_alice().await?;
    let alice = ("arn:aws:iam::123456789012:user/team/alice", "AIDAEXAMPLE");
    let assume = |role| denied(&judge, &on_alice, alice, None, ("sts:AssumeRole", role));
    assert!(assume("arn:aws:iam::123456789012:role/ci").await?);
    assert!(!assume("arn:aws:iam::123456789012:role/ci2").await?);
    assert!(!denied(&judge, &on_alice, alice, None, READ).await?);

    let on_ci = world.account.role_policies("ci").await?;
    for (session, issued, wanted) in [
        ("deploy", BEFORE, true),
        ("deploy", AFTER, false),
        ("nightly", BEFORE, false),
    ] {
        let principal = format!("arn:aws:sts::123456789012:assumed-role/ci/{session}");
        let userid = format!("{id}:{session}");
        let who = (principal.as_str(), userid.as_str());
        let denied = denied(&judge, &on_ci, who, Some(issued), READ).await?;
        assert_eq!(denied, wanted, "{session} {issued}");
    }

    for id in &ids {
        world.run(&["revoke", "--undo", id]).await?.success()?;
    }
    assert_eq!(world.on_alice().await?.len(), 0);
    assert_eq!(world.account.role_policies("ci").await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn every_session_of_a_role_ends_and_those_assumed_later_live() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let judge = Judge::start(&world.tools)?;
    let id = world.ci().await?;
    world.revoke(&["role/ci"]).await?;
    let policies = world.account.role_policies("ci").await?;
    for (issued, wanted) in [(BEFORE, true), (AFTER, false)] {
        let principal = "arn:aws:sts::123456789012:assumed-role/ci/any";
        let userid = format!("{id}:any");
        let who = (principal, userid.as_str());
        let denied = denied(&judge, &policies, who, Some(issued), READ).await?;
        assert_eq!(denied, wanted, "{issued}");
    }
    Ok(())
}

#[tokio::test]
async fn where_no_policy_more_can_be_attached_that_is_said_and_nothing_stays() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    world.alice().await?;
    world.relay.decide(|call| match call.action.as_str() {
        "AttachUserPolicy" => Fate::Refuse(409, "LimitExceeded"),
        _ => Fate::Pass,
    });
    let ended = world
        .run(&["revoke", "user/alice", "--apply", "--yes"])
        .await?;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        said.contains("user/alice has as many managed policies attached as it may"),
        "{said}"
    );
    assert_eq!(
        world.writes(),
        ["CreatePolicy", "AttachUserPolicy", "DeletePolicy"]
    );
    let listed = world.run(&["revoke", "--list"]).await?.success()?;
    assert_eq!(listed, "There is no cut.\n");
    Ok(())
}

#[tokio::test]
async fn a_run_takes_off_what_has_ended_and_nothing_that_is_not_ours() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let deny = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Action": "*", "Resource": "*",
         "Condition": {"DateLessThan": {"aws:TokenIssueTime": BEFORE}}},
    ]});
    let make = async |name: &str, tags: Value| -> Result<String> {
        let request = json!({
            "Path": "/credpin/cuts/", "PolicyName": name, "Tags": tags,
            "PolicyDocument": deny.to_string(),
        });
        let made = world.iam("create_policy", request).await?;
        let arn = made["Policy"]["Arn"].as_str().context("an ARN")?.to_owned();
        let attach = json!({"RoleName": "web", "PolicyArn": arn});
        world.iam("attach_role_policy", attach).await?;
        Ok(arn)
    };
    let ours = json!([
        {"Key": "credpin:managed", "Value": "cut"},
        {"Key": "credpin:on", "Value": "role/web"},
    ]);
    make("cut-0000000001-until-20200101T000000Z", ours.clone()).await?;
    let lasting = make("cut-0000000002-until-20990101T000000Z", ours).await?;
    let foreign = make("cut-0000000003-until-20200101T000000Z", json!([])).await?;

    world.run(&["run"]).await?.success()?;
    let left: Vec<String> = world
        .account
        .role_policies("web")
        .await?
        .into_iter()
        .map(|policy| policy.name)
        .filter(|name| name.contains("/cuts/"))
        .collect();
    assert_eq!(left, [lasting, foreign]);
    Ok(())
}
