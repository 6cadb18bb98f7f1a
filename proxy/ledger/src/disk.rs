//! What the ledger needs of a file system, so that tests can make each step fail.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;

/// One flat directory of files. Every step may be tried again after it failed, whether or not it
/// took effect: what is done already counts as done.
pub trait Disk: Send {
    /// Every file in it.
    fn list(&self) -> io::Result<Vec<Entry>>;
    /// The contents of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// A new and empty file. One of this name that holds something is an error.
    fn create(&self, name: &str) -> io::Result<Box<dyn Tail>>;
    /// Makes `bytes` all that a file holds, durably. They are the beginning of what it holds: being
    /// written over themselves they are whole at any time.
    fn renew(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Renames a file. Another one that has the name `to` is an error.
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
    /// Others could change what is in it.
    #[error("the ledger {} cannot be trusted: {problem}", dir.display())]
    Untrusted {
        /// The ledger's directory.
        dir: PathBuf,
        /// Why not, and what to do.
        problem: String,
    },
    /// What is there could not be recovered.
    #[error("cannot recover the ledger")]
    Recover {
        /// Why it failed.
        source: io::Error,
    },
}

/// The file that is locked.
pub(crate) const LOCK: &str = "lock";

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
        trust(path, &fs::metadata(path).map_err(failed("look at", path))?)?;
        let lock_path = path.join(LOCK);
        let lock = plain(OpenOptions::new().create(true).write(true))
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
        let mut file = plain(OpenOptions::new().read(true)).open(self.path.join(name))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Tail>> {
        let path = self.path.join(name);
        let append = || plain(OpenOptions::new().append(true)).clone();
        match append().create_new(true).open(&path) {
            // Perhaps a try that failed made it: then it is empty.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let file = append().open(&path)?;
                let metadata = file.metadata()?;
                if metadata.is_file() && metadata.len() == 0 {
                    Ok(Box::new(file))
                } else {
                    Err(error)
                }
            }
            made => Ok(Box::new(made?)),
        }
    }

    fn renew(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = plain(OpenOptions::new().write(true)).open(self.path.join(name))?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path.join(from), self.path.join(to));
        // The directory is ours alone, so between the question and the step nothing changes.
        match (from.try_exists()?, to.try_exists()?) {
            (false, true) => Ok(()),
            (true, true) => Err(ErrorKind::AlreadyExists.into()),
            _ => fs::rename(from, to),
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

/// For a file of ours: for its owner only, and never what a link or a pipe of that name leads to.
pub(crate) fn plain(options: &mut OpenOptions) -> &mut OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(0o600).custom_flags(flags.bits().cast_signed())
}

/// Whoever can write to the directory can take records away and put others there.
fn trust(dir: &Path, metadata: &fs::Metadata) -> Result<(), OpenError> {
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    let problem = if owner != us && owner != 0 {
        format!("it belongs to user {owner}, and this is user {us}: change its owner")
    } else if let Some(problem) = open_to_others(metadata) {
        problem
    } else {
        return Ok(());
    };
    let dir = dir.to_owned();
    Err(OpenError::Untrusted { dir, problem })
}

/// What is wrong with a directory's mode, and what to do.
pub(crate) fn open_to_others(metadata: &fs::Metadata) -> Option<String> {
    let mode = metadata.mode() & 0o7777;
    (mode & 0o022 != 0).then(|| format!("others can write to it (mode {mode:04o}): chmod 0700 it"))
}

#[cfg(test)]
mod tests;
