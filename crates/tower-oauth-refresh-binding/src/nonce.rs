//! What servers want to find in the next proof (RFC 9449 §8 and §9).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderMap, HeaderName};
use tower_oauth_refresh::Origin;

/// The newest nonce of each origin. One server's nonce is never another's, so origin is the key and not host.
#[derive(Default)]
pub(crate) struct Nonces(RwLock<Known>);

#[derive(Default)]
struct Known {
    of: HashMap<Origin, (u64, Arc<str>)>,
    /// How many were learned so far: who learned longest ago goes first.
    learned: u64,
}

impl Nonces {
    pub(crate) fn of(&self, origin: &Origin) -> Option<Arc<str>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.of.get(origin).map(|(_, nonce)| Arc::clone(nonce))
    }

    /// Keeps the nonce of an answer, if it has one. What is no nonce is passed over, and the one before stays.
    pub(crate) fn learn(&self, origin: &Origin, answer: &HeaderMap) {
        let Some(nonce) = nonce(answer) else { return };
        // Most answers repeat it, and need no more than a look.
        if self.of(origin).as_deref() == Some(nonce) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.learned += 1;
        let learned = known.learned;
        known.of.insert(origin.clone(), (learned, nonce.into()));
        if known.of.len() > ORIGINS {
            let oldest = known.of.iter().min_by_key(|(_, (learned, _))| *learned);
            if let Some(oldest) = oldest.map(|(origin, _)| origin.clone()) {
                known.of.remove(&oldest);
            }
        }
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Nonces").field("origins", &known.of.len()).finish_non_exhaustive()
    }
}

/// The one `DPoP-Nonce` of an answer (RFC 9449 §8.1). Of several, which §8.2 forbids, none can be told to be it.
fn nonce(answer: &HeaderMap) -> Option<&str> {
    let mut values = answer.get_all(DPOP_NONCE).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let bytes = value.as_bytes();
    let is_nonce = (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(|byte| is_nqchar(*byte));
    // Of these characters, so it is text.
    if is_nonce { std::str::from_utf8(bytes).ok() } else { None }
}

/// RFC 6749 §A: printable, without space, quote and backslash.
fn is_nqchar(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A proof with it must fit into the header limits of servers, 8 KiB for many, with a token of 4 KiB beside it.
const LONGEST: usize = 512;

/// More than a client talks to. One that is forgotten costs one refusal with a new nonce.
const ORIGINS: usize = 1024;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn origin(number: usize) -> Origin {
        format!("https://api-{number}.example").parse().unwrap()
    }

    fn answer(nonces: &[&[u8]]) -> HeaderMap {
        let value = |nonce: &&[u8]| (DPOP_NONCE, HeaderValue::from_bytes(nonce).unwrap());
        nonces.iter().map(value).collect()
    }

    #[test]
    fn each_origin_has_its_own_and_the_newest_counts() {
        let nonces = Nonces::default();
        nonces.learn(&origin(1), &answer(&[b"one"]));
        nonces.learn(&origin(2), &answer(&[b"two"]));
        nonces.learn(&origin(1), &answer(&[b"one!"]));
        nonces.learn(&origin(1), &HeaderMap::new());
        assert_eq!(nonces.of(&origin(1)).as_deref(), Some("one!"));
        assert_eq!(nonces.of(&origin(2)).as_deref(), Some("two"));
        let others = ["http://127.0.0.1", "https://api-1.example:8443", "https://api.example"];
        for other in others {
            assert_eq!(nonces.of(&other.parse().unwrap()), None, "{other}");
        }
        assert_eq!(nonces.of(&"https://API-1.example:443".parse().unwrap()).as_deref(), Some("one!"));
    }

    #[test]
    fn what_is_no_nonce_is_passed_over() {
        let nonces = Nonces::default();
        nonces.learn(&origin(1), &answer(&[b"good"]));
        let long = vec![b'n'; 64 * 1024];
        let bad: [&[&[u8]]; 8] = [
            &[b""],
            &[&long],
            &[&long[..513]],
            &[b"with space"],
            &[b"quote\"d"],
            &[b"back\\slash"],
            &[b"\xc3\xa9\xff"],
            &[b"one", b"two"],
        ];
        for bad in bad {
            nonces.learn(&origin(1), &answer(bad));
            assert_eq!(nonces.of(&origin(1)).as_deref(), Some("good"), "{bad:?}");
        }
        nonces.learn(&origin(1), &answer(&[b"tab\there"]));
        assert_eq!(nonces.of(&origin(1)).as_deref(), Some("good"), "of control bytes http lets a tab pass");
        nonces.learn(&origin(1), &answer(&[&long[..512]]));
        assert_eq!(nonces.of(&origin(1)).map(|nonce| nonce.len()), Some(512));
    }

    #[test]
    fn of_too_many_origins_the_one_that_was_heard_of_longest_ago_is_forgotten() {
        let nonces = Nonces::default();
        for number in 0..ORIGINS {
            nonces.learn(&origin(number), &answer(&[b"first"]));
        }
        nonces.learn(&origin(0), &answer(&[b"again"]));
        nonces.learn(&origin(ORIGINS), &answer(&[b"new"]));
        assert_eq!(nonces.of(&origin(1)), None);
        for number in [0, 2, ORIGINS] {
            assert!(nonces.of(&origin(number)).is_some(), "{number}");
        }
        assert_eq!(format!("{nonces:?}"), "Nonces { origins: 1024, .. }");
    }
}
