//! The names that a store knows.

use std::fmt;
use std::sync::Arc;

/// The name of a record in a [`TokenStore`](crate::TokenStore).
///
/// Not a [`CredentialKey`](crate::CredentialKey): a coordinator makes the one out of the other
/// ([`stored_key`](crate::RefreshCoordinator::stored_key)), and takes only the other. A name that a store
/// lists is for the store:
///
/// ```compile_fail,E0277
/// # async fn f(coordinator: std::sync::Arc<tower_oauth_refresh::RefreshCoordinator>) {
/// let stored = coordinator.stored_key("user-42");
/// coordinator.logout(stored).await; // this would log out nobody
/// # }
/// ```
///
/// Cloning is cheap. The name is not a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredKey(Arc<str>);

impl StoredKey {
    /// A key of this name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for StoredKey {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for StoredKey {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}
