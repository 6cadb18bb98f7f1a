//! CloudTrail as it lies in a directory or in S3, read once, on all cores.
//!
//! ```text
//!  Trail ──list──▶ files, by hour ──▶ a thread each core: gunzip ─▶ Reader ─▶ Duplicates ─▶ Fold
//!                                                                                            │
//!                                        Reading: what was read, and what was not ◀──merge──┘
//! ```
//!
//! Files may lie in any layout below the prefix, of any number of accounts and regions, in any
//! order. What cannot be read is told and counted; the rest is read all the same. Memory does not
//! grow with the size of the trail: a file is read in pieces, and the ids of events are kept for as
//! long as a copy of one is due (`duplicates.rs`).

mod count;
mod duplicates;
mod file;
mod name;
mod trail;

pub use count::{Counts, Reading, Trouble, What};
pub use trail::{Source, SourceError, Trail, TrailError};

#[cfg(test)]
mod tests;

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use credpin_core::cloudtrail::Fold;
use jiff::Timestamp;
use tokio::{runtime::Handle, task};

use duplicates::Duplicates;
use trail::Listed;

/// Waiting for S3 costs no core.
const THREADS_FOR_S3: usize = 16;

/// Folds all events of a trail, each once, into what `make` begins with.
pub async fn read<F, M>(trail: Trail, make: M) -> Result<(F, Reading), TrailError>
where
    F: Fold + Send + 'static,
    M: Fn() -> F + Send + Sync + 'static,
{
    read_since(trail, None, make).await
}

/// The same, but for files that were delivered before `since`, as far as their names tell.
pub async fn read_since<F, M>(
    trail: Trail,
    since: Option<Timestamp>,
    make: M,
) -> Result<(F, Reading), TrailError>
where
    F: Fold + Send + 'static,
    M: Fn() -> F + Send + Sync + 'static,
{
    let mut listed = trail.list().await?;
    if let Some(since) = since {
        listed.leave_out_before(since);
    }
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = match trail {
        Trail::Directory(_) => cores,
        Trail::Objects { .. } => cores.max(THREADS_FOR_S3),
    };
    let handle = Handle::current();
    let folded = task::spawn_blocking(move || fold(&trail, listed, &make, threads, &handle));
    Ok(folded.await.expect("a thread that folds does not panic"))
}

fn fold<F: Fold + Send, M: Fn() -> F + Sync>(
    trail: &Trail,
    listed: Listed,
    make: &M,
    threads: usize,
    handle: &Handle,
) -> (F, Reading) {
    let next = AtomicUsize::new(0);
    let duplicates = Arc::new(Duplicates::new());
    let mut reading = Reading {
        troubles: listed.troubles,
        ..Reading::default()
    };
    reading.counts.troubles = reading.troubles.len() as u64;
    reading.counts.left_out = listed.left_out;
    reading.counts.earlier = listed.earlier;
    let files = listed.files;
    let work = || {
        let mut folded = make();
        let mut reading = Reading::default();
        let mut buffer = Vec::new();
        loop {
            // In one go: files are taken in the order in which they may be passed.
            let (number, turn) = duplicates.next(|| {
                let number = next.fetch_add(1, Ordering::Relaxed);
                (number, files.get(number).map(|file| file.hour))
            });
            let (Some(file), Some(turn)) = (files.get(number), turn) else {
                return (folded, reading);
            };
            let read = trail.open_file(file, handle).and_then(|opened| {
                file::read(opened, &mut buffer, &mut reading.counts, |event, counts| {
                    if turn.is_first(event, counts) {
                        folded.event(event);
                    }
                })
            });
            reading.saw_file(file, read);
        }
    };
    let mut folded = make();
    thread::scope(|scope| {
        let threads = threads.min(files.len()).max(1);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let (part, counts) = thread.join().expect("a thread that folds does not panic");
            folded.merge(part);
            reading.merge(counts);
        }
    });
    reading.settle();
    (folded, reading)
}
