//! A lock among processes that dies with its holder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use crate::disk::{beside, owners};
use crate::owner::Owner;

/// Between two looks at a lock somebody else holds: from about the time of a quick write up to a slow one's.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// Held until it is dropped, or until the process ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

#[cfg(test)]
impl Lock {
    pub(crate) fn duplicate(&self) -> File {
        self.0.try_clone().unwrap()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone lets go only with the last descriptor, and a process forked meanwhile has one, too.
        let _ = self.0.unlock();
    }
}

/// Waits its turn for the lock on `path` among all processes.
///
/// # Errors
///
/// When somebody else has held it for longer than `patience`: a process that was stopped, say.
pub(crate) fn lock(path: &Path, mut patience: Duration) -> io::Result<Lock> {
    // Whoever polls loses against a process that takes the lock again as soon as it let go. In front of
    // the lock there is therefore a second one for the next in line: the busy process does not get past it.
    let _next = poll(path, ".queue", &mut patience)?;
    poll(path, ".lock", &mut patience)
}

fn poll(file: &Path, suffix: &str, patience: &mut Duration) -> io::Result<Lock> {
    let path = beside(file, suffix);
    let mut pause = SHORTEST_PAUSE;
    loop {
        let lock = open(&path)?;
        Owner::of(file).take(&lock);
        match lock.try_lock() {
            Ok(()) if is_at(&lock, &path) => return Ok(Lock(lock)),
            // Somebody removed the file: the next one to come locks another.
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if patience.is_zero() {
            return Err(io::Error::new(ErrorKind::TimedOut, "another process holds the lock"));
        }
        // A blocking lock could not be given up. This thread is one for blocking, one per store, and the
        // other process is on no clock of ours: hence real sleep, of which the sum is the time waited.
        std::thread::sleep(pause);
        *patience = patience.saturating_sub(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Nobody may remove it while it is open, or two would hold two locks.
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, READ_AND_WRITE);
    owners(options.write(true).create(true).truncate(false)).open(path)
}

#[cfg(windows)]
const READ_AND_WRITE: u32 = 3;

#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(locked) = file.metadata() else { return false };
    fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino()))
}

/// Elsewhere a file cannot be removed while it is open so.
#[cfg(not(unix))]
pub(crate) fn is_at(_: &File, path: &Path) -> bool {
    fs::exists(path).unwrap_or(true)
}
