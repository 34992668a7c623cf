//! The counter that tells a newer token set from an older one.

use std::fmt;

/// Grows with every stored token set of a credential, across restarts and new logins. After a logout has removed the
/// record, it begins anew.
///
/// Every request remembers the generation of the token it carried, so that a late refusal of an old
/// token is answered with the newer one and not with another refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The generation before the first token set.
    pub const ZERO: Self = Self(0);

    /// A generation by its number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The generation of the next token set.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
