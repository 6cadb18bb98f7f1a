//! A file system of 64 KiB that is really full, or really read-only, for the ledger of a proxy.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Stdio};

use rustix::thread::CapabilitySet;
use tempfile::TempDir;

use crate::binary::Process;
use crate::namespace::{HELP, as_one_who_may};

/// Mounted in a mount namespace that goes with this, and the file system with it. A shell in there
/// does what needs to be done there; the proxy and the test get in by the shell's `/proc/PID/root`.
pub(crate) struct SmallDisk {
    shell: Process,
    tell: ChildStdin,
    said: BufReader<ChildStdout>,
    mount_point: TempDir,
}

impl SmallDisk {
    pub(crate) fn mount() -> Self {
        let mut shell = as_one_who_may(CapabilitySet::SYS_ADMIN, &["unshare", "--mount", "sh"]);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = Process(shell.spawn().expect(HELP));
        let mut disk = Self {
            tell: shell.0.stdin.take().unwrap(),
            said: BufReader::new(shell.0.stdout.take().unwrap()),
            shell,
            mount_point: tempfile::tempdir().unwrap(),
        };
        disk.run("mount -t tmpfs -o size=64k,mode=0700 tmpfs");
        disk
    }

    /// Where a proxy is to keep its ledger.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.path("ledger")
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.path("filler")).unwrap();
        let full = io::copy(&mut io::repeat(0), &mut file).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }

    /// Makes whatever is opened from now on read-only. (A whole file system can be made so only
    /// while no file of it is open for writing.)
    pub(crate) fn make_read_only(&mut self) {
        let at = self.mount_point.path().display().to_string();
        self.run(&format!("mount --bind {at}"));
        self.run("mount -o remount,bind,ro");
        let refused = File::create(self.path("any")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem);
    }

    pub(crate) fn make_writable(&mut self) {
        // Lazily: the proxy may be looking at it.
        self.run("umount --lazy");
    }

    fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.shell.0.id()));
        let mount_point = self.mount_point.path().strip_prefix("/").unwrap();
        root.join(mount_point).join(name)
    }

    /// Runs `command` on the mount point.
    fn run(&mut self, command: &str) {
        let at = self.mount_point.path().display();
        let line = format!("{command} {at} 2>&1 && echo done || echo failed\n");
        // Where the shell did not even start, its end of the pipe says so below.
        let _ = self.tell.write_all(line.as_bytes());
        let mut said = String::new();
        while !said.ends_with("done\n") {
            let more = self.said.read_line(&mut said).unwrap();
            let works = more > 0 && !said.ends_with("failed\n");
            assert!(works, "`{command} {at}`: {said}; {HELP}");
        }
    }
}
