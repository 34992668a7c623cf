//! A token store of one's own: one file per credential, in one directory of one machine.
//!
//! The README beside this says what to think about. Errors of the file system are "not available"; a file
//! that is too short to be a record is "unreadable", and only a swap that names it overwrites it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tower_oauth_refresh::{
    BoxFuture, Clock as _, Record, RecordBody, StoreError, StoredKey, Swap, SystemClock, TokenStore, Version,
};

/// Keeps each record in a file: 16 bytes of version, 8 of time (milliseconds), then what the engine wrote.
#[derive(Clone, Debug)]
pub struct DirStore {
    dir: PathBuf,
}

impl DirStore {
    /// Opens the store in `dir`, which is created if need be.
    ///
    /// # Errors
    ///
    /// Those of creating the directory.
    pub fn open(dir: impl AsRef<Path>) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&dir)?;
        Ok(Self { dir: dir.as_ref().to_path_buf() })
    }

    fn path(&self, key: &StoredKey) -> PathBuf {
        let hash = Sha256::digest(key.as_str());
        self.dir.join(hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn read(&self, key: &StoredKey) -> Result<Option<Record>, StoreError> {
        let bytes = match fs::read(self.path(key)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(StoreError::unavailable)?,
        };
        // Under the name by which a new login can replace it.
        let damaged = || StoreError::unreadable("too short").at(Version::of_damaged(&bytes));
        let (version, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let (written, body) = rest.split_first_chunk().ok_or_else(damaged)?;
        let body = RecordBody::new(Version::from_bits(u128::from_be_bytes(*version)), body.to_vec());
        Ok(Some(Record::new(body, now().saturating_sub(Duration::from_millis(u64::from_be_bytes(*written))))))
    }

    fn swap(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Result<Swap, StoreError> {
        let lock = File::create(self.dir.join("lock")).map_err(StoreError::unavailable)?;
        // The kernel frees a lock whose holder died.
        lock.lock().map_err(StoreError::unavailable)?;
        let swapped = self.swap_locked(key, expected, new);
        // Closing it does not do where a process was forked meanwhile, which has it open, too.
        let _ = lock.unlock();
        swapped
    }

    fn swap_locked(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Result<Swap, StoreError> {
        match self.read(key) {
            Ok(current) if current.as_ref().map(|record| record.body.version()) != expected => {
                return Ok(Swap::Conflict(current));
            }
            Ok(None) if new.is_none() => return Ok(Swap::Swapped),
            Err(error) if error.version().is_none() || error.version() != expected => return Err(error),
            Ok(_) | Err(_) => {}
        }
        self.write(&self.path(key), new).map_err(StoreError::unavailable)?;
        Ok(Swap::Swapped)
    }

    /// A reader finds the old file or the new, whole; so does the machine after a power cut.
    fn write(&self, path: &Path, new: Option<&RecordBody>) -> io::Result<()> {
        match new {
            None => fs::remove_file(path)?,
            Some(body) => {
                let temporary = self.dir.join("new");
                let mut file = File::create(&temporary)?;
                file.write_all(&body.version().to_bits().to_be_bytes())?;
                // Rounded up: an age may be too small, and must not be too large.
                file.write_all(&u64::try_from(now().as_millis() + 1).unwrap_or(u64::MAX).to_be_bytes())?;
                file.write_all(body.bytes())?;
                file.sync_all()?;
                fs::rename(temporary, path)?;
            }
        }
        sync(&self.dir)
    }
}

/// Makes the names in a directory durable.
#[cfg(unix)]
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Elsewhere a directory cannot be opened.
#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

fn now() -> Duration {
    SystemClock::default().now().wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl TokenStore for DirStore {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        let (store, key) = (self.clone(), key.clone());
        Box::pin(blocking(move || store.read(&key)))
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        let (store, key, new) = (self.clone(), key.clone(), new.cloned());
        Box::pin(blocking(move || store.swap(&key, expected, new.as_ref())))
    }
}

/// Runs to its end even if nobody waits for it any more: a file is never left half written.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(StoreError::unavailable)?
}

#[cfg(test)]
tower_oauth_refresh_testkit::store_conformance!(
    dir_store,
    async { tempfile::tempdir().unwrap() },
    |dir| async { DirStore::open(dir.path().join("credentials")).unwrap() }
);

#[cfg(test)]
#[tokio::test]
async fn a_damaged_record_can_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let open = async || DirStore::open(dir.path()).unwrap();
    let damage = async |key: &StoredKey| fs::write(open().await.path(key), "torn").unwrap();
    assert_eq!(tower_oauth_refresh_testkit::conformance::check_damaged(&open, &damage).await, Ok(()));
}
