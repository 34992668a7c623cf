//! A store that misbehaves: around any other, on request.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tower_oauth_refresh::{
    BoxFuture, BoxStream, KeyDigest, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version,
};

use crate::gate::Gate;
use crate::script::Script;

/// Passes calls on to another store, except where the script says otherwise. Clones share script, counts
/// and the store.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tower_oauth_refresh::{StoredKey, MemoryStore, RecordBody, TokenStore as _, Version};
/// use tower_oauth_refresh_testkit::{FaultyStore, StoreFault};
///
/// let store = FaultyStore::new(MemoryStore::new());
/// store.fault_swap(StoreFault::fail_after_write());
/// let (key, body) = (StoredKey::from("acme"), RecordBody::new(Version::from_bits(1), vec![]));
/// assert!(store.compare_and_swap(&key, None, Some(&body)).await.is_err());
/// // Failed, and written all the same.
/// assert!(store.load(&key).await.unwrap().is_some());
/// # }
/// ```
pub struct FaultyStore<S>(Arc<Inner<S>>);

struct Inner<S> {
    store: S,
    at_load: Script<StoreFault>,
    at_swap: Script<StoreFault>,
    loads: AtomicUsize,
    swaps: AtomicUsize,
    written: AtomicUsize,
}

/// One scripted misbehaviour of a store, for one call. Combine with the methods that take `self`.
#[derive(Clone, Debug)]
#[must_use]
pub struct StoreFault {
    delay: Option<Duration>,
    before: Option<Gate>,
    after: Option<Gate>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Honest,
    FailBefore,
    FailAfter,
    Panic,
}

impl StoreFault {
    /// An honest call: the base for those that only hold or delay.
    pub fn none() -> Self {
        Self { delay: None, before: None, after: None, end: End::Honest }
    }

    /// Fails as unavailable; nothing is written.
    pub fn fail() -> Self {
        Self { end: End::FailBefore, ..Self::none() }
    }

    /// Fails as unavailable although the call was carried out: the connection broke before the answer.
    pub fn fail_after_write() -> Self {
        Self { end: End::FailAfter, ..Self::none() }
    }

    /// Panics in the caller's task; nothing is written.
    pub fn panic() -> Self {
        Self { end: End::Panic, ..Self::none() }
    }

    /// Sleeps first, on tokio's clock, so paused time works. Prefer a gate.
    pub fn delay(duration: Duration) -> Self {
        Self::none().delayed(duration)
    }

    /// Holds the call at `gate` before it reads or writes.
    pub fn hold_before(gate: &Gate) -> Self {
        Self::none().held_before(gate)
    }

    /// Holds the call at `gate` when it has read or written.
    pub fn hold_after(gate: &Gate) -> Self {
        Self::none().held_after(gate)
    }

    /// Sleeps first, on tokio's clock.
    pub fn delayed(mut self, duration: Duration) -> Self {
        self.delay = Some(duration);
        self
    }

    /// Holds the call at `gate` before it reads or writes.
    pub fn held_before(mut self, gate: &Gate) -> Self {
        self.before = Some(gate.clone());
        self
    }

    /// Holds the call at `gate` when it has read or written, or would have.
    pub fn held_after(mut self, gate: &Gate) -> Self {
        self.after = Some(gate.clone());
        self
    }

    async fn play<T>(self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        if let Some(gate) = &self.before {
            gate.hold().await;
        }
        let result = match self.end {
            End::Honest => call.await,
            End::FailBefore => Err(StoreError::unavailable(SCRIPTED)),
            End::FailAfter => call.await.and(Err(StoreError::unavailable(SCRIPTED))),
            End::Panic => scripted_panic(),
        };
        if let Some(gate) = &self.after {
            gate.hold().await;
        }
        result
    }
}

const SCRIPTED: &str = "a scripted failure of the store";

#[expect(clippy::panic, reason = "asked for: a store of somebody else's may")]
fn scripted_panic() -> ! {
    panic!("{SCRIPTED}")
}

impl<S> FaultyStore<S> {
    /// Around `store`, without faults yet.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self(Arc::new(Inner {
            store,
            at_load: Script::default(),
            at_swap: Script::default(),
            loads: AtomicUsize::new(0),
            swaps: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
        }))
    }

    /// The store inside: what it does is not counted and not disturbed.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.0.store
    }

    /// The next load that has no fault yet gets this one.
    pub fn fault_load(&self, fault: StoreFault) {
        self.0.at_load.push(fault);
    }

    /// The next compare-and-swap that has no fault yet gets this one.
    pub fn fault_swap(&self, fault: StoreFault) {
        self.0.at_swap.push(fault);
    }

    /// Every load gets this fault, after those queued, until [`clear`](Self::clear).
    pub fn always_load(&self, fault: StoreFault) {
        self.0.at_load.stand(fault);
    }

    /// Every compare-and-swap gets this fault, after those queued, until [`clear`](Self::clear).
    pub fn always_swap(&self, fault: StoreFault) {
        self.0.at_swap.stand(fault);
    }

    /// Every call fails until [`clear`](Self::clear): the store is down.
    pub fn fail_everything(&self) {
        self.clear();
        self.always_load(StoreFault::fail());
        self.always_swap(StoreFault::fail());
    }

    /// Forgets every fault still to come. Calls already held stay held.
    pub fn clear(&self) {
        self.0.at_load.clear();
        self.0.at_swap.clear();
    }

    /// Loads so far, failed ones included.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.0.loads.load(Ordering::Acquire)
    }

    /// Compare-and-swaps so far, failed ones and conflicts included.
    #[must_use]
    pub fn swaps(&self) -> usize {
        self.0.swaps.load(Ordering::Acquire)
    }

    /// Compare-and-swaps that changed the record, whatever their caller was told.
    #[must_use]
    pub fn written(&self) -> usize {
        self.0.written.load(Ordering::Acquire)
    }
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore")
            .field("loads", &self.loads())
            .field("swaps", &self.swaps())
            .field("written", &self.written())
            .finish_non_exhaustive()
    }
}

impl<S: TokenStore> TokenStore for FaultyStore<S> {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            self.0.loads.fetch_add(1, Ordering::AcqRel);
            let fault = self.0.at_load.next().unwrap_or_else(StoreFault::none);
            fault.play(self.0.store.load(key)).await
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            self.0.swaps.fetch_add(1, Ordering::AcqRel);
            let fault = self.0.at_swap.next().unwrap_or_else(StoreFault::none);
            let swap = async {
                let swap = self.0.store.compare_and_swap(key, expected, new).await?;
                if matches!(swap, Swap::Swapped) {
                    self.0.written.fetch_add(1, Ordering::AcqRel);
                }
                Ok(swap)
            };
            fault.play(swap).await
        })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        self.0.store.changes()
    }
}

#[cfg(test)]
mod tests;
