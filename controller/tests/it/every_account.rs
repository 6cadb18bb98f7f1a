//! Commands that are about all accounts, or find out by themselves about which.

use std::fs;

use serde_json::{Value, json};

use crate::{
    accounts::{BROKEN, FIRST, Organisation, SECOND, replace},
    tokens::{record, ship},
};

/// The scenario `nat` in these accounts, with instances as CloudTrail and records would name them.
fn of(accounts: &[&str]) -> Organisation {
    let all = Organisation::of("nat", accounts);
    replace(&all.path().join("cloud"), "i-0web", "i-0abc");
    all
}

/// Adds lines to the config, above its tables or below them.
fn configure(all: &Organisation, above: &str, below: &str) {
    let file = all.path().join("credpin.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{above}\n{config}\n{below}\n")).unwrap();
}

/// Writes a trail of calls of the role `web`: the account of each, the address, and whether it was denied.
fn trail(all: &Organisation, calls: &[(&str, &str, bool)]) {
    let calls = calls.iter().enumerate().map(|(number, (account, address, denied))| {
        let mut call = json!({
            "eventVersion": "1.11",
            "eventID": format!("e{number}"),
            "eventTime": "2026-05-04T09:00:00Z",
            "awsRegion": "eu-west-1",
            "eventSource": "sts.amazonaws.com",
            "eventName": "GetCallerIdentity",
            "sourceIPAddress": address,
            "recipientAccountId": account,
            "userIdentity": {
                "type": "AssumedRole",
                "accountId": account,
                "principalId": "AROAWEB:i-0abc1",
                "arn": format!("arn:aws:sts::{account}:assumed-role/web/i-0abc1"),
                "accessKeyId": "ASIAEXAMPLEEXAMPLE01",
                "sessionContext": {
                    "ec2RoleDelivery": "2.0",
                    "ec2IssuedInVpc": "vpc-0aaa",
                    "sessionIssuer": {
                        "type": "Role",
                        "principalId": "AROAWEB",
                        "userName": "web",
                        "accountId": account,
                        "arn": format!("arn:aws:iam::{account}:role/web"),
                    },
                },
            },
        });
        if *denied {
            call["errorCode"] = json!("AccessDenied");
            call["errorMessage"] = json!(format!(
                "User is not authorized to perform: sts:GetCallerIdentity with an explicit deny in an \
                 identity-based policy: arn:aws:iam::{account}:policy/credpin/credpin-web"
            ));
        }
        call
    });
    let folder = all.path().join("trail");
    fs::create_dir_all(&folder).unwrap();
    let records = json!({"Records": calls.collect::<Vec<_>>()});
    fs::write(folder.join("trail.json"), records.to_string()).unwrap();
}

#[test]
fn a_replay_runs_one_trail_against_the_pins_of_each_account() {
    let all = of(&[FIRST, SECOND, BROKEN]);
    all.break_account(BROKEN);
    trail(
        &all,
        &[
            (FIRST, "198.51.100.7", false),
            (SECOND, "198.51.100.7", false),
            (SECOND, "203.0.113.5", false),
        ],
    );
    let args = ["replay", "--cloudtrail", "trail", "--json"];
    let replay = all.json(4, &args);
    let accounts = replay["accounts"].as_array().unwrap();
    let total = |number: usize| accounts[number]["result"]["total"].clone();
    assert_eq!(
        (&total(0)["calls"], &total(0)["denied"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        (&total(1)["calls"], &total(1)["denied"]),
        (&json!(2), &json!(1))
    );
    let exits: Vec<&Value> = accounts.iter().map(|account| &account["exit"]).collect();
    assert_eq!(exits, [2, 3, 1], "unseen, denied, not looked at");
    // Each account's state has what was found of it.
    let kept = |account: &str| {
        let file = format!("state/account={account}/state/v1/replay.json");
        fs::read_to_string(all.path().join(file)).unwrap()
    };
    let calls = |account: &str| {
        let kept: Value = serde_json::from_str(&kept(account)).unwrap();
        kept["roles"][0]["calls"].clone()
    };
    assert_eq!((calls(FIRST), calls(SECOND)), (json!(1), json!(2)));

    let told = all.says(4, &args[..3]);
    assert!(told.contains("# 222222222222\n"), "{told}");
    let one = all.says(2, &["replay", "--cloudtrail", "trail", "--account", FIRST]);
    assert!(one.contains("web: 1 call: 1 pass"), "{one}");
}

#[test]
fn a_triage_knows_the_homes_of_all_accounts() {
    let all = of(&[FIRST, SECOND]);
    trail(&all, &[(SECOND, "198.51.100.7", true)]);
    let args = ["triage", "--cloudtrail", "trail", "--json"];
    let stale = all.json(2, &args);
    assert_eq!(stale["denied"][0]["cause"]["kind"], "stale", "{stale}");
    trail(&all, &[(SECOND, "203.0.113.5", true)]);
    let theft = all.json(3, &args);
    assert_eq!(theft["denied"][0]["cause"]["kind"], "theft", "{theft}");
    // An account that was not seen may be where it was used.
    trail(&all, &[]);
    all.says(0, &args);
    configure(&all, "", &format!("[[account]]\nid = \"{BROKEN}\""));
    all.says(4, &args);
}

#[test]
fn what_an_arn_an_instance_or_a_record_tells_need_not_be_said() {
    let all = of(&[FIRST, SECOND]);
    // The second has another host than the first.
    let hosts = all.path().join("cloud").join(SECOND);
    let hosts = hosts.join("eu-west-1/describe-instances.json");
    let text = fs::read_to_string(&hosts).unwrap();
    fs::write(&hosts, text.replace("i-0abc1", "i-0abc9")).unwrap();
    let explain = |role: &str, instance: &str| {
        let args = [
            "explain",
            "--role",
            role,
            "--instance",
            instance,
            "--from",
            "198.51.100.7",
            "--json",
        ];
        all.json(0, &args)["request"].to_string()
    };
    assert!(explain("web", "i-0abc9").contains(SECOND));
    let arn = format!("arn:aws:iam::{FIRST}:role/web");
    assert!(explain(&arn, "i-0abc2").contains(FIRST));
    let told = all.credpin(&[
        "explain",
        "--role",
        "web",
        "--instance",
        "i-0nowhere",
        "--from",
        "198.51.100.7",
    ]);
    assert_eq!(told.status.code(), Some(64));

    // A cut of a role that both have: by the ARN, and by what a host recorded.
    let session = format!("arn:aws:sts::{SECOND}:assumed-role/web/i-0abc9");
    let cut = all.json(2, &["revoke", &session, "--json"]);
    assert!(cut.to_string().contains(SECOND), "{cut}");
    let mut delivered = record(1, 10);
    delivered.host.account = SECOND.into();
    delivered.host.instance_id = "i-0abc9".into();
    ship(all.path(), &[delivered.clone()]);
    let store = format!("file://{}/store", all.path().display());
    let key = &delivered.access_key_id;
    let cut = all.json(2, &["revoke", key, "--records", &store, "--json"]);
    assert!(cut.to_string().contains(SECOND), "{cut}");
    // Whose it is must not be disputed.
    delivered.host.account = FIRST.into();
    ship(all.path(), &[delivered]);
    all.says(64, &["revoke", "ASIAEXAMPLEKEYID0001", "--records", &store]);
}

#[test]
fn the_cuts_of_all_accounts_are_listed() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    let role = format!("arn:aws:iam::{SECOND}:role/web");
    all.says(0, &["revoke", &role, "--apply", "--yes"]);
    let list = all.says(0, &["revoke", "--list"]);
    let second = list.find("# 222222222222").unwrap();
    assert!(list[..second].contains("There is no cut."), "{list}");
    assert!(list[second..].contains("role/web"), "{list}");
    let list = all.json(0, &["revoke", "--list", "--json"]);
    assert!(
        list["accounts"][1]["result"].to_string().contains("web"),
        "{list}"
    );
}

#[test]
fn an_arn_of_another_account_than_there_is_is_refused() {
    let account = crate::cli::account("nat");
    for args in [
        &["revoke", "arn:aws:iam::111111111111:role/web"][..],
        &[
            "explain",
            "--role",
            "arn:aws:iam::111111111111:role/web",
            "--instance",
            "i-0web1",
            "--from",
            "198.51.100.7",
        ],
    ] {
        let output = crate::cli::credpin(account.path(), args);
        let (_, err) = crate::cli::text(&output);
        assert_eq!(output.status.code(), Some(1), "{err}");
        let why = "what was seen is of account 123456789012, and not of 111111111111";
        assert!(err.contains(why), "{err}");
    }
}

#[test]
fn an_arn_of_another_account_than_the_one_that_is_named_is_refused() {
    let all = of(&[FIRST, SECOND]);
    let role = format!("arn:aws:iam::{SECOND}:role/web");
    let explain = [
        "explain",
        "--role",
        &role,
        "--instance",
        "i-0abc1",
        "--from",
        "198.51.100.7",
    ];
    let revoke = ["revoke", &role, "--apply", "--yes"];
    for args in [&explain[..], &revoke[..]] {
        let output = all.credpin(&[args, &["--account", FIRST]].concat());
        let (_, err) = crate::cli::text(&output);
        assert_eq!(output.status.code(), Some(64), "{err}");
        assert!(
            err.contains("the ARN is of account 222222222222, and --account"),
            "{err}"
        );
        assert!(err.contains("names 111111111111"), "{err}");
    }
    let list = all.says(0, &["revoke", "--list"]);
    assert_eq!(list.matches("There is no cut.").count(), 2, "{list}");
    all.says(0, &[&explain[..], &["--account", SECOND]].concat());
    all.says(0, &[&revoke[..], &["--account", SECOND]].concat());
}

#[test]
fn what_the_config_says_of_nothing_in_any_account_is_warned_of_once() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    let rules = format!(
        "[[role]]\nname = \"typo*\"\nmode = \"enforce\"\n[[role]]\nname = \"batch\"\naccount = \"{FIRST}\"\n\
         mode = \"observe\"\n[[egress]]\nvpc = \"vpc-0nowhere\"\nprefixes = []\n"
    );
    configure(&all, "", &rules);
    let plan = all.says(2, &["plan"]);
    let typo =
        "Warning: [[role]] typo*: no role with hosts or a pin has such a name, in any account";
    assert_eq!(plan.matches(typo).count(), 1, "{plan}");
    assert_eq!(
        plan.matches("[[egress]] vpc-0nowhere: it was not seen")
            .count(),
        1,
        "{plan}"
    );
    assert_eq!(plan.matches("Warning: ").count(), 2, "{plan}");
    let run = all.json(0, &["run", "--json"]);
    assert_eq!(run["warnings"].as_array().unwrap().len(), 2, "{run}");

    // What only some of the accounts were asked about says nothing of the others.
    let some = all.says(0, &["plan", "--shard", "0/1"]);
    assert!(!some.contains("typo"), "{some}");
    all.break_account(SECOND);
    let blind = all.says(4, &["plan"]);
    assert!(!blind.contains("typo"), "{blind}");
}

#[test]
fn the_metrics_of_all_accounts_are_one_file() {
    let all = Organisation::of("nat", &[FIRST, SECOND, BROKEN]);
    all.break_account(BROKEN);
    for command in [&["run"][..], &["status", "--fresh"]] {
        let file = all.path().join("credpin.prom");
        all.says(4, &[command, &["--metrics", "credpin.prom"]].concat());
        let text = fs::read_to_string(&file).unwrap();
        for line in [
            "credpin_role_instances{account=\"111111111111\",role=\"web\"} 2",
            "credpin_role_instances{account=\"222222222222\",role=\"web\"} 2",
            "credpin_account_exit{account=\"222222222222\"} 0",
            "credpin_account_exit{account=\"333333333333\"} 1",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
        }
        // Each family is there once, in one piece, and the text has one end.
        let families: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        let mut once = families.clone();
        once.dedup();
        once.sort_unstable();
        once.dedup();
        assert_eq!(families.len(), once.len(), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        assert_eq!(text.matches("# EOF").count(), 1, "{text}");
        fs::remove_file(file).unwrap();
    }
    let beside = fs::read_dir(all.path()).unwrap();
    let names = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(
        !names.into_iter().any(|name| name.contains(".prom")),
        "one file, and no other"
    );
}

#[test]
fn what_pins_admit_is_published_of_each_account_under_its_name() {
    let all = Organisation::of("nat", &[FIRST, SECOND]);
    let store = all.path().join("published");
    fs::create_dir(&store).unwrap();
    let records = format!(
        "publish-pins = true\nrecords = \"file://{}\"",
        store.display()
    );
    configure(&all, &records, "");
    all.says(0, &["run"]);
    for account in [FIRST, SECOND] {
        let object = store.join(format!("pins/v1/account={account}/web.json"));
        let admission: Value = serde_json::from_slice(&fs::read(object).unwrap()).unwrap();
        assert_eq!(admission["account"], account);
        assert_eq!(admission["pinned"], true);
        assert!(store.join(format!("pins/v1/index/{account}.json")).exists());
    }
}
