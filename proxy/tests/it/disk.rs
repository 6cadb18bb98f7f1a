//! A disk that a test can stop, break and mend; and a clock that it can put forward.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use credpin_ledger::{Directory, Disk, Entry, OpenError, Tail};
use jiff::SignedDuration;
use tokio::sync::Notify;

/// The test's hand on a machine.
#[derive(Default)]
pub(crate) struct Lever {
    mode: Mutex<Mode>,
    changed: Condvar,
    /// A write has come to a stop.
    pub(crate) stopped: Notify,
    /// By how much the proxy's clock is ahead.
    pub(crate) ahead: Mutex<SignedDuration>,
}

/// What becomes of writes.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Mode {
    #[default]
    Works,
    /// They fail, as on a full disk.
    Full,
    /// They do not return.
    Stops,
}

impl Lever {
    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
        self.changed.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let mut mode = self.mode.lock().unwrap();
        while *mode == Mode::Stops {
            self.stopped.notify_one();
            mode = self.changed.wait(mode).unwrap();
        }
        match *mode {
            Mode::Full => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

/// A directory under a lever.
pub(crate) struct Levered {
    directory: Directory,
    lever: Arc<Lever>,
}

impl Levered {
    pub(crate) fn open(path: &Path, lever: &Arc<Lever>) -> Result<Self, OpenError> {
        Ok(Self {
            directory: Directory::open(path)?,
            lever: Arc::clone(lever),
        })
    }
}

impl Disk for Levered {
    fn list(&self) -> io::Result<Vec<Entry>> {
        self.directory.list()
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.directory.read(name)
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn Tail>> {
        let tail = self.directory.create(name)?;
        Ok(Box::new(LeveredTail(tail, Arc::clone(&self.lever))))
    }
    fn renew(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.directory.renew(name, bytes)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.directory.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.directory.sync()
    }
}

struct LeveredTail(Box<dyn Tail>, Arc<Lever>);

impl Tail for LeveredTail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }
    /// The last step before a record counts as durable is where it is stopped.
    fn sync(&mut self) -> io::Result<()> {
        self.1.pass()?;
        self.0.sync()
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.cut(len)
    }
}
