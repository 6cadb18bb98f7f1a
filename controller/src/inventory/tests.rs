use std::{fs, path::PathBuf, sync::Arc};

use credpin_core::inventory::gaps;
use credpin_ledger::{Access, Consumer, Host, ImdsVersion, Kind, Record, SCHEMA, StoreUrl};
use object_store::{ObjectStoreExt, memory::InMemory};
use tempfile::TempDir;

use super::*;
use crate::cloudtrail::tests::Guarded;

const KEEP: SignedDuration = SignedDuration::from_hours(96);

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_777_885_200 + 3600 * hour).unwrap()
}

/// A record store and an inventory, side by side.
struct Fleet {
    folder: TempDir,
}

impl Fleet {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("store")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A host ships a batch of records from number `first` on, all made in an hour; its name.
    fn ship(&self, instance: &str, first: u64, hour: i64, records: u64) -> PathBuf {
        let records = (first..first + records).map(|seq| record(instance, seq, hour));
        let records: Vec<_> = records.collect();
        let lines = records
            .iter()
            .map(|record| serde_json::to_string(record).unwrap() + "\n");
        let key = Key::of(&records[0], None).unwrap();
        let path = self.path("store").join(key.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, lines.collect::<String>()).unwrap();
        path
    }

    fn open(&self) -> Database {
        Database::open(&self.path("tokens.redb"), None, false).unwrap()
    }

    /// Folds what is there, at that hour, in a process of its own.
    async fn fold(&self, hour: i64) -> (Folded, Contents) {
        let url = StoreUrl::Directory(self.path("store"));
        let store = RecordStore::open(&url, &Access::default()).unwrap();
        let database = self.open();
        let folded = fold_records(&database, &store, KEEP, at(hour)).await;
        (folded.unwrap(), database.contents().unwrap())
    }

    async fn keys(&self, hour: i64) -> Vec<String> {
        let tokens = self.fold(hour).await.1.tokens;
        tokens.into_keys().map(|id| id.access_key_id).collect()
    }
}

fn record(instance: &str, seq: u64, hour: i64) -> Record {
    Record {
        schema: SCHEMA,
        kind: Kind::Issued,
        time: at(hour),
        boot_id: "1b4e28ba-2fa1-41d2-883f-0016d3cca427".into(),
        seq,
        host: Host {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            instance_id: instance.into(),
            ..Host::default()
        },
        role: "web".into(),
        access_key_id: key(instance, seq),
        issued: at(hour),
        expires: at(hour + 6),
        consumer: Consumer::at([127, 0, 0, 1].into()),
        imds_version: ImdsVersion::V2,
        proxy_version: "0".into(),
    }
}

fn key(instance: &str, seq: u64) -> String {
    format!("ASIA{:0>12}{seq:04}", instance[2..].to_uppercase())
}

#[tokio::test]
async fn a_batch_is_read_once_and_what_it_said_stays() {
    let fleet = Fleet::new();
    fleet.ship("i-0a", 1, 0, 2);
    let (first, contents) = fleet.fold(1).await;
    assert_eq!((first.new, first.known), (1, 0));
    assert_eq!(contents.tokens.len(), 2);

    let (second, again) = fleet.fold(1).await;
    assert_eq!((second.new, second.known), (0, 1));
    assert_eq!(again, contents);
    fleet.ship("i-0b", 1, 1, 1);
    let (third, contents) = fleet.fold(2).await;
    assert_eq!((third.new, third.known), (1, 1));
    assert_eq!(contents.tokens.len(), 3);
}

#[tokio::test]
async fn a_batch_that_comes_late_is_found_and_fills_its_gap() {
    let fleet = Fleet::new();
    fleet.ship("i-0a", 1, 0, 2);
    fleet.ship("i-0a", 4, 70, 1);
    let (_, contents) = fleet.fold(72).await;
    let missing = gaps(&contents.sequences, false);
    let [gap] = &missing[..] else {
        panic!("{missing:?}");
    };
    assert_eq!((gap.first, gap.last), (3, 3));
    assert_eq!((gap.after, gap.before), (Some(at(0)), at(70)));

    // Long before what is looked for without a gap.
    fleet.ship("i-0a", 3, 10, 1);
    let (late, contents) = fleet.fold(73).await;
    assert_eq!(late.new, 1);
    assert_eq!(late.since, Some(at(0)));
    assert!(gaps(&contents.sequences, false).is_empty());
    let (settled, _) = fleet.fold(74).await;
    assert_eq!(settled.since, Some(at(73 - 36)));
}

#[tokio::test]
async fn a_host_that_was_cut_off_and_never_ships_again_is_found_all_the_same() {
    let fleet = Fleet::new();
    fleet.ship("i-0a", 1, 20, 1);
    fleet.fold(20).await;
    // No gap tells of this one, and its hour is long past when it comes.
    fleet.ship("i-0b", 1, 19, 1);
    assert_eq!(fleet.keys(24).await, [key("i-0a", 1), key("i-0b", 1)]);
}

#[tokio::test]
async fn what_the_store_does_not_give_out_is_asked_for_again() {
    let fleet = Fleet::new();
    let objects = InMemory::new();
    for instance in ["i-0a", "i-0b"] {
        let record = record(instance, 1, 0);
        let key = Key::of(&record, None).unwrap().to_string();
        let line = serde_json::to_vec(&record).unwrap();
        objects.put(&key.into(), line.into()).await.unwrap();
    }
    let objects = Arc::new(objects);
    let guarded = RecordStore::over(Arc::new(Guarded(Arc::clone(&objects), "i-0b")));
    let open = RecordStore::over(objects);
    let database = fleet.open();
    let folded = fold_records(&database, &guarded, KEEP, at(1))
        .await
        .unwrap();
    assert_eq!((folded.new, folded.unreadable), (1, 1), "{folded:?}");
    assert!(!folded.is_whole());
    assert!(folded.warnings[0].contains("i-0b") && folded.warnings[0].contains("403"));
    // However long after.
    let folded = fold_records(&database, &open, KEEP, at(80)).await.unwrap();
    assert_eq!((folded.new, folded.unreadable), (1, 0), "{folded:?}");
    assert!(folded.is_whole());
}

#[tokio::test]
async fn what_hosts_make_up_is_left_out_and_counted_and_hides_nothing() {
    let fleet = Fleet::new();
    fleet.ship("i-0a", 1, 0, 1);
    // Were the newest name the watermark, this one would hide all that comes after it.
    fleet.ship("i-0e", 1, 9000, 1);
    let honest = fleet.ship("i-0b", 1, 0, 2);
    let text = fs::read_to_string(&honest).unwrap();
    let forged = text.replacen("\"instance_id\":\"i-0b\"", "\"instance_id\":\"i-0a\"", 1);
    fs::write(
        &honest,
        forged.replace("ASIA0000000000B0002", "../../etc") + "no record\n",
    )
    .unwrap();
    fs::write(fleet.path("store/records/v1/readme"), "hello").unwrap();
    let (folded, contents) = fleet.fold(1).await;
    assert_eq!(folded.ahead, 1);
    assert_eq!(folded.no_batches, 1);
    assert!(!folded.is_whole());
    assert_eq!(contents.left_out, 2, "{:?}", folded.warnings);
    fleet.ship("i-0c", 1, 1, 1);
    let keys = fleet.keys(2).await;
    assert_eq!(keys, [key("i-0a", 1), key("i-0b", 2), key("i-0c", 1)]);
}

#[tokio::test]
async fn an_inventory_that_is_made_anew_is_the_same() {
    let fleet = Fleet::new();
    for hour in 0..30_i64 {
        fleet.ship("i-0a", 1 + hour.unsigned_abs(), hour, 1);
        if hour % 7 != 0 {
            fleet.ship("i-0b", 1 + hour.unsigned_abs(), hour, 1);
        }
        if hour % 5 == 0 {
            fleet.fold(hour).await;
        }
    }
    let (_, folded) = fleet.fold(30).await;
    drop(Database::open(&fleet.path("tokens.redb"), None, true).unwrap());
    let (anew, again) = fleet.fold(30).await;
    assert_eq!(anew.known, 0);
    assert_eq!(again, folded);
}

#[tokio::test]
async fn no_secret_of_a_record_gets_into_the_file() {
    let fleet = Fleet::new();
    let path = fleet.ship("i-0a", 1, 0, 1);
    let text = fs::read_to_string(&path).unwrap();
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let with = text.replacen('{', &format!("{{\"secret_access_key\":\"{secret}\","), 1);
    fs::write(&path, with).unwrap();
    let (_, contents) = fleet.fold(1).await;
    assert_eq!(contents.tokens.len(), 1);
    let file = fs::read(fleet.path("tokens.redb")).unwrap();
    let holds = |text: &str| file.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(&key("i-0a", 1)) && !holds(secret));
}

/// A call of `i-0a`'s first token, as CloudTrail has it, in a file that was delivered in an hour.
fn called(fleet: &Fleet, hour: i64, text: Option<&str>) {
    let call = serde_json::json!({"Records": [{
        "eventVersion": "1.11",
        "eventID": format!("event-{hour}"),
        "eventTime": at(hour).to_string(),
        "eventSource": "s3.amazonaws.com",
        "sourceIPAddress": format!("198.51.100.{hour}"),
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": "AROAEXAMPLE:i-0a",
            "accountId": "111122223333",
            "accessKeyId": key("i-0a", 1),
            "sessionContext": {
                "sessionIssuer": {"type": "Role", "userName": "web"},
                "ec2RoleDelivery": "2.0",
            },
        },
    }]});
    let stamp = at(hour).strftime("%Y%m%dT%H%MZ");
    let folder = fleet.path("trail");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("111122223333_CloudTrail_eu-west-1_{stamp}_a.json"));
    fs::write(path, text.map_or(call.to_string(), str::to_owned)).unwrap();
}

/// Folds the trail at that hour; how many files were read, and where the token was last seen.
async fn seen(fleet: &Fleet, hour: i64) -> (u64, Option<String>) {
    let source: Source = fleet.path("trail").to_str().unwrap().parse().unwrap();
    let trail = Trail::open(&source, &Access::default()).unwrap();
    let database = fleet.open();
    let reading = fold_trail(&database, &source, trail, KEEP, at(hour)).await;
    let sightings = database.contents().unwrap().sightings;
    let last = sightings
        .get(&key("i-0a", 1))
        .and_then(|seen| seen.last.clone());
    (
        reading.unwrap().counts.files,
        last.and_then(|last| last.from),
    )
}

#[tokio::test]
async fn of_a_trail_only_what_is_new_is_read() {
    let fleet = Fleet::new();
    for hour in [1, 20, 40] {
        called(&fleet, hour, None);
    }
    let last = |hour: i64| Some(format!("198.51.100.{hour}"));
    assert_eq!(seen(&fleet, 41).await, (3, last(40)));
    assert_eq!(
        seen(&fleet, 41).await,
        (1, last(40)),
        "what may not have been all"
    );
    called(&fleet, 50, None);
    assert_eq!(seen(&fleet, 51).await, (2, last(50)));
}

#[tokio::test]
async fn a_file_of_a_trail_that_could_not_be_read_is_read_the_next_time() {
    let fleet = Fleet::new();
    called(&fleet, 1, None);
    called(&fleet, 20, Some("{\"Records\":[{"));
    called(&fleet, 30, None);
    let last = Some("198.51.100.30".to_owned());
    assert_eq!(seen(&fleet, 31).await, (3, last.clone()));
    called(&fleet, 20, None);
    assert_eq!(seen(&fleet, 32).await, (3, last));
}
