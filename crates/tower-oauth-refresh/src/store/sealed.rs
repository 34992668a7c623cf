//! Encryption at rest for any store.
//!
//! A store keeps bytes and needs not be trusted with them: a [`Sealed`] store around it encrypts every
//! record before it leaves and opens it when it comes back. Each record is bound to its credential and
//! its version, so whoever can write to the store beneath can neither swap two records nor bring an old
//! token set back under a newer version. Undoing *everything* (an old copy of the whole store, versions
//! included) cannot be told from the past, and removing a record is always possible.
//!
//! ```
//! use tower_oauth_refresh::{MemoryStore, Sealed, SealingKey};
//!
//! # fn main() -> Result<(), tower_oauth_refresh::StoreError> {
//! let key = SealingKey::generate()?; // once; keep it in a keychain
//! let store = Sealed::new(MemoryStore::new(), key);
//! # drop(store);
//! # Ok(())
//! # }
//! ```

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use super::{
    BoxFuture, BoxStream, KeyDigest, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version,
};

#[cfg(test)]
mod tests;

/// First byte of a sealed record: how the rest is laid out.
const FORMAT: u8 = 1;
/// First byte of a record that nobody sealed.
const UNSEALED: u8 = b'{';
const NONCE: usize = 24;

type KeyId = [u8; 8];

/// The key that a [`Sealed`] store encrypts with: 32 random bytes.
///
/// It is used as it is, so it must come from a random generator and not from a password. Its memory is
/// overwritten when it is dropped, and `Debug` shows only its id, a hash by which records name it.
pub struct SealingKey {
    key: SecretBox<[u8; 32]>,
    id: KeyId,
}

impl SealingKey {
    /// Takes over these bytes. The caller's own copy stays the caller's to wipe.
    #[must_use]
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let key = SecretBox::new(Box::new(bytes));
        bytes.zeroize();
        let hash = Sha256::new()
            .chain_update(b"tower-oauth-refresh: id of a sealing key")
            .chain_update(key.expose_secret())
            .finalize();
        let mut id = KeyId::default();
        id.iter_mut().zip(hash).for_each(|(id, hash)| *id = hash);
        Self { key, id }
    }

    /// A new key from the operating system's random generator.
    ///
    /// # Errors
    ///
    /// [`StoreError::unavailable`] where the system has no randomness to give.
    pub fn generate() -> Result<Self, StoreError> {
        random().map(Self::new)
    }

    /// The bytes, to put into a keychain. Whoever calls this answers for where they go.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; 32] {
        self.key.expose_secret()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.expose_secret().into())
    }
}

impl Clone for SealingKey {
    fn clone(&self) -> Self {
        Self { key: SecretBox::new(Box::new(*self.expose_secret())), id: self.id }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({:016x}, redacted)", u64::from_be_bytes(self.id))
    }
}

/// A store whose records are encrypted (XChaCha20-Poly1305) before the store beneath sees them.
///
/// A record that cannot be opened is [unreadable](StoreError::is_unreadable) and stays until an `install`, `logout`
/// or `forget`: the right key may come back. The credential's name, the version, the age and the length of a record are
/// not hidden.
///
/// # Turning it on and off
///
/// A record that nobody sealed is not read, or whoever can write to the store could plant one. For a store that
/// has logins already, sealing is turned on in three deployments, each when the one before has reached every
/// process:
///
/// 1. `Sealed::new(store, key).also_reads_unsealed().writes_unsealed()`: nothing is sealed yet, everybody can
///    read what will be;
/// 2. `Sealed::new(store, key).also_reads_unsealed()`: each record is sealed when it is next written, which for a
///    live credential is its next refresh;
/// 3. `Sealed::new(store, key)`: what is still not sealed can no longer be read.
///
/// Between steps 2 and 3, wait until every record has been written: refresh credentials that nobody uses once. What step 3
/// cannot read is still there, and step 2 reads it again. To turn sealing off, go the same way back, and wait in the same
/// place. A process that meets a record that it cannot read fails with
/// [`ErrorKind::Unreadable`](crate::ErrorKind::Unreadable) and removes nothing.
///
/// # Cancel safety
///
/// That of the store beneath: sealing and opening await nothing.
#[derive(Clone, Debug)]
pub struct Sealed<S> {
    store: S,
    key: SealingKey,
    old: Vec<SealingKey>,
    reads_unsealed: bool,
    seals: bool,
}

impl<S: TokenStore> Sealed<S> {
    /// Seals every record of `store` under `key`.
    #[must_use]
    pub fn new(store: S, key: SealingKey) -> Self {
        Self { store, key, old: Vec::new(), reads_unsealed: false, seals: true }
    }

    /// Opens records sealed under an `old` key as well. Each is sealed under the new key when it is next
    /// written, which for a live credential is its next refresh.
    #[must_use]
    pub fn also_opens(mut self, old: SealingKey) -> Self {
        self.old.push(old);
        self
    }

    /// Reads records that nobody sealed as well, while sealing is [turned on or off](Self#turning-it-on-and-off).
    ///
    /// For as long as this is set, whoever can write to the store beneath can replace any record by one of his own.
    /// Take it out when the change is over.
    #[must_use]
    pub fn also_reads_unsealed(mut self) -> Self {
        self.reads_unsealed = true;
        self
    }

    /// Reads sealed records, and writes none: the first step of [turning it on](Self#turning-it-on-and-off), and
    /// the last but one of turning it off. Records that are not sealed are read, too.
    #[must_use]
    pub fn writes_unsealed(mut self) -> Self {
        self.seals = false;
        self.reads_unsealed = true;
        self
    }

    fn seal(&self, key: &StoredKey, body: &RecordBody) -> Result<RecordBody, StoreError> {
        if !self.seals {
            return Ok(body.clone());
        }
        let nonce: [u8; NONCE] = random()?;
        let aad = bound_to(self.key.id, body.version(), key);
        let sealed = self
            .key
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: body.bytes(), aad: &aad })
            .map_err(|_| StoreError::unavailable("the record is too long to be sealed"))?;
        let bytes = [&[FORMAT], self.key.id.as_slice(), &nonce, &sealed].concat();
        Ok(RecordBody::new(body.version(), bytes))
    }

    fn open(&self, key: &StoredKey, record: &Record) -> Result<Record, StoreError> {
        let version = record.body.version();
        let bytes = self
            .unseal(key, version, record.body.bytes())
            .map_err(|error| StoreError::unreadable(error).at(version))?;
        Ok(Record::new(RecordBody::new(version, bytes), record.age))
    }

    fn unseal(&self, key: &StoredKey, version: Version, bytes: &[u8]) -> Result<Vec<u8>, Unopened> {
        let rest = match bytes.split_first() {
            Some((&FORMAT, rest)) => rest,
            Some((&UNSEALED, _)) if self.reads_unsealed => return Ok(bytes.to_vec()),
            Some((&UNSEALED, _)) => return Err(Unopened::Unsealed),
            _ => return Err(Unopened::Foreign),
        };
        let (id, rest) = rest.split_first_chunk::<8>().ok_or(Unopened::Broken)?;
        let (nonce, msg) = rest.split_first_chunk::<NONCE>().ok_or(Unopened::Broken)?;
        let sealing = [&self.key]
            .into_iter()
            .chain(&self.old)
            .find(|key| key.id == *id)
            .ok_or(Unopened::UnknownKey(u64::from_be_bytes(*id)))?;
        let aad = bound_to(*id, version, key);
        sealing
            .cipher()
            .decrypt(&XNonce::from(*nonce), Payload { msg, aad: &aad })
            .map_err(|_| Unopened::Broken)
    }
}

impl<S: TokenStore> TokenStore for Sealed<S> {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let record = self.store.load(key).await?;
            record.map(|record| self.open(key, &record)).transpose()
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            let new = new.map(|body| self.seal(key, body)).transpose()?;
            match self.store.compare_and_swap(key, expected, new.as_ref()).await? {
                Swap::Swapped => Ok(Swap::Swapped),
                Swap::Conflict(record) => {
                    let record = record.map(|record| self.open(key, &record)).transpose()?;
                    Ok(Swap::Conflict(record))
                }
            }
        })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        self.store.changes()
    }
}

/// What a sealed record is bound to. All but the last part have a fixed length, so that no two records
/// share these bytes.
fn bound_to(id: KeyId, version: Version, key: &StoredKey) -> Vec<u8> {
    [&[FORMAT], id.as_slice(), &version.to_bits().to_be_bytes(), key.as_str().as_bytes()].concat()
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StoreError::unavailable)?;
    Ok(bytes)
}

#[derive(Debug, thiserror::Error)]
enum Unopened {
    #[error("it was never sealed, and only sealed records are read here")]
    Unsealed,
    #[error("it is damaged, or was sealed by a newer release")]
    Foreign,
    #[error("it was sealed under the key {0:016x}, which was not given")]
    UnknownKey(u64),
    #[error("it was altered, or belongs to another credential or version")]
    Broken,
}
