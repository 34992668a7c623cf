//! What was last read from the file or written to it, kept for as long as the file is the same.

use std::fs::{File, Metadata};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::contents::Contents;

/// Far longer than any file system takes for one moment: two changes within it may leave the same time.
const ONE_MOMENT: Duration = Duration::from_secs(2);

/// A file and what is in it.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Open, so that no other file gets its number.
    file: Arc<File>,
    identity: Identity,
    since: Duration,
    is_settled: bool,
    contents: Arc<Contents>,
}

impl Kept {
    /// `identity` is that of `file` before it was read. It `is_settled` where this was long after it was first seen: no
    /// change can hide behind the time of another any more.
    pub(crate) fn new(
        file: File,
        identity: Identity,
        contents: Arc<Contents>,
        now: Duration,
        is_settled: bool,
    ) -> Self {
        Self { file: Arc::new(file), identity, since: now, is_settled, contents }
    }

    pub(crate) fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    pub(crate) fn is(&self, identity: Option<&Identity>) -> bool {
        identity == Some(&self.identity)
    }

    /// The contents, where the file at `path` is still this one.
    ///
    /// Whoever replaces a file leaves another one there. Whoever writes into it, which nothing of ours does, changes its
    /// length or its time, or is seen when it is read once more after a moment.
    pub(crate) fn of(&self, path: &Path, now: Duration) -> Option<Arc<Contents>> {
        if !self.is_settled && now.saturating_sub(self.since) >= ONE_MOMENT {
            return None;
        }
        let there = std::fs::metadata(path).ok().as_ref().and_then(identity);
        self.is(there.as_ref()).then(|| self.contents.clone())
    }
}

/// What tells a file, and its state, from others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    #[cfg(unix)]
    numbers: [u64; 3],
    #[cfg(unix)]
    times: [i64; 4],
}

impl Identity {
    pub(crate) fn of(file: &File) -> Option<Self> {
        file.metadata().ok().as_ref().and_then(identity)
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn identity(file: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let numbers = [file.dev(), file.ino(), file.size()];
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
    Some(Identity { numbers, times })
}

/// Elsewhere a file has no number that could be asked for, and nothing is kept.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<Identity> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_young_file_is_read_once_more_after_a_moment_and_an_old_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(&path, "").unwrap();
        let keep = |since: Duration, is_settled| {
            let file = File::open(&path).unwrap();
            let identity = Identity::of(&file).unwrap();
            Kept::new(file, identity, Arc::new(Contents::empty()), since, is_settled)
        };
        let read = Duration::from_secs(60);
        let young = keep(read, false);
        assert!(young.of(&path, read).is_some());
        assert!(young.of(&path, read + ONE_MOMENT).is_none());
        let old = keep(read, true);
        assert!(old.of(&path, read + ONE_MOMENT * 100).is_some());
        std::fs::write(&path, "1").unwrap();
        assert!(old.of(&path, read).is_none());
    }
}
