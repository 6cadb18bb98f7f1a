//! How long a record takes to be durable, beside the least that it could take.
//!
//! ```text
//! durable DIR [RECORDS]
//! ```
//!
//! Appends `RECORDS` (1000 if not said) new credentials to a ledger in `DIR`, one after the other, and
//! after each of them a line of the same length to a plain file there: write and fdatasync, and nothing
//! else. They take turns, so whatever else the disk has to do falls on both. Then 64 clients ask at the
//! same time, which is what the group commit is for. Prints one line of JSON; times are microseconds.
//!
//! `DIR` decides what is measured: a disk, or with a tmpfs only the way to it.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use credpin_ledger::{
    Consumer, Directory, Host, ImdsVersion, Kind, Ledger, Receipt, Record, SCHEMA, Writer,
};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const RECORDS: usize = 1000;
const CLIENTS: usize = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = arguments
        .next()
        .ok_or("name a directory on the disk to measure")?;
    let records = match arguments.next() {
        Some(count) => count.to_string_lossy().parse()?,
        None => RECORDS,
    };
    let dir = tempfile::tempdir_in(dir)?;
    let line = serde_json::to_string(&record(0))?.len() + 1;
    let mut bare = Bare::create(&dir.path().join("bare"), line)?;
    let writer = writer(&dir.path().join("ledger"))?;
    writer.open().await?;

    let (mut ledger, mut plain) = (Vec::new(), Vec::new());
    for n in 0..records {
        ledger.push(micros(ask(&writer, n).await?));
        plain.push(micros(bare.append()?));
    }
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let writer = writer.clone();
        clients.spawn(async move {
            let mut times = Vec::new();
            for n in (records + client..2 * records).step_by(CLIENTS) {
                times.push(ask(&writer, n).await.map(micros));
            }
            times
        });
    }
    let together: Vec<f64> = clients
        .join_all()
        .await
        .into_iter()
        .flatten()
        .collect::<Result<_>>()?;
    let a_second = as_f64(together.len()) / start.elapsed().as_secs_f64();
    writer.close().await;

    let (ledger, plain, together) = (sorted(ledger), sorted(plain), sorted(together));
    println!(
        "{}",
        serde_json::json!({
            "records": records,
            "bytes": line,
            "ledger_p50_us": quantile(&ledger, 50),
            "ledger_p99_us": quantile(&ledger, 99),
            "bare_p50_us": quantile(&plain, 50),
            "bare_p99_us": quantile(&plain, 99),
            "p50_ratio": quantile(&ledger, 50) / quantile(&plain, 50),
            "p99_ratio": quantile(&ledger, 99) / quantile(&plain, 99),
            "clients": CLIENTS,
            "clients_p50_us": quantile(&together, 50),
            "clients_p99_us": quantile(&together, 99),
            "clients_records_per_second": a_second.round(),
        })
    );
    Ok(())
}

/// A file that is appended to as bare as can be.
struct Bare {
    file: File,
    line: Vec<u8>,
}

impl Bare {
    fn create(path: &Path, line: usize) -> std::io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        Ok(Self {
            file,
            line: vec![b'x'; line],
        })
    }

    fn append(&mut self) -> std::io::Result<Instant> {
        let start = Instant::now();
        self.file.write_all(&self.line)?;
        self.file.sync_data()?;
        Ok(start)
    }
}

fn writer(dir: &Path) -> std::io::Result<Writer> {
    let dir = dir.to_owned();
    let boot = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968";
    let open = move || {
        let boot = boot.parse().expect("a boot id as the kernel prints it");
        Ledger::open(Box::new(Directory::open(&dir)?), boot)
    };
    Writer::start(Timestamp::UNIX_EPOCH, open)
}

/// Asks for the record of a new credential; returns when that began.
async fn ask(writer: &Writer, n: usize) -> Result<Instant> {
    let start = Instant::now();
    match writer.record(record(n)).await? {
        Receipt::Written(_) => Ok(start),
        Receipt::Known | Receipt::Crowded => Err("each credential is new".into()),
    }
}

/// As long as those of a real host.
fn record(n: usize) -> Record {
    let time = Timestamp::UNIX_EPOCH;
    let mut consumer = Consumer::at([127, 0, 0, 1].into());
    consumer.uid = Some(1000);
    consumer.exe = Some("/usr/bin/python3.11".into());
    consumer.unit = Some("web.service".into());
    Record {
        schema: SCHEMA,
        kind: Kind::Issued,
        time,
        boot_id: String::new(),
        seq: 0,
        host: Host {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            zone: Some("eu-west-1a".into()),
            instance_id: "i-0123456789abcdef0".into(),
            vpc: Some("vpc-0123456789abcdef0".into()),
            subnet: Some("subnet-0123456789abcdef0".into()),
            mac: Some("02:00:00:00:00:01".into()),
            private_ipv4s: vec![[10, 0, 1, 10].into()],
            instance_profile: Some("arn:aws:iam::111122223333:instance-profile/web".into()),
            ..Host::default()
        },
        role: "web".into(),
        access_key_id: format!("ASIA{n:016}"),
        issued: time,
        expires: time + SignedDuration::from_hours(6),
        consumer,
        imds_version: ImdsVersion::V2,
        proxy_version: "0.1.0".into(),
    }
}

/// Since `start`.
fn micros(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1e7).round() / 10.0
}

fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

/// The least time that `percent` of all are not above.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
