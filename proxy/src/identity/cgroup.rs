//! From the id of a cgroup to its path.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The tree of cgroups (version 2) of this host, with what is known of it.
///
/// A cgroup's id is the inode number of its folder. To open one by its id takes a capability, so the
/// tree is walked once for an id that is not known, and remembered.
#[derive(Debug)]
pub(crate) struct Cgroups {
    mount: PathBuf,
    /// `None` is an id that a walk did not find: of a cgroup that is gone.
    paths: Mutex<HashMap<u64, Option<Arc<str>>>>,
    /// When the next walk may be, so that who makes cgroups keeps nobody but others like it waiting.
    next: tokio::sync::Mutex<Instant>,
}

/// No walk has looked for that cgroup.
struct NotLookedFor;

/// Between two walks there is so many times what a walk took.
const REST: u32 = 4;
/// More than the largest hosts have; a tree beyond is known in part.
const MAX: usize = 1 << 16;

impl Cgroups {
    /// Those under the cgroup2 mount that `mountinfo` (proc(5), `/proc/self/mountinfo`) names: on a
    /// host that still has version 1 it is beside the others.
    pub(crate) fn of(mountinfo: &str) -> Option<Self> {
        Some(Self::at(mount(mountinfo)?))
    }

    fn at(mount: PathBuf) -> Self {
        Self {
            mount,
            paths: Mutex::default(),
            next: tokio::sync::Mutex::new(Instant::now()),
        }
    }

    /// The folder of the cgroup at `path`.
    pub(crate) fn folder(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }

    /// The path of the cgroup `id` below the mount, as `/system.slice/nginx.service`. At once if it is
    /// known; else after a walk, that all who ask meanwhile share.
    pub(crate) async fn path(&self, id: u64) -> Option<Arc<str>> {
        if let Ok(known) = self.known(id) {
            return known;
        }
        let mut next = self.next.lock().await;
        // Somebody's walk may have found it while this one waited.
        if let Ok(known) = self.known(id) {
            return known;
        }
        sleep_until(*next).await;
        let (mount, start) = (self.mount.clone(), Instant::now());
        let walked = tokio::task::spawn_blocking(move || walk(&mount)).await;
        let took: Duration = start.elapsed();
        *next = Instant::now() + took * REST;
        let mut paths: HashMap<_, _> = walked.unwrap_or_default();
        let found = paths.entry(id).or_default().clone();
        *self.lock() = paths;
        found
    }

    /// What the last walk found.
    fn known(&self, id: u64) -> Result<Option<Arc<str>>, NotLookedFor> {
        self.lock().get(&id).cloned().ok_or(NotLookedFor)
    }

    /// No panic can leave the map half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Option<Arc<str>>>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every cgroup there is, by its id. What goes away meanwhile is left out.
fn walk(mount: &Path) -> HashMap<u64, Option<Arc<str>>> {
    let mut paths = HashMap::new();
    let mut open = vec![String::new()];
    if let Ok(root) = fs::metadata(mount) {
        paths.insert(root.ino(), Some("/".into()));
    }
    while let Some(parent) = open.pop() {
        let Ok(entries) = fs::read_dir(mount.join(parent.trim_start_matches('/'))) else {
            continue;
        };
        for entry in entries.flatten() {
            // A folder's kind and inode number come with its name, without a look at it.
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if paths.len() >= MAX {
                return paths;
            }
            let path = format!("{parent}/{}", entry.file_name().to_string_lossy());
            paths.insert(entry.ino(), Some(path.as_str().into()));
            open.push(path);
        }
    }
    paths
}

/// The first mount of cgroup2. Of two the later one would hide the earlier only at the same place.
fn mount(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?;
        (after.split(' ').next()? == "cgroup2").then(|| unescape(point))
    })
}

/// A blank, a tab, a newline and a backslash are written as `\040` and so on.
fn unescape(point: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(point.len());
    let mut rest = point.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = (first == b'\\').then(|| tail.get(..3)).flatten();
        let octal = digits.and_then(|digits| str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_on_unified_and_hybrid_hosts() {
        let unified =
            "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let hybrid = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let odd = "41 31 0:38 / /mnt/a\\040b\\134c rw - cgroup2 none rw\n";
        let path = |text| mount(text).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(path(unified).as_deref(), Some("/sys/fs/cgroup"));
        assert_eq!(path(hybrid).as_deref(), Some("/sys/fs/cgroup/unified"));
        assert_eq!(path(odd).as_deref(), Some("/mnt/a b\\c"));
        assert_eq!(
            path("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"),
            None
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_that_is_not_known_is_looked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            fs::create_dir_all(dir.path().join(path)).unwrap();
            fs::metadata(dir.path().join(path)).unwrap().ino()
        };
        let first = make("system.slice/nginx.service");
        fs::write(dir.path().join("system.slice/cgroup.procs"), "").unwrap();
        let cgroups = Cgroups::at(dir.path().to_owned());
        let path = async |id| cgroups.path(id).await.map(|path| path.to_string());
        let nginx = Some("/system.slice/nginx.service".to_owned());
        assert_eq!(path(first).await, nginx);
        let root = fs::metadata(dir.path()).unwrap().ino();
        assert_eq!(path(root).await.as_deref(), Some("/"));
        let later = make("docker/abc");
        assert_eq!(path(later).await.as_deref(), Some("/docker/abc"));
        assert_eq!(path(u64::MAX).await, None);
        assert_eq!(path(first).await, nginx);
    }
}
