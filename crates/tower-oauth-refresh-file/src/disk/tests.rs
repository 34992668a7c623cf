use std::sync::Barrier;
use std::thread;

use super::*;

const LONGEST: u64 = 64 << 20;

#[test]
fn a_file_of_64_mebibytes_is_read_and_a_longer_one_is_not() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(LONGEST).unwrap();
    assert_eq!(read(&file).unwrap().len() as u64, LONGEST);
    let file = tempfile::tempfile().unwrap();
    file.set_len(LONGEST + 1).unwrap();
    assert_eq!(read(&file).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn no_more_is_written_than_what_can_be_read() {
    let file = tempfile::tempfile().unwrap();
    let half = vec![0; (LONGEST / 2) as usize];
    let mut bounded = Bounded { file: &file, left: MAX_LEN };
    bounded.write_all(&half).unwrap();
    bounded.write_all(&half).unwrap();
    assert_eq!(bounded.write_all(&[0]).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn a_replacement_that_fails_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials");
    Replacement::write(&path, |_| Err(ErrorKind::StorageFull.into())).unwrap_err();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn all_who_create_a_directory_at_once_have_it() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let start = Barrier::new(4);
        thread::scope(|scope| {
            let create = || {
                start.wait();
                create_dir(&dir.path().join("a/b/c"))
            };
            let created = [(); 4].map(|()| scope.spawn(create));
            created.into_iter().for_each(|created| created.join().unwrap().unwrap());
        });
    }
}

#[test]
fn a_file_where_a_directory_is_to_be_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(create_dir(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[cfg(unix)]
#[test]
fn what_is_below_a_file_is_an_error_and_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("below");
    assert_eq!(tighten(&below).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(open(&below).unwrap_err().kind(), ErrorKind::NotADirectory);
}

#[cfg(unix)]
#[test]
fn the_rights_of_a_file_that_is_private_are_not_written() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials");
    create_new(&path).unwrap();
    let changed = || fs::metadata(&path).map(|there| (there.ctime(), there.ctime_nsec())).unwrap();
    let before = changed();
    // The clock of the file system goes in steps of some milliseconds.
    while create_new(&beside(&path, ".later")).unwrap().metadata().unwrap().ctime_nsec() == before.1 {
        fs::remove_file(beside(&path, ".later")).unwrap();
    }
    tighten(&path).unwrap();
    assert_eq!(changed(), before);
}
