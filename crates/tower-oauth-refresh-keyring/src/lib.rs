//! The key that OAuth 2.0 credentials are sealed under, in the keychain of the operating system.
//!
//! [`KeyringKey`] is for tools on somebody's desktop: the credentials are in a file (or any other store) that
//! is encrypted by [`Sealed`](tower_oauth_refresh::Sealed), and the one secret that opens it is in the
//! keychain, which is locked while nobody is logged in. A machine without a keychain takes the key file of
//! the file store; a service takes the key from wherever it has its other secrets.
//!
//! ```
//! use tower_oauth_refresh::{MemoryStore, Sealed};
//! use tower_oauth_refresh_keyring::{KeyringKey, keyring_core};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Once, at the start; with the feature `platform` the keychain of the machine is taken without it.
//! keyring_core::set_default_store(keyring_core::mock::Store::new()?);
//!
//! let key = KeyringKey::open_or_create("my-tool", "credentials").await?;
//! let store = Sealed::new(MemoryStore::new(), key); // or FileStore::sealed(path, key)
//! # drop(store);
//! # Ok(())
//! # }
//! ```
//!
//! # Which keychain
//!
//! | system | crate | with the feature `platform` |
//! | --- | --- | --- |
//! | macOS | `apple-native-keyring-store` | the login keychain |
//! | Windows | `windows-native-keyring-store` | the Credential Manager |
//! | Linux and BSD desktops | `zbus-secret-service-keyring-store` | the Secret Service (GNOME Keyring, KWallet) |
//! | Linux without a desktop | `linux-keyutils-keyring-store` | no: the kernel forgets it at a reboot, if not sooner |
//!
//! Any other crate made for `keyring-core` will do: hand its store to `keyring_core::set_default_store`, or
//! to [`KeyringKey::open_or_create_in`].
//!
//! # Why there is no token store here
//!
//! A keychain has neither compare-and-swap nor a clock, and some take no more than two and a half kilobytes.
//! Two processes would overwrite each other's refresh tokens, which is what stores are there to prevent. The
//! key in the keychain and the credentials in a file have the protection of the one and the promises of the
//! other.

mod key;
mod platform;

pub use keyring_core;

pub use self::key::KeyringKey;
pub use self::platform::platform_store;
