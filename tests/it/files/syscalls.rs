//! The order of system calls of a durable write, as the kernel saw them.
//!
//! A power cut keeps what was flushed before it, and of the rest whatever it likes. A write that is acknowledged has
//! therefore to be in this order: the bytes, their flush, the name, the flush of the directory that has the name, the
//! acknowledgement. No test without power cuts would notice a flush that is missing, but for one that looks.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::{Kind, MARK, Process};
use super::rounds;

const TRACED: &str =
    "trace=openat,mkdir,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat";

/// A call as strace writes it, and when it began and ended, counted in lines.
#[derive(Clone, Debug)]
struct Call {
    text: String,
    began: usize,
    ended: usize,
}

impl Call {
    fn is(&self, name: &str) -> bool {
        self.text.split_once('(').is_some_and(|(called, _)| called.starts_with(name))
    }

    /// Flushes just this file or directory.
    fn flushes(&self, path: &Path) -> bool {
        self.text.starts_with('f') && self.text.contains(&format!("<{}>", path.display()))
    }

    /// Of bytes to this file.
    fn writes(&self, path: &Path) -> bool {
        (self.is("write") || self.is("pwrite64")) && self.text.contains(&format!("<{}>", path.display()))
    }

    fn names(&self, path: &Path) -> bool {
        self.text.contains(&format!("\"{}\"", path.display()))
    }

    fn acknowledges(&self) -> bool {
        self.is("write") && self.text.contains(MARK) && !self.text.contains("opened")
    }
}

/// What a process did that opened a store and wrote so often, in the order in which the calls ended.
fn traced(kind: Kind, path: &Path, writes: u64) -> Vec<Call> {
    let trace = path.ancestors().nth(2).unwrap().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-s", "100", "-e", TRACED, "-o"]).arg(&trace);
    let mut process = Process::spawn(strace.arg(std::env::current_exe().unwrap()), kind, path);
    process.open();
    for number in 1..=writes {
        assert_eq!(process.write(0), number);
    }
    process.end();
    parse(&fs::read_to_string(trace).unwrap())
}

fn parse(trace: &str) -> Vec<Call> {
    let (mut calls, mut unfinished) = (Vec::new(), HashMap::new());
    for (at, line) in trace.lines().enumerate() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(pid, (begun, at));
        } else if let Some((_, resumed)) = rest.split_once(" resumed>") {
            let (begun, began) = unfinished.remove(pid).unwrap();
            calls.push(Call { text: format!("{begun}{resumed}"), began, ended: at });
        } else {
            calls.push(Call { text: rest.to_owned(), began: at, ended: at });
        }
    }
    calls.retain(|call| !call.text.contains(" = -1 "));
    calls
}

/// The calls between one acknowledgement and the next.
fn by_acknowledgement(calls: &[Call]) -> Vec<(&[Call], &Call)> {
    let parts = calls.split_inclusive(Call::acknowledges);
    parts
        .filter_map(|part| part.split_last())
        .map(|(last, before)| (before, last))
        .filter(|part| part.1.acknowledges())
        .collect()
}

/// What a call has to be, and a name for it.
type Step<'a> = (&'a str, &'a dyn Fn(&Call) -> bool);

/// Finds calls of these kinds, each begun after the one before it had ended.
fn assert_order(calls: &[Call], until: &Call, steps: &[Step<'_>]) {
    let mut after = None;
    for (what, is_it) in steps {
        let found = calls.iter().find(|call| after.is_none_or(|after| call.began > after) && is_it(call));
        let found = found.unwrap_or_else(|| panic!("no {what} in its place:\n{}", shown(calls)));
        after = Some(found.ended);
    }
    assert!(after < Some(until.began), "acknowledged too early:\n{}", shown(calls));
}

fn shown(calls: &[Call]) -> String {
    calls.iter().map(|call| format!("{}..{} {}\n", call.began, call.ended, call.text)).collect()
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("new/credentials.db");
    (dir, path)
}

#[test]
fn the_file_store_flushes_the_file_and_its_name_before_it_acknowledges() {
    let (_dir, path) = place();
    let (dir, temp) = (path.parent().unwrap(), path.with_extension("db.tmp"));
    let writes = 3 * rounds();
    let calls = traced(Kind::File, &path, writes);
    let parts = by_acknowledgement(&calls);
    assert_eq!(parts.len() as u64, writes);
    for (calls, acknowledged) in parts {
        let last = calls.iter().rposition(|call| call.writes(&temp)).expect("it wrote the file");
        let calls = &calls[last..];
        assert_order(
            calls,
            acknowledged,
            &[
                ("last write of bytes", &|call| call.writes(&temp)),
                ("flush of the file", &|call| call.flushes(&temp)),
                ("rename", &|call| call.is("rename") && call.names(&temp) && call.names(&path)),
                ("flush of the directory", &|call| call.flushes(dir)),
            ],
        );
    }
}

#[test]
fn the_key_file_and_a_new_directory_are_durable_before_anything_is_sealed() {
    let (_dir, path) = place();
    let (dir, key) = (path.parent().unwrap(), path.with_extension("key"));
    let calls = traced(Kind::File, &path, 1);
    let sealed = calls.iter().find(|call| call.writes(&path.with_extension("db.tmp"))).unwrap();
    let is_temp = |call: &Call| call.text.contains(&format!("<{}.", key.display()));
    assert_order(
        &calls,
        sealed,
        &[
            ("new directory", &|call| call.is("mkdir") && call.names(dir)),
            ("flush of the directory above", &|call| call.flushes(dir.parent().unwrap())),
            ("write of the key", &|call| call.is("write") && is_temp(call)),
            ("flush of the key", &|call| call.text.starts_with("fsync") && is_temp(call)),
            ("link", &|call| call.is("link") && call.names(&key)),
            ("flush of the directory", &|call| call.flushes(dir)),
        ],
    );
}

#[test]
fn sqlite_flushes_its_log_and_the_name_of_it_before_it_acknowledges() {
    let (_dir, path) = place();
    let (dir, log) = (path.parent().unwrap(), path.with_extension("db-wal"));
    let writes = 3 * rounds();
    let calls = traced(Kind::Sqlite, &path, writes);
    let parts = by_acknowledgement(&calls);
    assert_eq!(parts.len() as u64, writes);
    let (first, acknowledged) = parts[0];
    assert_order(
        first,
        acknowledged,
        &[
            ("new directory", &|call| call.is("mkdir") && call.names(dir)),
            ("flush of the directory above", &|call| call.flushes(dir.parent().unwrap())),
            ("creation of the log", &|call| call.is("openat") && call.names(&log)),
            ("flush of the directory", &|call| call.flushes(dir)),
        ],
    );
    for (calls, acknowledged) in parts {
        let last = calls.iter().rposition(|call| call.writes(&log)).expect("it wrote the log");
        assert_order(
            &calls[last..],
            acknowledged,
            &[
                ("last write of bytes", &|call| call.writes(&log)),
                ("flush of the log", &|call| call.flushes(&log)),
            ],
        );
    }
}
