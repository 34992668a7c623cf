//! How a flight ended.

use crate::clock::Now;
use crate::error::RefreshError;
use crate::generation::Generation;
use crate::store::record::{LoginId, Tokens};

/// What every waiter of one flight is told. Failures are shared exactly like successes.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// This flight exchanged the refresh token.
    Refreshed(Held),
    /// Somebody else did, and this flight took it over.
    Adopted(Held),
    /// The token in use was refused, and is left alone until then. Nobody else has a newer one.
    Kept(Now),
    /// There is no newer token set, for a transient or a hard reason.
    Failed(RefreshError),
}

/// A token set and its place in the credential's life.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) login: LoginId,
    pub(crate) generation: Generation,
    pub(crate) tokens: Tokens,
    /// Lifetimes count from here: before its request was sent.
    pub(crate) obtained: Now,
}
