//! The store itself.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tower_oauth_refresh::{
    BoxFuture, Clock, Record, RecordBody, Sealed, SealingKey, StoreError, StoredKey, Swap, SystemClock,
    TokenStore, Version,
};

use crate::calls::{Load, Write};
use crate::contents::boot_id;
use crate::disk;
use crate::failure::unavailable;
use crate::file::StoreFile;
use crate::turns::Turns;

#[cfg(test)]
mod tests;

/// A write takes milliseconds. A process that keeps the lock for this long was stopped, or its disk was.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps records in one file, for any number of tasks and processes on this machine.
///
/// The records are not encrypted: file permissions (0600) are all that protects them. Unless the bytes
/// are sealed already, open it with [`FileStore::sealed`]. Clones share what was last read from the file, which is
/// kept in memory, and write together what waits to be written; a second `FileStore` on the same file is as good as a
/// second process.
///
/// A file that cannot be understood is [unreadable](StoreError::is_unreadable) and never overwritten. A swap from the
/// [version](TokenStore#damaged-entries) that the error names, which a new login does, moves it to
/// `….damaged-` and eight digits beside it and begins a new one; the other logins in it are then gone until somebody
/// repairs it. A file that a newer release wrote names no version, and stays.
///
/// Without a file, or with an empty one, there are no records. Where the path is a symlink, the file it
/// leads to is replaced and the link stays.
///
/// Its age of a record is by this machine's clock that nobody sets and that counts suspend, where there
/// is one (Linux); across a reboot, and elsewhere, by the wall clock.
///
/// # Errors
///
/// A call fails as not available when no tokio runtime is there to run its blocking part or that one ends
/// before it begins, when another process keeps the lock for more than five seconds, and when the file system
/// refuses: the old records then stay whole. Nothing is bound to a runtime: any number may use the store.
///
/// # Cancel safety
///
/// A dropped write that waits for its turn has not happened; one that began is finished in the background.
#[derive(Clone)]
pub struct FileStore {
    file: Arc<StoreFile>,
    readers: Arc<Turns<Load>>,
    writers: Arc<Turns<Write>>,
}

impl FileStore {
    /// Opens the store at `path`, which need not exist yet; a missing directory is created, for the owner
    /// alone. If others may read the file, they no longer may afterwards.
    ///
    /// Blocks for a few file operations: call it at start-up.
    ///
    /// # Errors
    ///
    /// [`StoreError::unavailable`] when the directory cannot be created, when the file belongs to somebody
    /// else who lets others read it, and when `path` is no regular file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        disk::prepare(path)?;
        let path = std::path::absolute(path).map_err(unavailable("find", path))?;
        let clock = Arc::new(SystemClock::default());
        let file = StoreFile {
            path,
            clock,
            boot_id: boot_id(),
            patience: PATIENCE,
            kept: Arc::default(),
            pace: Arc::default(),
            #[cfg(test)]
            counted: Arc::default(),
            #[cfg(test)]
            a_write_takes: Duration::ZERO,
        };
        Ok(Self { file: Arc::new(file), readers: Arc::default(), writers: Arc::default() })
    }

    /// Like [`open`](Self::open), with every record encrypted under `key`: from a keychain, or, on a
    /// machine without one, from a [`KeyFile`](crate::KeyFile).
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open). A wrong key shows itself when a record is loaded.
    pub fn sealed(path: impl AsRef<Path>, key: SealingKey) -> Result<Sealed<Self>, StoreError> {
        Ok(Sealed::new(Self::open(path)?, key))
    }

    /// Judges age by `clock`: for tests. All stores on one file must agree.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        Arc::make_mut(&mut self.file).clock = clock;
        self
    }
}

impl TokenStore for FileStore {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        let (file, key) = (self.file.clone(), key.clone());
        Box::pin(self.readers.clone().enter(move |answer| Load { file, key, answer }))
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        let (file, key, new) = (self.file.clone(), key.clone(), new.cloned());
        Box::pin(self.writers.clone().enter(move |answer| Write { file, key, expected, new, answer }))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.file.path).finish_non_exhaustive()
    }
}
