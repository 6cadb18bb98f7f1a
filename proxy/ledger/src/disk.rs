//! What the ledger needs of a file system, so that tests can make each step fail.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// One flat directory of files. Every step may be tried again after it failed, whether or not it
/// took effect: what is done already counts as done.
pub trait Disk: Send {
    /// Every file in it.
    fn list(&self) -> io::Result<Vec<Entry>>;
    /// The contents of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// A new and empty file, in place of one that has this name.
    fn create(&self, name: &str) -> io::Result<Box<dyn Tail>>;
    /// Shortens a file to `len` bytes, durably.
    fn cut(&self, name: &str, len: u64) -> io::Result<()>;
    /// Renames a file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
}

/// The end of a file that is being appended to.
pub trait Tail: Send {
    /// Appends all of `bytes`; a part of them may stay behind when it fails.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes the contents durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Shortens the file to `len` bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

/// A file in a [`Disk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last written, as the file system says.
    pub modified: SystemTime,
}

/// A directory of the host, held by one process at a time.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    // Released by the kernel when this closes, however the process ends.
    _lock: File,
}

/// A ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the ledger {} is in use by another process: give each proxy its own `ledger` directory", dir.display())]
    Locked {
        /// The ledger's directory.
        dir: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What is there could not be recovered.
    #[error("cannot recover the ledger")]
    Recover {
        /// Why it failed.
        source: io::Error,
    },
}

const LOCK: &str = "lock";

impl Directory {
    /// Opens the directory `path` and locks it; makes it, readable by its owner only, if it is not
    /// there.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { what, path, source }
        };
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(path);
        made.map_err(failed("make the ledger's directory", path))?;
        let lock_path = path.join(LOCK);
        let lock = private(OpenOptions::new().create(true).write(true))
            .open(&lock_path)
            .map_err(failed("open the ledger's lock", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
                dir: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(failed("lock the ledger", &lock_path)(source)),
        }
    }
}

/// Every file in the directory `path` but the lock.
pub(crate) fn list(path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // Names of ours are ASCII; what is not UTF-8 is not ours.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Renamed or removed since the directory was read.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if name != LOCK && metadata.is_file() {
            let (len, modified) = (metadata.len(), metadata.modified()?);
            entries.push(Entry {
                name,
                len,
                modified,
            });
        }
    }
    Ok(entries)
}

impl Disk for Directory {
    fn list(&self) -> io::Result<Vec<Entry>> {
        list(&self.path)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Tail>> {
        let mut options = OpenOptions::new();
        let file = private(options.create(true).append(true)).open(self.path.join(name))?;
        file.set_len(0)?;
        Ok(Box::new(file))
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        file.set_len(len)?;
        file.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path.join(from), self.path.join(to));
        match fs::rename(from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound && to.exists() => Ok(()),
            result => result,
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Tail for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}
