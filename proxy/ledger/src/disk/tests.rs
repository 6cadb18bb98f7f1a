//! What a directory of the host refuses.

use super::*;

#[test]
fn a_file_that_is_there_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Directory::open(dir.path()).unwrap();
    fs::write(dir.path().join("a"), "1").unwrap();
    fs::write(dir.path().join("b"), "2").unwrap();
    std::os::unix::fs::symlink("elsewhere", dir.path().join("link")).unwrap();
    let taken = io::ErrorKind::AlreadyExists;
    assert_eq!(disk.create("a").err().unwrap().kind(), taken);
    assert_eq!(disk.rename("a", "b").unwrap_err().kind(), taken);
    assert!(disk.create("link").is_err() && disk.read("link").is_err());
    assert!(!dir.path().join("elsewhere").exists());
    assert_eq!(disk.read("b").unwrap(), b"2");
    // But a step may be tried again.
    disk.create("c").unwrap();
    disk.create("c").unwrap();
    disk.rename("c", "d").unwrap();
    disk.rename("c", "d").unwrap();
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    for mode in [0o720, 0o702, 0o777] {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = Directory::open(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::Untrusted { .. }));
        assert!(
            error.to_string().contains("others can write to it"),
            "{error}"
        );
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Directory::open(dir.path()).unwrap();
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = fs::metadata(dir.path()).unwrap().uid() + 1;
    // Only root can give a directory away; who is not root has some that are root's, and trusts them.
    if std::os::unix::fs::chown(dir.path(), Some(theirs), None).is_ok() {
        let error = Directory::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("belongs to user {theirs}")),
            "{error}"
        );
    } else {
        let error = Directory::open(Path::new("/")).unwrap_err();
        assert!(!matches!(error, OpenError::Untrusted { .. }), "{error}");
    }
}
