//! `credpin detect`, the binary, on the demo's account and files as CloudTrail writes them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use credpin_e2e::{
    controller::Controller,
    process::Finished,
    tools::Tools,
    trail::{
        ACCOUNT, REGION, Trail,
        incident::{AGENT, begin},
        suspicion::{CHILD, HOST, PINNED, SESSION, UNPINNED, suspicion},
    },
};
use credpin_ledger::{
    Access, Consumer, Host, ImdsVersion, Key, Kind, Record, RecordStore, StoreUrl,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const CONTROLLER: &str = "controller-roles = [\"credpin-controller\"]\n";

/// A trail, an account, records and a place for state.
struct World {
    folder: TempDir,
    config: String,
}

impl World {
    async fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            config: CONTROLLER.to_owned(),
        };
        world.trail(&suspicion());
        world.cloud();
        world.roles_for_many();
        world.records().await;
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trail(&self, trail: &Trail) {
        trail.write(&self.path("trail")).unwrap();
    }

    /// The demo's.
    fn cloud(&self) {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/cloud");
        for folder in [REGION, "iam"] {
            fs::create_dir_all(self.path("cloud").join(folder)).unwrap();
            for entry in fs::read_dir(demo.join(folder)).unwrap() {
                let entry = entry.unwrap();
                let to = self.path("cloud").join(folder).join(entry.file_name());
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }

    /// Two roles that trust more than one principal.
    fn roles_for_many(&self) {
        let file = self.path("cloud/iam/get-account-authorization-details.json");
        let mut iam: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let roles = iam["RoleDetailList"].as_array_mut().unwrap();
        for (name, whom) in [("open", "*"), ("shared", "444455556666")] {
            let mut role = roles[0].clone();
            role["RoleName"] = json!(name);
            role["Arn"] = json!(format!("arn:aws:iam::{ACCOUNT}:role/{name}"));
            role["InstanceProfileList"] = json!([]);
            role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] = json!({"AWS": whom});
            roles.push(role);
        }
        fs::write(file, iam.to_string()).unwrap();
    }

    /// Of the host's two tokens, it recorded one.
    async fn records(&self) {
        let record = Record {
            schema: 1,
            kind: Kind::Issued,
            time: begin(),
            boot_id: "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968".to_owned(),
            seq: 1,
            host: Host {
                account: ACCOUNT.to_owned(),
                region: REGION.to_owned(),
                instance_id: HOST.to_owned(),
                ..Host::default()
            },
            role: "web".to_owned(),
            access_key_id: UNPINNED.to_owned(),
            issued: begin(),
            expires: "2026-05-01T15:00:00Z".parse().unwrap(),
            consumer: Consumer::at("127.0.0.1".parse().unwrap()),
            imds_version: ImdsVersion::V1,
            proxy_version: "0.1.0".to_owned(),
        };
        let key = Key::of(&record, Some("AROAWEBEXAMPLE2222222")).unwrap();
        let line = serde_json::to_string(&record).unwrap() + "\n";
        let url = StoreUrl::Directory(self.path("records"));
        let store = RecordStore::create(&url, &Access::default()).unwrap();
        store
            .put_object(&key.to_string(), line.into_bytes())
            .await
            .unwrap();
    }

    async fn detect(&self, more: &[&str]) -> Finished {
        let controller = Controller::new(&Tools::find().unwrap(), &self.config).unwrap();
        let url = |name| format!("file://{}", self.path(name).display());
        let (trail, records, state) = (self.path("trail"), url("records"), url("state"));
        let mut arguments = vec!["detect", "--cloudtrail", trail.to_str().unwrap()];
        arguments.extend(["--records", &records, "--state", &state]);
        arguments.extend(more);
        controller
            .on_dir(&self.path("cloud"), &arguments)
            .await
            .unwrap()
    }

    /// The findings, with the line about the whole.
    async fn json(&self, more: &[&str]) -> (Vec<Value>, Value) {
        let finished = self.detect(&[&["--json"], more].concat()).await;
        assert!(finished.stderr.is_empty(), "{}", finished.stderr);
        let lines = finished.stdout.lines();
        let mut lines: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let summary = lines.pop().unwrap();
        assert_eq!(summary["kind"], "summary");
        (lines, summary)
    }
}

/// How many findings of each rule.
fn rules(findings: &[Value]) -> BTreeMap<&str, usize> {
    let mut rules = BTreeMap::new();
    for finding in findings {
        *rules.entry(finding["rule"].as_str().unwrap()).or_default() += 1;
    }
    rules
}

fn ids(findings: &[Value]) -> Vec<&str> {
    let ids = findings
        .iter()
        .map(|finding| finding["id"].as_str().unwrap());
    ids.collect()
}

#[tokio::test]
async fn every_rule_finds_what_is_there_and_nothing_else() {
    let world = World::new().await;
    let (findings, summary) = world.json(&[]).await;
    let found = rules(&findings);
    let once = [
        "instance-token-away",
        "instance-token-child-away",
        "instance-token-denied-away",
        "instance-token-first-used-away",
        "instance-token-not-recorded",
        "long-lived-key-new-place",
        "pin-change-denied",
        "pin-changed",
        "role-served-by-imdsv1",
        "session-token-first",
        "session-token-without-mfa",
        "trust-anyone",
        "trust-whole-account",
    ];
    assert_eq!(found, once.map(|rule| (rule, 1)).into(), "{findings:#?}");
    let of = |rule: &str| {
        findings
            .iter()
            .find(|finding| finding["rule"] == rule)
            .unwrap()
    };
    assert_eq!(of("instance-token-away")["key"], UNPINNED);
    assert_eq!(of("instance-token-away")["count"], 16);
    assert_eq!(of("instance-token-denied-away")["key"], PINNED);
    assert_eq!(of("instance-token-not-recorded")["key"], PINNED);
    assert_eq!(of("instance-token-child-away")["key"], CHILD);
    assert_eq!(
        of("trust-anyone")["subject"],
        format!("arn:aws:iam::{ACCOUNT}:role/open")
    );
    // What was done in the trail is shown by its events there.
    let shown = |rule| of(rule)["events"].as_array().unwrap().len();
    assert_eq!((shown("pin-changed"), shown("trust-anyone")), (1, 1));
    assert_eq!(
        (shown("instance-token-away"), shown("trust-whole-account")),
        (5, 0)
    );
    assert_eq!(summary["findings"], 13);
    assert_eq!(summary["undecided"], json!([]));

    let finished = world.detect(&[]).await;
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    let out = finished.stdout;
    let headline = "13 findings: 2 critical, 5 high, 4 medium, 2 low.";
    assert!(out.starts_with(headline), "{out}");
    assert!(
        out.contains(&format!("> credpin revoke role/web/{HOST}, then")),
        "{out}"
    );
}

#[tokio::test]
async fn where_all_is_well_nothing_is_found_and_what_was_not_looked_at_is_said() {
    let world = World::new().await;
    for of_others in ["trail", "records"] {
        fs::remove_dir_all(world.path(of_others)).unwrap();
        fs::create_dir(world.path(of_others)).unwrap();
    }
    world.trail(&quiet());
    let launch = Tools::find().unwrap().binary("credpin").unwrap();
    let trail = world.path("trail");
    let launch = launch.args(["detect", "--cloudtrail", trail.to_str().unwrap()]);
    let finished = launch.finish().await.unwrap();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stdout);
    let out = finished.stdout;
    assert!(
        out.starts_with("Nothing that somebody should look at."),
        "{out}"
    );
    assert!(out.contains("no cloud was looked at"), "{out}");
    assert!(out.contains("no records were read"), "{out}");

    // What was to be looked at and could not be is not nothing.
    world.cloud();
    assert_eq!(world.detect(&[]).await.status.code(), Some(0));
    fs::remove_file(
        world
            .path("cloud")
            .join(REGION)
            .join("describe-subnets.json"),
    )
    .unwrap();
    let blind = world.detect(&[]).await;
    assert_eq!(blind.status.code(), Some(3), "{}", blind.stdout);
    assert!(blind.stderr.contains("DescribeSubnets"), "{}", blind.stderr);

    fs::write(world.path("trail/cut.json"), "{\"Records\":[{").unwrap();
    let launch = Tools::find().unwrap().binary("credpin").unwrap();
    let launch = launch.args(["detect", "--cloudtrail", trail.to_str().unwrap()]);
    let finished = launch.finish().await.unwrap();
    assert_eq!(finished.status.code(), Some(3), "{}", finished.stdout);
    assert!(finished.stdout.contains("cut.json"), "{}", finished.stdout);
}

/// A developer's calls from where she always is.
fn quiet() -> Trail {
    use credpin_e2e::trail::{Call, Caller};
    let dev = Caller::user("dev", "AKIADEVELOPER2222222");
    let mut trail = Trail::new(8);
    for minute in 0..10 {
        let at = begin() + jiff::SignedDuration::from_mins(minute);
        trail.add(at, Call::new(&dev, "s3", "ListBuckets", "198.51.100.10"));
    }
    trail
}

#[tokio::test]
async fn a_job_tells_each_finding_once_over_windows_that_overlap() {
    let world = World::new().await;
    let (first, _) = world.json(&["--new"]).await;
    assert_eq!(first.len(), 13);
    let again = world.detect(&["--new"]).await;
    assert_eq!(again.status.code(), Some(0), "{}", again.stdout);
    assert!(
        again.stdout.starts_with("Nothing new that somebody"),
        "{}",
        again.stdout
    );
    // A look by a person is not the job's, and changes nothing about it.
    assert_eq!(ids(&world.json(&[]).await.0), ids(&first));

    // Files come late, and copies of old ones with them.
    let mut later = suspicion();
    let user = credpin_e2e::trail::Caller::user("ci", "AKIACI22222222222222");
    let at = begin() + jiff::SignedDuration::from_mins(50);
    let call = credpin_e2e::trail::Call::new(&user, "s3", "ListBuckets", "192.0.2.9");
    later.add(at, call);
    world.trail(&later);
    let (new, _) = world.json(&["--new"]).await;
    assert_eq!(rules(&new), [("long-lived-key-new-place", 1)].into());
    assert_eq!(new[0]["places"], json!(["192.0.2.0/24"]));
    assert!(!ids(&first).contains(&ids(&new)[0]));
    assert_eq!(world.detect(&["--new"]).await.status.code(), Some(0));
}

#[tokio::test]
async fn what_was_told_and_could_not_be_kept_is_told_again() {
    let world = World::new().await;
    let (first, _) = world.json(&["--new"]).await;
    // Killed between telling and keeping: what was told is not known.
    fs::remove_dir_all(world.path("state")).unwrap();
    let (again, _) = world.json(&["--new"]).await;
    assert_eq!(ids(&first), ids(&again));

    // What is kept and is not ours is not taken for nothing.
    let kept = world.path("state/state/v1/detect/000000000009.json");
    fs::write(&kept, "{}").unwrap();
    let refused = world.detect(&["--new"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    assert!(refused.stdout.is_empty());
    assert!(
        refused.stderr.contains("000000000009.json: remove it"),
        "{}",
        refused.stderr
    );

    let launch = Tools::find().unwrap().binary("credpin").unwrap();
    let trail = world.path("trail");
    let launch = launch.args(["detect", "--new", "--cloudtrail", trail.to_str().unwrap()]);
    let nowhere = launch.finish().await.unwrap();
    assert_eq!(nowhere.status.code(), Some(64), "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("--state"), "{}", nowhere.stderr);
}

#[tokio::test]
async fn what_is_accepted_stays_in_sight_and_is_told_when_that_ends() {
    let mut world = World::new().await;
    let accept = |until: &str| {
        format!(
            "{CONTROLLER}[[accept]]\nrule = \"trust-anyone\"\nsubject = \"*:role/open\"\n\
             owner = \"ana\"\nuntil = \"{until}\"\nwhy = \"partners\"\n"
        )
    };
    world.config = accept("2999-12-31");
    let (findings, summary) = world.json(&["--new"]).await;
    assert_eq!((findings.len(), &summary["accepted"]), (13, &json!(1)));
    let accepted: Vec<_> = findings
        .iter()
        .filter(|one| !one["accepted"].is_null())
        .collect();
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0]["rule"], "trust-anyone");
    assert_eq!(accepted[0]["accepted"]["owner"], "ana");
    let out = world.detect(&[]).await.stdout;
    assert!(out.contains("Accepted: 1 finding"), "{out}");
    assert!(
        out.contains("1 by trust-anyone of *:role/open, until 2999-12-31 (ana: partners)"),
        "{out}"
    );

    world.config = accept("2026-05-01");
    let (ended, _) = world.json(&["--new"]).await;
    assert_eq!(
        rules(&ended),
        [("acceptance-ended", 1), ("trust-anyone", 1)].into()
    );
    assert_eq!(world.json(&["--new"]).await.0, [Value::Null; 0]);
}

#[tokio::test]
async fn what_was_before_a_time_is_history() {
    let world = World::new().await;
    let (findings, summary) = world.json(&["--since", "2026-05-01T09:41:00Z"]).await;
    let found = rules(&findings);
    assert_eq!(found.get("pin-changed"), Some(&1), "{found:?}");
    assert_eq!(found.get("instance-token-away"), None, "{found:?}");
    assert_eq!(found.get("long-lived-key-new-place"), None, "{found:?}");
    assert_eq!(summary["reading"]["earlier"], 0);
    // Files that were delivered long before are not opened.
    let (findings, summary) = world.json(&["--since", "2026-05-09T00:00:00Z"]).await;
    assert!(
        rules(&findings)
            .keys()
            .all(|rule| rule.starts_with("trust")),
        "{findings:?}"
    );
    assert_eq!(summary["reading"]["events"], 0);
    assert!(summary["reading"]["earlier"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn what_a_caller_called_itself_is_shown_and_never_obeyed() {
    let world = World::new().await;
    let out = world.detect(&[]).await.stdout;
    assert!(SESSION.contains('\u{1b}') && AGENT.contains('\u{1b}'));
    assert!(!out.contains('\u{1b}'), "{out}");
    assert!(
        out.contains("assumed-role/data/backup\\u{1b}[2J;reboot"),
        "{out}"
    );
    // Nor does it get into a command that is there to be pasted.
    assert!(out.contains("> credpin revoke STOLEN, then"), "{out}");
    for line in out.lines().filter(|line| line.contains("> credpin")) {
        assert!(!line.contains("reboot"), "{line}");
    }
}

/// What the schema requires (OCSF 1.1.0, schema.ocsf.io: class `detection_finding` and the objects in
/// it), by the path of the object.
const REQUIRED: [(&str, &[&str]); 9] = [
    (
        "",
        &[
            "activity_id",
            "category_uid",
            "class_uid",
            "finding_info",
            "metadata",
            "severity_id",
            "time",
            "type_uid",
            // With the profile `cloud`.
            "cloud",
        ],
    ),
    ("/finding_info", &["title", "uid"]),
    ("/finding_info/analytic", &["type_id", "name"]),
    ("/metadata", &["product", "version"]),
    ("/metadata/product", &["vendor_name", "name"]),
    ("/cloud", &["provider"]),
    ("/cloud/account", &["uid"]),
    ("/remediation", &["desc"]),
    ("/observables/0", &["name", "type_id"]),
];

#[tokio::test]
async fn findings_are_detection_findings_of_ocsf_by_its_schema_and_by_a_model_that_is_not_ours() {
    let world = World::new().await;
    let finished = world.detect(&["--ocsf"]).await;
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    let lines = finished.stdout;
    let mut severities = BTreeMap::new();
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        for (path, attributes) in REQUIRED {
            for attribute in attributes {
                let value = event.pointer(&format!("{path}/{attribute}"));
                assert!(
                    value.is_some_and(|value| !value.is_null()),
                    "{path}/{attribute}: {event:#}"
                );
            }
        }
        for related in event["finding_info"]["related_events"].as_array().unwrap() {
            assert!(related["uid"].is_string() && related["type_uid"].is_u64());
        }
        assert_eq!(
            (&event["class_uid"], &event["category_uid"]),
            (&json!(2004), &json!(2))
        );
        let kind =
            event["class_uid"].as_u64().unwrap() * 100 + event["activity_id"].as_u64().unwrap();
        assert_eq!(event["type_uid"], kind);
        // Milliseconds, and of this century.
        assert!(event["time"].as_u64().unwrap() > 1_700_000_000_000);
        *severities
            .entry(event["severity_id"].as_u64().unwrap())
            .or_insert(0) += 1;
    }
    assert_eq!(severities.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5]);
    let checked = Tools::find().unwrap().python("ocsf.py").unwrap();
    let checked = checked.stdin(lines).finish().await.unwrap();
    let (findings, _) = world.json(&[]).await;
    let read: Vec<_> = checked.stdout.lines().collect();
    assert_eq!(read, ids(&findings), "{}", checked.stderr);
}

#[tokio::test]
async fn the_rules_can_be_read() {
    let launch = Tools::find().unwrap().binary("credpin").unwrap();
    let rules = launch
        .args(["detect", "--rules", "--json"])
        .finish()
        .await
        .unwrap();
    let rules: Value = serde_json::from_str(&rules.success().unwrap()).unwrap();
    assert_eq!(rules.as_array().unwrap().len(), 14);
    let launch = Tools::find().unwrap().binary("credpin").unwrap();
    let text = launch.args(["detect", "--rules"]).finish().await.unwrap();
    let text = text.success().unwrap();
    for rule in rules.as_array().unwrap() {
        assert!(text.contains(rule["id"].as_str().unwrap()), "{text}");
    }
}
