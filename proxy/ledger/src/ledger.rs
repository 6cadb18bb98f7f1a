//! The append-only ledger of a host: a directory of segments.
//!
//! The system calls, in order. Nothing is acknowledged before the last of its group returned:
//!
//! ```text
//! first group    open(O_CREAT|O_APPEND) BOOT-SEQ.open · write lines · fdatasync file · fsync directory
//! next group     write lines · fdatasync file
//! seal           rename BOOT-SEQ.open BOOT-SEQ.jsonl · fsync directory
//! shipped        rename BOOT-SEQ.jsonl BOOT-SEQ.shipped
//! start          of each .open write the whole lines again where they are, cut it after them,
//!                fdatasync, rename to .jsonl; then fsync directory
//! ```
//!
//! A group is the records that wait for the disk at the same time: they are durable together, or none
//! of them is acknowledged.
//!
//! After a failed write or sync nobody knows what the file holds. So it is cut back to what was
//! acknowledged before anything is written again, and the line is written anew: a later fdatasync
//! that succeeds says nothing about pages that an earlier one lost. If the process dies before
//! that, the next start finds records that were never acknowledged, and keeps them: recorded and not
//! released is the safe way round. They may be in the page cache only, and an earlier sync of them may
//! have failed: so a start writes what it finds over itself, the same bytes, which a sync then has to
//! take to the disk and which no loss of power can harm. A name that is taken is never given again.

use std::io;
use std::time::Duration;

use jiff::Timestamp;

use crate::disk::{Disk, Entry, OpenError, Tail};
use crate::key::hour_of;
use crate::segment::State;
use crate::{BootId, Record, SegmentName, line};

/// A segment is sealed when it has this many bytes, and so an object in the store has at most this
/// and one record more.
const SEGMENT_BYTES: u64 = 1 << 20;

/// What a ledger may take of the disk. Beyond it the oldest segments go, those in the store first.
const RETAIN_BYTES: u64 = 64 << 20;
const RETAIN_SEGMENTS: usize = 4096;

/// A start does not read what is so much older than the newest segment: no credential of a role lives
/// so long, and a full ledger would take a start a second and all of its memory.
const READ_BACK: Duration = Duration::from_hours(24);

/// What [`Ledger::probe`] writes and where: a block of a file system, and no segment's name.
const PROBE: [u8; 4096] = [0; 4096];
const PROBE_NAME: &str = "probe";

/// The ledger of one host, open for appending.
pub struct Ledger {
    disk: Box<dyn Disk>,
    boot: BootId,
    next: u64,
    open: Option<Open>,
}

/// What a start found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The records of earlier runs, of the last day before the newest and perhaps more: what may be
    /// about a credential that is still good.
    pub records: Vec<Record>,
    /// Segments that had not been sealed.
    pub sealed: usize,
    /// Bytes of torn lines that were cut off.
    pub cut: u64,
}

/// Records were not made durable.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The record has no JSON.
    #[error("cannot encode the record")]
    Encode(#[source] serde_json::Error),
    /// The file system refused.
    #[error("cannot {what} {segment}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which segment.
        segment: SegmentName,
        /// Why it failed.
        source: io::Error,
    },
}

/// The segment that is being appended to.
struct Open {
    name: SegmentName,
    tail: Box<dyn Tail>,
    /// What all of its records have in common.
    batch: Batch,
    /// Up to here it was acknowledged.
    len: u64,
    /// There may be bytes after `len`.
    dirty: bool,
    /// Its name is durable.
    named: bool,
}

/// What the records of one segment share, because its [`Key`](crate::Key) says it once.
#[derive(PartialEq)]
struct Batch {
    hour: Timestamp,
    account: String,
    region: String,
    instance: String,
}

impl Ledger {
    /// Opens the ledger on `disk` for the boot `boot`. Recovery is the normal start: what an
    /// earlier run left open is cut to whole lines and sealed, and numbering goes on.
    pub fn open(disk: Box<dyn Disk>, boot: BootId) -> Result<(Self, Recovered), OpenError> {
        let failed = |source| OpenError::Recover { source };
        let mut found = Recovered::default();
        let mut next = 1;
        for name in to_read(segments(disk.list().map_err(failed)?), &boot) {
            let mut bytes = disk.read(&name.to_string()).map_err(failed)?;
            if name.state == State::Open {
                found.cut += recover(&*disk, &name, &mut bytes).map_err(failed)?;
                found.sealed += 1;
            }
            if name.boot == boot {
                // By lines and not by records: a newer build's have numbers too.
                let lines = bytes.split_inclusive(|byte| *byte == b'\n').count() as u64;
                next = next.max(name.seq.saturating_add(lines));
            }
            let records = line::decode_all(&bytes).filter_map(|(_, record)| record.ok());
            found.records.extend(records);
        }
        disk.sync().map_err(failed)?;
        let ledger = Self {
            disk,
            boot,
            next,
            open: None,
        };
        Ok((ledger, found))
    }

    /// Writes the first of `records`, as many as go into one segment, with one write and one sync,
    /// and returns them, durable, as they were written: at least one, unless `records` is empty.
    /// Boot id and sequence number are the ledger's to give: what a record holds there is replaced.
    /// After an error nothing was acknowledged, and the next call gives the same numbers again.
    pub fn append(&mut self, records: &[Record]) -> Result<Vec<Record>, AppendError> {
        let Some(first) = records.first() else {
            return Ok(Vec::new());
        };
        let batch = Batch::of(first);
        let full = |open: &Open| open.len >= SEGMENT_BYTES || open.batch != batch;
        if self.open.as_ref().is_some_and(full) {
            self.seal()?;
        }
        let len = self.open.as_ref().map_or(0, |open| open.len);
        let (mut lines, mut group) = (Vec::new(), Vec::new());
        for (record, seq) in records.iter().zip(self.next..) {
            if len + lines.len() as u64 >= SEGMENT_BYTES || Batch::of(record) != batch {
                break;
            }
            let boot_id = self.boot.as_str().to_owned();
            let record = Record {
                boot_id,
                seq,
                ..record.clone()
            };
            line::encode(&record, &mut lines).map_err(AppendError::Encode)?;
            group.push(record);
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::create(&*self.disk, &self.boot, self.next, batch)?),
        };
        open.append(&*self.disk, &lines)?;
        self.next += group.len() as u64;
        Ok(group)
    }

    /// Whether a record could be made durable now: does with a file that is no segment what a first
    /// record does, and takes back what a failed append may have left.
    pub fn probe(&mut self) -> io::Result<()> {
        // What an earlier probe left behind.
        self.disk.remove(PROBE_NAME)?;
        let probed = self.try_probe();
        let removed = self.disk.remove(PROBE_NAME);
        probed.and(removed)
    }

    fn try_probe(&mut self) -> io::Result<()> {
        if let Some(open) = &mut self.open {
            open.settle().map_err(io::Error::other)?;
        }
        let mut tail = self.disk.create(PROBE_NAME)?;
        tail.write(&PROBE)?;
        tail.sync()?;
        self.disk.sync()
    }

    /// Seals the open segment, if there is one.
    pub fn seal(&mut self) -> Result<(), AppendError> {
        if let Some(open) = &mut self.open {
            open.seal(&*self.disk)?;
            self.open = None;
        }
        Ok(())
    }

    /// The sealed segments that are not shipped yet, oldest first.
    pub fn sealed(&self) -> io::Result<Vec<SegmentName>> {
        let names = segments(self.disk.list()?)
            .into_iter()
            .map(|(name, _)| name);
        Ok(names.filter(|name| name.state == State::Sealed).collect())
    }

    /// The contents of a segment.
    pub fn read(&self, segment: &SegmentName) -> io::Result<Vec<u8>> {
        self.disk.read(&segment.to_string())
    }

    /// Marks a sealed segment as being in the store. Not synced: if a crash undoes it, shipping it
    /// again finds it there.
    pub fn shipped(&self, segment: &SegmentName) -> io::Result<()> {
        let to = segment.to(State::Shipped);
        self.disk.rename(&segment.to_string(), &to.to_string())
    }

    /// Removes the oldest segments beyond the bounds on disk, those in the store first, and returns
    /// those that were in no store: their records are lost.
    pub fn prune(&self) -> io::Result<Vec<SegmentName>> {
        let mut segments = segments(self.disk.list()?);
        let mut bytes: u64 = segments.iter().map(|(_, entry)| entry.len).sum();
        let mut count = segments.len();
        let mut lost = Vec::new();
        // The newest stays in any case: numbering within a boot goes on from it.
        segments.pop();
        segments.sort_by_key(|(name, _)| name.state != State::Shipped);
        for (name, entry) in segments {
            if (bytes <= RETAIN_BYTES && count <= RETAIN_SEGMENTS) || name.state == State::Open {
                break;
            }
            self.disk.remove(&name.to_string())?;
            bytes -= entry.len;
            count -= 1;
            if name.state == State::Sealed {
                lost.push(name);
            }
        }
        Ok(lost)
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { boot, next, .. } = self;
        write!(f, "Ledger({boot}, next {next})")
    }
}

impl Open {
    fn create(disk: &dyn Disk, boot: &BootId, seq: u64, batch: Batch) -> Result<Self, AppendError> {
        let name = SegmentName {
            boot: boot.clone(),
            seq,
            state: State::Open,
        };
        match disk.create(&name.to_string()) {
            Ok(tail) => Ok(Self {
                name,
                tail,
                batch,
                len: 0,
                dirty: false,
                named: false,
            }),
            Err(source) => Err(failed("make", &name)(source)),
        }
    }

    fn append(&mut self, disk: &dyn Disk, lines: &[u8]) -> Result<(), AppendError> {
        self.settle()?;
        self.dirty = true;
        self.tail
            .write(lines)
            .map_err(failed("write", &self.name))?;
        self.tail.sync().map_err(failed("sync", &self.name))?;
        if !self.named {
            disk.sync()
                .map_err(failed("sync the directory of", &self.name))?;
            self.named = true;
        }
        self.len += lines.len() as u64;
        self.dirty = false;
        Ok(())
    }

    fn seal(&mut self, disk: &dyn Disk) -> Result<(), AppendError> {
        self.settle()?;
        let name = self.name.to_string();
        if self.len == 0 {
            disk.remove(&name).map_err(failed("remove", &self.name))?;
        } else {
            let to = self.name.to(State::Sealed).to_string();
            disk.rename(&name, &to)
                .map_err(failed("seal", &self.name))?;
        }
        disk.sync()
            .map_err(failed("sync the directory of", &self.name))
    }

    /// Takes back what a failed append may have left.
    fn settle(&mut self) -> Result<(), AppendError> {
        if self.dirty {
            let cut = self.tail.cut(self.len).and_then(|()| self.tail.sync());
            cut.map_err(failed("cut", &self.name))?;
            self.dirty = false;
        }
        Ok(())
    }
}

impl Batch {
    fn of(record: &Record) -> Self {
        let host = &record.host;
        Self {
            hour: hour_of(record.time),
            account: host.account.clone(),
            region: host.region.clone(),
            instance: host.instance_id.clone(),
        }
    }
}

/// Those of `segments` that a start reads, in their order: what was left open, what is recent, and the
/// one that numbering within `boot` goes on from.
fn to_read(mut segments: Vec<(SegmentName, Entry)>, boot: &BootId) -> Vec<SegmentName> {
    let newest = segments.iter().map(|(_, entry)| entry.modified).max();
    let since = newest.and_then(|newest| newest.checked_sub(READ_BACK));
    let ours = segments.iter().filter(|(name, _)| name.boot == *boot);
    let last = ours.map(|(name, _)| name.clone()).max();
    segments.retain(|(name, entry)| {
        let recent = since.is_none_or(|since| entry.modified >= since);
        recent || name.state == State::Open || Some(name) == last.as_ref()
    });
    segments.into_iter().map(|(name, _)| name).collect()
}

/// Cuts what an earlier run left open after its last whole line, makes it durable and seals it.
/// Returns the number of bytes cut off.
fn recover(disk: &dyn Disk, name: &SegmentName, bytes: &mut Vec<u8>) -> io::Result<u64> {
    let torn = bytes.split_off(line::whole(bytes));
    let from = name.to_string();
    if bytes.is_empty() {
        disk.remove(&from)?;
    } else {
        disk.renew(&from, bytes)?;
        disk.rename(&from, &name.to(State::Sealed).to_string())?;
    }
    Ok(torn.len() as u64)
}

/// The segments among `entries`, oldest first. What has another name is not ours and is left alone.
pub(crate) fn segments(entries: Vec<Entry>) -> Vec<(SegmentName, Entry)> {
    let parse = |entry: Entry| Some((entry.name.parse().ok()?, entry));
    let mut segments: Vec<(SegmentName, Entry)> = entries.into_iter().filter_map(parse).collect();
    segments.sort_by(|(a, at), (b, bt)| at.modified.cmp(&bt.modified).then_with(|| a.cmp(b)));
    segments
}

fn failed(what: &'static str, segment: &SegmentName) -> impl FnOnce(io::Error) -> AppendError {
    let segment = segment.clone();
    move |source| AppendError::Io {
        what,
        segment,
        source,
    }
}

#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;
