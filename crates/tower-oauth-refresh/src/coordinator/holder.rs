//! Who this process is, and whether another one on the same host is dead.
//!
//! A mark names its holder. On the same boot and in the same process id namespace its death can be proven,
//! and then nobody has to wait for the mark to age. Where anything cannot be read, nothing is proven.

use std::fs;

use crate::store::record::Holder;

impl Holder {
    /// This process.
    pub(crate) fn this(coordinator: u128) -> Self {
        let text = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
        let namespace = fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned());
        let pid = std::process::id();
        Self {
            boot: text("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            namespace: namespace.unwrap_or_default(),
            pid,
            started: stat(pid).map_or(0, |stat| stat.started),
            coordinator,
        }
    }

    /// Is `other` a process of this boot and namespace that has ended?
    pub(crate) fn proves_dead(&self, other: &Self) -> bool {
        let known = !self.boot.is_empty() && !self.namespace.is_empty() && self.started != 0;
        if !known || self.boot != other.boot || self.namespace != other.namespace || other.started == 0 {
            return false;
        }
        match stat(other.pid) {
            // The id was given to another process, or its own one only waits to be reaped.
            Some(stat) => stat.started != other.started || stat.has_ended(),
            // Not to be seen may also mean hidden from us: the kernel is asked by another way.
            None => no_such_process(other.pid),
        }
    }
}

#[cfg(target_os = "linux")]
fn no_such_process(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

#[cfg(not(target_os = "linux"))]
fn no_such_process(_: u32) -> bool {
    false
}

struct Stat {
    /// Of its first thread.
    state: u8,
    threads: u64,
    started: u64,
}

impl Stat {
    /// A process whose first thread has ended looks like one that waits to be reaped, but for its other threads. Only
    /// they could start more: once there are none, there will be none.
    fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }
}

/// State, number of threads and start time of a process (proc(5)): fields 3, 20 and 22, counted after the name,
/// which may hold anything.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let threads = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some(Stat { state, threads, started })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_living_process_is_not_dead_and_a_killed_one_is() {
        let me = Holder::this(1);
        assert!(!me.proves_dead(&me));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let other = Holder { pid: child.id(), started: stat(child.id()).unwrap().started, ..me.clone() };
        assert!(!me.proves_dead(&other));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(me.proves_dead(&other));
    }

    #[test]
    fn nothing_is_proven_about_another_boot_or_namespace() {
        let me = Holder::this(1);
        let gone = Holder { pid: i32::MAX as u32, started: 5, ..me.clone() };
        assert!(me.proves_dead(&gone));
        assert!(!me.proves_dead(&Holder { boot: "another".to_owned(), ..gone.clone() }));
        assert!(!me.proves_dead(&Holder { namespace: "another".to_owned(), ..gone.clone() }));
        assert!(!me.proves_dead(&Holder { started: 0, ..gone }));
    }

    #[test]
    fn a_process_that_cannot_say_who_it_is_proves_nothing() {
        let me = Holder::this(1);
        for unknown in [
            Holder { boot: String::new(), ..me.clone() },
            Holder { namespace: String::new(), ..me.clone() },
            Holder { started: 0, ..me },
        ] {
            let gone = Holder { pid: i32::MAX as u32, started: 5, ..unknown.clone() };
            assert!(!unknown.proves_dead(&gone), "{unknown:?}");
        }
    }

    #[test]
    fn the_kernel_knows_which_processes_there_are_where_their_files_are_hidden() {
        assert!(!no_such_process(std::process::id()));
        assert!(no_such_process(i32::MAX as u32));
        assert!(!no_such_process(u32::MAX), "no process id at all");
    }

    /// Its first thread ends, its second goes on; then that one is told to end, too.
    const TWO_THREADS: &str = r#"
#include <pthread.h>
#include <unistd.h>
static void *second(void *unused) { char c; while (read(0, &c, 1) > 0) {} return unused; }
int main(void) { pthread_t t; pthread_create(&t, 0, second, 0); pthread_exit(0); }
"#;

    fn until(stdin: Option<std::process::ChildStdin>, pid: u32, is_so: impl Fn(&Stat) -> bool) {
        drop(stdin);
        let is_so_now = || stat(pid).is_some_and(|stat| is_so(&stat));
        let becomes_so = (0..10_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            is_so_now()
        });
        assert!(becomes_so, "{pid} does not become what is waited for");
    }

    #[test]
    fn a_process_whose_first_thread_ended_lives_until_the_last_one_has() {
        let dir = tempfile::tempdir().unwrap();
        let (source, program) = (dir.path().join("two.c"), dir.path().join("two"));
        fs::write(&source, TWO_THREADS).unwrap();
        // What rustc links with.
        let cc = Command::new("cc").args(["-pthread", "-o"]).arg(&program).arg(&source).status().unwrap();
        assert!(cc.success());
        let mut child = Command::new(&program).stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        until(None, pid, |stat| stat.state == b'Z');
        let me = Holder::this(1);
        let other = Holder { pid, started: stat(pid).unwrap().started, ..me.clone() };
        let lives = !me.proves_dead(&other);
        until(child.stdin.take(), pid, |_| me.proves_dead(&other));
        child.wait().unwrap();
        assert!(lives, "its second thread may be about to send");
    }

    #[test]
    fn a_process_id_given_to_somebody_else_does_not_keep_its_former_owner_alive() {
        let me = Holder::this(1);
        assert!(me.proves_dead(&Holder { started: me.started + 1, ..me.clone() }));
    }
}
