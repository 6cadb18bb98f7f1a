//! What is where a ledger should be, asked without changing anything.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::OpenError;
use crate::disk::{LOCK, open_to_others, plain};

/// A ledger's directory that is there and that its owner can trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The user whose it is.
    pub owner: u32,
    /// The user who asks.
    pub us: u32,
    /// Whether a process has it open; nothing where this user may not know.
    pub in_use: Option<bool>,
}

/// Looks at the ledger's directory `dir`; nothing if there is none. What keeps its owner from opening
/// or writing it is an error, and so is what keeps this user from it where that is the owner.
///
/// The lock is held for the moment that it takes to ask for it.
pub fn look(dir: &Path) -> Result<Option<Found>, OpenError> {
    let failed = |source| OpenError::Io {
        what: "write to the ledger",
        path: dir.to_owned(),
        source,
    };
    let metadata = match fs::metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(failed)?,
    };
    if let Some(problem) = open_to_others(&metadata) {
        let dir = dir.to_owned();
        return Err(OpenError::Untrusted { dir, problem });
    }
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == us || owner == 0 || !metadata.is_dir() {
        writable(dir).map_err(failed)?;
    }
    let in_use = in_use(dir);
    Ok(Some(Found { owner, us, in_use }))
}

/// Whether this user can make files in the directory `dir`, as far as its mode and the file system's
/// tell: a disk can still be full.
pub fn writable(dir: &Path) -> io::Result<()> {
    if !fs::metadata(dir)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    Ok(access(dir, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn in_use(dir: &Path) -> Option<bool> {
    let lock = match plain(OpenOptions::new().read(true)).open(dir.join(LOCK)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(false),
        lock => lock.ok()?,
    };
    match lock.try_lock() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::Directory;

    #[test]
    fn looking_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("a/ledger");
        assert_eq!(look(&ledger).unwrap(), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::create_dir_all(&ledger).unwrap();
        assert_eq!(look(&ledger).unwrap().unwrap().in_use, Some(false));
        assert_eq!(fs::read_dir(&ledger).unwrap().count(), 0);
    }

    #[test]
    fn a_ledger_in_use_is_seen_and_stays_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let held = Directory::open(dir.path()).unwrap();
        let found = look(dir.path()).unwrap().unwrap();
        assert_eq!((found.in_use, found.owner), (Some(true), found.us));
        drop(held);
        assert_eq!(look(dir.path()).unwrap().unwrap().in_use, Some(false));
        Directory::open(dir.path()).unwrap();
    }

    #[test]
    fn what_would_not_open_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(look(&file).unwrap_err(), OpenError::Io { .. }));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = look(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::Untrusted { .. }), "{error}");
    }

    #[test]
    fn a_ledger_of_another_user_is_looked_at_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let theirs = fs::metadata(dir.path()).unwrap().uid() + 1;
        // Only root can give a directory away.
        if std::os::unix::fs::chown(dir.path(), Some(theirs), None).is_ok() {
            let found = look(dir.path()).unwrap().unwrap();
            assert_eq!((found.owner, found.us), (theirs, theirs - 1));
        }
    }
}
