//! The cgroup whose processes the redirect lets through.
//!
//! The proxy's user alone would not do: root in a container of the host's network can take any user's id.
//! It cannot put itself into a cgroup of the host.

use std::fmt;
use std::path::Path;

/// Where cgroups of version 2 are mounted: alone, or beside those of version 1 (systemd's "hybrid").
const MOUNTS: [&str; 2] = ["", "unified/"];
/// nft takes paths below it (nft(8), "socket cgroupv2").
const CGROUPS: &str = "/sys/fs/cgroup";

/// A cgroup of this host, as nft names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    path: String,
    /// How deep it lies: the processes of those below it are its own too.
    level: usize,
}

impl Cgroup {
    /// The one that is called `name` below the root of all, if there is one now: a rule holds for what
    /// is there when it is loaded, not for one of the same name that is made later.
    pub(super) fn there(name: &str) -> Option<Self> {
        Self::below(Path::new(CGROUPS), name)
    }

    fn below(cgroups: &Path, name: &str) -> Option<Self> {
        let mut mounts = MOUNTS.into_iter();
        let mount = mounts.find(|mount| cgroups.join(mount).join("cgroup.controllers").exists())?;
        let path = format!("{mount}{name}");
        cgroups.join(&path).is_dir().then(|| Self {
            path,
            level: name.split('/').count(),
        })
    }
}

#[cfg(test)]
impl Cgroup {
    /// One that a test has no need to make.
    pub(super) fn there_is(name: &str) -> Self {
        let (path, level) = (name.to_owned(), name.split('/').count());
        Self { path, level }
    }
}

/// What nft takes to match its processes' sockets.
impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, level } = self;
        write!(f, "socket cgroupv2 level {level} \"{path}\"")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_found_where_version_2_is_mounted_and_not_where_it_is_not_there() {
        for mount in MOUNTS {
            let dir = tempfile::tempdir().unwrap();
            let name = "system.slice/some.slice";
            fs::create_dir_all(dir.path().join(mount).join(name)).unwrap();
            assert_eq!(Cgroup::below(dir.path(), name), None, "no cgroups at all");
            fs::write(dir.path().join(mount).join("cgroup.controllers"), "").unwrap();
            let found = Cgroup::below(dir.path(), name).unwrap().to_string();
            let matched = format!("socket cgroupv2 level 2 \"{mount}system.slice/some.slice\"");
            assert_eq!(found, matched);
            assert_eq!(Cgroup::below(dir.path(), "system.slice/other"), None);
        }
    }
}
