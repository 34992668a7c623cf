//! A disk that is full, and a directory that cannot be written to.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::users;
use crate::files::process::{KINDS, Process};

/// The limit on a file's size stands in for the disk: it binds root as well.
#[test]
fn on_a_full_disk_what_was_acknowledged_stays_and_others_go_on() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials.db");
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\""]);
        let mut full = Process::spawn(shell.arg(std::env::current_exe().unwrap()), kind, &path);
        full.open();
        let mut number = 0;
        let refused = loop {
            let said = full.ask("write-much 0");
            let Ok(next) = said.parse::<u64>() else { break said };
            number = next;
            // A record that takes the place of another makes the file no larger.
            if number == 50 {
                break "the token store is not available".to_owned();
            }
        };
        assert!(refused.starts_with("the token store is not available"), "{kind:?}: {refused}");
        assert_eq!(full.read(0), number, "{kind:?}");
        // Larger than a file may be.
        let refused = full.ask("write-too-much 0");
        assert!(refused.starts_with("the token store is not available"), "{kind:?}: {refused}");
        assert_eq!(full.read(0), number, "{kind:?}");
        let mut other = Process::opened(kind, &path);
        assert_eq!(other.read(0), number, "{kind:?}");
        assert_eq!(other.write(0), number + 1, "{kind:?}");
        assert_eq!(full.read(0), number + 1, "{kind:?}");
    }
}

#[test]
fn in_a_directory_that_cannot_be_written_a_store_can_be_read_and_heals() {
    for kind in KINDS {
        let place = users::place();
        let mut process = place.user(kind);
        process.open();
        assert_eq!(process.write(0), 1);
        let dir = place.path.parent().unwrap();
        let permissions =
            |mode| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
        permissions(0o555);
        // SQLite writes into the files that are there.
        let said = process.ask("write 0");
        let number = said.parse().unwrap_or(1);
        assert!(number == 2 || said.starts_with("the token store is not available"), "{kind:?}: {said}");
        assert_eq!(process.read(0), number);
        permissions(0o755);
        assert_eq!(process.write(0), number + 1, "{kind:?}");
        let mut next = place.user(kind);
        next.open();
        assert_eq!(next.write(0), number + 2, "{kind:?}");
    }
}
