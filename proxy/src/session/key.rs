//! The key of sessions, and the one place outside of the process where it may lie.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use credpin_ledger::BootId;
use rustix::fs::{Mode, OFlags, fstatfs, open};
use zeroize::Zeroizing;

/// Signs sessions. Whoever has it can make them.
#[derive(Clone)]
pub struct SessionKey(Zeroizing<[u8; KEY]>);

/// Where a key lies.
#[derive(Debug, thiserror::Error)]
pub enum Kept {
    /// In a file, for the next start on this boot.
    #[error("the key of sessions is kept in {}", .0.display())]
    File(PathBuf),
    /// In memory, as the config says.
    #[error("the key of sessions is in memory only: they end with this process")]
    Memory,
    /// In memory, since the file cannot be used.
    #[error("the key of sessions is in memory only, and they end with this process: {} cannot keep it", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

const KEY: usize = 32;
/// `f_type` of a file system in memory (statfs(2)).
const TMPFS: i128 = 0x0102_1994;
/// A boot id, a newline, the key in hexadecimal digits, a newline.
const LENGTH: usize = 36 + 1 + 2 * KEY + 1;

impl SessionKey {
    /// A new one.
    pub fn random() -> Self {
        let mut key = Zeroizing::new([0; KEY]);
        getrandom::fill(&mut *key).expect("the kernel has random bytes");
        Self(key)
    }

    /// The key that is in the file `path` for this boot, or a new one, which is written there. A
    /// file that is not on tmpfs, or that others can read or change, is not used.
    pub fn open(path: Option<&Path>, boot: &BootId) -> (Self, Kept) {
        let Some(path) = path else {
            return (Self::random(), Kept::Memory);
        };
        let path = path.to_owned();
        match agree(&path, boot) {
            Ok(key) => (key, Kept::File(path)),
            Err(source) => (Self::random(), Kept::NoFile { path, source }),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &*self.0
    }
}

impl From<[u8; KEY]> for SessionKey {
    fn from(key: [u8; KEY]) -> Self {
        Self(Zeroizing::new(key))
    }
}

/// Reads the file or writes it, under a lock on its directory, so that two that start at the same
/// time have the same key.
fn agree(path: &Path, boot: &BootId) -> io::Result<SessionKey> {
    let named = path.file_name().zip(path.parent());
    let (name, dir) = named.ok_or(io::ErrorKind::InvalidFilename)?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir_file = File::from(open(dir, OFlags::RDONLY | flags, Mode::empty())?);
    if i128::from(fstatfs(&dir_file)?.f_type) != TMPFS {
        return Err(io::Error::other("it is not on tmpfs"));
    }
    dir_file.lock()?;
    match read(path) {
        Ok(text) => {
            if let Some(key) = parse(&text, boot) {
                return Ok(key);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key = SessionKey::random();
    let mut temporary = name.to_owned();
    temporary.push(".new");
    let temporary = dir.join(temporary);
    // What a start that was killed left.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(open(&temporary, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(print(&key, boot).as_bytes())?;
    std::fs::rename(&temporary, path)?;
    Ok(key)
}

/// The text of a file that nobody else can have written or read.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    let is = file.metadata()?;
    let own = is.uid() == rustix::process::geteuid().as_raw();
    if !is.is_file() || !own || is.mode() & 0o077 != 0 || is.nlink() != 1 {
        return Err(io::Error::other("others can read or change it"));
    }
    let mut text = Zeroizing::new(String::with_capacity(LENGTH + 1));
    file.take(LENGTH as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn print(key: &SessionKey, boot: &BootId) -> Zeroizing<String> {
    use std::fmt::Write as _;
    let mut text = Zeroizing::new(String::with_capacity(LENGTH));
    let _ = writeln!(text, "{boot}");
    for byte in key.0.iter() {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}

/// The key, if it is of this boot.
fn parse(text: &str, boot: &BootId) -> Option<SessionKey> {
    let (of, digits) = text.strip_suffix('\n')?.split_once('\n')?;
    let right = of == boot.to_string() && digits.len() == 2 * KEY;
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !right || !hexadecimal {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY]);
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..][..2], 16).ok()?;
    }
    Some(SessionKey(key))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// tmpfs on every Linux that this runs on.
    fn tmpfs() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").unwrap()
    }

    fn boot(last: char) -> BootId {
        let id = format!("0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a596{last}");
        id.parse().unwrap()
    }

    fn kept(path: &Path, boot: &BootId) -> [u8; KEY] {
        let (key, kept) = SessionKey::open(Some(path), boot);
        assert!(matches!(kept, Kept::File(_)), "{kept:?}");
        *key.0
    }

    #[test]
    fn it_lasts_as_long_as_the_boot() {
        let dir = tmpfs();
        let path = dir.path().join("session.key");
        let first = kept(&path, &boot('1'));
        assert_eq!(kept(&path, &boot('1')), first);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_ne!(kept(&path, &boot('2')), first);
        std::fs::write(&path, "torn").unwrap();
        let new = kept(&path, &boot('2'));
        assert_eq!(kept(&path, &boot('2')), new);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn two_that_start_at_once_agree() {
        let dir = tmpfs();
        let path = dir.path().join("session.key");
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| kept(&path, &boot('1'))))
                .collect();
            let mut keys = all.into_iter().map(|one| one.join().unwrap());
            let first = keys.next().unwrap();
            assert!(keys.all(|key| key == first));
        });
    }

    #[test]
    fn a_file_that_others_can_reach_is_not_used() {
        let dir = tmpfs();
        let path = dir.path().join("session.key");
        let refused = |path: &Path| {
            let (_, kept) = SessionKey::open(Some(path), &boot('1'));
            assert!(matches!(kept, Kept::NoFile { .. }), "{kept:?}");
        };
        kept(&path, &boot('1'));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        refused(&path);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        refused(&link);
        refused(&dir.path().join("nowhere/session.key"));
        // What is there outlives the boot (file-hierarchy(7)), so it is on a disk.
        let disk = tempfile::tempdir_in("/var/tmp").unwrap();
        refused(&disk.path().join("session.key"));
        assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0);
    }
}
