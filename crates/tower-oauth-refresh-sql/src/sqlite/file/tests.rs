use std::sync::Barrier;
use std::thread;

use super::*;
use crate::error::tests::Said;

#[test]
fn a_database_is_busy_for_whatever_reason_and_not_for_any_other_error() {
    let busy = |code| is_busy(&sqlx::Error::Database(Box::new(Said(code))));
    assert!(busy("5") && busy("261") && busy("517"));
    assert!(!busy("6") && !busy("11") && !busy("words"));
    assert!(!is_busy(&sqlx::Error::PoolClosed));
}

#[test]
fn all_who_create_a_directory_at_once_have_it_and_a_file_in_its_place_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let start = Barrier::new(4);
        thread::scope(|scope| {
            let make = || {
                start.wait();
                create_dir(&dir.path().join(format!("{round}/b/c")))
            };
            let made = [(); 4].map(|()| scope.spawn(make));
            made.into_iter().for_each(|made| made.join().unwrap().unwrap());
        });
    }
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(create_dir(&file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_file_that_is_there_is_left_as_it_is_and_one_that_cannot_be_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("database");
    fs::write(&path, "kept").unwrap();
    create(&path, dir.path()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"kept");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let missing = dir.path().join("missing");
    assert!(create(&missing.join("database"), &missing).is_err());
}

#[cfg(unix)]
#[test]
fn others_lose_their_rights_and_a_private_file_is_not_touched() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("database");
    tighten(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(tighten(&path.join("below")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    tighten(&path).unwrap();
    let state =
        |path: &Path| fs::metadata(path).map(|there| (there.mode() & 0o777, there.ctime_nsec())).unwrap();
    let before = state(&path);
    assert_eq!(before.0, 0o600);
    // The clock of the file system goes in steps of some milliseconds.
    let later = dir.path().join("later");
    loop {
        fs::write(&later, "").unwrap();
        if state(&later).1 != before.1 {
            break;
        }
        fs::remove_file(&later).unwrap();
    }
    tighten(&path).unwrap();
    assert_eq!(state(&path), before);
}

#[test]
fn an_error_that_is_none_is_told_from_others() {
    let failed = |kind: io::ErrorKind| Err(kind.into());
    let kinds = [io::ErrorKind::AlreadyExists, io::ErrorKind::Unsupported];
    assert!(but_for(Ok(()), &kinds).is_ok());
    assert!(kinds.iter().all(|kind| but_for(failed(*kind), &kinds).is_ok()));
    let other = but_for(failed(io::ErrorKind::StorageFull), &kinds);
    assert_eq!(other.unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[cfg(unix)]
#[test]
fn what_an_administrator_creates_belongs_to_whoever_has_the_directory() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    let owner = |path: &Path| fs::metadata(path).unwrap().uid();
    let dir = tempfile::tempdir().unwrap();
    let path = |name| dir.path().join(name);
    let me = owner(dir.path());
    // Anybody else creates files of his own.
    let other = if chown(dir.path(), Some(12_345), Some(12_345)).is_ok() { 12_345 } else { me };
    create(&path("one"), dir.path()).unwrap();
    assert_eq!(owner(&path("one")), other);
    // Where everybody may create files, its owner says nothing.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    create(&path("other"), dir.path()).unwrap();
    assert_eq!(owner(&path("other")), me);
}
