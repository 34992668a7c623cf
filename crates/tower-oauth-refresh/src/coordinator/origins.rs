//! The origins that tokens are sent to, and which of them have accepted the token in use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::generation::Generation;
use crate::origin::Origin;

/// The origins that the layers of a coordinator name.
#[derive(Debug, Default)]
pub(super) struct Origins(Mutex<Vec<u64>>);

/// An origin that the token is sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OriginId {
    /// The same in every process.
    pub(crate) name: u64,
    /// Its bit in this process.
    pub(super) place: u8,
}

/// Which origins have accepted the newest token set: the end of its generation, and a bit for each origin.
///
/// One word, so that a request whose token was accepted before costs one load.
#[derive(Debug, Default)]
pub(super) struct Accepted(AtomicU64);

/// More origins than this share a bit. Few credentials are sent to more than two.
const PLACES: usize = 32;

impl Origins {
    pub(super) fn id(&self, origin: &Origin) -> OriginId {
        let name = origin.fingerprint();
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.iter().position(|known| *known == name);
        let number = known.unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        OriginId { name, place: u8::try_from(number % PLACES).unwrap_or(0) }
    }
}

impl OriginId {
    pub(super) fn bit(self) -> u64 {
        1 << self.place
    }
}

impl Accepted {
    /// A new token set, which the origins of these bits accept.
    pub(super) fn begin(&self, generation: Generation, bits: u64) {
        self.0.store(word(generation) | bits, Ordering::Relaxed);
    }

    /// This origin has accepted the token of this generation.
    #[inline]
    pub(super) fn by(&self, origin: OriginId, generation: Generation) {
        let known = self.0.load(Ordering::Relaxed);
        if known >> PLACES == word(generation) >> PLACES && known & origin.bit() == 0 {
            // Where somebody else was faster, the next answer says it again.
            let more = known | origin.bit();
            let _ = self.0.compare_exchange(known, more, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Who has accepted the token of this generation.
    pub(super) fn bits(&self, generation: Generation) -> u64 {
        let known = self.0.load(Ordering::Relaxed);
        if known >> PLACES == word(generation) >> PLACES { known & (u64::MAX >> PLACES) } else { 0 }
    }
}

fn word(generation: Generation) -> u64 {
    generation.get() << PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_accepts_one_generation_and_for_itself_alone() {
        let origins = Origins::default();
        let id = |text: &str| origins.id(&text.parse().unwrap());
        let (one, other) = (id("https://one.example"), id("https://other.example"));
        assert_eq!(one, id("https://ONE.example:443/"));
        assert_ne!(one.bit(), other.bit());
        let accepted = Accepted::default();
        let (first, second) = (Generation::new(1), Generation::new((1 << 32) + 2));
        accepted.by(one, first);
        assert_eq!(accepted.bits(first), 0, "it has not begun");
        accepted.begin(first, 0);
        accepted.by(one, first);
        assert_eq!((accepted.bits(first) & one.bit(), accepted.bits(first) & other.bit()), (one.bit(), 0));
        accepted.begin(second, 0);
        accepted.by(one, first);
        assert_eq!((accepted.bits(first), accepted.bits(second)), (0, 0));
        accepted.by(other, second);
        assert_eq!(accepted.bits(second), other.bit());
    }

    #[test]
    fn more_origins_than_bits_share_them() {
        let origins = Origins::default();
        let ids: Vec<_> =
            (0..40).map(|n| origins.id(&format!("https://{n}.example").parse().unwrap())).collect();
        assert_eq!(ids[0].bit(), ids[32].bit());
        assert_ne!(ids[0].name, ids[32].name);
        assert!(ids.iter().all(|id| id.bit() <= u64::MAX >> PLACES));
        assert_eq!(ids.iter().fold(0, |bits, id| bits | id.bit()), u64::MAX >> PLACES);
    }
}
