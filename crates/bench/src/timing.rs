//! Time, measured so that a busy machine spoils as little as possible: every way has a turn in every round,
//! and is compared with the floor of the same round.
#![expect(clippy::disallowed_methods, reason = "measuring time is what this is for")]

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The processor's time of this thread.
#[must_use]
pub fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Time on the wall.
#[must_use]
pub fn wall() -> Instant {
    Instant::now()
}

/// What each way took in each round, in seconds: `[way][round]`. The ways begin in another order each time.
pub fn interleaved<W>(ways: &mut [W], rounds: usize, mut turn: impl FnMut(&mut W) -> f64) -> Vec<Vec<f64>> {
    let mut taken = vec![Vec::with_capacity(rounds); ways.len()];
    let count = ways.len().max(1);
    for round in 0..rounds {
        for step in 0..count {
            let at = (round + step) % count;
            if let (Some(way), Some(taken)) = (ways.get_mut(at), taken.get_mut(at)) {
                taken.push(turn(way));
            }
        }
    }
    taken
}

/// The median of a way's ratios to another, round by round. None at all is no number.
#[must_use]
pub fn ratio(way: &[f64], floor: &[f64]) -> f64 {
    median(way.iter().zip(floor).map(|(way, floor)| way / floor).collect())
}

/// The one in the middle; none at all is no number.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
