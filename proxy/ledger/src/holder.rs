//! Which process has a ledger open, as the kernel tells it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

use crate::disk::LOCK;

/// What the kernel tells of all locks (proc(5)).
const LOCKS: &str = "/proc/locks";

/// The id of the process that has the ledger's directory `dir` open. Nothing where none has, where this
/// user may not know, or where it is in a container that shows other ids: and on a file system whose
/// files are told to be on another device than the kernel's own lists have (btrfs, overlays).
pub fn holder(dir: &Path) -> Option<u32> {
    let lock = fs::metadata(dir.join(LOCK)).ok()?;
    let locks = fs::read_to_string(LOCKS).ok()?;
    let (major, minor) = (major(lock.dev()), minor(lock.dev()));
    holder_in(&locks, &format!("{major:02x}:{minor:02x}:{}", lock.ino()))
}

/// `file` is as the kernel writes it: two numbers of the device, and one of the file.
fn holder_in(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, [_, _, pid, locked]) = (words.next()?, [(); 4].map(|()| words.next()));
        // A line of who waits for it begins otherwise: with an arrow.
        (kind == "FLOCK" && locked? == file)
            .then(|| pid?.parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Directory;

    #[test]
    fn who_has_it_is_told_and_nobody_once_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()), None);
        let held = Directory::open(dir.path()).unwrap();
        assert_eq!(holder(dir.path()), Some(std::process::id()));
        drop(held);
        assert_eq!(holder(dir.path()), None);
    }

    #[test]
    fn the_lock_of_this_file_and_nobody_who_waits_for_it() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 08:01:7 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 08:02:7 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 13 08:01:7 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 14 08:01:7 0 EOF\n";
        assert_eq!(holder_in(locks, "08:01:7"), Some(14));
        assert_eq!(holder_in(locks, "08:01:8"), None);
    }
}
