//! The statements for Athena give what `credpin tokens` gives, of the same records and the same calls.

use std::{collections::BTreeSet, fs, path::Path};

use credpin_e2e::{
    tools::Tools,
    trail::{Call, Caller, Trail},
};
use credpin_ledger::{Consumer, Host, ImdsVersion, Key, Kind, Record, SCHEMA};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::at;

const FIRST_BOOT: &str = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
const SECOND_BOOT: &str = "6fa459ea-ee8a-3ca4-894e-db77e160355e";

/// The time, to the second: what a host says of a record has no more.
fn minutes_ago(minutes: i64) -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the binary reads the clock too")]
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now - 60 * minutes).unwrap()
}

fn record(instance: &str, role: &str, seq: u64, minutes: i64) -> Record {
    let time = minutes_ago(minutes);
    Record {
        schema: SCHEMA,
        kind: Kind::Issued,
        time,
        boot_id: FIRST_BOOT.into(),
        seq,
        host: Host {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            instance_id: instance.into(),
            private_ipv4s: vec![[10, 0, 1, 5].into()],
            ..Host::default()
        },
        role: role.into(),
        access_key_id: format!("ASIAEXAMPLE{}{seq:04}", instance[2..].to_uppercase()),
        issued: time,
        expires: time + SignedDuration::from_hours(6),
        consumer: Consumer {
            uid: Some(1000),
            user: Some("shop".into()),
            ..Consumer::at([127, 0, 0, 1].into())
        },
        imds_version: ImdsVersion::V2,
        proxy_version: "0".into(),
    }
}

/// Writes a batch, under the name that its first record gives it, and some lines more.
fn ship(store: &Path, role_id: Option<&str>, records: &[Record], more: &str) {
    let key = Key::of(&records[0], role_id).unwrap().to_string();
    let lines = records
        .iter()
        .map(|record| serde_json::to_string(record).unwrap() + "\n");
    let path = store.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, lines.collect::<String>() + more).unwrap();
}

/// A fleet in its variety: tokens that are live and that are not, of hosts that lost records, that
/// started anew, and that do not tell the truth.
fn fleet(store: &Path) {
    let of = |instance: &str, seq, minutes| record(instance, "web", seq, minutes);
    // Older than what is looked at: so nobody can say that it is all there is.
    ship(store, None, &[of("i-0f00006", 1, 6000)], "");
    ship(store, None, &[of("i-0a00001", 1, 1000)], "");
    let mut again = of("i-0a00001", 2, 300);
    again.consumer.unit = Some("shop.service".into());
    let mut by_v1 = again.clone();
    by_v1.seq = 3;
    by_v1.imds_version = ImdsVersion::V1;
    ship(
        store,
        None,
        &[again.clone()],
        "no record at all\n{\"schema\":9}\n",
    );
    ship(store, None, &[by_v1], "");
    // The same record under two names, and two that are missing.
    ship(store, Some("AROAEXAMPLE"), &[again], "");
    ship(store, Some("AROAEXAMPLE"), &[of("i-0a00001", 6, 10)], "");

    // The first records of a boot: older than what is looked at, or missing.
    ship(store, None, &[record("i-0b00002", "db", 7, 90)], "");
    let mut second = record("i-0b00002", "db", 3, 20);
    second.boot_id = SECOND_BOOT.into();
    ship(store, None, &[second], "");

    // One that says it has another host's token, and that its own lasts for ever.
    let mut forged = of("i-0c00003", 1, 30);
    forged.access_key_id = of("i-0a00001", 6, 10).access_key_id;
    forged.expires = "9999-12-30T00:00:00Z".parse().unwrap();
    ship(store, None, &[forged], "");
    // One whose other records are not of the host, the boot and the hour that their object's name has.
    let honest = record("i-0d00004", "db", 1, 40);
    let lie = |seq| Record {
        seq,
        access_key_id: format!("ASIAEXAMPLELIE{seq:06}"),
        ..honest.clone()
    };
    let (mut host, mut boot, mut hour) = (lie(2), lie(3), lie(4));
    host.host.instance_id = "i-0a00001".into();
    boot.boot_id = SECOND_BOOT.into();
    hour.time = minutes_ago(300);
    let lies = [host, boot, hour].map(|lie| serde_json::to_string(&lie).unwrap() + "\n");
    let nonsense = serde_json::to_string(&honest).unwrap();
    let nonsense = nonsense.replace(
        &format!("\"time\":\"{}\"", honest.time),
        "\"time\":\"soon\"",
    );
    ship(store, None, &[honest], &(lies.concat() + &nonsense + "\n"));
}

/// Calls with some of the tokens, and with one that no host recorded.
fn calls(folder: &Path) {
    let mut trail = Trail::new(7);
    let caller = |instance: &str, key: &str| Caller::instance("web", instance, "vpc-0a", key);
    let recorded = record("i-0a00001", "web", 6, 10).access_key_id;
    let unrecorded = "ASIAEXAMPLEAROUND001";
    for (minutes, instance, key, from) in [
        (9, "i-0a00001", &*recorded, "198.51.100.7"),
        (3, "i-0a00001", &*recorded, "203.0.113.66"),
        (5, "i-0a00001", &*recorded, "198.51.100.7"),
        (8, "i-0e00005", unrecorded, "198.51.100.9"),
    ] {
        let call = Call::new(&caller(instance, key), "s3", "ListBuckets", from);
        trail.add(minutes_ago(minutes), call);
    }
    let user = Caller::user("alice", "ASIAEXAMPLEALICE0001");
    trail.add(
        minutes_ago(4),
        Call::new(&user, "s3", "ListBuckets", "198.51.100.7"),
    );
    trail.write(folder).unwrap();
}

/// What `credpin tokens` says, and what the statements say of the same at the same time.
async fn both(folder: &TempDir) -> (Value, Value) {
    let (store, trail) = (folder.path().join("store"), folder.path().join("trail"));
    fleet(&store);
    calls(&trail);
    let tools = Tools::find().unwrap();
    let credpin = tools.binary("credpin").unwrap().arg("tokens");
    let credpin = credpin.args(["--records", &format!("file://{}", store.display())]);
    let credpin = credpin.arg("--cloudtrail").arg(&trail).arg("--json");
    let credpin = credpin
        .arg("--database")
        .arg(folder.path().join("tokens.redb"));
    let finished = credpin.finish().await.unwrap();
    assert_eq!(finished.status.code(), Some(3), "{}", finished.stderr);
    let ours: Value = serde_json::from_str(&finished.stdout).unwrap();

    let athena = tools.python("athena.py").unwrap().arg(at("deploy/athena"));
    let athena = athena
        .arg(&store)
        .arg(&trail)
        .arg(ours["made"].as_str().unwrap());
    let theirs = athena.finish().await.unwrap().success().unwrap();
    (ours, serde_json::from_str(&theirs).unwrap())
}

fn rows<'a>(value: &'a Value, of: &str) -> &'a Vec<Value> {
    value[of]
        .as_array()
        .unwrap_or_else(|| panic!("{of}: {value}"))
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().map(|text| text.parse().unwrap())
}

fn set(rows: impl Iterator<Item = Value>) -> BTreeSet<String> {
    rows.map(|row| row.to_string()).collect()
}

fn has_v1(row: &Value) -> bool {
    rows(row, "imds_versions").contains(&json!("1"))
}

#[tokio::test]
async fn the_statements_for_athena_give_what_credpin_tokens_gives() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = both(&folder).await;
    live_tokens(&ours, &theirs);
    gaps(&ours, &theirs);
    last_seen(&ours, &theirs);
    keys(&ours, &theirs);
    by_role(&ours, &theirs);
}

fn live_tokens(ours: &Value, theirs: &Value) {
    let row = |row: &Value, imdsv1: Value, consumers: Value| {
        let (issued, expires) = (time(&row["issued"]), time(&row["expires"]));
        let whose = ["access_key_id", "account", "region", "role", "instance"];
        json!([
            whose.map(|name| &row[name]),
            issued,
            expires,
            imdsv1,
            consumers
        ])
    };
    let live = rows(ours, "tokens")
        .iter()
        .filter(|row| row["live"] == true && row["recorded"] == true);
    let ours = set(live.map(|live| {
        row(
            live,
            has_v1(live).into(),
            rows(live, "consumers").len().into(),
        )
    }));
    assert_eq!(ours.len(), 6, "{ours:?}");
    let said = rows(theirs, "live").iter();
    let said = said.map(|live| row(live, live["imdsv1"].clone(), live["consumers"].clone()));
    assert_eq!(set(said), ours);
}

fn gaps(ours: &Value, theirs: &Value) {
    let row = |gap: &Value, after: &str, before: &str| {
        let (after, before) = (time(&gap[after]), time(&gap[before]));
        let whose = [
            "account", "region", "instance", "boot", "first", "last", "certain",
        ];
        json!([whose.map(|name| &gap[name]), after, before])
    };
    let ours = set(rows(ours, "gaps")
        .iter()
        .map(|gap| row(gap, "after", "before")));
    assert_eq!(ours.len(), 3, "{ours:?}");
    let said = rows(theirs, "gaps").iter();
    assert_eq!(
        set(said.map(|gap| row(gap, "made_after", "made_before"))),
        ours
    );
}

fn last_seen(ours: &Value, theirs: &Value) {
    let row = |row: &Value, time: &Value, from: &Value| {
        let whose = ["access_key_id", "account", "role", "instance", "recorded"];
        json!([whose.map(|name| &row[name]), time, from])
    };
    let ours = rows(ours, "tokens").iter().map(|token| {
        let last = &token["last_seen"];
        row(token, &last["time"], &last["from"])
    });
    let ours = set(ours);
    for known in ["203.0.113.66", "ASIAEXAMPLEAROUND001"] {
        assert!(ours.iter().any(|row| row.contains(known)), "{ours:?}");
    }
    let said = rows(theirs, "last-seen").iter();
    assert_eq!(
        set(said.map(|token| row(token, &token["last_seen"], &token["last_from"]))),
        ours
    );
}

/// Those that were handed out by IMDSv1, and those that two hosts say they have.
fn keys(ours: &Value, theirs: &Value) {
    let tokens = rows(ours, "tokens").iter();
    let of_key = |row: &Value| row["access_key_id"].clone();
    let is_contested = |row: &&Value| !rows(row, "also_recorded_by").is_empty();
    let contested = set(tokens.clone().filter(is_contested).map(of_key));
    let by_v1 = set(tokens.filter(|row| has_v1(row)).map(of_key));
    for (query, ours) in [("imdsv1", by_v1), ("contested", contested)] {
        assert_eq!(ours.len(), 1, "{query}");
        assert_eq!(set(rows(theirs, query).iter().map(of_key)), ours, "{query}");
    }
}

fn by_role(ours: &Value, theirs: &Value) {
    let count = |role: &Value, live: bool| {
        let of = |row: &&Value| {
            row["role"] == *role && row["recorded"] == true && (!live || row["live"] == true)
        };
        rows(ours, "tokens").iter().filter(of).count()
    };
    let said = rows(theirs, "by-role");
    assert_eq!(said.len(), 2);
    for row in said {
        let (all, live) = (count(&row["role"], false), count(&row["role"], true));
        assert_eq!(
            (&row["tokens"], &row["live"]),
            (&all.into(), &live.into()),
            "{row}"
        );
    }
}
