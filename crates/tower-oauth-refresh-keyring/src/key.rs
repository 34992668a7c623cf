//! A sealing key in a keychain.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keyring_core::{CredentialStore, Entry, Error};
use tokio::runtime::Handle;
use tower_oauth_refresh::{SealingKey, StoreError};
use zeroize::Zeroizing;

use crate::platform_store;

#[cfg(test)]
mod tests;

/// How long a new key lies before it is relied on: far longer than another process that saw no key takes to
/// write its own.
const SETTLE: Duration = Duration::from_secs(1);

/// A [`SealingKey`] in a keychain: 32 bytes, the secret of one entry.
///
/// # What it protects against
///
/// Whoever gets the sealed store and is not logged in as this user: a copy in a backup or a support ticket, a
/// thief of the disk, and on some systems another program of the same user, for which the keychain asks first.
/// A program that runs as the user while the keychain is open can mostly have the key.
///
/// # Two processes at once
///
/// A keychain cannot create an entry only if there is none. Of processes that do so at the same time the last
/// one to write wins, and the others notice, because each waits a second and then takes the key that is there.
/// One that is stopped for longer than that between its look and its write replaces a key already in use:
/// what was sealed under it can no longer be read, is left where it is, and costs a login.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyringKey;

impl KeyringKey {
    /// The key of `service` and `user`, which name it in the keychain; a new one where there is none.
    ///
    /// The keychain is the one given to [`keyring_core::set_default_store`], or else the
    /// [platform's](platform_store). It may ask the user to unlock it, and is waited for without a limit, on a
    /// thread for blocking, for which a runtime that is dropped waits too (`shutdown_background` does not).
    ///
    /// # Errors
    ///
    /// [`StoreError::unavailable`] when there is no keychain or no tokio runtime, and when the keychain is
    /// locked, refuses, or holds several such entries; [unreadable](StoreError::is_unreadable) when the entry
    /// does not hold 32 bytes. It is then left alone: records sealed under what it held may still be around.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped is finished in the background, and the next one finds its key.
    pub async fn open_or_create(service: &str, user: &str) -> Result<SealingKey, StoreError> {
        let store = || keyring_core::get_default_store().map_or_else(platform_store, Ok);
        blocking(store, service, user).await
    }

    /// As [`open_or_create`](Self::open_or_create), in this keychain.
    ///
    /// # Errors
    ///
    /// As for [`open_or_create`](Self::open_or_create).
    ///
    /// # Cancel safety
    ///
    /// As for [`open_or_create`](Self::open_or_create).
    pub async fn open_or_create_in(
        store: Arc<CredentialStore>,
        service: &str,
        user: &str,
    ) -> Result<SealingKey, StoreError> {
        blocking(|| Ok(store), service, user).await
    }
}

async fn blocking(
    store: impl FnOnce() -> Result<Arc<CredentialStore>, StoreError> + Send + 'static,
    service: &str,
    user: &str,
) -> Result<SealingKey, StoreError> {
    let runtime = Handle::try_current().map_err(StoreError::unavailable)?;
    let (service, user) = (service.to_owned(), user.to_owned());
    let work = move || {
        let entry = store()?.build(&service, &user, None).map_err(failure)?;
        // Not a timer of tokio's, without which a runtime may have been built.
        open_or_create(&entry, || thread::sleep(SETTLE))
    };
    runtime.spawn_blocking(work).await.map_err(StoreError::unavailable)?
}

fn open_or_create(entry: &Entry, settle: impl FnOnce()) -> Result<SealingKey, StoreError> {
    if let Some(key) = read(entry)? {
        return Ok(key);
    }
    entry.set_secret(SealingKey::generate()?.expose_secret()).map_err(failure)?;
    settle();
    read(entry)?.ok_or_else(|| StoreError::unavailable("the keychain does not keep what is put into it"))
}

fn read(entry: &Entry) -> Result<Option<SealingKey>, StoreError> {
    let secret = match entry.get_secret() {
        Err(Error::NoEntry) => return Ok(None),
        secret => Zeroizing::new(secret.map_err(failure)?),
    };
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(
        secret
            .as_slice()
            .try_into()
            .map_err(|_| StoreError::unreadable("the entry does not hold 32 bytes; it is left as it is"))?,
    );
    Ok(Some(SealingKey::new(*key)))
}

/// Without the error itself, of which some kinds carry the secret.
pub(crate) fn failure(error: Error) -> StoreError {
    match error {
        Error::BadEncoding(secret) | Error::BadDataFormat(secret, _) => {
            drop(Zeroizing::new(secret));
            StoreError::unreadable("the entry in the keychain is damaged; it is left as it is")
        }
        Error::Ambiguous(entries) => {
            StoreError::unavailable(format!("{} entries of the keychain have this name", entries.len()))
        }
        error => StoreError::unavailable(error.to_string()),
    }
}
