//! Clocks that a test moves.
//!
//! [`ManualClock`] stands still until it is told; [`TokioClock`] also follows tokio's clock, so that with
//! `tokio::time::pause` timers, expiries and the server's idea of both agree. Suspending moves neither
//! clock's timers: a machine that wakes up finds the same timers pending and the wall clock far ahead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tower_oauth_refresh::{Clock, Now};

/// A clock that moves when the test says so. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use tower_oauth_refresh::Clock as _;
/// use tower_oauth_refresh_testkit::ManualClock;
///
/// let clock = ManualClock::new();
/// let earlier = clock.now();
/// clock.jump_wall_back(Duration::from_secs(86_400));
/// assert_eq!(clock.now().boot, earlier.boot, "a wall clock that is set moves nothing else");
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Now>>);

impl ManualClock {
    /// A clock that shows some moment of 2023, an hour after boot.
    #[must_use]
    pub fn new() -> Self {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Self::starting_at(Now::new(wall, Duration::from_secs(3600)))
    }

    /// A clock that shows `now`.
    #[must_use]
    pub fn starting_at(now: Now) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Time passes: both clocks move on.
    pub fn advance(&self, duration: Duration) {
        self.change(|now| *now = now.after(duration));
    }

    /// Somebody sets the wall clock forward.
    pub fn jump_wall_forward(&self, duration: Duration) {
        self.change(|now| now.wall = now.wall.checked_add(duration).unwrap_or(now.wall));
    }

    /// Somebody sets the wall clock back, to 1970 at most.
    pub fn jump_wall_back(&self, duration: Duration) {
        self.change(|now| now.wall = now.before(duration).wall.max(SystemTime::UNIX_EPOCH));
    }

    /// The machine sleeps and its boot clock counts it, as `CLOCK_BOOTTIME` does. Timers do not run: of a
    /// [`TokioClock`] the readings move, and tokio's timers stay where they were.
    pub fn suspend(&self, duration: Duration) {
        self.advance(duration);
    }

    /// The machine sleeps and only the wall clock knows, as with `CLOCK_MONOTONIC`.
    pub fn suspend_uncounted(&self, duration: Duration) {
        self.jump_wall_forward(duration);
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.lock()
    }
}

/// A clock that follows [`tokio::time::Instant`] and can be moved beside it. Clones are the same clock.
///
/// Read it inside the runtime whose time it follows: outside, tokio's clock is the machine's.
///
/// Paused time and sockets: with every task waiting for I/O, a paused clock jumps to the next timer. Where
/// a client has time limits and talks to a server of this crate, hold the answer at a gate and advance
/// the clock by hand, or give the limits room.
#[derive(Clone, Debug)]
pub struct TokioClock {
    start: Instant,
    moved: ManualClock,
}

impl TokioClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), moved: ManualClock::new() }
    }

    /// Both readings move on, tokio's timers do not: that is `tokio::time::advance`.
    pub fn suspend(&self, duration: Duration) {
        self.moved.suspend(duration);
    }

    /// Only the wall reading moves on.
    pub fn suspend_uncounted(&self, duration: Duration) {
        self.moved.suspend_uncounted(duration);
    }

    /// Somebody sets the wall clock forward.
    pub fn jump_wall_forward(&self, duration: Duration) {
        self.moved.jump_wall_forward(duration);
    }

    /// Somebody sets the wall clock back.
    pub fn jump_wall_back(&self, duration: Duration) {
        self.moved.jump_wall_back(duration);
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Now {
        self.moved.now().after(self.start.elapsed())
    }
}

#[cfg(test)]
mod tests;
