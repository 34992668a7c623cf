//! A process that forks in the middle of a write, and does not start another program.

use std::path::Path;
use std::process::Command;

use crate::files::process::{KINDS, Process};

/// Forks before each flush, when a write has all of its locks and files open. The other process lives for as long as
/// the first.
const FORKING: &str = r#"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>
/* 17 is SIGCHLD. */
static void fork_now(void) {
    pid_t parent = getpid();
    if (syscall(SYS_clone, 17, 0, 0, 0, 0) == 0) {
        close(0); close(1); close(2);
        while (getppid() == parent) usleep(10000);
        _exit(0);
    }
}
int fsync(int fd) { fork_now(); return syscall(SYS_fsync, fd); }
int fdatasync(int fd) { fork_now(); return syscall(SYS_fdatasync, fd); }
"#;

/// Compiled by what rustc links with.
fn preloaded(dir: &Path) -> std::path::PathBuf {
    let (source, library) = (dir.join("forking.c"), dir.join("forking.so"));
    std::fs::write(&source, FORKING).unwrap();
    let cc = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(cc.unwrap().success());
    library
}

fn children(of: u32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{of}/task")).unwrap();
    let children = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    children.map(|children| children.split_whitespace().count()).sum()
}

#[test]
fn a_process_forked_during_a_write_locks_nobody_out() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials.db");
        let library = preloaded(dir.path());
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut forking = Process::spawn(command.env("LD_PRELOAD", library), kind, &path);
        forking.open();
        assert_eq!(forking.write(0), 1);
        assert!(children(forking.id()) > 0, "{kind:?}: it flushed without a fork");
        assert_eq!(forking.write(0), 2);
        let mut other = Process::opened(kind, &path);
        assert_eq!(other.write(0), 3);
        assert_eq!(forking.write(0), 4);
        other.end();
        assert_eq!(Process::opened(kind, &path).write(0), 5);
        assert_eq!(forking.read(0), 5);
    }
}
