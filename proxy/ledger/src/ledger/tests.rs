//! Faults in pairs: a step that failed may have taken effect, or not.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::memory::{Fault, Faulty, Memory};
use super::*;
use crate::line::tests::{line, record};
use crate::{Directory, disk, scan};

const BOOT: &str = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968";
const NEXT_BOOT: &str = "1c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968";

fn open(dir: &Path, boot: &str) -> (Ledger, Recovered) {
    let disk = Directory::open(dir).unwrap();
    Ledger::open(Box::new(disk), boot.parse().unwrap()).unwrap()
}

fn append(ledger: &mut Ledger, record: Record) -> Result<Record, AppendError> {
    Ok(ledger.append(&[record])?.remove(0))
}

fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = disk::list(dir)
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_appended_is_found_again_and_numbering_goes_on_within_a_boot() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, found) = open(dir.path(), BOOT);
    assert!(found.records.is_empty());
    let first = append(&mut ledger, record("ASIA1", "2026-05-04T09:00:00Z")).unwrap();
    assert_eq!((first.seq, first.boot_id.as_str()), (1, BOOT));
    drop(ledger);
    let (mut ledger, found) = open(dir.path(), BOOT);
    assert_eq!(found.records, [first]);
    assert_eq!(
        append(&mut ledger, record("ASIA2", "2026-05-04T09:01:00Z"))
            .unwrap()
            .seq,
        2
    );
    drop(ledger);
    let (mut ledger, found) = open(dir.path(), NEXT_BOOT);
    assert_eq!(seqs(&found.records), [1, 2]);
    assert_eq!(
        append(&mut ledger, record("ASIA3", "2026-05-04T09:02:00Z"))
            .unwrap()
            .seq,
        1
    );
    assert_eq!(scan(dir.path()).unwrap().len(), 3);
}

#[test]
fn a_segment_holds_one_hour_of_one_host() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = open(dir.path(), BOOT);
    for time in ["09:00", "09:59", "10:00", "09:30"] {
        let record = record("ASIA1", &format!("2026-05-04T{time}:00Z"));
        append(&mut ledger, record).unwrap();
    }
    let mut moved = record("ASIA1", "2026-05-04T09:31:00Z");
    moved.host.instance_id = "i-0def".into();
    append(&mut ledger, moved).unwrap();
    let name = |seq, state| format!("{BOOT}-{seq:020}.{state}");
    let sealed = [1, 3, 4].map(|seq| name(seq, "jsonl"));
    assert_eq!(files(dir.path())[..3], sealed);
    assert_eq!(files(dir.path())[3..], [name(5, "open")]);
    ledger.seal().unwrap();
    let segments = ledger.sealed().unwrap();
    ledger.shipped(&segments[0]).unwrap();
    assert_eq!(ledger.sealed().unwrap(), segments[1..]);
}

#[test]
fn a_torn_line_is_cut_off_at_every_byte() {
    let made = tempfile::tempdir().unwrap();
    let (mut ledger, _) = open(made.path(), BOOT);
    for key in ["ASIA1", "ASIA2", "ASIA3"] {
        append(&mut ledger, record(key, "2026-05-04T09:00:00Z")).unwrap();
    }
    let name = files(made.path()).remove(0);
    let bytes = fs::read(made.path().join(&name)).unwrap();
    for torn in 0..=bytes.len() {
        // What a crash leaves in the last block may be nothing, zeros, or an earlier file's bytes.
        for junk in [&b""[..], b"\0\0\0\0", b"{\"schema\":1}\n"] {
            let memory = Memory::with(&name, &[&bytes[..torn], junk].concat());
            let disk = Box::new(memory.clone());
            let (mut ledger, found) = Ledger::open(disk, BOOT.parse().unwrap()).unwrap();
            let whole = bytes[..torn].split(|b| *b == b'\n').skip(1).count() as u64;
            assert_eq!(
                seqs(&found.records),
                (1..=whole).collect::<Vec<_>>(),
                "{torn}"
            );
            let next = append(&mut ledger, record("ASIA4", "2026-05-04T09:00:00Z")).unwrap();
            assert_eq!(next.seq, whole + 1);
            let kept: u64 = memory.list().unwrap().iter().map(|e| e.len).sum();
            let added = junk.len() + line(&next).len();
            assert_eq!(kept, (torn + added) as u64 - found.cut);
        }
    }
}

#[test]
fn a_second_process_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path(), BOOT);
    let error = Directory::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(error.to_string().contains("in use by another process"));
}

#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/ledger");
    let (mut ledger, _) = open(&dir, BOOT);
    append(&mut ledger, record("ASIA1", "2026-05-04T09:00:00Z")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(&files(&dir)[0])), 0o600);
}

#[test]
fn a_ledger_that_is_no_directory_says_what_and_where() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("file");
    fs::write(&path, "").unwrap();
    let error = Directory::open(&path).unwrap_err().to_string();
    assert!(
        error.contains("make the ledger's directory") && error.contains("file"),
        "{error}"
    );
}

const TIMES: [&str; 5] = ["09:00", "09:01", "10:00", "10:01", "11:00"];

/// What becomes of the process after a step that failed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// It goes on, and tries again.
    GoesOn,
    /// It is killed; the machine runs on.
    Dies,
    /// The machine loses power, and with it all that was not synced.
    LosesPower,
}

/// Appends five records over three hours, so many at a time as `group` says, with one fault at step
/// `at`. Returns whether it was met.
fn survives(group: usize, at: usize, fault: Fault, then: Then) -> bool {
    let memory = Memory::default();
    let due = Arc::new(Mutex::new((at, fault)));
    let start = || {
        let (inner, due) = (memory.clone(), Arc::clone(&due));
        Ledger::open(Box::new(Faulty { inner, due }), BOOT.parse().unwrap())
    };
    let mut failures = 0;
    let mut again = |ledger: Option<Ledger>| {
        failures += 1;
        match ledger {
            Some(ledger) if then == Then::GoesOn => ledger,
            ledger => {
                drop(ledger);
                if then == Then::LosesPower {
                    memory.lose_power();
                }
                start().unwrap().0
            }
        }
    };
    let mut ledger = start().map_or_else(|_| again(None), |(ledger, _)| ledger);
    let mut acknowledged = Vec::new();
    let new = |time: &&str| record(&format!("ASIA{time}"), &format!("2026-05-04T{time}:00Z"));
    for times in TIMES.chunks(group) {
        let records: Vec<_> = times.iter().map(new).collect();
        let mut rest = &records[..];
        while !rest.is_empty() {
            let mut appended = ledger.append(rest);
            if appended.is_err() {
                ledger = again(Some(ledger));
                appended = ledger.append(rest);
            }
            let appended = appended.unwrap();
            rest = &rest[appended.len()..];
            acknowledged.extend(appended);
        }
    }
    if ledger.seal().is_err() {
        ledger = again(Some(ledger));
        ledger.seal().unwrap();
    }
    drop(ledger);
    // Whatever was acknowledged is safe from now on.
    memory.lose_power();

    let case = format!("{group} at a time, step {at} {fault:?}, then {then:?}");
    let (ledger, found) = Ledger::open(Box::new(memory), BOOT.parse().unwrap()).unwrap();
    assert_eq!((found.sealed, found.cut), (0, 0), "{case}");
    for segment in ledger.sealed().unwrap() {
        let bytes = ledger.read(&segment).unwrap();
        assert!(
            line::decode_all(&bytes).all(|(_, record)| record.is_ok()),
            "{case}"
        );
    }
    let mut numbers = seqs(&found.records);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(
        numbers.len(),
        found.records.len(),
        "{case}: a number was given twice"
    );
    for record in &acknowledged {
        assert!(
            found.records.contains(record),
            "{case}: an acknowledged record is lost"
        );
    }
    // What was not acknowledged is there only where a death came between the disk and us.
    let extra = found.records.len() - acknowledged.len();
    assert!(
        extra == 0 || (then != Then::GoesOn && extra <= group),
        "{case}: {extra} more"
    );
    failures > 0
}

#[test]
fn one_failed_step_loses_nothing_and_leaves_nothing_torn() {
    for fault in [Fault::NotDone, Fault::Done, Fault::Torn] {
        for then in [Then::GoesOn, Then::Dies, Then::LosesPower] {
            // The five are one write each, or one an hour where they come together.
            for (group, writes) in [(1, 5), (2, 3), (5, 3)] {
                let met = (0..100).take_while(|at| survives(group, *at, fault, then));
                // A write and its sync; 3 files made and synced and sealed and synced; 1 at the start.
                assert_eq!(met.count(), writes * 2 + 3 * 4 + 1);
            }
        }
    }
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power_at_any_time() {
    for appended in 1..=TIMES.len() {
        let memory = Memory::default();
        let disk = Box::new(memory.clone());
        let (mut ledger, _) = Ledger::open(disk, BOOT.parse().unwrap()).unwrap();
        for time in &TIMES[..appended] {
            append(
                &mut ledger,
                record("ASIA1", &format!("2026-05-04T{time}:00Z")),
            )
            .unwrap();
        }
        memory.lose_power();
        let (_, found) = Ledger::open(Box::new(memory), BOOT.parse().unwrap()).unwrap();
        assert_eq!(found.records.len(), appended);
    }
}

#[test]
fn a_disk_that_stays_full_refuses_and_says_why() {
    let memory = Memory::default();
    let due = Arc::new(Mutex::new((usize::MAX, Fault::Torn)));
    let disk = Box::new(Faulty {
        inner: memory.clone(),
        due: Arc::clone(&due),
    });
    let (mut ledger, _) = Ledger::open(disk, BOOT.parse().unwrap()).unwrap();
    append(&mut ledger, record("ASIA1", "2026-05-04T09:00:00Z")).unwrap();
    for _ in 0..3 {
        *due.lock().unwrap() = (0, Fault::NotDone);
        let error = append(&mut ledger, record("ASIA2", "2026-05-04T09:00:00Z")).unwrap_err();
        let AppendError::Io { source, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    }
    let second = append(&mut ledger, record("ASIA2", "2026-05-04T09:00:00Z")).unwrap();
    assert_eq!(second.seq, 2);
    drop(ledger);
    let (_, found) = Ledger::open(Box::new(memory), BOOT.parse().unwrap()).unwrap();
    assert_eq!(seqs(&found.records), [1, 2]);
}

#[test]
fn the_oldest_go_first_and_what_is_in_the_store_before_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = open(dir.path(), BOOT);
    for minute in 0..3 {
        let record = record("ASIA1", &format!("2026-05-04T09:0{minute}:00Z"));
        append(&mut ledger, record).unwrap();
        ledger.seal().unwrap();
    }
    let segments = ledger.sealed().unwrap();
    ledger.shipped(&segments[1]).unwrap();
    assert!(ledger.prune().unwrap().is_empty());
    // A sparse file takes no room, and counts as what its length says.
    let grow = |name: String, bytes| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(dir.path().join(name));
        file.unwrap().set_len(bytes).unwrap();
    };
    let line = disk::list(dir.path()).unwrap()[0].len;
    grow(segments[2].to_string(), RETAIN_BYTES - line - 1);
    assert!(
        ledger.prune().unwrap().is_empty(),
        "the shipped one went first"
    );
    assert_eq!(files(dir.path()).len(), 2);
    grow(segments[2].to_string(), RETAIN_BYTES);
    assert_eq!(ledger.prune().unwrap(), [segments[0].clone()]);
    assert_eq!(
        ledger.sealed().unwrap(),
        [segments[2].clone()],
        "the newest stays"
    );
}

/// A process that dies between a write and its sync leaves a line in the page cache. The next one
/// finds it, counts it as on record and lets the credential go: then it must be on disk.
#[test]
fn what_a_start_finds_survives_a_loss_of_power() {
    let memory = Memory::default();
    let start = || Ledger::open(Box::new(memory.clone()), BOOT.parse().unwrap()).unwrap();
    let mut lines = line(&record("ASIA1", "2026-05-04T09:00:00Z"));
    for torn in ["", "{\"sch"] {
        lines.extend(torn.bytes());
        let mut tail = memory.create(&format!("{BOOT}-{:020}.open", 1)).unwrap();
        tail.write(&lines).unwrap();
        memory.sync().unwrap();
        assert_eq!(start().1.records.len(), 1);
        memory.lose_power();
        assert_eq!(start().1.records.len(), 1, "torn: {torn:?}");
        memory.remove(&format!("{BOOT}-{:020}.jsonl", 1)).unwrap();
    }
}

#[test]
fn numbering_goes_on_after_lines_of_a_newer_build_and_no_segment_is_replaced() {
    for state in ["open", "jsonl", "shipped"] {
        let lines = b"{\"schema\":2}\n{\"schema\":2}\n".to_vec();
        let memory = Memory::with(&format!("{BOOT}-{:020}.{state}", 3), &lines);
        let disk = Box::new(memory.clone());
        let (mut ledger, found) = Ledger::open(disk, BOOT.parse().unwrap()).unwrap();
        assert!(found.records.is_empty());
        let record = record("ASIA1", "2026-05-04T09:00:00Z");
        assert_eq!(append(&mut ledger, record).unwrap().seq, 5);
        ledger.seal().unwrap();
        let names: Vec<_> = memory.list().unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names.len(), 2);
        assert_eq!(memory.read(&names[0]).unwrap(), lines);
    }
}

/// A sync that failed has given up what it should have written, and so a later one that succeeds says
/// nothing about it: neither one of the run before, nor the one of a start that failed.
#[test]
fn what_a_start_finds_is_on_disk_however_many_syncs_were_refused_before() {
    let steps = ["the bytes", "their sync", "the rename", "its sync"];
    for (at, step) in steps.iter().enumerate() {
        for fault in [Fault::NotDone, Fault::Done] {
            let memory = Memory::default();
            let start = |at| {
                let (inner, due) = (memory.clone(), Arc::new(Mutex::new((at, fault))));
                Ledger::open(Box::new(Faulty { inner, due }), BOOT.parse().unwrap())
            };
            let (mut ledger, _) = start(usize::MAX).unwrap();
            append(&mut ledger, record("ASIA1", "2026-05-04T09:00:00Z")).unwrap();
            drop(ledger);
            let inner = memory.clone();
            let due = Arc::new(Mutex::new((1, Fault::NotDone)));
            let name = format!("{BOOT}-{:020}.open", 1);
            let mut tail = Faulty { inner, due }.tail(&name);
            tail.write(&line(&record("ASIA2", "2026-05-04T09:00:00Z")))
                .unwrap();
            tail.sync().unwrap_err();
            drop(tail);

            start(at).unwrap_err();
            let keys = |found: Recovered| -> Vec<_> {
                let records = found.records.into_iter();
                records.map(|record| record.access_key_id).collect()
            };
            let found = keys(start(usize::MAX).unwrap().1);
            assert_eq!(found, ["ASIA1", "ASIA2"]);
            memory.lose_power();
            let left = keys(start(usize::MAX).unwrap().1);
            assert_eq!(left, found, "{step} {fault:?}");
        }
    }
}

#[test]
fn a_group_is_one_write_and_a_segment_ends_where_it_is_full() {
    let memory = Memory::default();
    let disk = Box::new(memory.clone());
    let (mut ledger, _) = Ledger::open(disk, BOOT.parse().unwrap()).unwrap();
    let one = record("ASIA1", "2026-05-04T09:00:00Z");
    let records = vec![one.clone(); 10_000];
    let mut rest = &records[..];
    let mut groups = 0;
    while !rest.is_empty() {
        rest = &rest[ledger.append(rest).unwrap().len()..];
        groups += 1;
    }
    assert_eq!(memory.syncs(), groups);
    let len = line(&one).len();
    let segments = memory.list().unwrap();
    assert_eq!(segments.len(), groups);
    assert!(groups > 2);
    for entry in &segments[..groups - 1] {
        let over = entry.len.checked_sub(SEGMENT_BYTES).unwrap();
        assert!(over < 2 * len as u64, "{entry:?}");
    }
    assert_eq!(ledger.append(&[]).unwrap(), []);
}

#[test]
fn a_start_reads_what_is_recent_and_numbering_goes_on_from_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = open(dir.path(), BOOT);
    for hour in ["01", "02", "03"] {
        append(
            &mut ledger,
            record("ASIAOLD", &format!("2026-05-04T{hour}:00:00Z")),
        )
        .unwrap();
    }
    drop(ledger);
    open(dir.path(), BOOT);
    let day = Duration::from_hours(24);
    let age = |name: &str, age: Duration| {
        let file = fs::OpenOptions::new()
            .append(true)
            .open(dir.path().join(name));
        let file = file.unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified.checked_sub(age).unwrap())
            .unwrap();
    };
    for name in files(dir.path()) {
        age(&name, day * 2);
    }
    let (mut ledger, _) = open(dir.path(), NEXT_BOOT);
    append(&mut ledger, record("ASIANEW", "2026-05-06T03:00:00Z")).unwrap();
    drop(ledger);

    let (_, found) = open(dir.path(), NEXT_BOOT);
    let keys: Vec<_> = found.records.iter().map(|it| &*it.access_key_id).collect();
    assert_eq!(keys, ["ASIANEW"]);
    let (mut ledger, _) = open(dir.path(), BOOT);
    let next = append(&mut ledger, record("ASIAOLD", "2026-05-06T04:00:00Z")).unwrap();
    assert_eq!(next.seq, 4, "the clock was wrong for a while, and yet");
    assert_eq!(
        scan(dir.path()).unwrap().len(),
        5,
        "the history is all there"
    );
}

#[test]
fn a_probe_tells_whether_a_record_could_be_written_and_leaves_nothing() {
    let mut steps = 0;
    for at in 0.. {
        let mut failed = false;
        for fault in [Fault::NotDone, Fault::Done, Fault::Torn] {
            let inner = Memory::default();
            let due = Arc::new(Mutex::new((usize::MAX, fault)));
            let disk = Faulty { inner, due };
            let boot = BOOT.parse().unwrap();
            let (mut ledger, _) = Ledger::open(Box::new(disk.clone()), boot).unwrap();
            append(&mut ledger, record("ASIA1", "2026-05-04T09:00:00Z")).unwrap();
            // A write that fails leaves something to take back, which is a part of the probe.
            disk.due.lock().unwrap().0 = 0;
            append(&mut ledger, record("ASIA2", "2026-05-04T09:00:00Z")).unwrap_err();
            disk.due.lock().unwrap().0 = at;
            failed |= ledger.probe().is_err();
            disk.due.lock().unwrap().0 = usize::MAX;
            ledger.probe().unwrap();
            let names = disk.list().unwrap().into_iter().map(|entry| entry.name);
            assert_eq!(
                names.collect::<Vec<_>>(),
                [format!("{BOOT}-{:020}.open", 1)]
            );
            let next = append(&mut ledger, record("ASIA3", "2026-05-04T09:00:00Z")).unwrap();
            assert_eq!(next.seq, 2);
        }
        if !failed {
            break;
        }
        steps += 1;
    }
    // Cut, sync, create, write, sync, the directory, and the two removals of the same name.
    assert_eq!(steps, 8);
}
