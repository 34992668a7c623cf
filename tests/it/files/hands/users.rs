//! Two users of one file: a person, and the same person with `sudo`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::files::process::{KINDS, Kind, Process};

/// Nobody's, on any Linux.
const USER: u32 = 65534;

/// A directory of a user who is not root.
pub(super) struct Place {
    pub(super) path: PathBuf,
    program: PathBuf,
    _dir: TempDir,
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(super) fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let (home, program) = (dir.path().join("home"), dir.path().join("program"));
    fs::create_dir(&home).unwrap();
    // Where the user can reach it.
    let this = std::env::current_exe().unwrap();
    fs::hard_link(&this, &program).or_else(|_| fs::copy(&this, &program).map(drop)).unwrap();
    if is_root() {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        chown(&home, Some(USER), Some(USER)).unwrap();
    }
    Place { path: home.join("credentials.db"), program, _dir: dir }
}

impl Place {
    /// A process of the user.
    pub(super) fn user(&self, kind: Kind) -> Process {
        let mut command = Command::new(&self.program);
        if is_root() {
            command.uid(USER).gid(USER);
        }
        Process::spawn(command.current_dir("/"), kind, &self.path)
    }

    fn owned(self) -> Self {
        for file in fs::read_dir(self.path.parent().unwrap()).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().uid(), USER, "{:?}", file.file_name());
        }
        self
    }
}

/// Without root there is no second user. Says so past the harness, which keeps what a passing test prints.
fn has_two_users() -> bool {
    if !is_root() {
        let _ =
            writeln!(std::io::stderr(), "NOT TESTED: what root does to the file of a user; this needs root");
    }
    is_root()
}

#[test]
fn a_user_is_not_locked_out_by_what_root_writes() {
    if !has_two_users() {
        return;
    }
    for kind in KINDS {
        let place = place();
        let mut user = place.user(kind);
        user.open();
        assert_eq!(user.write(0), 1);
        let mut root = Process::opened(kind, &place.path);
        assert_eq!(root.write(0), 2, "{kind:?}");
        assert_eq!(user.read(0), 2, "{kind:?}");
        assert_eq!(user.write(0), 3, "{kind:?}");
        root.end();
        let mut next = place.user(kind);
        next.open();
        assert_eq!(next.write(0), 4, "{kind:?}");
        place.owned();
    }
}

#[test]
fn a_user_is_not_locked_out_where_root_came_first() {
    if !has_two_users() {
        return;
    }
    for kind in KINDS {
        let mut place = place();
        place.path = place.path.parent().unwrap().join("new/credentials.db");
        let mut root = Process::opened(kind, &place.path);
        assert_eq!(root.write(0), 1);
        let mut user = place.user(kind);
        user.open();
        assert_eq!(user.write(0), 2, "{kind:?}");
        assert_eq!(root.write(0), 3, "{kind:?}");
        root.end();
        user.end();
        place.owned();
    }
}

/// A directory that everybody may put files into says nothing about who may read one.
#[test]
fn what_root_writes_where_everybody_may_is_roots() {
    if !has_two_users() {
        return;
    }
    for kind in KINDS {
        let place = place();
        let home = place.path.parent().unwrap();
        fs::set_permissions(home, fs::Permissions::from_mode(0o1777)).unwrap();
        let mut root = Process::opened(kind, &place.path);
        assert_eq!(root.write(0), 1);
        assert_eq!(fs::metadata(&place.path).unwrap().uid(), 0, "{kind:?}");
    }
}
