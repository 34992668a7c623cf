//! Logins that have begun and not come back yet.
//!
//! What the callback must match is sealed in a cookie of its own, so that a callback which somebody else's login
//! produced is of no use in this browser (RFC 6749 §10.12). Nothing is kept here, so that nobody who begins logins
//! without end takes the room of others. The key lives as long as this process: several of them share one.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use oauth2::PkceCodeVerifier;
use serde::{Deserialize, Serialize};
use tower::BoxError;
use tower_oauth_refresh::Clock as _;

use crate::clock::MovableClock;

/// As long as somebody may take to type a password. The cookie lives as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Deserialize, Serialize)]
pub(crate) struct PendingLogin {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: PkceCodeVerifier,
}

/// What is in the cookie.
#[derive(Deserialize, Serialize)]
struct Sealed {
    /// By a clock that nobody sets.
    begun_ms: u64,
    login: PendingLogin,
}

pub(crate) struct PendingLogins {
    clock: Arc<MovableClock>,
    cipher: XChaCha20Poly1305,
}

impl PendingLogins {
    pub(crate) fn new(clock: Arc<MovableClock>) -> Result<Self, BoxError> {
        let key: [u8; 32] = random()?;
        Ok(Self { clock, cipher: XChaCha20Poly1305::new(&key.into()) })
    }

    /// Seals it, for the cookie.
    pub(crate) fn begin(&self, login: PendingLogin) -> Result<String, BoxError> {
        let nonce: [u8; NONCE] = random()?;
        let text = serde_json::to_vec(&Sealed { begun_ms: self.now_ms(), login })?;
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), text.as_slice());
        let sealed = sealed.map_err(|_| "the login could not be sealed")?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce, sealed.as_slice()].concat()))
    }

    /// What was begun with this cookie. A code is good once, and so is what is in here.
    pub(crate) fn open(&self, cookie: &str) -> Option<PendingLogin> {
        let bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let text = self.cipher.decrypt(&XNonce::from(*nonce), sealed).ok()?;
        let Sealed { begun_ms, login } = serde_json::from_slice(&text).ok()?;
        let passed = Duration::from_millis(self.now_ms().saturating_sub(begun_ms));
        (passed < PATIENCE).then_some(login)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.now().boot.as_millis()).unwrap_or(u64::MAX)
    }
}

const NONCE: usize = 24;

fn random<const N: usize>() -> Result<[u8; N], BoxError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(logins: &PendingLogins, state: &str) -> String {
        let verifier = PkceCodeVerifier::new("verifier".to_owned());
        let login = PendingLogin { state: state.to_owned(), nonce: "nonce".to_owned(), verifier };
        logins.begin(login).unwrap()
    }

    #[test]
    fn no_number_of_other_logins_pushes_one_out() {
        let logins = PendingLogins::new(Arc::default()).unwrap();
        let first = begun(&logins, "first");
        for number in 0..10_001 {
            begun(&logins, &number.to_string());
        }
        assert_eq!(logins.open(&first).unwrap().state, "first");
    }

    #[test]
    fn a_cookie_that_is_late_or_not_ours_opens_nothing() {
        let clock = Arc::new(MovableClock::default());
        let logins = PendingLogins::new(clock.clone()).unwrap();
        let cookie = begun(&logins, "state");
        let changed = cookie.replacen(|_: char| true, if cookie.starts_with('A') { "B" } else { "A" }, 1);
        for other in ["", "unknown", &changed, &begun(&PendingLogins::new(clock.clone()).unwrap(), "state")] {
            assert!(logins.open(other).is_none(), "{other}");
        }
        assert!(!cookie.contains("verifier") && cookie.len() < 1024, "{cookie}");
        clock.advance(PATIENCE);
        assert!(logins.open(&cookie).is_none());
    }
}
