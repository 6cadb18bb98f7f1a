//! From the id of a cgroup to its path.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io::{self, ErrorKind::NotFound, ErrorKind::PermissionDenied};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

/// The tree of cgroups (version 2) of this host, with what is known of it.
///
/// A cgroup's id is the inode number of its folder. To open one by its id takes a capability, so the
/// tree is walked once for all ids that are not known then, and remembered.
#[derive(Debug)]
pub(crate) struct Cgroups(Arc<Tree>);

#[derive(Debug)]
struct Tree {
    mount: PathBuf,
    known: Mutex<Known>,
    /// A walk has ended.
    walked: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// `None` is an id that a walk did not find: of a cgroup that is gone, and no other gets its id.
    paths: Paths,
    /// Ids that no walk has looked for.
    wanted: HashSet<u64>,
    /// Somebody walks, or rests from it.
    walking: bool,
}

/// No walk has looked for that cgroup.
#[derive(Debug, PartialEq, Eq)]
struct NotLookedFor;

type Paths = HashMap<u64, Option<Arc<str>>>;

/// Between two walks there is so many times what a walk took, so that who makes cgroups does not
/// keep this process at it.
const REST: u32 = 4;
/// How long who asks is kept waiting for a path. After that it is on record without one.
const WAIT: Duration = Duration::from_millis(100);
/// More than the largest hosts have; a tree beyond is known in part.
const MAX: usize = 1 << 16;

impl Cgroups {
    /// Those under the cgroup2 mount that `mountinfo` (proc(5), `/proc/self/mountinfo`) names: on a
    /// host that still has version 1 it is beside the others.
    pub(crate) fn of(mountinfo: &str) -> Option<Self> {
        Some(Self::at(mount(mountinfo)?))
    }

    fn at(mount: PathBuf) -> Self {
        Self(Arc::new(Tree {
            mount,
            known: Mutex::default(),
            walked: Notify::new(),
        }))
    }

    /// The folder of the cgroup at `path`.
    pub(crate) fn folder(&self, path: &str) -> PathBuf {
        self.0.mount.join(path.trim_start_matches('/'))
    }

    /// The path of the cgroup `id` below the mount, as `/system.slice/nginx.service`. At once if it is
    /// known; else after the next walk, unless that takes too long.
    pub(crate) async fn path(&self, id: u64) -> Option<Arc<str>> {
        timeout(WAIT, self.find(id)).await.ok().flatten()
    }

    async fn find(&self, id: u64) -> Option<Arc<str>> {
        loop {
            // Made before the look, so that no end of a walk is missed.
            let walked = self.0.walked.notified();
            if let Ok(known) = self.known(id) {
                return known;
            }
            walked.await;
        }
    }

    /// What is known of an id; if nothing is, somebody walks for it.
    fn known(&self, id: u64) -> Result<Option<Arc<str>>, NotLookedFor> {
        let mut known = self.0.lock();
        if let Some(path) = known.paths.get(&id) {
            return Ok(path.clone());
        }
        known.wanted.insert(id);
        if !mem::replace(&mut known.walking, true) {
            // Nobody's in particular: it goes on when who asked first has gone.
            tokio::spawn(walks(Arc::clone(&self.0)));
        }
        Err(NotLookedFor)
    }
}

impl Tree {
    /// No panic can leave it half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Ids to look for; with none the walker ends.
    fn next(&mut self) -> HashSet<u64> {
        let wanted = mem::take(&mut self.wanted);
        self.walking = !wanted.is_empty();
        wanted
    }

    /// What a walk for `wanted` found is all there is. Of what is gone no more is remembered than
    /// there may be cgroups.
    fn learn(&mut self, found: Paths, wanted: HashSet<u64>) {
        let before = mem::replace(&mut self.paths, found);
        let gone = before.into_iter().filter(|(_, path)| path.is_none());
        let gone = wanted.into_iter().chain(gone.map(|(id, _)| id)).take(MAX);
        for id in gone {
            self.paths.entry(id).or_default();
        }
    }
}

/// Walks as long as there are ids to look for. One walk answers all who waited when it began.
async fn walks(tree: Arc<Tree>) {
    loop {
        let wanted = tree.lock().next();
        if wanted.is_empty() {
            return;
        }
        let (mount, start) = (tree.mount.clone(), Instant::now());
        let found = spawn_blocking(move || walk(&mount, MAX)).await;
        let took = start.elapsed();
        // After a walk that failed nothing is known to be gone: it is looked for again.
        if let Ok(Ok(found)) = found {
            tree.lock().learn(found, wanted);
        }
        tree.walked.notify_waiters();
        sleep(took * REST).await;
    }
}

/// Every cgroup there is, by its id, those near the root first: a deep tree of somebody's own leaves
/// out none of the host's. What goes away meanwhile is left out.
fn walk(mount: &Path, max: usize) -> io::Result<Paths> {
    let mut paths = HashMap::new();
    let mut open = VecDeque::from([String::new()]);
    if let Ok(root) = fs::metadata(mount) {
        paths.insert(root.ino(), Some("/".into()));
    }
    while let Some(parent) = open.pop_front() {
        let entries = match fs::read_dir(mount.join(parent.trim_start_matches('/'))) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries.flatten() {
            // A folder's kind and inode number come with its name, without a look at it.
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if paths.len() >= max {
                return Ok(paths);
            }
            let path = format!("{parent}/{}", entry.file_name().to_string_lossy());
            paths.insert(entry.ino(), Some(path.as_str().into()));
            open.push_back(path);
        }
    }
    Ok(paths)
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

    #[tokio::test(start_paused = true)]
    async fn one_walk_answers_all_who_wait_and_what_is_gone_stays_known() {
        let dir = tempfile::tempdir().unwrap();
        let cgroups = Cgroups::at(dir.path().to_owned());
        let gone = [u64::MAX, u64::MAX - 1, u64::MAX - 2];
        for id in gone {
            assert_eq!(cgroups.known(id), Err(NotLookedFor));
        }
        assert_eq!(cgroups.find(gone[0]).await, None);
        for id in gone {
            assert_eq!(cgroups.known(id), Ok(None), "the same walk");
        }
        let one_more = u64::MAX - 3;
        assert_eq!(cgroups.find(one_more).await, None);
        for id in gone {
            assert_eq!(cgroups.known(id), Ok(None), "of an earlier walk");
        }
    }

    /// A walker that does not end, as on a tree that takes minutes.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_a_path() {
        let cgroups = Cgroups::at("/".into());
        cgroups.0.lock().walking = true;
        let start = Instant::now();
        assert_eq!(cgroups.path(1).await, None);
        assert!(start.elapsed() <= WAIT * 2);
    }

    #[test]
    fn a_deep_tree_hides_none_of_those_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/1/2/3/4", "b/1/2/3/4"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let known = walk(dir.path(), 5).unwrap();
        let mut known: Vec<_> = known.values().flatten().map(|path| &**path).collect();
        known.sort_unstable();
        assert_eq!(known, ["/", "/a", "/a/1", "/b", "/b/1"]);
    }
}
