//! A disk in memory that forgets what was not synced, as a machine that loses power does; and one
//! on top of it in which a step fails. A sync that fails gives up what it should have written, as
//! Linux does: a later one that succeeds says nothing about it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use crate::disk::{Disk, Entry, Tail};

/// Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    files: Vec<Contents>,
    writes: u64,
    syncs: usize,
}

#[derive(Clone, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// Of each byte, whether the next sync writes it.
    dirty: Vec<bool>,
    synced: Vec<u8>,
    written: u64,
}

impl Contents {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = self.bytes.len().max(at + bytes.len());
        self.bytes.resize(end, 0);
        self.dirty.resize(end, false);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.dirty[at..at + bytes.len()].fill(true);
    }

    fn cut(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.dirty.truncate(len);
    }

    fn sync(&mut self) {
        self.synced.resize(self.bytes.len(), 0);
        for (at, dirty) in self.dirty.iter_mut().enumerate() {
            if std::mem::take(dirty) {
                self.synced[at] = self.bytes[at];
            }
        }
    }
}

impl Memory {
    pub(crate) fn with(name: &str, bytes: &[u8]) -> Self {
        let memory = Self::default();
        {
            let mut state = memory.lock();
            state.names.insert(name.to_owned(), 0);
            let mut file = Contents::default();
            file.put(0, bytes);
            file.sync();
            state.files.push(file);
            state.synced_names = state.names.clone();
        }
        memory
    }

    /// The power goes. What was not synced is gone too.
    pub(crate) fn lose_power(&self) {
        let mut state = self.lock();
        state.names = state.synced_names.clone();
        for file in &mut state.files {
            file.bytes = file.synced.clone();
            file.dirty = vec![false; file.bytes.len()];
        }
    }

    /// How often the contents of a file were made durable.
    pub(crate) fn syncs(&self) -> usize {
        self.lock().syncs
    }

    /// A sync has failed.
    fn give_up(&self) {
        for file in &mut self.lock().files {
            file.dirty.fill(false);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn file(&mut self, name: &str) -> io::Result<&mut Contents> {
        let at = *self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.files[at])
    }
}

impl Disk for Memory {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let state = self.lock();
        let entry = |(name, at): (&String, &usize)| Entry {
            name: name.clone(),
            len: state.files[*at].bytes.len() as u64,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(state.files[*at].written),
        };
        Ok(state.names.iter().map(entry).collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.lock().file(name)?.bytes.clone())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Tail>> {
        let mut state = self.lock();
        if state.file(name).is_ok_and(|file| !file.bytes.is_empty()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let at = state.files.len();
        state.files.push(Contents::default());
        state.names.insert(name.to_owned(), at);
        Ok(Box::new(MemoryTail(self.clone(), at)))
    }

    fn renew(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.file(name)?;
        file.put(0, bytes);
        file.cut(bytes.len());
        file.sync();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        if state.names.contains_key(from) && state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        match state.names.remove(from) {
            Some(at) => drop(state.names.insert(to.to_owned(), at)),
            None if state.names.contains_key(to) => {}
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().names.remove(name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.synced_names = state.names.clone();
        Ok(())
    }
}

struct MemoryTail(Memory, usize);

impl MemoryTail {
    fn with<T>(&self, act: impl FnOnce(&mut Contents) -> T) -> T {
        let mut state = self.0.lock();
        state.writes += 1;
        let writes = state.writes;
        let file = &mut state.files[self.1];
        file.written = writes;
        act(file)
    }
}

impl Tail for MemoryTail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|file| file.put(file.bytes.len(), bytes));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(Contents::sync);
        self.0.lock().syncs += 1;
        Ok(())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.with(|file| file.cut(usize::try_from(len).unwrap()));
        Ok(())
    }
}

/// What is wrong with one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It fails and has done nothing.
    NotDone,
    /// It fails and has been done.
    Done,
    /// A write stops in the middle, as on a disk that gets full; else as `NotDone`.
    Torn,
}

/// A disk in which the step whose number comes to zero fails.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) inner: Memory,
    pub(crate) due: Arc<Mutex<(usize, Fault)>>,
}

impl Faulty {
    fn step<T>(&self, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let fault = {
            let mut due = self.due.lock().unwrap();
            let now = due.0 == 0;
            due.0 = due.0.wrapping_sub(1);
            now.then_some(due.1)
        };
        match fault {
            None => step(),
            Some(Fault::Done) => step().and_then(|_| Err(io::ErrorKind::Interrupted.into())),
            Some(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn sync_step(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let synced = self.step(sync);
        if synced.is_err() {
            self.inner.give_up();
        }
        synced
    }
}

impl Faulty {
    /// The end of a file that is there.
    pub(crate) fn tail(self, name: &str) -> Box<dyn Tail> {
        let at = self.inner.lock().names[name];
        let tail = MemoryTail(self.inner.clone(), at);
        Box::new(FaultyTail(self, Box::new(tail)))
    }
}

impl Disk for Faulty {
    fn list(&self) -> io::Result<Vec<Entry>> {
        self.inner.list()
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.inner.read(name)
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn Tail>> {
        let tail = self.step(|| self.inner.create(name))?;
        Ok(Box::new(FaultyTail(self.clone(), tail)))
    }
    /// Two steps: the bytes, and their sync.
    fn renew(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.step(|| {
            let mut state = self.inner.lock();
            let file = state.file(name)?;
            file.put(0, bytes);
            file.cut(bytes.len());
            Ok(())
        })?;
        self.sync_step(|| self.inner.renew(name, bytes))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(|| self.inner.rename(from, to))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(|| self.inner.remove(name))
    }
    fn sync(&self) -> io::Result<()> {
        self.step(|| self.inner.sync())
    }
}

struct FaultyTail(Faulty, Box<dyn Tail>);

impl Tail for FaultyTail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if *self.0.due.lock().unwrap() == (0, Fault::Torn) {
            self.1.write(&bytes[..bytes.len() / 2])?;
        }
        self.0.step(|| self.1.write(bytes))
    }
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_step(|| self.1.sync())
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.step(|| self.1.cut(len))
    }
}
