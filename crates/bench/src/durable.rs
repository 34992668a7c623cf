//! A durable rotation: one refresh whose new token is stored before anybody has it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tower_oauth_refresh::{
    BoxFuture, Record, RecordBody, RefreshCoordinator, StoreError, StoredKey, Swap, TokenStore, Version,
};
use tower_oauth_refresh_file::FileStore;

use crate::Failure;
use crate::timing::wall;
use crate::world::{Endpoint, KEY, MovedClock};

/// A store, and how often it was asked.
#[derive(Debug)]
struct Counted {
    store: FileStore,
    calls: Arc<Calls>,
}

/// Calls of a store.
#[derive(Debug, Default)]
pub struct Calls {
    /// Reads.
    pub loads: AtomicUsize,
    /// Writes.
    pub swaps: AtomicUsize,
}

impl TokenStore for Counted {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.calls.loads.fetch_add(1, Ordering::Relaxed);
        self.store.load(key)
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.calls.swaps.fetch_add(1, Ordering::Relaxed);
        self.store.compare_and_swap(key, expected, new)
    }
}

/// A coordinator on files, whose tokens are over when asked for, or not.
#[derive(Debug)]
pub struct OnFiles {
    runtime: Runtime,
    coordinator: Arc<RefreshCoordinator>,
    calls: Arc<Calls>,
    endpoint: Endpoint,
    /// Moved on past the end of the token before each question, where it is to be over.
    over: Option<Arc<MovedClock>>,
}

const LIFE: Duration = Duration::from_secs(3600);

impl OnFiles {
    /// # Errors
    ///
    /// What opening the store or installing a credential says.
    pub fn open(at: &Path, over: bool) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let calls = Arc::<Calls>::default();
        let clock = Arc::<MovedClock>::default();
        let store = Counted { store: FileStore::open(at)?.with_clock(clock.clone()), calls: calls.clone() };
        let endpoint = Endpoint::of(LIFE);
        let coordinator = endpoint.coordinator(|builder| builder.store(store).clock(clock.clone()))?;
        runtime.block_on(coordinator.install(KEY, Endpoint::login(LIFE)))?;
        Ok(Self { runtime, coordinator, calls, endpoint, over: over.then_some(clock) })
    }

    /// Has a token: with a rotation, if none is valid. Seconds.
    ///
    /// # Errors
    ///
    /// Where there is none to be had.
    pub fn token(&self) -> Result<f64, Failure> {
        if let Some(clock) = &self.over {
            clock.on(2 * LIFE.as_secs());
        }
        let (began, asked) = (wall(), self.endpoint.asked());
        self.runtime.block_on(self.coordinator.token(KEY))?;
        let took = began.elapsed().as_secs_f64();
        let rotated = self.endpoint.asked() - asked;
        if rotated == usize::from(self.over.is_some()) { Ok(took) } else { Err("not one rotation".into()) }
    }

    /// Reads and writes so far.
    #[must_use]
    pub fn calls(&self) -> (usize, usize) {
        (self.calls.loads.load(Ordering::Relaxed), self.calls.swaps.load(Ordering::Relaxed))
    }
}

/// The least that a file store does: write, flush, rename, flush the directory. Seconds.
///
/// # Errors
///
/// What the file system says.
pub fn floor(directory: &Path) -> Result<f64, Failure> {
    let began = wall();
    let (fresh, kept) = (directory.join("fresh"), directory.join("kept"));
    let mut file = File::create(&fresh)?;
    file.write_all(&[7; 1100])?;
    file.sync_all()?;
    fs::rename(fresh, kept)?;
    File::open(directory)?.sync_all()?;
    Ok(began.elapsed().as_secs_f64())
}
