//! What one server wants to find in a proof (RFC 9449 §8 and §9).

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderName, HeaderValue};

use crate::answer::Answer;

/// The nonces of one server. Until it [demands](Self::demand) one, any proof will do.
#[derive(Default)]
pub(crate) struct Nonces(Mutex<State>);

#[derive(Default)]
struct State {
    current: Option<HeaderValue>,
    issued: HashSet<String>,
}

impl Nonces {
    /// Draws a new nonce. From now on proofs need that one.
    pub(crate) fn demand(&self) {
        // Keyed at random by the process: no two servers draw the same.
        let nonce = format!("nonce-{:016x}", RandomState::new().hash_one("nonce"));
        let mut state = self.state();
        state.current = HeaderValue::try_from(&nonce).ok();
        state.issued.insert(nonce);
    }

    /// Is a proof with this nonce, or without one, good enough?
    pub(crate) fn accepts(&self, nonce: Option<&str>) -> bool {
        let state = self.state();
        state.current.as_ref().is_none_or(|current| nonce.is_some_and(|nonce| *current == *nonce))
    }

    pub(crate) fn issued(&self, nonce: &str) -> bool {
        self.state().issued.contains(nonce)
    }

    /// The answer as it leaves: with the nonce, unless it has one already, which counts as issued.
    pub(crate) fn stamp(&self, answer: Answer) -> Answer {
        let mut state = self.state();
        let theirs: Vec<_> = answer.headers.get_all(DPOP_NONCE).iter().cloned().collect();
        if theirs.is_empty() {
            return match state.current.clone() {
                Some(nonce) => answer.header(DPOP_NONCE, nonce),
                None => answer,
            };
        }
        state.issued.extend(theirs.iter().filter_map(|nonce| Some(nonce.to_str().ok()?.to_owned())));
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").field("issued", &self.state().issued.len()).finish_non_exhaustive()
    }
}

pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
