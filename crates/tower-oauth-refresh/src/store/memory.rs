//! The reference store: correct, and gone with the process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{BoxFuture, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version};
use crate::clock::{Clock, SystemClock};

/// Keeps records in memory: for tests, and for credentials that are worth nothing after a restart
/// (client credentials). Clones share the map.
///
/// Its age of a record is by the clock that nobody sets ([`Now::boot`](crate::Now::boot)).
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    // A std mutex: held for a map operation, never across an await.
    records: Arc<Mutex<HashMap<StoredKey, (RecordBody, Duration)>>>,
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store that judges age by `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock, records: Arc::default() }
    }

    fn records(&self) -> MutexGuard<'_, HashMap<StoredKey, (RecordBody, Duration)>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &StoredKey) -> Option<Record> {
        let now = self.clock.now().boot;
        let age = |written| now.saturating_sub(written);
        self.records().get(key).map(|(body, written)| Record::new(body.clone(), age(*written)))
    }

    fn swap(&self, key: &StoredKey, expected: Option<Version>, new: Option<&RecordBody>) -> bool {
        let now = self.clock.now().boot;
        let mut records = self.records();
        if records.get(key).map(|(body, _)| body.version()) != expected {
            return false;
        }
        match new {
            Some(body) => drop(records.insert(key.clone(), (body.clone(), now))),
            None => drop(records.remove(key)),
        }
        true
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("records", &self.records().len()).finish_non_exhaustive()
    }
}

impl TokenStore for MemoryStore {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move { Ok(self.get(key)) })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            Ok(if self.swap(key, expected, new) { Swap::Swapped } else { Swap::Conflict(self.get(key)) })
        })
    }
}
