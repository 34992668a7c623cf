use std::collections::HashSet;
use std::sync::Barrier;
use std::thread;

use super::*;

#[test]
fn the_key_is_created_once_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/key");
    let created = KeyFile::open_or_create(&path).unwrap();
    let found = KeyFile::open_or_create(&path).unwrap();
    assert_eq!(created.expose_secret(), found.expose_secret());
    assert_eq!(fs::read(&path).unwrap(), created.expose_secret());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    let other = KeyFile::open_or_create(dir.path().join("other")).unwrap();
    assert_ne!(other.expose_secret(), created.expose_secret());
}

#[test]
fn all_who_create_it_at_once_end_with_the_same_key() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let start = Barrier::new(8);
        let keys: HashSet<[u8; LEN]> = thread::scope(|scope| {
            let creating = [(); 8].map(|()| {
                scope.spawn(|| {
                    start.wait();
                    *KeyFile::open_or_create(&path).unwrap().expose_secret()
                })
            });
            creating.into_iter().map(|creating| creating.join().unwrap()).collect()
        });
        assert_eq!(keys.len(), 1);
    }
}

#[test]
fn a_file_that_is_no_key_is_unreadable_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    for len in [0, 1, LEN - 1, LEN + 1, 4096] {
        fs::write(&path, vec![7; len]).unwrap();
        let error = KeyFile::open_or_create(&path).unwrap_err();
        assert!(error.is_unreadable(), "{len} bytes");
        assert_eq!(fs::read(&path).unwrap(), vec![7; len]);
    }
}

#[test]
fn where_no_file_can_be_the_key_is_not_available() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.join("key"), dir.path().to_path_buf()] {
        assert!(!KeyFile::open_or_create(path).unwrap_err().is_unreadable());
    }
}

#[cfg(unix)]
#[test]
fn the_key_is_for_the_owner_alone_from_the_start_and_through_a_symlink() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("key"), dir.path().join("link"));
    symlink("key", &link).unwrap();
    let key = KeyFile::open_or_create(&link).unwrap();
    assert!(link.is_symlink());
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(KeyFile::open_or_create(&path).unwrap().expose_secret(), key.expose_secret());
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_key_that_cannot_be_created_says_why() {
    let dir = tempfile::tempdir().unwrap();
    // There is room for this name, and for no longer one beside it.
    let path = dir.path().join("k".repeat(250));
    let error = KeyFile::open_or_create(path).unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.starts_with("cannot create "), "{why}");
}
