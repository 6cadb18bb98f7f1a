//! `credpin replay` and `credpin triage`, the binary, on the demo's account and files as CloudTrail
//! writes them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{fs, path::Path};

use credpin_e2e::{
    controller::{Controller, ENFORCE_WEB},
    process::Finished,
    tools::Tools,
    trail::{ACCOUNT, Call, Caller, Trail, incident::begin},
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;

const VPC: &str = "vpc-0a1f5e7c2d3b4a596";
const HOST: &str = "i-0a1111111111111aa";
const HOME: &str = "198.51.100.10";
const OTHER_HOME: &str = "198.51.100.20";
const INSIDE: &str = "10.0.1.5";
const STRANGER: &str = "203.0.113.66";

fn web() -> Caller {
    Caller::instance("web", HOST, VPC, "ASIAWEB2222222222222")
}

/// A trail of calls, a minute apart.
fn written(calls: impl IntoIterator<Item = Call>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut trail = Trail::new(5);
    for (minute, call) in (0..).zip(calls) {
        trail.add(begin() + SignedDuration::from_mins(minute), call);
    }
    trail.write(folder.path()).unwrap();
    folder
}

fn at_home() -> Vec<Call> {
    let athena = web().through("athena.amazonaws.com");
    let calls = (0..20).map(|_| Call::new(&web(), "s3", "ListBuckets", HOME));
    calls
        .chain([
            Call::new(&web(), "s3", "ListBuckets", INSIDE).by_endpoint(&endpoint()),
            Call::new(&athena, "s3", "GetBucketLocation", "athena.amazonaws.com"),
            Call::new(
                &Caller::user("ci", "AKIACI22222222222222"),
                "s3",
                "ListBuckets",
                STRANGER,
            ),
        ])
        .collect()
}

/// The demo's endpoint in the host's VPC.
fn endpoint() -> String {
    let file = cloud().join("eu-west-1/describe-vpc-endpoints.json");
    let json: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let endpoints = json["VpcEndpoints"].as_array().unwrap();
    let own = endpoints.iter().find(|endpoint| endpoint["VpcId"] == VPC);
    own.unwrap()["VpcEndpointId"].as_str().unwrap().to_owned()
}

fn cloud() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/cloud")
}

async fn credpin(arguments: &[&str]) -> Finished {
    let config = format!("hub-vpcs = []\n{ENFORCE_WEB}");
    let controller = Controller::new(&Tools::find().unwrap(), &config).unwrap();
    controller.on_dir(&cloud(), arguments).await.unwrap()
}

async fn replay(folder: &TempDir, more: &[&str]) -> Finished {
    let trail = folder.path().display().to_string();
    let mut arguments = vec!["replay", "--cloudtrail", &trail];
    arguments.extend(more);
    credpin(&arguments).await
}

#[tokio::test]
async fn calls_from_home_would_pass_and_what_is_unseen_is_told() {
    let finished = replay(&written(at_home()), &[]).await;
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    let out = finished.stdout;
    assert!(
        out.contains("web: 22 calls: 21 pass, 0 would be denied, 0 unknown, 1 made by a service"),
        "{out}"
    );
    assert!(out.contains("dynamodb (items)"), "{out}");
    assert!(
        out.contains("Nothing seen would be denied, and 8 services are unseen."),
        "{out}"
    );
}

#[tokio::test]
async fn a_call_from_an_address_that_the_model_does_not_know_comes_first() {
    let mut calls = at_home();
    let data = json!("Data");
    calls.extend([
        Call::new(&web(), "s3", "ListBuckets", "198.51.100.77"),
        Call::new(&web(), "ec2", "DescribeVpcs", "198.51.100.77"),
        Call::new(&web(), "s3", "GetObject", INSIDE)
            .by_endpoint("vpce-0badbadbadbadbad0")
            .with("eventCategory", data),
    ]);
    let folder = written(calls);
    let finished = replay(&folder, &[]).await;
    assert_eq!(finished.status.code(), Some(3), "{}", finished.stderr);
    let out = finished.stdout;
    let strange = out.find("    198.51.100.77  web: 2 calls").unwrap();
    assert!(strange < out.find("! web: 25 calls").unwrap(), "{out}");
    assert!(
        out.contains("denied by PublicVpc0a1f5e7c2d3b4a596"),
        "{out}"
    );
    assert!(
        out.contains("unknown: its endpoint is none that is known"),
        "{out}"
    );
    assert!(!out.contains("s3 (objects)"), "{out}");

    // A plan on file gives the same.
    let plan = credpin(&["plan", "--json"]).await;
    let file = folder.path().join("plan.txt");
    fs::write(&file, plan.stdout).unwrap();
    let live = replay(&folder, &["--json"]).await.stdout;
    let from_file = replay(&folder, &["--json", "--plan", file.to_str().unwrap()]).await;
    assert_eq!(from_file.status.code(), Some(3), "{}", from_file.stderr);
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let (live, from_file) = (parsed(&live), parsed(&from_file.stdout));
    assert_eq!(live["roles"], from_file["roles"]);
    assert_eq!(live["total"]["denied"], 2);
}

#[tokio::test]
async fn a_file_that_is_no_plan_is_an_error_and_says_how_to_get_one() {
    let folder = written(at_home());
    let file = folder.path().join("plan.txt");
    fs::write(&file, "{}").unwrap();
    let finished = replay(&folder, &["--plan", file.to_str().unwrap()]).await;
    assert_eq!(finished.status.code(), Some(1));
    assert!(
        finished.stderr.contains("credpin plan --json"),
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn what_a_pin_denied_is_sorted_by_what_to_do_about_it() {
    let message = format!(
        "User: arn:aws:sts::{ACCOUNT}:assumed-role/web/{HOST} is not authorized to perform: s3:ListAllMyBuckets with an explicit deny in an identity-based policy: arn:aws:iam::{ACCOUNT}:policy/credpin/credpin-web"
    );
    let denied = |from| Call::new(&web(), "s3", "ListBuckets", from).denied(&message);
    let calm = written([denied(HOME)]);
    let trail = calm.path().display().to_string();
    let finished = credpin(&["triage", "--cloudtrail", &trail]).await;
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    assert!(finished.stdout.contains("Stale pin"), "{}", finished.stdout);

    let folder = written([
        denied(HOME),
        denied(STRANGER),
        denied(STRANGER),
        denied(OTHER_HOME),
    ]);
    let trail = folder.path().display().to_string();
    let finished = credpin(&["triage", "--cloudtrail", &trail]).await;
    assert_eq!(finished.status.code(), Some(3), "{}", finished.stderr);
    let out = finished.stdout;
    let place = |word: &str| out.find(word).unwrap_or_else(|| panic!("{word} in {out}"));
    assert!(place("Theft") < place("Another host") && place("Another host") < place("Stale pin"));
    assert!(
        out.contains(&format!("{HOST} of web from {STRANGER}: 2 calls")),
        "{out}"
    );

    let quiet = written(at_home());
    let trail = quiet.path().display().to_string();
    let finished = credpin(&["triage", "--cloudtrail", &trail]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
}

#[tokio::test]
async fn with_a_cloud_named_trace_tells_home_from_away() {
    let assume = Call::new(
        &Caller::service("ec2.amazonaws.com"),
        "sts",
        "AssumeRole",
        "ec2.amazonaws.com",
    )
    .hands_out("ASIAWEB2222222222222", begin(), 21_600)
    .of_role("web", HOST);
    let folder = written([
        assume,
        Call::new(&web(), "s3", "ListBuckets", HOME),
        Call::new(&web(), "s3", "ListBuckets", STRANGER),
    ]);
    let trail = folder.path().display().to_string();
    let finished = credpin(&["trace", HOST, "--cloudtrail", &trail]).await;
    let out = finished.success().unwrap();
    assert!(
        out.contains("203.0.113.66 (1) AWAY, 198.51.100.10 (1) home"),
        "{out}"
    );
    assert!(
        out.contains(&format!("delivered to {HOST} by IMDSv2")),
        "{out}"
    );
    assert!(
        out.contains("1 key, 0 may still be good, 1 used away from home."),
        "{out}"
    );
}
