//! The store itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tower_oauth_refresh::{
    BoxFuture, Clock, Record, RecordBody, Sealed, SealingKey, StoreError, StoredKey, Swap, SystemClock,
    TokenStore, Version,
};

use crate::contents::{Contents, Moment, boot_id};
use crate::disk::{self, unavailable};
use crate::turns::Turns;

#[cfg(test)]
mod tests;

/// A write takes milliseconds. A process that keeps the lock for this long was stopped, or its disk was.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps records in one file, for any number of tasks and processes on this machine.
///
/// The records are not encrypted: file permissions (0600) are all that protects them. Unless the bytes
/// are sealed already, open it with [`FileStore::sealed`]. Clones share one queue of writers; a second
/// `FileStore` on the same file is as good as a second process.
///
/// A file that cannot be understood is [unreadable](StoreError::is_unreadable) and never overwritten.
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
    writers: Arc<Turns>,
}

#[derive(Clone)]
struct StoreFile {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    boot_id: Option<String>,
    patience: Duration,
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
        let file = StoreFile { path, clock, boot_id: boot_id(), patience: PATIENCE };
        Ok(Self { file: Arc::new(file), writers: Arc::default() })
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

impl StoreFile {
    fn load(&self, key: &StoredKey) -> Result<Option<Record>, StoreError> {
        // Before reading: a record written in between is young, not old.
        let now = self.now();
        self.read(&self.resolve()?)?.get(key, &now)
    }

    fn swap(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Result<Swap, StoreError> {
        let path = self.resolve()?;
        let _lock = disk::lock(&path, self.patience).map_err(unavailable("lock", &path))?;
        let now = self.now();
        let mut contents = self.read(&path)?;
        let current = contents.get(key, &now)?;
        if current.as_ref().map(|record| record.body.version()) != expected {
            return Ok(Swap::Conflict(current));
        }
        contents.set(key, new, now);
        disk::replace(&path, &contents.to_bytes()?).map_err(unavailable("write", &path))?;
        Ok(Swap::Swapped)
    }

    /// Each time anew: whoever moves the file and leaves a link, while we run, is followed.
    fn resolve(&self) -> Result<PathBuf, StoreError> {
        disk::resolve(&self.path).map_err(unavailable("follow", &self.path))
    }

    fn read(&self, path: &Path) -> Result<Contents, StoreError> {
        let bytes = disk::read(path).map_err(unavailable("read", path))?;
        Contents::parse(&bytes.unwrap_or_default(), path)
    }

    fn now(&self) -> Moment {
        Moment::new(self.clock.now(), self.boot_id.as_deref())
    }
}

impl TokenStore for FileStore {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        let (file, key) = (self.file.clone(), key.clone());
        Box::pin(async move {
            let runtime = Handle::try_current().map_err(StoreError::unavailable)?;
            runtime.spawn_blocking(move || file.load(&key)).await.map_err(StoreError::unavailable)?
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        let (file, key, new) = (self.file.clone(), key.clone(), new.cloned());
        Box::pin(self.writers.write(move || file.swap(&key, expected, new.as_ref())))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.file.path).finish_non_exhaustive()
    }
}
