//! How long a write waits for swaps that are about to come.
//!
//! To write the whole file takes as long for one swap as for a hundred. Callers whose swaps were written together are
//! back with their next ones a moment later. A write that begins before that takes only those that waited meanwhile, and
//! then each half of the callers waits for the writes of the other half.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A write waits for at most this part of the time that the one before it took.
const PART: u32 = 2;
/// Whatever the clock says: it may have been set, or counted a suspend.
const LONGEST: Duration = Duration::from_millis(50);

/// The last write of this process.
#[derive(Debug, Default)]
struct Write {
    ended: Duration,
    took: Duration,
    /// How many swaps were in it or waited for its end.
    calls: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Write>);

impl Pace {
    /// How many calls the next write should carry out, and how long it waits for them at most.
    pub(crate) fn next(&self, now: Duration) -> (usize, Duration) {
        let last = self.last();
        let since = now.saturating_sub(last.ended);
        (last.calls, (last.took / PART).min(LONGEST).saturating_sub(since))
    }

    pub(crate) fn ended(&self, began: Duration, now: Duration, calls: usize) {
        *self.last() = Write { ended: now, took: now.saturating_sub(began), calls };
    }

    fn last(&self) -> MutexGuard<'_, Write> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn only_a_write_soon_after_another_waits_and_never_long() {
        let pace = Pace::default();
        assert_eq!(pace.next(ms(7)).1, ms(0), "the first");
        pace.ended(ms(100), ms(120), 64);
        assert_eq!(pace.next(ms(120)), (64, ms(10)));
        assert_eq!(pace.next(ms(127)), (64, ms(3)));
        assert_eq!(pace.next(ms(130)).1, ms(0));
        // Somebody suspended the machine during a write, and somebody set the clock back.
        pace.ended(ms(200), ms(9_000_000), 64);
        assert_eq!(pace.next(ms(9_000_000)).1, LONGEST);
        assert_eq!(pace.next(ms(0)).1, LONGEST);
        pace.ended(ms(300), ms(200), 64);
        assert_eq!(pace.next(ms(200)).1, ms(0));
    }
}
