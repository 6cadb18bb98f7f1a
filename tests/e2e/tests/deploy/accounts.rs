//! The job for many accounts: templates as AWS would take them, as far as cfn-lint and moto play it, and the
//! job of Kubernetes.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use clap::Parser;
use credpin::cli::Cli;
use credpin_core::id::AccountId;
use credpin_e2e::{account::Account, credentials::Credentials, moto::Moto, tools::Tools};
use serde_json::{Value, json};

use crate::{at, text};

/// Only a test that hangs waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

const TEMPLATES: [&str; 3] = ["fleet-changes.yaml", "hub.yaml", "member.yaml"];

/// What the script that knows AWS's formats answers.
async fn ask(what: &str, file: Option<&str>, stdin: Option<Value>) -> Result<Value> {
    let mut script = Tools::find()?.python("cloudformation.py")?.arg(what);
    if let Some(file) = file {
        script = script.arg(at(file));
    }
    if let Some(stdin) = stdin {
        script = script.stdin(stdin.to_string());
    }
    let script = script.credentials(&Credentials::of_moto());
    Ok(serde_json::from_str(&script.finish().await?.success()?)?)
}

async fn template(name: &str) -> Result<Value> {
    let path = format!("deploy/cloudformation/{name}");
    ask("read", Some(&path), None).await
}

/// Each command line that the job is started with, as credpin reads it.
fn understood(command: &[&str]) -> Cli {
    Cli::try_parse_from([&["credpin"], command].concat()).unwrap()
}

#[tokio::test]
async fn every_template_passes_the_linter() -> Result<()> {
    for name in TEMPLATES {
        let path = format!("deploy/cloudformation/{name}");
        assert_eq!(ask("lint", Some(&path), None).await?, json!([]), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn the_role_in_each_account_may_what_the_controllers_policy_says() -> Result<()> {
    let member = template("member.yaml").await?;
    let role = &member["Resources"]["Controller"]["Properties"];
    let policy: Value = serde_json::from_str(&text("deploy/iam/controller-policy.json"))?;
    assert_eq!(role["Policies"][0]["PolicyDocument"], policy);
    // The name that the hub may assume, and that the SCP lets through.
    let name = role["RoleName"].as_str().unwrap();
    let resource = format!(":role/{name}");
    assert!(text("deploy/iam/scp-guard.json").contains(&format!("{resource}\"")));
    let hub = template("hub.yaml").await?;
    let hub = &hub["Resources"]["HubRole"]["Properties"]["Policies"][0]["PolicyDocument"];
    let assume = &hub["Statement"][0];
    assert_eq!(assume["Action"], "sts:AssumeRole");
    let may = assume["Resource"]["Fn::Sub"].as_str().unwrap();
    assert!(may.ends_with(&format!(":iam::*{resource}")), "{may}");
    let trust = &role["AssumeRolePolicyDocument"]["Statement"];
    assert_eq!(trust[0]["Principal"]["AWS"], json!({"Ref": "Hub"}));
    let asks_for = json!({"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}});
    assert_eq!(trust[0]["Condition"], asks_for);
    Ok(())
}

fn policy_of(name: &str) -> Value {
    serde_json::from_str(&text(&format!("deploy/iam/{name}"))).unwrap()
}

#[tokio::test]
async fn who_responds_in_each_account_may_what_the_responders_and_the_observers_policies_say()
-> Result<()> {
    let member = template("member.yaml").await?;
    let resource = &member["Resources"]["ResponderRole"];
    let role = &resource["Properties"];
    let policies = &role["Policies"];
    for (at, name) in ["responder-policy.json", "observer-policy.json"]
        .iter()
        .enumerate()
    {
        assert_eq!(policies[at]["PolicyDocument"], policy_of(name), "{name}");
    }
    assert_eq!(policies.as_array().unwrap().len(), 2);
    // Who names nobody gets no role that anybody could become.
    assert_eq!(resource["Condition"], "HasResponder");
    assert_eq!(member["Parameters"]["Responder"]["Default"], "");
    // The name that the hub may assume, and that the SCP lets through.
    let name = format!(":role/{}", role["RoleName"].as_str().unwrap());
    assert!(text("deploy/iam/scp-guard.json").contains(&format!("{name}\"")));
    let may = &policy_of("responder-hub-policy.json")["Statement"][0]["Resource"];
    assert!(may.as_str().unwrap().ends_with(&name), "{may}");
    let trust = &role["AssumeRolePolicyDocument"]["Statement"];
    assert_eq!(trust[0]["Principal"]["AWS"], json!({"Ref": "Responder"}));
    let asks_for = json!({"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}});
    assert_eq!(trust[0]["Condition"], asks_for);
    assert_eq!(trust.as_array().unwrap().len(), 1);
    Ok(())
}

#[tokio::test]
async fn who_responds_from_the_hub_may_what_its_policy_says_and_read_the_state() -> Result<()> {
    let hub = template("hub.yaml").await?;
    let resource = &hub["Resources"]["ResponderRole"];
    assert_eq!(resource["Condition"], "HasResponders");
    let policies = &resource["Properties"]["Policies"];
    let shipped = policy_of("responder-hub-policy.json");
    assert_eq!(policies[0]["PolicyDocument"], shipped);
    let reads = policies[1]["PolicyDocument"]["Statement"]
        .as_array()
        .unwrap();
    let reads: Vec<&Value> = reads.iter().map(|statement| &statement["Action"]).collect();
    assert_eq!(reads, ["s3:ListBucket", "s3:GetObject"]);
    assert_eq!(policies.as_array().unwrap().len(), 2);
    let trust = &resource["Properties"]["AssumeRolePolicyDocument"]["Statement"];
    assert_eq!(trust[0]["Principal"], json!({"AWS": {"Ref": "Responders"}}));
    assert_eq!(trust.as_array().unwrap().len(), 1);
    Ok(())
}

/// An event as a call that CloudTrail recorded makes it ("AWS service events delivered via AWS CloudTrail",
/// Amazon `EventBridge` User Guide).
fn call(source: &str, name: &str) -> Value {
    json!({
        "version": "0", "id": "1", "account": "111122223333", "region": "eu-west-1", "resources": [],
        "time": "2026-05-04T09:00:00Z", "source": source, "detail-type": "AWS API Call via CloudTrail",
        "detail": {
            "eventVersion": "1.11", "eventSource": source.replace("aws.", "") + ".amazonaws.com",
            "eventName": name, "awsRegion": "eu-west-1", "userIdentity": {"type": "Root"},
        },
    })
}

fn state(state: &str) -> Value {
    json!({
        "version": "0", "id": "1", "account": "111122223333", "region": "eu-west-1",
        "time": "2026-05-04T09:00:00Z", "source": "aws.ec2",
        "detail-type": "EC2 Instance State-change Notification",
        "resources": ["arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc"],
        "detail": {"instance-id": "i-0abc", "state": state},
    })
}

/// The rules that start a run on `event`.
async fn started_by(events: &[&Value]) -> Result<Vec<Vec<String>>> {
    let fleet = template("fleet-changes.yaml").await?;
    let rules: Vec<(String, Value)> = fleet["Resources"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Events::Rule")
        .map(|(name, rule)| (name.clone(), rule["Properties"]["EventPattern"].clone()))
        .collect();
    let ask_each: Vec<Value> = events
        .iter()
        .flat_map(|event| {
            rules
                .iter()
                .map(move |(_, pattern)| json!({"pattern": pattern, "event": event}))
        })
        .collect();
    let matched = ask("match", None, Some(json!(ask_each))).await?;
    let matched: Vec<bool> = serde_json::from_value(matched)?;
    let by_event = matched.chunks(rules.len());
    Ok(by_event
        .map(|matched| {
            let names = rules.iter().zip(matched).filter(|(_, matched)| **matched);
            names.map(|((name, _), _)| name.clone()).collect()
        })
        .collect())
}

#[tokio::test]
async fn a_change_of_the_fleet_starts_a_run_and_nothing_else_does() -> Result<()> {
    let mut refused = call("aws.ec2", "CreateRoute");
    refused["detail"]["errorCode"] = "Client.UnauthorizedOperation".into();
    let cases = [
        (state("running"), &["Hosts"][..]),
        (state("terminated"), &["Hosts"]),
        (state("stopping"), &[]),
        (call("aws.ec2", "AssociateAddress"), &["Network"]),
        (call("aws.ec2", "CreateNatGateway"), &["Network"]),
        (call("aws.ec2", "ReplaceRoute"), &["Network"]),
        (call("aws.ec2", "ModifyVpcEndpoint"), &["Network"]),
        (
            call("aws.ec2", "ReplaceIamInstanceProfileAssociation"),
            &["Network"],
        ),
        (refused, &[]),
        (call("aws.ec2", "DescribeInstances"), &[]),
        (call("aws.iam", "AddRoleToInstanceProfile"), &["Roles"]),
        (call("aws.iam", "TagRole"), &["Roles"]),
        (call("aws.s3", "CreateBucket"), &[]),
    ];
    let events: Vec<&Value> = cases.iter().map(|(event, _)| event).collect();
    let started = started_by(&events).await?;
    for ((event, expected), started) in cases.iter().zip(started) {
        assert_eq!(started, *expected, "{event}");
    }
    Ok(())
}

/// Else each run that writes would start the next.
#[tokio::test]
async fn no_call_that_the_controller_makes_starts_a_run() -> Result<()> {
    let policy: Value = serde_json::from_str(&text("deploy/iam/controller-policy.json"))?;
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements
        .iter()
        .flat_map(|statement| match &statement["Action"] {
            Value::Array(actions) => actions.clone(),
            action => vec![action.clone()],
        });
    let calls: Vec<Value> = actions
        .map(|action| {
            let (service, name) = action.as_str().unwrap().split_once(':').unwrap();
            call(&format!("aws.{service}"), name)
        })
        .collect();
    assert!(calls.len() > 15);
    let started = started_by(&calls.iter().collect::<Vec<_>>()).await?;
    assert_eq!(started.concat(), [""; 0]);
    Ok(())
}

/// What an execution of a state machine ends with.
async fn executed(definition: &Value) -> Result<Value> {
    let tools = Tools::find()?;
    let moto = Moto::start(&tools).await?;
    moto.execute_state_machines().await?;
    let account = Account::sign_in(&tools, &moto)?;
    let states = async |call: &str, request: Value| {
        account
            .call("stepfunctions", "eu-west-1", call, request)
            .await
    };
    let role = "arn:aws:iam::123456789012:role/start";
    let request = json!({"name": "it", "definition": definition.to_string(), "roleArn": role});
    let machine = states("create_state_machine", request).await?;
    let request = json!({"stateMachineArn": machine["stateMachineArn"]});
    let execution = states("start_execution", request).await?;
    let request = json!({"executionArn": execution["executionArn"]});
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            let told = states("describe_execution", request.clone()).await?;
            if told["status"] != "RUNNING" {
                return anyhow::Ok(told);
            }
        }
    });
    let ended = ended.await??;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    Ok(serde_json::from_str(ended["output"].as_str().unwrap())?)
}

#[tokio::test]
async fn the_map_starts_each_shard_once() -> Result<()> {
    let hub = template("hub.yaml").await?;
    let machine = &hub["Resources"]["AllShards"]["Properties"];
    let definition = machine["Definition"].to_string();
    let definition = definition.replace("${Shards}", "5");
    let definition = definition.replace("${Subnets}", "subnet-0a,subnet-0b");
    let mut definition: Value = serde_json::from_str(&definition)?;
    // The task is looked at instead of run.
    let states = &mut definition["States"]["Each"]["ItemProcessor"]["States"];
    let asked = states["Run"]["Parameters"].clone();
    *states = json!({"Run": {"Type": "Pass", "Parameters": asked, "End": true}});
    let tasks = executed(&definition).await?;
    let mut shards = BTreeSet::new();
    for task in tasks.as_array().unwrap() {
        let network = &task["NetworkConfiguration"]["AwsvpcConfiguration"];
        assert_eq!(network["Subnets"], json!(["subnet-0a", "subnet-0b"]));
        let container = &task["Overrides"]["ContainerOverrides"][0];
        assert_eq!(container["Name"], "credpin");
        let command: Vec<&str> = serde::Deserialize::deserialize(&container["Command"])?;
        shards.insert(understood(&command).common.shard.unwrap());
    }
    let all: BTreeSet<_> = (0..5)
        .map(|index| format!("{index}/5").parse().unwrap())
        .collect();
    assert_eq!(shards, all);
    Ok(())
}

#[tokio::test]
async fn an_event_starts_a_run_in_its_own_account() -> Result<()> {
    let hub = template("hub.yaml").await?;
    let target = &hub["Resources"]["OnChange"]["Properties"]["Targets"][0];
    let transform = &target["InputTransformer"];
    assert_eq!(transform["InputPathsMap"], json!({"account": "$.account"}));
    let input = transform["InputTemplate"].as_str().unwrap();
    let input: Value = serde_json::from_str(&input.replace("<account>", "111122223333"))?;
    let container = &input["containerOverrides"][0];
    let task = &hub["Resources"]["Task"]["Properties"]["ContainerDefinitions"][0];
    assert_eq!(container["name"], task["Name"]);
    let command: Vec<&str> = serde::Deserialize::deserialize(&container["command"])?;
    let account: AccountId = "111122223333".parse()?;
    assert_eq!(understood(&command).common.account, [account]);
    // What members send is what the rule takes.
    let pattern = &hub["Resources"]["OnChange"]["Properties"]["EventPattern"];
    let sent = [state("running"), call("aws.iam", "TagRole")];
    let asked = sent.map(|event| json!({"pattern": pattern, "event": event}));
    assert_eq!(
        ask("match", None, Some(json!(asked))).await?,
        json!([true, true])
    );
    Ok(())
}

#[tokio::test]
async fn the_pods_of_kubernetes_have_a_shard_each() -> Result<()> {
    let cron = ask("yaml", Some("deploy/kubernetes/credpin.yaml"), None).await?;
    assert_eq!(
        (&cron["apiVersion"], &cron["kind"]),
        (&json!("batch/v1"), &json!("CronJob"))
    );
    let job = &cron["spec"]["jobTemplate"]["spec"];
    assert_eq!(job["completionMode"], "Indexed");
    assert_eq!(job["completions"], job["parallelism"]);
    let container = &job["template"]["spec"]["containers"][0];
    let env = container["env"].as_array().unwrap();
    let place = |name: &str| {
        env.iter()
            .position(|variable| variable["name"] == name)
            .unwrap()
    };
    // A variable can be made of those before it only ("Define dependent environment variables").
    let (index, shard) = (place("INDEX"), place("CREDPIN_SHARD"));
    assert!(index < shard);
    let field = &env[index]["valueFrom"]["fieldRef"]["fieldPath"];
    assert_eq!(
        field,
        "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    );
    let shards = (0..job["completions"].as_u64().unwrap()).map(|number| {
        let value = env[shard]["value"].as_str().unwrap();
        let value = value.replace("$(INDEX)", &number.to_string());
        let mut command: Vec<&str> = serde::Deserialize::deserialize(&container["args"]).unwrap();
        command.extend(["--shard", &value]);
        understood(&command).common.shard.unwrap()
    });
    let shards: BTreeSet<_> = shards.collect();
    assert_eq!(shards.len(), 4);
    assert!(shards.iter().all(|shard| shard.of() == 4));
    Ok(())
}
