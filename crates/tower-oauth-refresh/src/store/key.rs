//! The names that a store knows.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

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

    /// Names this key to those who know it.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        let mut first = [0; 16];
        first.iter_mut().zip(Sha256::digest(self.0.as_bytes())).for_each(|(to, from)| *to = from);
        KeyDigest(u128::from_be_bytes(first))
    }
}

/// The first 128 bits of the SHA-256 of a [`StoredKey`].
///
/// Stores name a changed record by it where others than the users of the store may listen, since a key holds the
/// address of the token endpoint, the client and the name of the credential. It has no secret: who can guess a key can
/// check the guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(u128);

impl KeyDigest {
    /// The digest of these bits.
    #[must_use]
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Its bits: the bytes of the hash, in big-endian order.
    #[must_use]
    pub fn to_bits(self) -> u128 {
        self.0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyDigest({:032x})", self.0)
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

#[cfg(test)]
mod tests {
    use super::StoredKey;

    /// What every other program computes, SQL among them: processes of two releases must agree.
    #[test]
    fn the_digest_is_the_beginning_of_the_sha_256_of_the_name() {
        let abc = 0xba78_16bf_8f01_cfea_4141_40de_5dae_2223;
        assert_eq!(StoredKey::new("abc").digest().to_bits(), abc);
        assert_eq!(StoredKey::new("").digest().to_bits(), 0xe3b0_c442_98fc_1c14_9afb_f4c8_996f_b924);
    }
}
