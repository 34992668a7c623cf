//! Where credentials survive the process: a map with compare-and-swap and a clock.
//!
//! A store decides nothing. The lease, the fence, the write-ahead mark and the proof that the store can
//! be written at all are one and the same operation, [`TokenStore::compare_and_swap`] on the record, so
//! a new store is some sixty lines, and the test kit's conformance suite says whether it is right.

mod key;
mod memory;
pub(crate) mod record;
mod sealed;

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::{Digest as _, Sha256};

pub use self::key::{KeyDigest, StoredKey};
pub use self::memory::MemoryStore;
pub use self::record::Doubt;
pub use self::sealed::{Sealed, SealingKey};
use crate::foreign::Contained;

/// A boxed future: a refresh calls the store three times or more, the path of a valid token never.
pub type BoxFuture<'a, T> = futures_core::future::BoxFuture<'a, T>;
/// A boxed stream.
pub type BoxStream<'a, T> = futures_core::stream::BoxStream<'a, T>;

/// A durable map from [`StoredKey`] to [`RecordBody`], with compare-and-swap.
///
/// # Permitted wrong answers
///
/// Any call may fail with a [`StoreError`]; a failed [`compare_and_swap`](Self::compare_and_swap) *may
/// have been written*, and callers load to find out. Never permitted: a
/// [`load`](Self::load) that does not see an earlier finished swap, a [`Swap::Swapped`] that a crash can
/// undo, two swaps from the same version that both succeed, a record that expires, a record changed or removed because
/// it could not be understood. A key that the store cannot keep is refused, never cut or changed; keys of up to 1,024
/// bytes must be kept.
///
/// # Ages
///
/// An [`age`](Record::age) counts from a moment within the call that wrote the record, by a clock of the store that
/// nobody sets where there is one.
///
/// One that is *too large* takes a lease from a holder that is still at work, and two processes send the same refresh
/// token. It must never count from before the call began, but for the few milliseconds by which clocks are read at
/// different times.
///
/// One that is *too small* makes a successor wait longer for a holder that has died. It also makes access tokens look
/// younger than they are: a process that loads one sends it after it has expired, and is refused by the API before it
/// refreshes. The second in which a coarse clock stands still does no harm. Ages that start anew, when the store
/// restarts or fails over, keep an expired token in use for as long as its lifetime.
///
/// # Damaged entries
///
/// What is kept under a key may be damaged, or not the store's own. A load of it, and a swap from any other
/// version than the one below, fails with [`StoreError::unreadable`], and changes nothing. The error names a
/// [version](StoreError::at): that of the entry, where it can still be read, and otherwise
/// [`Version::of_damaged`] of all the bytes of the entry, which stays the same for as long as they do. A swap from
/// this version replaces or removes the entry, unless it has changed since. That is how a new login or a logout
/// ends the damage. An error without a version says that nothing can replace the entry, as where the whole
/// store is damaged.
///
/// The test kit checks this with `conformance::check_damaged`.
///
/// # Cancel safety
///
/// Dropping a returned future leaves the record as it was or as it was to become, nothing between.
pub trait TokenStore: Send + Sync + 'static {
    /// The newest record, read through every cache, with its age by the store's own clock.
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;

    /// Replaces the record if its version still is `expected` (`None`: if there is no record), or removes
    /// it where `new` is `None`. Durable when it returns [`Swap::Swapped`].
    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>>;

    /// Tells which records somebody changed, where the store can know. Without it, or when the stream ends, waiters
    /// poll. May tell too much and may miss changes. A record is named by the [digest](StoredKey::digest) of its key,
    /// so that a store need not publish keys to everybody who may listen.
    ///
    /// Every coordinator that holds a token listens for as long as it lives, or until its shutdown, and loads a record
    /// whose token it holds: a login that was ended elsewhere is over here within a second. Without it, and for a
    /// change that was missed, it is over when the access token expires or is refused. A key whose record is gone is
    /// told only where somebody removed it: its login is over, too. A stream that ends is asked for again, at least
    /// every 30 seconds.
    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        None
    }
}

/// A stored record: what was written, and how long ago by the store's clock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record {
    /// What the writer handed over.
    pub body: RecordBody,
    /// Time since it was written, by the clock of the store.
    pub age: Duration,
}

impl Record {
    /// A record of this age.
    #[must_use]
    pub fn new(body: RecordBody, age: Duration) -> Self {
        Self { body, age }
    }
}

/// The bytes to keep under a key, and the version that names them.
///
/// The bytes hold tokens unless a [`Sealed`] store is between: its `Debug` shows only
/// their number.
#[derive(Clone)]
pub struct RecordBody {
    version: Version,
    bytes: SecretSlice<u8>,
}

impl RecordBody {
    /// A body under a version drawn by its writer.
    #[must_use]
    pub fn new(version: Version, bytes: Vec<u8>) -> Self {
        Self { version, bytes: bytes.into() }
    }

    /// The version that names these bytes.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The bytes to keep. They are secret.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.expose_secret()
    }
}

impl fmt::Debug for RecordBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBody")
            .field("version", &self.version)
            .field("len", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

/// Names one written state of a record: 128 random bits chosen by the writer, so that versions never
/// repeat, not even after the record was removed or the store restarted empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(u128);

impl Version {
    /// The version of these bits.
    #[must_use]
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Names an entry whose own version cannot be read, by all the bytes that a store has of it. See
    /// [damaged entries](TokenStore#damaged-entries).
    #[must_use]
    pub fn of_damaged(bytes: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(b"tower-oauth-refresh: damaged").chain_update(bytes).finalize();
        let mut first = [0; 16];
        first.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Self(u128::from_be_bytes(first))
    }

    /// Its bits.
    #[must_use]
    pub fn to_bits(self) -> u128 {
        self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({:032x})", self.0)
    }
}

/// How a compare-and-swap ended.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a compare-and-swap has two ends")]
pub enum Swap {
    /// The record is now what was asked for, durably.
    Swapped,
    /// Somebody was faster; nothing was written. What is there now, if anything.
    Conflict(Option<Record>),
}

/// Why a store could not say.
#[derive(Debug)]
pub struct StoreError {
    kind: Kind,
    version: Option<Version>,
    source: Option<Contained<Box<dyn StdError + Send + Sync>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unavailable,
    Unreadable,
}

impl StoreError {
    /// The store did not answer, or refused: full, read-only, unreachable. A write *may* have happened.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: Kind::Unavailable, version: None, source: Some(Contained::new(source.into())) }
    }

    /// The record is there and cannot be understood: damaged, sealed under another key, or written by
    /// a newer release. Nothing is removed for it.
    pub fn unreadable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: Kind::Unreadable, version: None, source: Some(Contained::new(source.into())) }
    }

    /// Of the record that cannot be understood: a swap from this version replaces or removes it. See
    /// [damaged entries](TokenStore#damaged-entries).
    #[must_use]
    pub fn at(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// Of the record that cannot be understood, if the store could tell.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Is the record there, but not to be understood?
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.kind == Kind::Unreadable
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Unavailable => "the token store is not available",
            Kind::Unreadable => "the stored record cannot be read",
        })
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref()?.get().map(|source| &**source as _)
    }
}
