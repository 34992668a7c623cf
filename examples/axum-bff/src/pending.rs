//! Logins that have begun and not come back yet.
//!
//! What the callback must match stays here; the browser holds a name for it, in a cookie of its own, so that a
//! callback which somebody else's login produced is of no use in this browser (RFC 6749 §10.12).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oauth2::PkceCodeVerifier;
use tower::BoxError;
use tower_oauth_refresh::{Clock as _, Now};

use crate::clock::MovableClock;
use crate::session::random;

/// As long as somebody may take to type a password. The cookie lives as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// Whoever begins more logins than this ends the oldest ones.
const MOST: usize = 10_000;

pub(crate) struct PendingLogin {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: PkceCodeVerifier,
}

pub(crate) struct PendingLogins {
    clock: Arc<MovableClock>,
    begun: Mutex<HashMap<String, (Now, PendingLogin)>>,
}

impl PendingLogins {
    pub(crate) fn new(clock: Arc<MovableClock>) -> Self {
        Self { clock, begun: Mutex::default() }
    }

    /// Keeps it under a random name, for the cookie.
    pub(crate) fn begin(&self, login: PendingLogin) -> Result<String, BoxError> {
        let (name, now) = (random()?, self.clock.now());
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|_, (since, _)| now.since(*since) < PATIENCE);
        while begun.len() >= MOST {
            let oldest = begun.iter().min_by_key(|(_, (since, _))| since.boot).map(|(name, _)| name.clone());
            begun.remove(&oldest.unwrap_or_default());
        }
        begun.insert(name.clone(), (now, login));
        Ok(name)
    }

    /// What was begun under this name. Once.
    pub(crate) fn take(&self, name: &str) -> Option<PendingLogin> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, login) = begun.remove(name)?;
        (self.clock.now().since(since) < PATIENCE).then_some(login)
    }
}
