//! Many who wait for the disk at the same time.

use std::collections::HashSet;
use std::sync::Condvar;

use tokio::task::{JoinSet, yield_now};

use super::*;
use crate::Kind;
use crate::disk::{Disk, Entry, Tail};
use crate::ledger::memory::{Fault, Faulty, Memory};
use crate::line::tests::record;

const BOOT: &str = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968";
const TIME: &str = "2026-05-04T09:00:00Z";

/// A disk whose syncs wait until the test lets them go.
#[derive(Clone)]
struct Held {
    disk: Faulty,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    /// A sync waits.
    reached: bool,
}

struct HeldTail(Box<dyn Tail>, Arc<Gate>);

impl Held {
    fn new(due: (usize, Fault)) -> Self {
        let (inner, due) = (Memory::default(), Arc::new(Mutex::new(due)));
        Self {
            disk: Faulty { inner, due },
            gate: Arc::default(),
        }
    }

    fn works() -> Self {
        Self::new((usize::MAX, Fault::NotDone))
    }

    fn let_go(&self) {
        self.gate.state.lock().unwrap().open = true;
        self.gate.changed.notify_all();
    }

    fn is_reached(&self) -> bool {
        self.gate.state.lock().unwrap().reached
    }

    fn writer(&self) -> Writer {
        let disk = self.clone();
        let open = move || Ledger::open(Box::new(disk.clone()), BOOT.parse().unwrap());
        Writer::start(TIME.parse().unwrap(), open).unwrap()
    }

    /// What a start finds after a loss of power.
    fn survivors(&self) -> Vec<Record> {
        self.disk.inner.lose_power();
        let disk = Box::new(self.disk.inner.clone());
        Ledger::open(disk, BOOT.parse().unwrap()).unwrap().1.records
    }
}

impl Disk for Held {
    fn list(&self) -> io::Result<Vec<Entry>> {
        self.disk.list()
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.disk.read(name)
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn Tail>> {
        let tail = self.disk.create(name)?;
        Ok(Box::new(HeldTail(tail, Arc::clone(&self.gate))))
    }
    fn renew(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.disk.renew(name, bytes)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
}

impl Tail for HeldTail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        let Gate { state, changed } = &*self.1;
        let mut state = state.lock().unwrap();
        state.reached = true;
        drop(changed.wait_while(state, |state| !state.open).unwrap());
        self.0.sync()
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.cut(len)
    }
}

type Asked = JoinSet<(usize, Result<Receipt, WriteError>)>;

/// Asks for a record, and for `records` while that first one is at the disk; then lets the disk go on.
/// Returns the answers, the first one first.
async fn ask(disk: &Held, writer: &Writer, records: &[Record]) -> Vec<Result<Receipt, WriteError>> {
    let mut asked = Asked::new();
    let ask = |asked: &mut Asked, at, record: Record| {
        let writer = writer.clone();
        asked.spawn(async move { (at, writer.record(record).await) });
    };
    ask(&mut asked, 0, record("ASIAFIRST", TIME));
    while !disk.is_reached() {
        yield_now().await;
    }
    for (at, record) in records.iter().enumerate() {
        ask(&mut asked, at + 1, record.clone());
        while writer.commands.capacity() > QUEUE - (at + 1) {
            yield_now().await;
        }
    }
    assert!(
        asked.try_join_next().is_none(),
        "answered before it is durable"
    );
    disk.let_go();
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// `count` records of one credential, each of another consumer.
fn consumers(key: &str, count: u32) -> Vec<Record> {
    let with = |n: u32| {
        let mut record = record(key, TIME);
        record.consumer.peer = std::net::Ipv4Addr::from(n).into();
        record
    };
    (1..=count).map(with).collect()
}

#[tokio::test]
async fn who_waits_at_the_same_time_waits_for_one_sync() {
    let disk = Held::works();
    let writer = disk.writer();
    let mut records = consumers("ASIA1", 200);
    records.extend(consumers("ASIA2", 200));
    let answers = ask(&disk, &writer, &records).await;
    let written = |answer: Result<Receipt, WriteError>| match answer {
        Ok(Receipt::Written(record)) => *record,
        other => panic!("{other:?}"),
    };
    let written: Vec<_> = answers.into_iter().map(written).collect();
    assert_eq!(disk.disk.inner.syncs(), 2);
    let seqs: Vec<_> = written.iter().map(|record| record.seq).collect();
    assert_eq!(
        seqs,
        (1..=401).collect::<Vec<_>>(),
        "in the order of arrival"
    );
    let issued = written.iter().filter(|record| record.kind == Kind::Issued);
    let issued: Vec<_> = issued.map(|record| record.seq).collect();
    assert_eq!(issued, [1, 2, 202], "the first of each credential");
    assert_eq!(disk.survivors(), written);
}

#[tokio::test]
async fn of_many_who_ask_for_the_same_one_is_written_and_all_wait_for_it() {
    let disk = Held::works();
    let writer = disk.writer();
    let same = vec![record("ASIA1", TIME); 500];
    let answers = ask(&disk, &writer, &same).await;
    let known = answers.iter().filter(|a| matches!(a, Ok(Receipt::Known)));
    assert_eq!((known.count(), answers.len()), (499, 501));
    assert_eq!(disk.survivors().len(), 2);
}

/// Whoever is known by a record of the same group waits for it to be durable.
#[tokio::test]
async fn one_who_is_known_by_another_of_the_group_waits_for_that_record() {
    let disk = Held::works();
    let writer = disk.writer();
    let mut records = vec![record("ASIA1", TIME); 2];
    records[0].consumer.exe = Some("/usr/bin/app".to_owned());
    records[1].consumer.cgroup = Some("/app.slice".to_owned());
    let answers = ask(&disk, &writer, &records).await;
    assert!(matches!(answers[2], Ok(Receipt::Known)));
    assert_eq!(disk.survivors().len(), 2);
}

#[tokio::test]
async fn a_group_leaves_out_the_consumers_of_a_credential_that_has_too_many() {
    let disk = Held::works();
    let writer = disk.writer();
    let answers = ask(&disk, &writer, &consumers("ASIA1", 300)).await;
    let crowded = answers.iter().filter(|a| matches!(a, Ok(Receipt::Crowded)));
    assert_eq!(crowded.count(), 300 - 256);
    assert_eq!(disk.survivors().len(), 257);
}

/// Faults in pairs: the write of a group that failed may be on disk all the same, or not.
#[tokio::test]
async fn a_group_that_fails_is_refused_as_a_whole_and_can_be_asked_for_again() {
    // At the start a sync of the directory; the first record a file, a write and two syncs. Then the
    // group: a write and a sync.
    for (due, what) in [(5, "write"), (6, "sync")] {
        for fault in [Fault::NotDone, Fault::Done, Fault::Torn] {
            let disk = Held::new((due, fault));
            let writer = disk.writer();
            let mut records = consumers("ASIA1", 3);
            records.extend(consumers("ASIA1", 3));
            let answers = ask(&disk, &writer, &records).await;
            assert!(answers[0].is_ok());
            for answer in &answers[1..] {
                let Err(WriteError::Append(error)) = answer else {
                    panic!("{what} {fault:?}: {answer:?}");
                };
                assert!(
                    error.to_string().starts_with(&format!("cannot {what} ")),
                    "{error}"
                );
            }
            let consumer = &records[0].consumer;
            assert_eq!(writer.standing("ASIA1", consumer), Standing::New);

            for record in &records[..3] {
                let receipt = writer.record(record.clone()).await.unwrap();
                assert!(matches!(receipt, Receipt::Written(_)), "{receipt:?}");
            }
            let survivors = disk.survivors();
            let consumers: HashSet<_> = survivors.iter().map(|it| &it.consumer).collect();
            let seqs: Vec<_> = survivors.iter().map(|it| it.seq).collect();
            assert_eq!((consumers.len(), &seqs[..]), (4, &[1, 2, 3, 4][..]));
        }
    }
}

#[tokio::test]
async fn a_ledger_that_does_not_open_is_told_to_everybody() {
    let open = || {
        Err(OpenError::Recover {
            source: io::ErrorKind::StorageFull.into(),
        })
    };
    let writer = Writer::start(TIME.parse().unwrap(), open).unwrap();
    for record in consumers("ASIA1", 3) {
        let error = writer.record(record).await.unwrap_err();
        assert!(matches!(error, WriteError::Open(_)), "{error}");
    }
}
