//! What is known of each server that gets proofs: its nonce (RFC 9449 §8 and §9), and its time.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use http::{HeaderMap, HeaderName};
use tower_oauth_refresh::{Now, Origin};

use crate::server_time::{Dated, ServerTime};

/// By origin and not by host: one server's nonce is never another's.
#[derive(Default)]
pub(crate) struct Servers {
    known: RwLock<HashMap<Origin, Server>>,
    /// How many requests were sent so far.
    sent: AtomicU64,
}

#[derive(Default)]
struct Server {
    nonce: Option<Arc<str>>,
    time: ServerTime,
    /// The newest request whose answer has brought the nonce. An answer to an earlier one comes late, and its nonce is
    /// older, or about to be.
    heard: AtomicU64,
}

/// A request to a server, by which its answer is judged.
#[derive(Clone)]
pub(crate) struct Sent {
    origin: Origin,
    number: u64,
    dated: Dated,
}

impl Servers {
    /// A request is about to go to `origin`. With the nonce for it, and what its proof is dated by.
    pub(crate) fn send(&self, origin: Origin) -> (Sent, Option<Arc<str>>) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let server = known.get(&origin);
        let nonce = server.and_then(|server| server.nonce.clone());
        let dated = server.map(|server| server.time.current()).unwrap_or_default();
        drop(known);
        (Sent { origin, number, dated }, nonce)
    }

    /// Keeps the nonce of an answer, if it has one. What is no nonce is passed over, and the one before stays.
    pub(crate) fn learn_nonce(&self, sent: &Sent, answer: &HeaderMap) {
        let Some(nonce) = nonce(answer) else { return };
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = known.get(&sent.origin) {
            let is_late = server.heard.load(Ordering::Relaxed) > sent.number;
            // Most answers repeat it, and need no more than a look.
            if is_late || server.nonce.as_deref() == Some(nonce) {
                server.heard.fetch_max(sent.number, Ordering::Relaxed);
                return;
            }
        }
        drop(known);
        self.change(&sent.origin, |server| {
            // Another answer may have been faster to the lock.
            if *server.heard.get_mut() <= sent.number {
                *server.heard.get_mut() = sent.number;
                server.nonce = Some(nonce.into());
            }
        });
    }

    /// The server refused the proof of `sent`, and at `now` its clock showed `date`. Is there a better time by that?
    pub(crate) fn learn_time(&self, sent: &Sent, date: SystemTime, now: Now) -> bool {
        let time = self.change(&sent.origin, |server| server.time.clone());
        time.learn(&sent.dated, date, now)
    }

    fn change<T>(&self, origin: &Origin, change: impl FnOnce(&mut Server) -> T) -> T {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ORIGINS && !known.contains_key(origin) {
            let oldest = known.iter().min_by_key(|(_, server)| server.heard.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(origin, _)| origin.clone()) {
                known.remove(&oldest);
            }
        }
        change(known.entry(origin.clone()).or_default())
    }
}

impl Sent {
    pub(crate) fn at(&self, now: Now) -> SystemTime {
        self.dated.at(now)
    }

    /// The server took its proof.
    pub(crate) fn prove_time(&self) {
        self.dated.prove();
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Servers").field("origins", &known.len()).finish_non_exhaustive()
    }
}

/// The one `DPoP-Nonce` of an answer (RFC 9449 §8.1). Of several, which §8.2 forbids, none is used.
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

    impl Servers {
        /// The nonce for the next request to there.
        fn of(&self, origin: &Origin) -> Option<Arc<str>> {
            self.send(origin.clone()).1
        }

        /// One request, and this answer.
        fn hear(&self, origin: &Origin, answer: &HeaderMap) {
            self.learn_nonce(&self.send(origin.clone()).0, answer);
        }
    }

    #[test]
    fn the_nonce_of_the_request_sent_last_counts_in_whatever_order_answers_come() {
        let servers = Servers::default();
        let send = || servers.send(origin(1)).0;
        let (first, second, third) = (send(), send(), send());
        servers.learn_nonce(&second, &answer(&[b"two"]));
        servers.learn_nonce(&first, &answer(&[b"one"]));
        assert_eq!(servers.of(&origin(1)).as_deref(), Some("two"));
        servers.learn_nonce(&third, &answer(&[b"two"]));
        servers.learn_nonce(&second, &answer(&[b"other"]));
        assert_eq!(servers.of(&origin(1)).as_deref(), Some("two"), "the third has confirmed it");
        let fourth = send();
        servers.learn_nonce(&fourth, &answer(&[b"four"]));
        assert_eq!(servers.of(&origin(1)).as_deref(), Some("four"));
    }

    #[test]
    fn each_origin_has_its_own_and_the_newest_counts() {
        let servers = Servers::default();
        servers.hear(&origin(1), &answer(&[b"one"]));
        servers.hear(&origin(2), &answer(&[b"two"]));
        servers.hear(&origin(1), &answer(&[b"one!"]));
        servers.hear(&origin(1), &HeaderMap::new());
        assert_eq!(servers.of(&origin(1)).as_deref(), Some("one!"));
        assert_eq!(servers.of(&origin(2)).as_deref(), Some("two"));
        let others = ["http://127.0.0.1", "https://api-1.example:8443", "https://api.example"];
        for other in others {
            assert_eq!(servers.of(&other.parse().unwrap()), None, "{other}");
        }
        assert_eq!(servers.of(&"https://API-1.example:443".parse().unwrap()).as_deref(), Some("one!"));
    }

    #[test]
    fn what_is_no_nonce_is_passed_over() {
        let servers = Servers::default();
        servers.hear(&origin(1), &answer(&[b"good"]));
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
            servers.hear(&origin(1), &answer(bad));
            assert_eq!(servers.of(&origin(1)).as_deref(), Some("good"), "{bad:?}");
        }
        servers.hear(&origin(1), &answer(&[b"tab\there"]));
        assert_eq!(servers.of(&origin(1)).as_deref(), Some("good"), "of control bytes http lets a tab pass");
        servers.hear(&origin(1), &answer(&[&long[..512]]));
        assert_eq!(servers.of(&origin(1)).map(|nonce| nonce.len()), Some(512));
    }

    #[test]
    fn of_too_many_origins_the_one_that_was_heard_of_longest_ago_is_forgotten() {
        let servers = Servers::default();
        for number in 0..ORIGINS {
            servers.hear(&origin(number), &answer(&[b"first"]));
        }
        servers.hear(&origin(0), &answer(&[b"again"]));
        servers.hear(&origin(ORIGINS), &answer(&[b"new"]));
        assert_eq!(servers.of(&origin(1)), None);
        for number in [0, 2, ORIGINS] {
            assert!(servers.of(&origin(number)).is_some(), "{number}");
        }
        assert_eq!(format!("{servers:?}"), "Servers { origins: 1024, .. }");
    }
}
