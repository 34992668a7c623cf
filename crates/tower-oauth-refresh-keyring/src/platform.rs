//! Which keychain this machine has.

use std::sync::Arc;

use keyring_core::CredentialStore;
use tower_oauth_refresh::StoreError;

/// The keychain of the operating system: the login keychain, the Credential Manager or the Secret Service.
///
/// It may have to connect to a service of the desktop, and blocks for as long.
///
/// # Errors
///
/// [`StoreError::unavailable`] where no such service runs, on other systems, and without the feature
/// `platform`.
pub fn platform_store() -> Result<Arc<CredentialStore>, StoreError> {
    open()
}

#[cfg(all(feature = "platform", target_os = "macos"))]
fn open() -> Result<Arc<CredentialStore>, StoreError> {
    Ok(apple_native_keyring_store::keychain::Store::new().map_err(crate::key::failure)?)
}

#[cfg(all(feature = "platform", windows))]
fn open() -> Result<Arc<CredentialStore>, StoreError> {
    Ok(windows_native_keyring_store::Store::new().map_err(crate::key::failure)?)
}

#[cfg(all(feature = "platform", unix, not(target_vendor = "apple"), not(target_os = "android")))]
fn open() -> Result<Arc<CredentialStore>, StoreError> {
    Ok(zbus_secret_service_keyring_store::Store::new().map_err(crate::key::failure)?)
}

#[cfg(not(all(
    feature = "platform",
    any(target_os = "macos", windows, all(unix, not(target_vendor = "apple"), not(target_os = "android")))
)))]
fn open() -> Result<Arc<CredentialStore>, StoreError> {
    Err(StoreError::unavailable(
        "no keychain was handed over, and none is known for this system (is the feature `platform` enabled?)",
    ))
}
