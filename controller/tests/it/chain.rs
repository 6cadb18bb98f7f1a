//! Roles that can be assumed with a fleet's tokens, by the binary.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    accounts::{BROKEN, FIRST, Organisation, SECOND},
    rig::Account,
};

/// What `credpin ARGS` prints of the `nat` scenario with further roles, each with who may assume it.
fn says(args: &[&str], roles: &[(&str, Value)]) -> String {
    let account = Account::of("nat");
    let file = account
        .path()
        .join("iam/get-account-authorization-details.json");
    let text = fs::read_to_string(&file).unwrap();
    let mut details: Value = serde_json::from_str(&text).unwrap();
    for (name, principal) in roles {
        details["RoleDetailList"].as_array_mut().unwrap().push(json!({
            "Path": "/", "RoleName": name, "RoleId": format!("AROA{}", name.to_uppercase()),
            "Arn": format!("arn:aws:iam::123456789012:role/{name}"),
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"},
            ]},
        }));
    }
    fs::write(&file, details.to_string()).unwrap();
    let config = Path::new("tests/scenarios/nat/credpin.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_credpin"))
        .arg("--config")
        .arg(config)
        .args(["--cloud", &format!("dir:{}", account.path().display())])
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn roles() -> [(&'static str, Value); 4] {
    [
        (
            "deploy",
            json!([
                "arn:aws:iam::123456789012:role/web",
                "arn:aws:iam::999988887777:user/ci"
            ]),
        ),
        ("prod", json!("arn:aws:iam::123456789012:role/deploy")),
        ("audit", json!("arn:aws:iam::123456789012:root")),
        ("theirs", json!("arn:aws:iam::999988887777:root")),
    ]
}

#[test]
fn a_plan_and_a_status_say_where_no_pin_follows_a_token() {
    let plan = says(&["plan"], &roles());
    let chains = "\
Roles that can be assumed with these tokens; no pin follows there:
  deploy by web (pinned), 1 principal outside of it
  prod by deploy
  audit by whatever in the account has a policy that allows it
";
    assert!(plan.contains(chains), "{plan}");
    assert!(!plan.contains("theirs"), "nobody here can: {plan}");
    // Nothing is written yet, so nothing is pinned.
    let status = says(&["status"], &roles());
    assert!(status.contains("  deploy by web, 1 principal"), "{status}");
    assert!(!says(&["plan"], &[]).contains("no pin follows"));
}

#[test]
fn machines_are_told_the_same() {
    let plan: Value = serde_json::from_str(&says(&["plan", "--json"], &roles())).unwrap();
    let chained = plan["chained"].as_array().unwrap();
    let names: Vec<&Value> = chained.iter().map(|chained| &chained["role"]).collect();
    assert_eq!(names, ["audit", "deploy", "prod"]);
    assert_eq!(
        chained[1]["by"],
        json!({
            "roles": ["web"], "account": false, "anybody": false,
            "others": ["arn:aws:iam::999988887777:user/ci"], "services": [],
        })
    );
    let status: Value = serde_json::from_str(&says(&["status", "--json"], &roles())).unwrap();
    let rows = status["roles"].as_array().unwrap();
    let web = rows.iter().find(|row| row["role"] == "web").unwrap();
    assert_eq!(web["can_assume"], json!(["deploy"]));

    let dot = says(&["plan", "--dot"], &roles());
    for line in [
        "digraph chains {",
        "\"web\" [fillcolor=palegreen];",
        "\"deploy\" [fillcolor=mistyrose];",
        "\"web\" -> \"deploy\";",
        "\"deploy\" -> \"prod\";",
        "\"the account\" -> \"audit\" [style=dashed];",
    ] {
        assert!(dot.contains(line), "{line}: {dot}");
    }
}

/// Two accounts with `web`, of which the second has a role that the `web` of the first may assume.
fn across_accounts(config: &str) -> Organisation {
    let all = Organisation::of("nat", &[FIRST, SECOND, BROKEN]);
    let file = all.path().join("cloud").join(SECOND);
    let file = file.join("iam/get-account-authorization-details.json");
    let mut details: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    details["RoleDetailList"]
        .as_array_mut()
        .unwrap()
        .push(json!({
            "Path": "/", "RoleName": "deploy", "RoleId": "AROADEPLOY",
            "Arn": format!("arn:aws:iam::{SECOND}:role/deploy"),
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{FIRST}:role/web")},
                "Action": "sts:AssumeRole",
            }]},
        }));
    fs::write(&file, details.to_string()).unwrap();
    let file = all.path().join("credpin.toml");
    let before = fs::read_to_string(&file).unwrap();
    let rule = "[[chained]]\nname = \"deploy\"\nmode = \"enforce\"\n";
    fs::write(&file, format!("{config}\n{before}\n{rule}")).unwrap();
    all
}

/// The role `deploy` of the second account, as a plan of all has it.
fn deploy_of(plan: &Value) -> Value {
    let accounts = plan["accounts"].as_array().unwrap();
    let of = accounts.iter().find(|of| of["account"] == SECOND).unwrap();
    let roles = of["result"]["roles"].as_array().unwrap();
    roles
        .iter()
        .find(|role| role["role"] == "deploy")
        .unwrap()
        .clone()
}

#[test]
fn callers_in_other_accounts_of_the_job_are_followed_where_that_is_asked_for() {
    let all = across_accounts("");
    let deploy = deploy_of(&all.json(3, &["plan", "--json", "--without-replay"]));
    assert_eq!(deploy["outcome"], "held");

    let all = across_accounts("follow-accounts = true");
    let deploy = deploy_of(&all.json(2, &["plan", "--json", "--without-replay"]));
    assert_eq!(deploy["outcome"], "change", "{deploy}");
    let caller = format!("arn:aws:iam::{FIRST}:role/web");
    assert_eq!(deploy["chained"]["callers"]["elsewhere"], json!([caller]));
    let documents = deploy["pin"].to_string();
    assert!(documents.contains("ChainedPublic"), "{documents}");
    let told = all.says(2, &["plan", "--without-replay"]);
    assert!(told.contains(&format!("assumed by {caller}")), "{told}");
    all.says(0, &["run", "--without-replay"]);

    // An account that cannot be looked at takes nothing away.
    all.break_account(FIRST);
    let deploy = deploy_of(&all.json(4, &["plan", "--json", "--without-replay"]));
    assert_eq!(deploy["outcome"], "held");
    assert_eq!(deploy["steps"], json!([]));
}

#[test]
fn a_run_that_goes_on_with_one_part_of_a_pin_leaves_what_it_says() {
    let all = Organisation::of("held-in-part", &[FIRST]);
    all.says(3, &["run", "--account", FIRST]);
    let deploy = |status: &Value| {
        let roles = status["roles"].as_array().unwrap().iter();
        roles
            .clone()
            .find(|role| role["role"] == "deploy")
            .unwrap()
            .clone()
    };
    // As the run left it, and as it is found.
    for more in [&[][..], &["--fresh"]] {
        let args = [&["status", "--json", "--account", FIRST][..], more].concat();
        let deploy = deploy(&all.json(3, &args));
        assert_eq!(deploy["pin"], "held");
        assert_eq!(deploy["chained"]["in_force"], true);
        assert_eq!(deploy["exposure"], "everything");
    }
    let plan = all.json(3, &["plan", "--json", "--account", FIRST]);
    let deploy = deploy(&plan);
    assert_eq!(deploy["steps"], json!([]));
    assert_eq!(deploy["in_force"]["policies"].as_array().unwrap().len(), 1);
}
