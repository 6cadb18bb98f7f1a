use std::collections::BTreeMap;

use credpin_core::inventory::{Sighting, Sightings, Use};
use credpin_ledger::{Consumer, Host, ImdsVersion, Kind, Record, SCHEMA};

use super::*;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_777_885_200 + 3600 * hour).unwrap()
}

fn record(seq: u64, hour: i64) -> Record {
    Record {
        schema: SCHEMA,
        kind: Kind::Issued,
        time: at(hour),
        boot_id: "1b4e28ba-2fa1-41d2-883f-0016d3cca427".into(),
        seq,
        host: Host {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            instance_id: "i-0a".into(),
            ..Host::default()
        },
        role: "web".into(),
        access_key_id: format!("ASIAEXAMPLEKEYID{seq:04}"),
        issued: at(hour),
        expires: at(hour + 6),
        consumer: Consumer::at([127, 0, 0, 1].into()),
        imds_version: ImdsVersion::V2,
        proxy_version: "0".into(),
    }
}

fn fold(database: &Database, records: &[Record]) {
    let mut inventory = credpin_core::inventory::Inventory::default();
    for record in records {
        inventory.add(record);
    }
    let key = credpin_ledger::Key::of(&records[0], None).unwrap();
    database.fold(inventory, &[(&key, 0)]).unwrap();
}

fn opened(path: &Path) -> Database {
    Database::open(path, Some("file:///records"), false).unwrap()
}

/// A file with something in it, in a folder that goes with the first.
fn filled() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/tokens.redb");
    let database = opened(&path);
    for hour in 0..20_i64 {
        let seq = hour.unsigned_abs();
        fold(
            &database,
            &[record(2 * seq + 1, hour), record(2 * seq + 2, hour)],
        );
    }
    (folder, path)
}

#[test]
fn what_was_folded_is_there_when_it_is_opened_again() {
    let (_folder, path) = filled();
    let database = opened(&path);
    let contents = database.contents().unwrap();
    assert_eq!(contents.tokens.len(), 40);
    assert_eq!(contents.sequences.len(), 1);
    let known = credpin_ledger::Key::of(&record(1, 0), None).unwrap();
    let new = credpin_ledger::Key::of(&record(41, 20), None).unwrap();
    let unknown = database.unknown(vec![known, new.clone()]).unwrap();
    assert_eq!(unknown, [new]);
}

#[test]
fn only_its_user_can_read_it() {
    let (_folder, path) = filled();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(opened(&path));
    assert_eq!(mode(), 0o600);
    let folder = fs::metadata(path.parent().unwrap()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
}

#[test]
fn who_comes_second_is_told_so_and_a_rebuild_takes_nothing_from_the_first() {
    let (_folder, path) = filled();
    let first = opened(&path);
    for rebuild in [false, true] {
        let second = Database::open(&path, None, rebuild).unwrap_err();
        assert!(matches!(second, DatabaseError::InUse(_)), "{second}");
        assert!(second.to_string().contains("wait until it is done"));
    }
    assert_eq!(first.contents().unwrap().tokens.len(), 40);
}

#[test]
fn what_is_damaged_is_never_believed_and_can_be_made_anew() {
    let (_folder, path) = filled();
    let whole = fs::read(&path).unwrap();
    let before = opened(&path).contents().unwrap();
    let mut found = 0;
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        match Database::open(&path, None, false).and_then(|database| database.contents()) {
            // Where nothing is, nothing is damaged.
            Ok(contents) => assert_eq!(contents, before, "byte {at}"),
            Err(DatabaseError::Damaged { .. }) => found += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(found > 0);
    for length in [1, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Database::open(&path, None, false).unwrap_err();
        assert!(error.to_string().contains("--rebuild"), "{length}: {error}");
    }
    fs::write(&path, "{\"not\": \"a database\"}").unwrap();
    let error = Database::open(&path, None, false).unwrap_err();
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error}");

    let anew = Database::open(&path, None, true).unwrap();
    assert_eq!(anew.contents().unwrap(), Contents::default());
    assert_eq!(anew.facts().unwrap(), Facts::default());
}

#[test]
fn another_version_or_another_store_is_not_mixed_in() {
    let (_folder, path) = filled();
    let error = Database::open(&path, Some("s3://others"), false).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is of file:///records: name another --database, or --rebuild this one"),
        "{error}"
    );
    drop(Database::open(&path, Some("s3://others"), true).unwrap());

    let database = Database::open(&path, Some("s3://others"), false).unwrap();
    let newer = database.write(|transaction| {
        let mut facts = transaction.open_table(FACTS)?;
        facts.insert("format", "2")?;
        Ok(())
    });
    newer.unwrap();
    drop(database);
    let error = Database::open(&path, None, false).unwrap_err();
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error}");
}

#[test]
fn what_ended_long_ago_is_forgotten_and_what_is_live_is_not() {
    let (_folder, path) = filled();
    let database = opened(&path);
    let sighting = |hour| Sighting {
        issued: Some(at(hour)),
        last: Some(Use {
            time: at(hour + 1),
            from: None,
            endpoint: None,
            service: None,
            event: None,
        }),
        ..Sighting::default()
    };
    let seen = [("ASIAEXAMPLEKEYID0001", 0), ("ASIAEXAMPLEKEYID0040", 19)];
    let seen = seen.map(|(key, hour)| (key.to_owned(), sighting(hour)));
    database
        .sight(Sightings(seen.into()), "trail", Some(at(19)))
        .unwrap();
    database.settle(Some(at(30)), Some(true), at(16)).unwrap();

    let contents = database.contents().unwrap();
    let ends: BTreeMap<_, _> = contents
        .tokens
        .iter()
        .map(|(id, token)| (id.access_key_id.as_str(), token.ends()))
        .collect();
    assert!(ends.values().all(|ends| *ends >= at(16)));
    assert_eq!(ends.len(), 20, "{ends:?}");
    assert_eq!(contents.sightings.len(), 1);
    assert_eq!(contents.sequences.len(), 1, "the boot goes on");
    let facts = Facts {
        watermark: Some(at(30)),
        whole: true,
    };
    assert_eq!(database.facts().unwrap(), facts);
    assert_eq!(database.trail_watermark("trail").unwrap(), Some(at(19)));
    assert_eq!(database.trail_watermark("another").unwrap(), None);

    // A boot that is forgotten would seem to begin in the middle, were it to go on.
    database.settle(None, None, at(60)).unwrap();
    assert_eq!(database.contents().unwrap(), Contents::default());
    assert!(!database.facts().unwrap().whole);
}

#[test]
fn a_fold_that_fails_leaves_nothing_behind() {
    let (_folder, path) = filled();
    let database = opened(&path);
    let broken = database.write(|transaction| {
        transaction.open_table(TOKENS)?.insert(
            ("ASIAEXAMPLEKEYID0001", "111122223333", "i-0a", "web"),
            &b"no token"[..],
        )?;
        Ok(())
    });
    broken.unwrap();
    let mut inventory = credpin_core::inventory::Inventory::default();
    inventory.add(&record(99, 30));
    inventory.add(&record(1, 0));
    let key = credpin_ledger::Key::of(&record(99, 30), None).unwrap();
    let error = database.fold(inventory, &[(&key, 0)]).unwrap_err();
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error}");
    assert_eq!(database.unknown(vec![key.clone()]).unwrap(), [key]);
}
