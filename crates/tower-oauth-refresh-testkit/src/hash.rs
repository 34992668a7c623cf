//! Tokens without the token: what ledgers and maps are keyed by.

use std::fmt;

use sha2::{Digest as _, Sha256};
use tower_oauth_refresh::{AccessToken, RefreshToken};

/// The first eight bytes of a token's SHA-256: enough to compare, useless to a thief.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 8]);

impl TokenHash {
    /// The hash of any text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::from(&Digest::of(text))
    }
}

impl From<&Digest> for TokenHash {
    fn from(digest: &Digest) -> Self {
        Self(digest.0.first_chunk().copied().unwrap_or_default())
    }
}

impl From<&AccessToken> for TokenHash {
    fn from(token: &AccessToken) -> Self {
        Self::of(token.expose_secret())
    }
}

impl From<&RefreshToken> for TokenHash {
    fn from(token: &RefreshToken) -> Self {
        Self::of(token.expose_secret())
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({self})")
    }
}

/// The whole SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    pub(crate) fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Of what [`to_hex`](Self::to_hex) wrote.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        let digits = text.as_bytes().chunks(2);
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in digest.iter_mut().zip(digits) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(digest))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
