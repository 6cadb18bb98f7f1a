//! Who responds to an incident in several accounts: with what `deploy/` gives him, and no more.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};
use credpin_e2e::{
    controller::Controller,
    judge::{Decision, Facts, Judge, Policy, Question},
    relay::Call,
};
use serde_json::{Value, json};

use crate::accounts::{FIRST, Organisation, SECOND};

/// Needs no permission ("`GetCallerIdentity`", STS API reference).
const FREE: &str = "sts:GetCallerIdentity";

/// Of what the policy allows, what `--lineage` alone asks for: what a cut that stands says.
const LINEAGE: [&str; 2] = ["iam:GetPolicy", "iam:GetPolicyVersion"];

fn shipped(name: &str) -> Policy {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("deploy/iam").join(name)).unwrap();
    Policy {
        name: name.into(),
        document: serde_json::from_str(&text).unwrap(),
    }
}

fn actions(policy: &Policy) -> BTreeSet<String> {
    let statements = policy.document["Statement"].as_array().unwrap();
    let of = |statement: &Value| match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        action => vec![action.clone()],
    };
    let actions = statements.iter().flat_map(of);
    actions
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

/// The job's config, in which who responds has roles of his own.
fn controller(all: &Organisation) -> Controller {
    let account = |id: &str| {
        format!(
            "[[account]]\nid = \"{id}\"\nrole = \"credpin-controller\"\n\
             responder-role = \"credpin-responder\"\nexternal-id = \"of-credpin\"\n"
        )
    };
    let accounts = account(FIRST) + &account(SECOND);
    all.world.controller(&accounts)
}

/// What is done in a call: each action, on what, and with which policy where it attaches or detaches one.
fn asked(call: &Call) -> Vec<(String, String, Option<String>)> {
    let value = |name: &str| call.parameter(name).map(str::to_owned);
    let (action, policy) = (
        format!("{}:{}", call.signed.1, call.action),
        value("PolicyArn"),
    );
    let named = |kind: &str, name: String| format!("arn:aws:iam::{SECOND}:{kind}/{name}");
    // That is what it asks for, and it is not known before ("Actions, resources, and condition keys for AWS IAM").
    let is_whose = call.action == "GetAccessKeyLastUsed";
    let principal = is_whose.then(|| named("user", "alice".to_owned()));
    let principal = principal.or_else(|| value("RoleName").map(|name| named("role", name)));
    let principal = principal.or_else(|| value("UserName").map(|name| named("user", name)));
    match (action.as_str(), principal, policy) {
        ("sts:AssumeRole", ..) => vec![(action, value("RoleArn").unwrap(), None)],
        // Its tags want a permission of their own.
        ("iam:CreatePolicy", ..) => {
            let path = value("Path").unwrap() + &value("PolicyName").unwrap();
            let arn = format!("arn:aws:iam::{SECOND}:policy{path}");
            assert!(value("Tags.member.1.Key").is_some());
            vec![
                (action, arn.clone(), None),
                ("iam:TagPolicy".to_owned(), arn, None),
            ]
        }
        (_, Some(principal), policy) => vec![(action, principal, policy)],
        (_, None, Some(policy)) => vec![(action, policy, None)],
        (_, None, None) => vec![(action, "*".to_owned(), None)],
    }
}

/// That each call is allowed by what is shipped for who makes it; what was done.
async fn allowed(judge: &Judge, calls: &[Call]) -> Result<BTreeSet<String>> {
    let hub = vec![shipped("responder-hub-policy.json")];
    let member = vec![
        shipped("responder-policy.json"),
        shipped("observer-policy.json"),
    ];
    let mut done = BTreeSet::new();
    for call in calls {
        let is_hub = call.signed.0 == "testing";
        let (policies, account, role) = if is_hub {
            (&hub, FIRST, "credpin-responder-hub")
        } else {
            (&member, SECOND, "credpin-responder")
        };
        let who = format!("arn:aws:sts::{account}:assumed-role/{role}/me");
        for (action, resource, policy) in asked(call) {
            let policy = policy.map(|arn| ("iam:PolicyARN".to_owned(), arn.as_str().into()));
            let question = Question {
                policies: policies.clone(),
                principal: who.clone(),
                action: action.clone(),
                resource,
                context: Facts::from_iter(policy),
            };
            if action != FREE {
                let decision = judge.judge(&question).await?.decision;
                assert_eq!(decision, Decision::Allowed, "{question:?}");
            }
            done.insert(action);
        }
    }
    Ok(done)
}

#[tokio::test]
async fn what_a_responder_does_in_another_account_is_what_the_shipped_policies_allow() -> Result<()>
{
    let all = Organisation::build().await?;
    let second =
        |call: &'static str, request: Value| all.second.call("iam", "us-east-1", call, request);
    second("create_user", json!({"UserName": "alice"})).await?;
    let key = second("create_access_key", json!({"UserName": "alice"})).await?;
    let key = key["AccessKey"]["AccessKeyId"].as_str().context("a key")?;
    let controller = controller(&all);
    let run = async |arguments: &[&str]| {
        let endpoint = all.world.relay.endpoint();
        let run = controller.on_aws(endpoint, arguments).await?;
        run.success()
    };
    let apply = ["--apply", "--yes"];
    let alice = format!("arn:aws:iam::{SECOND}:user/alice");
    let web = format!("arn:aws:iam::{SECOND}:role/web");
    let mut cuts = Vec::new();
    for stolen in [&[key][..], &[&alice], &[&web]] {
        let said = run(&[&["revoke"], stolen, &apply].concat()).await?;
        let id = said.split("--undo ").nth(1).context(said.clone())?;
        cuts.push(id[..10].to_owned());
    }
    run(&["revoke", "--list"]).await?;
    for id in &cuts {
        run(&["revoke", "--undo", id, "--account", SECOND]).await?;
    }
    let calls = all.world.relay.take_calls();

    let assumed: BTreeSet<_> = calls
        .iter()
        .filter(|call| call.action == "AssumeRole")
        .map(|call| (call.parameter("RoleArn"), call.parameter("ExternalId")))
        .collect();
    let role = |id: &str| format!("arn:aws:iam::{id}:role/credpin-responder");
    let (first, second) = (role(FIRST), role(SECOND));
    let external_id = Some("of-credpin");
    assert_eq!(
        assumed,
        BTreeSet::from([(Some(&*first), external_id), (Some(&*second), external_id)])
    );

    let judge = Judge::start(&all.world.tools)?;
    let done = allowed(&judge, &calls).await?;
    let mut wanted = actions(&shipped("responder-policy.json"));
    wanted.retain(|action| !LINEAGE.contains(&action.as_str()));
    wanted.extend(["sts:AssumeRole", FREE].map(str::to_owned));
    assert_eq!(done, wanted, "all that it allows is used, and no more");
    Ok(())
}

#[tokio::test]
async fn a_responder_looks_at_an_account_by_his_own_role_where_he_says_so() -> Result<()> {
    let all = Organisation::build().await?;
    let controller = controller(&all);
    let endpoint = all.world.relay.endpoint();
    let role = format!("arn:aws:iam::{SECOND}:role/web");
    let instance = all.world.estate.hosts["web-1"].id.clone();
    let ask = [
        "explain",
        "--role",
        &role,
        "--instance",
        &instance,
        "--from",
        "203.0.113.9",
    ];
    let assumed = async |more: &[&str]| {
        all.world.relay.take_calls();
        controller.on_aws(endpoint, &[&ask, more].concat()).await?;
        let calls = all.world.relay.take_calls();
        let assumed = calls.iter().find(|call| call.action == "AssumeRole");
        let role = assumed.and_then(|call| call.parameter("RoleArn"));
        let role = role.context("a role is assumed")?.to_owned();
        Ok::<_, anyhow::Error>((role, calls))
    };
    let (by_itself, _) = assumed(&[]).await?;
    assert_eq!(
        by_itself,
        format!("arn:aws:iam::{SECOND}:role/credpin-controller")
    );
    let (as_responder, calls) = assumed(&["--as-responder"]).await?;
    assert_eq!(
        as_responder,
        format!("arn:aws:iam::{SECOND}:role/credpin-responder")
    );
    let judge = Judge::start(&all.world.tools)?;
    let done = allowed(&judge, &calls).await?;
    assert!(done.contains("ec2:DescribeInstances"), "{done:?}");
    Ok(())
}
