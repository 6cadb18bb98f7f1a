//! The ledger on a thread of its own: disks block, the runtime must not.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use crate::group::Group;
use crate::{
    AppendError, Consumer, Index, Ledger, OpenError, Record, Recovered, SegmentName, Standing,
};

/// A handle to the thread that owns the ledger. Clones share it; it ends after [`Writer::close`] or
/// when the last handle is gone.
///
/// One thread writes, in the order of arrival. Records that came while it was at the disk go there
/// together next: however many clients wait, they wait for two syncs at most. Of many requests for one
/// new credential the first is written, and the others are answered when that one is durable.
#[derive(Clone, Debug)]
pub struct Writer {
    commands: mpsc::Sender<Command>,
    index: Arc<Mutex<Index>>,
}

/// The credential is in the ledger, durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It was written now, as this.
    Written(Box<Record>),
    /// The same credential for the same consumer was on record before.
    Known,
    /// The credential was on record before, for so many consumers that this one was left out.
    Crowded,
}

/// Something could not be done in the ledger.
///
/// Everybody who waited for the same write is told of its failure, so errors are shared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// It is not open. The next call tries to open it again.
    #[error("the ledger is not open")]
    Open(#[source] Arc<OpenError>),
    /// A record was not made durable.
    #[error("not recorded")]
    Append(#[source] Arc<AppendError>),
    /// A segment could not be read, listed, renamed or removed.
    #[error("cannot tend the ledger's segments")]
    Tend(#[source] Arc<io::Error>),
    /// [`Writer::close`] was called, or its thread died.
    #[error("the ledger is closed")]
    Closed,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, WriteError>>;

#[derive(Debug)]
enum Command {
    Open(Reply<()>),
    Record(Box<Record>, Reply<Receipt>),
    Probe(Reply<()>),
    Sealed(Reply<Vec<SegmentName>>),
    Seal(Reply<Vec<SegmentName>>),
    Read(SegmentName, Reply<Vec<u8>>),
    Shipped(SegmentName, Reply<()>),
    Close(oneshot::Sender<()>),
}

/// Records between two looks at how much of the disk the ledger takes.
const PRUNE_EVERY: usize = 256;

/// Requests that may wait for the disk before new ones wait for room.
const QUEUE: usize = 1024;

impl Writer {
    /// Starts the thread. `open` opens the ledger; after a failure it is called again for the next
    /// command, so that a disk that comes back is used again. `now` bounds what of an older ledger
    /// is remembered.
    pub fn start<F>(now: Timestamp, open: F) -> io::Result<Self>
    where
        F: FnMut() -> Result<(Ledger, Recovered), OpenError> + Send + 'static,
    {
        let (commands, queue) = mpsc::channel(QUEUE);
        let index = Arc::default();
        let worker = Worker {
            open: Box::new(open),
            ledger: None,
            index: Arc::clone(&index),
            now,
            since_prune: PRUNE_EVERY,
        };
        let thread = thread::Builder::new().name("ledger".into());
        thread.spawn(move || worker.run(queue))?;
        Ok(Self { commands, index })
    }

    /// Opens the ledger, if it is not open.
    pub async fn open(&self) -> Result<(), WriteError> {
        self.ask(Command::Open).await
    }

    /// How a credential and `consumer` stand to what is on record.
    pub fn standing(&self, access_key_id: &str, consumer: &Consumer) -> Standing {
        lock(&self.index).standing(access_key_id, consumer)
    }

    /// Makes `record` durable, unless its credential is on record, for this consumer or for too many.
    /// Its kind, boot id and sequence number are the ledger's to give.
    pub async fn record(&self, record: Record) -> Result<Receipt, WriteError> {
        let record = Box::new(record);
        self.ask(|reply| Command::Record(record, reply)).await
    }

    /// Whether a record could be made durable now. Tried on the disk, which is left as it was.
    pub async fn probe(&self) -> Result<(), WriteError> {
        self.ask(Command::Probe).await
    }

    /// Every sealed segment that is not shipped yet, oldest first.
    pub async fn sealed(&self) -> Result<Vec<SegmentName>, WriteError> {
        self.ask(Command::Sealed).await
    }

    /// Seals what is open, and returns every sealed segment that is not shipped yet, oldest first.
    pub async fn seal(&self) -> Result<Vec<SegmentName>, WriteError> {
        self.ask(Command::Seal).await
    }

    /// The contents of a segment.
    pub async fn read(&self, segment: SegmentName) -> Result<Vec<u8>, WriteError> {
        self.ask(|reply| Command::Read(segment, reply)).await
    }

    /// Marks a segment as being in the store.
    pub async fn shipped(&self, segment: SegmentName) -> Result<(), WriteError> {
        self.ask(|reply| Command::Shipped(segment, reply)).await
    }

    /// Ends the thread once all that was asked before is done. Then the ledger's lock is free.
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).await.is_ok() {
            // An error is a thread that had ended already.
            let _ = closed.await;
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, WriteError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| WriteError::Closed)?;
        answer.await.map_err(|_| WriteError::Closed)?
    }
}

struct Worker {
    open: Box<dyn FnMut() -> Result<(Ledger, Recovered), OpenError> + Send>,
    ledger: Option<Ledger>,
    index: Arc<Mutex<Index>>,
    now: Timestamp,
    since_prune: usize,
}

impl Worker {
    fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut waiting = Vec::new();
        while queue.blocking_recv_many(&mut waiting, QUEUE) > 0 {
            let mut records = Vec::new();
            for command in waiting.drain(..) {
                if let Command::Record(record, reply) = command {
                    records.push((*record, reply));
                    continue;
                }
                self.record(std::mem::take(&mut records));
                if self.tend(command).is_break() {
                    return;
                }
            }
            self.record(records);
        }
    }

    /// A reply that nobody waits for any more (its request was given up) is no error.
    fn tend(&mut self, command: Command) -> ControlFlow<()> {
        match command {
            Command::Record(record, reply) => self.record(vec![(*record, reply)]),
            Command::Open(reply) => drop(reply.send(self.ledger().map(|_| ()))),
            // Many may have been given up while the disk hung.
            Command::Probe(reply) if reply.is_closed() => {}
            Command::Probe(reply) => drop(reply.send(self.probe())),
            Command::Sealed(reply) => drop(reply.send(self.sealed())),
            Command::Seal(reply) => drop(reply.send(self.seal())),
            Command::Read(segment, reply) => drop(reply.send(self.read(&segment))),
            Command::Shipped(segment, reply) => drop(reply.send(self.shipped(&segment))),
            Command::Close(closed) => {
                drop(self.ledger.take());
                let _ = closed.send(());
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn ledger(&mut self) -> Result<&mut Ledger, WriteError> {
        let ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => self.recover()?,
        };
        Ok(self.ledger.insert(ledger))
    }

    fn recover(&mut self) -> Result<Ledger, OpenError> {
        let (ledger, found) = (self.open)()?;
        if found.cut > 0 {
            info!(bytes = found.cut, "cut off a torn line of an earlier run");
        }
        let mut index = lock(&self.index);
        for record in &found.records {
            index.insert(record, self.now);
        }
        Ok(ledger)
    }

    /// Makes what is new among `records` durable, and then answers all of them.
    fn record(&mut self, records: Vec<(Record, Reply<Receipt>)>) {
        if records.is_empty() {
            return;
        }
        let mut group = Group::default();
        // An older ledger is in the index once it is open, and not before.
        let opened = self.ledger().map(drop);
        let index = lock(&self.index);
        for (record, reply) in records {
            group.add(record, reply, &index);
        }
        drop(index);
        let (written, failure) = match opened {
            Ok(()) => self.write(group.news()),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut index = lock(&self.index);
        for record in &written {
            self.now = self.now.max(record.time);
            index.insert(record, record.time);
        }
        drop(index);
        self.since_prune += written.len();
        group.answer(&written, failure.as_ref());
        if self.since_prune > PRUNE_EVERY {
            // The records are durable; that room was not made is the next one's trouble.
            if let Err(error) = self.prune() {
                error!(
                    error = &error as &dyn std::error::Error,
                    "cannot prune the ledger"
                );
            }
        }
    }

    /// Writes `records` up to the first that fails.
    fn write(&mut self, records: &[Record]) -> (Vec<Record>, Option<WriteError>) {
        let mut written = Vec::with_capacity(records.len());
        while written.len() < records.len() {
            let rest = &records[written.len()..];
            let appended = self.ledger().and_then(|ledger| Ok(ledger.append(rest)?));
            match appended {
                Ok(group) => written.extend(group),
                Err(error) => return (written, Some(error)),
            }
        }
        (written, None)
    }

    fn probe(&mut self) -> Result<(), WriteError> {
        Ok(self.ledger()?.probe()?)
    }

    fn sealed(&mut self) -> Result<Vec<SegmentName>, WriteError> {
        Ok(self.ledger()?.sealed()?)
    }

    fn seal(&mut self) -> Result<Vec<SegmentName>, WriteError> {
        self.ledger()?.seal()?;
        self.prune()?;
        self.sealed()
    }

    fn prune(&mut self) -> Result<(), WriteError> {
        self.since_prune = 0;
        for segment in self.ledger()?.prune()? {
            error!(%segment, "the ledger is full: removed the oldest records, which no store has");
        }
        Ok(())
    }

    fn read(&mut self, segment: &SegmentName) -> Result<Vec<u8>, WriteError> {
        Ok(self.ledger()?.read(segment)?)
    }

    fn shipped(&mut self, segment: &SegmentName) -> Result<(), WriteError> {
        Ok(self.ledger()?.shipped(segment)?)
    }
}

impl From<OpenError> for WriteError {
    fn from(error: OpenError) -> Self {
        Self::Open(Arc::new(error))
    }
}

impl From<AppendError> for WriteError {
    fn from(error: AppendError) -> Self {
        Self::Append(Arc::new(error))
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Tend(Arc::new(error))
    }
}

/// No panic can leave the index half changed, so a poisoned lock is as good as any.
fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
