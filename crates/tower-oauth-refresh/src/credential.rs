//! What is kept alive, by name.

use std::fmt;
use std::sync::Arc;

/// Names a credential: one grant of one subject to one client.
///
/// Cloning is cheap. The name is not a secret: it appears in events and logs. Prefixed with the
/// token endpoint (or [issuer](crate::Builder::issuer)) and the client of a coordinator it becomes the
/// [`StoredKey`](crate::StoredKey) of the record, so that several coordinators may share a store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialKey(Arc<str>);

impl CredentialKey {
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

impl fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for CredentialKey {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for CredentialKey {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}
