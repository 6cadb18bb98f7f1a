//! The names of users, as the host's `/etc/passwd` has them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Names by user id, read again when the file changes. Users of a directory service (LDAP, SSSD) are
/// not in the file: they have an id here and no name.
#[derive(Debug)]
pub(crate) struct Passwd {
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    modified: Option<SystemTime>,
    names: HashMap<u32, String>,
}

impl Passwd {
    /// The names in `file`, each time as it is then.
    pub(crate) fn of(file: PathBuf) -> Self {
        Self {
            file,
            known: Mutex::default(),
        }
    }

    /// The name of the user `uid`.
    pub(crate) fn name(&self, uid: u32) -> Option<String> {
        let modified = std::fs::metadata(&self.file).and_then(|file| file.modified());
        // No panic can leave the names half changed, so a poisoned lock is as good as any.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A file that cannot be seen for a moment (an editor replaces it) is as it was.
        if let Ok(modified) = modified
            && known.modified != Some(modified)
            && let Ok(text) = std::fs::read_to_string(&self.file)
        {
            known.modified = Some(modified);
            known.names = names(&text);
        }
        known.names.get(&uid).cloned()
    }
}

/// Of several names for one id the first counts, as for getpwuid(3).
fn names(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next(), fields.nth(1));
        if let (Some(name), Some(Ok(uid))) = (name, uid.map(str::parse))
            && !name.is_empty()
        {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_first_name_of_an_id_counts_and_other_lines_do_not() {
        let text = "root:x:0:0:root:/root:/bin/bash\n# a comment\n\ntoor:x:0:0::/:/bin/sh\n\
            app:x:1000:1000::/srv:/bin/false\n:x:7::::\nhalf:x\n+::::::\nbad:x:-1:::\n";
        let expected = [(0, "root".to_owned()), (1000, "app".to_owned())];
        assert_eq!(names(text), HashMap::from(expected));
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("passwd");
        let write = |text: &str, seconds| {
            std::fs::write(&file, text).unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_modified(time)
                .unwrap();
        };
        let passwd = Passwd::of(file.clone());
        assert_eq!(passwd.name(5), None);
        write("app:x:5:5:::\n", 1);
        assert_eq!(passwd.name(5).as_deref(), Some("app"));
        write("web:x:5:5:::\n", 2);
        assert_eq!(passwd.name(5).as_deref(), Some("web"));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(passwd.name(5).as_deref(), Some("web"));
    }
}
