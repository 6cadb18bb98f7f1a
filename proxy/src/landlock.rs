//! What the process can do with files once it runs: read what it needs, write its ledger.
//!
//! A proxy that is broken into is still the proxy's user, who can read and write much on a host that
//! is not set up with care. Landlock takes that away from the process itself, for good, whatever unit or
//! container it was started in (landlock(7)).

use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use credpin_ledger::StoreUrl;
use landlock::{
    ABI, Access, AccessFs, BitFlags, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::thread::{CapabilitySet, capabilities};

use crate::config::{AdminAddress, Config};

/// How far the process is shut in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confined {
    /// As far as it should be.
    Fully,
    /// As far as this kernel can: it is older than the rules.
    Partly,
    /// Not: this kernel has no landlock, or it is off.
    NoLandlock,
    /// Not: it is to look into other processes (`CAP_SYS_PTRACE`), which landlock forbids.
    SeesProcesses,
    /// Not, and that is a mistake.
    Failed(String),
}

/// What is read besides: the resolver's and TLS's files, and what the kernel tells of who asks.
const READ: [&str; 10] = [
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/dev/null",
    "/dev/urandom",
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/run/systemd/resolve",
];

/// Shuts the calling thread in, and all that it will start; so call it before there are others.
/// `settings` is the config file, which is read again on SIGHUP.
///
/// Directories that are written are made first if they are not there: what is made or mounted later
/// in their place is out of reach until the next start.
pub fn confine(config: &Config, settings: &Path) -> Confined {
    let written = written(config);
    if sees_processes() {
        return Confined::SeesProcesses;
    }
    for dir in &written {
        // Where that fails, whoever needs it says why.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    }
    restrict(&written, &read_besides(settings))
}

/// How far [`confine`] would go here. Nothing is made or shut in: it is done on a thread of its own.
pub(crate) fn tried(config: &Config) -> Confined {
    if sees_processes() {
        return Confined::SeesProcesses;
    }
    let written = written(config);
    let tried = std::thread::spawn(move || restrict(&written, &[]));
    let failed = || Confined::Failed("the thread that tried it failed".to_owned());
    tried.join().unwrap_or_else(|_| failed())
}

/// Directories of the proxy's own: whole files come and go there.
fn written(config: &Config) -> Vec<PathBuf> {
    let records = match &config.records {
        Some(StoreUrl::Directory(dir)) => Some(dir.clone()),
        _ => None,
    };
    let admin = match &config.admin {
        Some(AdminAddress::Unix(socket)) => socket.parent(),
        _ => None,
    };
    let key = config.session_key.as_deref().and_then(Path::parent);
    let beside = [admin, key].into_iter().flatten().map(Path::to_owned);
    let own = [Some(config.ledger.clone()), records];
    own.into_iter().flatten().chain(beside).collect()
}

/// Where files lie that are read again, and may be links to elsewhere: the settings, and the resolver's,
/// which systemd, `NetworkManager` and others each keep in a place of their own.
fn read_besides(settings: &Path) -> Vec<PathBuf> {
    let real = [settings, Path::new("/etc/resolv.conf")];
    let real = real.iter().filter_map(|file| file.canonicalize().ok());
    let all = [settings.to_owned()].into_iter().chain(real);
    let dirs = all.filter_map(|file| Some(file.parent()?.to_owned()));
    // A bare file name has the parent "", which cannot be opened.
    let here = |dir: PathBuf| {
        if dir.as_os_str().is_empty() {
            ".".into()
        } else {
            dir
        }
    };
    dirs.map(here).collect()
}

fn sees_processes() -> bool {
    let capable = capabilities(None).map(|sets| sets.effective);
    capable.is_ok_and(|effective| effective.contains(CapabilitySet::SYS_PTRACE))
}

fn restrict(written: &[PathBuf], besides: &[PathBuf]) -> Confined {
    match try_to(written, besides) {
        Ok(confined) => confined,
        Err(error) => Confined::Failed(error.to_string()),
    }
}

fn try_to(written: &[PathBuf], besides: &[PathBuf]) -> Result<Confined, RulesetError> {
    // Rights that are named here are what later kernels ask for, too: nothing changes under an upgrade.
    let all = AccessFs::from_all(ABI::V5);
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let status = Ruleset::default()
        .handle_access(all)?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(besides, read))?
        .add_rules(path_beneath_rules(written, write))?
        .restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => Confined::Fully,
        (RulesetStatus::PartiallyEnforced, _) => Confined::Partly,
        (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => Confined::NoLandlock,
        (RulesetStatus::NotEnforced, _) => Confined::Failed("nothing is enforced".to_owned()),
    })
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fully => f.write_str("landlock: the process writes its own directories only"),
            Self::Partly => f.write_str(
                "landlock: the process writes its own directories only, as far as this kernel goes; \
                 Linux 6.12 has all of it",
            ),
            Self::NoLandlock => f.write_str(
                "no landlock in this kernel: what the process may write, its user and its unit decide",
            ),
            Self::SeesProcesses => f.write_str(
                "no landlock: with CAP_SYS_PTRACE the process is to look into others, which landlock forbids",
            ),
            Self::Failed(why) => write!(f, "landlock failed: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, ErrorKind};

    use super::*;

    #[test]
    fn the_process_writes_its_own_directories_only() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("own"), dir.path().join("other"));
        for dir in [&own, &other] {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("there"), "").unwrap();
        }
        // Of this thread only, so that other tests go on.
        let shut = move || {
            let confined = restrict(std::slice::from_ref(&own), &[]);
            if confined == Confined::NoLandlock {
                eprintln!("this kernel has no landlock: nothing can be tested");
                return;
            }
            let refused = |result: io::Result<()>| {
                let error = result.expect_err("it is refused");
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            };
            assert!(!matches!(confined, Confined::Failed(_)), "{confined}");
            refused(fs::write(other.join("new"), ""));
            refused(fs::write(other.join("there"), "changed"));
            refused(fs::read(other.join("there")).map(drop));
            refused(fs::remove_file(other.join("there")));
            refused(fs::rename(own.join("there"), other.join("moved")));
            refused(fs::write("/etc/credpin-test", ""));
            refused(std::process::Command::new("/bin/true").spawn().map(drop));
            fs::write(own.join("new"), "").unwrap();
            fs::rename(own.join("new"), own.join("newer")).unwrap();
            fs::remove_file(own.join("newer")).unwrap();
            fs::read("/etc/passwd").unwrap();
            fs::read("/proc/sys/kernel/random/boot_id").unwrap();
        };
        std::thread::spawn(shut).join().unwrap();
    }

    #[test]
    fn settings_are_read_again_wherever_they_are() {
        assert_eq!(read_besides(Path::new("proxy.toml"))[0], Path::new("."));
        let dir = tempfile::tempdir().unwrap();
        let (linked, real) = (dir.path().join("linked"), dir.path().join("real"));
        for dir in [&linked, &real] {
            fs::create_dir(dir).unwrap();
        }
        fs::write(real.join("proxy.toml"), "").unwrap();
        let link = linked.join("proxy.toml");
        std::os::unix::fs::symlink(real.join("proxy.toml"), &link).unwrap();
        let dirs = read_besides(&link);
        assert_eq!(dirs[..2], [linked, real.canonicalize().unwrap()]);
        let resolver = fs::canonicalize("/etc/resolv.conf").unwrap();
        assert_eq!(dirs[2], resolver.parent().unwrap());
    }

    #[test]
    fn what_is_written_is_what_the_settings_name() {
        let config = Config {
            ledger: "/a/ledger".into(),
            records: Some("file:///b/records".parse().unwrap()),
            admin: Some(AdminAddress::Unix("/c/admin.sock".into())),
            session_key: Some("/d/key".into()),
            ..Config::default()
        };
        let written = written(&config);
        assert_eq!(
            written,
            ["/a/ledger", "/b/records", "/c", "/d"].map(PathBuf::from)
        );
    }
}
