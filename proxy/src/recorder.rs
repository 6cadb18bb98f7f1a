//! Record before release: invariant 1.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use credpin_ledger::{
    Consumer, ImdsVersion, Kind, Receipt, Record, SCHEMA, Standing, WriteError, Writer,
};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use crate::backlog::{Backlog, Waiting};
use crate::config::OnLedgerFailure;
use crate::credential::Credential;
use crate::describe::Describer;
use crate::metrics::Metrics;
use crate::throttle::Throttle;
use crate::who::Who;

/// Proof that a credential is on record for a consumer: durable, or, where the operator prefers
/// serving to refusing, held in memory. [`Recorder::record`] makes it and nothing else does.
#[derive(Debug)]
pub(crate) struct Recorded {
    access_key_id: String,
}

/// Puts credentials on record.
pub(crate) struct Recorder {
    writer: Writer,
    describer: Describer,
    metrics: Metrics,
    on_failure: OnLedgerFailure,
    /// How long a write may take before it counts as failed.
    timeout: Duration,
    held: Mutex<VecDeque<Held>>,
    backlog: Backlog,
    /// Told when a write failed, and when a record is held.
    trouble: Notify,
    lines: Throttle,
    /// The last write came to nothing.
    failing: AtomicBool,
}

/// A record that memory has until the disk does.
struct Held {
    record: Record,
    waiting: Waiting,
}

/// Who asked for what.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) role: &'a str,
    pub(crate) consumer: &'a Consumer,
    pub(crate) imds_version: ImdsVersion,
    pub(crate) now: Timestamp,
}

/// A credential is not on record, so it must not go out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRecorded {
    #[error("the ledger failed, and on-ledger-failure is \"refuse\"")]
    Refused(#[source] LedgerFailure),
    #[error("the ledger failed, and {HELD} records are held in memory already")]
    Full(#[source] LedgerFailure),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerFailure {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the disk did not finish the write within {0:?}")]
    Slow(Duration),
}

/// Records that memory holds while the disk cannot: some 10 MiB of them.
const HELD: usize = 10_000;
/// Of these, those of credentials that are on record or held already. The rest is kept for the first
/// delivery of others, which is refused when there is no room.
const HELD_CONSUMERS: usize = HELD / 2;
const CROWDED: &str = "the credential has too many, or too many of this user";
const RETRY: Duration = Duration::from_secs(1);

impl Recorder {
    pub(crate) fn new(
        writer: Writer,
        describer: Describer,
        metrics: Metrics,
        on_failure: OnLedgerFailure,
        timeout: Duration,
    ) -> Self {
        Self {
            writer,
            describer,
            metrics,
            on_failure,
            timeout,
            held: Mutex::default(),
            backlog: Backlog::default(),
            trouble: Notify::new(),
            lines: Throttle::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// Returns once `credential` is on record for who asked. Of many that ask at once for a new
    /// credential one is written, and all wait for it.
    pub(crate) async fn record(
        &self,
        credential: &Credential,
        asked: Asked<'_>,
    ) -> Result<Recorded, NotRecorded> {
        let access_key_id = credential.access_key_id();
        let recorded = Recorded {
            access_key_id: access_key_id.to_owned(),
        };
        match self.writer.standing(access_key_id, asked.consumer) {
            Standing::Known => return Ok(recorded),
            Standing::Crowded => {
                self.left_out(access_key_id, asked.consumer, CROWDED);
                return Ok(recorded);
            }
            Standing::New | Standing::NewConsumer => {}
        }
        if self.holds(access_key_id, asked.consumer) {
            return Ok(recorded);
        }
        // Seldom needed, and large: in a box it takes no room in what answers every request.
        Box::pin(self.record_anew(credential, asked)).await?;
        Ok(recorded)
    }

    async fn record_anew(
        &self,
        credential: &Credential,
        asked: Asked<'_>,
    ) -> Result<(), NotRecorded> {
        let waiting = self.backlog.enter(Instant::now());
        let record = self.describe(credential, asked).await;
        if let Err(failure) = self.write(record.clone()).await {
            self.metrics.ledger_failures.inc();
            return self.hold(Held { record, waiting }, failure);
        }
        self.metrics.recorded_after(waiting.time(Instant::now()));
        Ok(())
    }

    /// Writes what is held as soon as the disk can; where nothing is, finds out whether it can. Runs
    /// until it is dropped.
    pub(crate) async fn retry(&self) {
        loop {
            self.trouble.notified().await;
            while !(self.flush().await && self.is_mended().await) {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Whether the ledger works, tried without a record where the last one failed.
    async fn is_mended(&self) -> bool {
        if !self.fails() {
            return true;
        }
        let probed = timeout(self.timeout, self.writer.probe()).await;
        let mended = matches!(probed, Ok(Ok(())));
        if mended {
            self.failing.store(false, Ordering::Relaxed);
            info!("the ledger works again: what is asked for next can be put on record");
        }
        mended
    }

    /// Tries to write all that is held; returns whether nothing is left.
    pub(crate) async fn flush(&self) -> bool {
        while let Some(record) = self.next_held() {
            if let Err(failure) = self.write(record).await {
                self.metrics.ledger_failures.inc();
                error!(
                    error = &failure as &dyn std::error::Error,
                    "the ledger still fails"
                );
                return false;
            }
            let mut held = self.lock();
            if let Some(Held { waiting, .. }) = held.pop_front() {
                self.metrics.recorded_after(waiting.time(Instant::now()));
            }
            self.metrics.set_held(held.len());
            if held.is_empty() {
                info!("the ledger works again: every record that was held is written");
            }
        }
        true
    }

    /// Puts into the metrics how far behind the ledger is.
    pub(crate) fn tell(&self) {
        let (records, longest) = self.backlog.look(Instant::now());
        self.metrics.set_backlog(records, longest);
    }

    /// How many records only memory has.
    pub(crate) fn held(&self) -> usize {
        self.lock().len()
    }

    /// Whether the last write failed, so that the next one most likely does.
    pub(crate) fn fails(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    async fn describe(&self, credential: &Credential, asked: Asked<'_>) -> Record {
        Record {
            schema: SCHEMA,
            // These three are the ledger's to give.
            kind: Kind::Issued,
            boot_id: String::new(),
            seq: 0,
            time: asked.now,
            host: self.describer.host(asked.now).await,
            role: asked.role.to_owned(),
            access_key_id: credential.access_key_id().to_owned(),
            issued: credential.issued(),
            expires: credential.expires(),
            consumer: asked.consumer.clone(),
            imds_version: asked.imds_version,
            proxy_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Counts a consumer that is not put on record, and says so.
    fn left_out(&self, access_key_id: &str, consumer: &Consumer, why: &str) {
        self.metrics.consumers_left_out.inc();
        if let Some(lines_left_out) = self.lines.pass(Instant::now()) {
            warn!(
                access_key_id,
                consumer = %Who(consumer),
                lines_left_out,
                "consumer not on record: {why}"
            );
        }
    }

    async fn write(&self, record: Record) -> Result<(), LedgerFailure> {
        let written = self.try_to_write(record).await;
        self.failing.store(written.is_err(), Ordering::Relaxed);
        if written.is_err() {
            self.trouble.notify_one();
        }
        written
    }

    async fn try_to_write(&self, record: Record) -> Result<(), LedgerFailure> {
        let (access_key_id, consumer) = (record.access_key_id.clone(), record.consumer.clone());
        let receipt = timeout(self.timeout, self.writer.record(record)).await;
        let receipt = receipt.map_err(|_| LedgerFailure::Slow(self.timeout))??;
        match receipt {
            Receipt::Written(record) => {
                self.metrics.issued(record.kind);
                info!(
                    access_key_id = record.access_key_id,
                    role = record.role,
                    consumer = %Who(&record.consumer),
                    "credential issued"
                );
            }
            Receipt::Known => {}
            Receipt::Crowded => self.left_out(&access_key_id, &consumer, CROWDED),
        }
        Ok(())
    }

    fn hold(&self, new: Held, failure: LedgerFailure) -> Result<(), NotRecorded> {
        if self.on_failure == OnLedgerFailure::Refuse {
            return Err(NotRecorded::Refused(failure));
        }
        let record = &new.record;
        let mut held = self.lock();
        if held
            .iter()
            .any(|other| other.is_of(&record.access_key_id, &record.consumer))
        {
            return Ok(());
        }
        let standing = self
            .writer
            .standing(&record.access_key_id, &record.consumer);
        let other = |other: &Held| other.record.access_key_id == record.access_key_id;
        let further = standing != Standing::New || held.iter().any(other);
        if further && held.len() >= HELD_CONSUMERS {
            let why = "the ledger fails, and memory holds as many";
            self.left_out(&record.access_key_id, &record.consumer, why);
            return Ok(());
        }
        if held.len() >= HELD {
            return Err(NotRecorded::Full(failure));
        }
        error!(
            error = &failure as &dyn std::error::Error,
            "the ledger failed: serving all the same, the record is held in memory"
        );
        warn!(
            access_key_id = record.access_key_id,
            role = record.role,
            consumer = %Who(&record.consumer),
            "credential issued, not yet recorded"
        );
        held.push_back(new);
        self.metrics.set_held(held.len());
        // Again: the disk may have been found mended since the write failed.
        self.trouble.notify_one();
        Ok(())
    }

    fn holds(&self, access_key_id: &str, consumer: &Consumer) -> bool {
        let held = self.lock();
        held.iter().any(|held| held.is_of(access_key_id, consumer))
    }

    fn next_held(&self) -> Option<Record> {
        self.lock().front().map(|held| held.record.clone())
    }

    /// No panic can leave the queue half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_of(&self, access_key_id: &str, consumer: &Consumer) -> bool {
        let Self { record, .. } = self;
        record.access_key_id == access_key_id && consumer.is_said_by(&record.consumer)
    }
}

impl Recorded {
    pub(crate) fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    #[cfg(test)]
    pub(crate) fn for_test(access_key_id: &str) -> Self {
        let access_key_id = access_key_id.to_owned();
        Self { access_key_id }
    }
}
