//! Handles on one space of records, and calls that say what went wrong.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tower_oauth_refresh::{
    BoxStream, Clock as _, KeyDigest, Now, Record, RecordBody, StoreError, StoredKey, Swap, SystemClock,
    TokenStore, Version,
};

pub(super) type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What is wrong with the store, or nothing.
pub(super) type Checked<T = ()> = Result<T, String>;

/// One space of records, as the maker of the store opens it.
pub(super) struct Space<'f> {
    open: Box<dyn Fn() -> Local<'f, Handle> + 'f>,
    /// Everything drawn, to be removed in the end.
    keys: RefCell<Vec<StoredKey>>,
}

impl<'f> Space<'f> {
    pub(super) fn new<S: TokenStore>(open: &'f impl AsyncFn() -> S) -> Self {
        let open = move || -> Local<'f, Handle> { Box::pin(async move { Handle(Arc::new(open().await)) }) };
        Self { open: Box::new(open), keys: RefCell::default() }
    }

    pub(super) async fn handle(&self) -> Handle {
        (self.open)().await
    }

    /// A key nobody has used.
    pub(super) fn key(&self) -> Checked<StoredKey> {
        Ok(self.key_named(format!("conformance-{:016x}", random()?)))
    }

    pub(super) fn key_named(&self, name: String) -> StoredKey {
        let key = StoredKey::from(name);
        self.keys.borrow_mut().push(key.clone());
        key
    }

    /// Removes what was written under the keys drawn. That this fails is no promise broken: a test says
    /// what is.
    pub(super) async fn clean_up(&self) {
        let keys = self.keys.take();
        let handle = self.handle().await;
        let all = async {
            for key in &keys {
                if let Ok(Some(record)) = handle.0.load(key).await {
                    let _ = handle.0.compare_and_swap(key, Some(record.body.version()), None).await;
                }
            }
        };
        // A store that hangs has been found out before.
        let _ = tokio::time::timeout(Duration::from_secs(5), all).await;
    }
}

/// One handle. Clones are the same one.
#[derive(Clone)]
pub(super) struct Handle(Arc<dyn TokenStore>);

impl Handle {
    pub(super) async fn load(&self, key: &StoredKey) -> Checked<Option<Record>> {
        self.0.load(key).await.map_err(|error| failed("a load", &error))
    }

    pub(super) async fn swap(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Checked<Swap> {
        self.0.compare_and_swap(key, expected, new).await.map_err(|error| failed("a swap", &error))
    }

    pub(super) async fn try_load(&self, key: &StoredKey) -> Result<Option<Record>, StoreError> {
        self.0.load(key).await
    }

    pub(super) async fn try_swap(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Result<Swap, StoreError> {
        self.0.compare_and_swap(key, expected, new).await
    }

    pub(super) fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        self.0.changes()
    }

    /// A first record under a new key.
    pub(super) async fn insert(&self, key: &StoredKey) -> Checked<RecordBody> {
        let body = body(b"first")?;
        self.accepts(key, None, Some(&body)).await?;
        Ok(body)
    }

    /// A swap that must be carried out.
    pub(super) async fn accepts(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Checked {
        match self.swap(key, expected, new).await? {
            Swap::Swapped => Ok(()),
            Swap::Conflict(current) => Err(format!(
                "a swap from {} was refused although it was the current version; it says {} is",
                Shown(expected),
                Shown(current.map(|record| record.body.version()))
            )),
        }
    }

    /// A swap that must end in a conflict. What it says is there.
    pub(super) async fn refuses(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
        case: &str,
    ) -> Checked<Option<Record>> {
        match self.swap(key, expected, new).await? {
            Swap::Conflict(current) => Ok(current),
            Swap::Swapped => Err(format!("{case}: swapped, although {} was expected", Shown(expected))),
        }
    }

    /// The record must be this one, or must be absent.
    pub(super) async fn holds(&self, key: &StoredKey, expected: Option<&RecordBody>, when: &str) -> Checked {
        same(self.load(key).await?.as_ref(), expected).map_err(|reason| format!("{when}, a load: {reason}"))
    }
}

/// The record must have this body and version.
pub(super) fn same(record: Option<&Record>, expected: Option<&RecordBody>) -> Checked {
    let found = record.map(|record| &record.body);
    match (found, expected) {
        (None, None) => Ok(()),
        (Some(found), Some(expected)) if found.version() != expected.version() => {
            Err(format!("version {:?} instead of {:?}", found.version(), expected.version()))
        }
        (Some(found), Some(expected)) if found.bytes() != expected.bytes() => {
            Err(format!("{} instead of {}", described(found.bytes()), described(expected.bytes())))
        }
        (Some(_), Some(_)) => Ok(()),
        (None, Some(expected)) => Err(format!("no record instead of version {:?}", expected.version())),
        (Some(found), None) => Err(format!("version {:?} instead of no record", found.version())),
    }
}

/// Whether records are the same, without saying which bytes they hold: a length, or other bytes of it.
fn described(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
    format!("{} bytes (checksum {sum:08x})", bytes.len())
}

/// Bytes under a new version.
pub(super) fn body(bytes: &[u8]) -> Checked<RecordBody> {
    Ok(RecordBody::new(version()?, bytes.to_vec()))
}

pub(super) fn version() -> Checked<Version> {
    Ok(Version::from_bits(u128::from(random()?) << 64 | u128::from(random()?)))
}

fn random() -> Checked<u64> {
    getrandom::u64().map_err(|error| format!("no randomness for a key: {error}"))
}

/// Every message of the chain: without its sources, "not available" helps nobody who writes a store.
fn failed(what: &str, error: &StoreError) -> String {
    let first: &dyn std::error::Error = error;
    let chain = std::iter::successors(Some(first), |error| error.source()).map(ToString::to_string);
    format!("{what} failed: {}", chain.collect::<Vec<_>>().join(": "))
}

struct Shown(Option<Version>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(version) => write!(f, "{version:?}"),
            None => f.write_str("no record"),
        }
    }
}

/// A moment by this process's clocks.
pub(super) fn now() -> Now {
    SystemClock::default().now()
}
