//! The only place that reads time.
//!
//! Two clocks are read together, because each lies in its own way: the wall clock jumps when somebody
//! sets it, and a monotonic clock may stand still while the machine is suspended. A deadline has passed
//! as soon as *either* says so, and a duration is the *larger* of the two.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Now {
    /// Wall time: survives a restart, and jumps.
    pub wall: SystemTime,
    /// Time since some fixed moment: never jumps while this boot lasts, counts suspend where the system can. Of
    /// [`SystemClock`], that moment is a century before boot.
    pub boot: Duration,
}

impl Now {
    /// A reading taken elsewhere: for [`Clock`]s of tests and simulations.
    #[must_use]
    pub fn new(wall: SystemTime, boot: Duration) -> Self {
        Self { wall, boot }
    }

    /// Time passed since `earlier`, by whichever clock says more.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        wall.max(self.boot.saturating_sub(earlier.boot))
    }

    /// The moment `after` from now. A duration too long for the clocks is cut to a century.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        let after = after.min(CENTURY);
        let wall = self.wall.checked_add(after).unwrap_or(self.wall);
        Self::new(wall, self.boot.saturating_add(after))
    }

    /// The moment `before` ago, on both clocks.
    #[must_use]
    pub fn before(self, before: Duration) -> Self {
        let wall = self.wall.checked_sub(before).unwrap_or(SystemTime::UNIX_EPOCH);
        Self::new(wall, self.boot.saturating_sub(before))
    }

    /// Has `deadline` passed, by either clock?
    #[must_use]
    pub fn reached(self, deadline: Self) -> bool {
        self.wall >= deadline.wall || self.boot >= deadline.boot
    }

    /// Time left until `deadline`, by whichever clock says less.
    #[must_use]
    pub fn until(self, deadline: Self) -> Duration {
        let wall = deadline.wall.duration_since(self.wall).unwrap_or_default();
        wall.min(deadline.boot.saturating_sub(self.boot))
    }
}

/// Longer than any token lives, short enough for every clock's arithmetic. Boot clocks count from as long before boot:
/// a token may be older than its machine's boot, and the moment of its birth is needed.
const CENTURY: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Where the time comes from. [`SystemClock`] unless a test says otherwise.
///
/// `boot` must never go back within one process; `wall` may do anything.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Now;

    /// Wall time in milliseconds, from a clock that is cheap to read and some milliseconds late. A request
    /// looks at this one, and reads both others only where it has moved on, or back, since the last close
    /// look. `None`, unless overridden: every request reads both.
    fn glance(&self) -> Option<u64> {
        None
    }
}

/// The machine's own clocks: `CLOCK_REALTIME`, and `CLOCK_BOOTTIME` on Linux or [`std::time::Instant`]
/// elsewhere.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads time")]
    fn now(&self) -> Now {
        Now { wall: SystemTime::now(), boot: CENTURY.saturating_add(boot_time()) }
    }

    #[cfg(target_os = "linux")]
    fn glance(&self) -> Option<u64> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let seconds = u64::try_from(now.tv_sec).ok()?;
        Some(seconds.wrapping_mul(1000).wrapping_add(now.tv_nsec.unsigned_abs() / 1_000_000))
    }
}

/// A clock whose boot time may start at zero, as one that counts from a century before.
#[derive(Debug)]
pub(crate) struct SinceLong(pub(crate) Arc<dyn Clock>);

impl Clock for SinceLong {
    fn now(&self) -> Now {
        let now = self.0.now();
        Now { boot: CENTURY.saturating_add(now.boot), ..now }
    }

    fn glance(&self) -> Option<u64> {
        self.0.glance()
    }
}

/// So far from now, by the clock of the runtime's timers.
pub(crate) fn deadline(limit: Duration) -> tokio::time::Instant {
    // Nobody waits for a year, and no clock's arithmetic overflows by it.
    tokio::time::Instant::now() + limit.min(Duration::from_secs(365 * 86_400))
}

#[cfg(target_os = "linux")]
fn boot_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "the one place that reads time")]
fn boot_time() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: u64, boot: u64) -> Now {
        Now::new(SystemTime::UNIX_EPOCH + Duration::from_secs(wall), Duration::from_secs(boot))
    }

    #[test]
    fn a_deadline_has_passed_when_either_clock_says_so() {
        let deadline = at(1000, 10).after(Duration::from_secs(60));
        assert!(!at(1059, 69).reached(deadline));
        assert!(at(1060, 11).reached(deadline), "suspended: only the wall clock moved");
        assert!(at(400, 70).reached(deadline), "the wall clock was set back");
    }

    #[test]
    fn elapsed_time_is_the_larger_of_both_and_never_negative() {
        assert_eq!(at(1010, 13).since(at(1000, 10)), Duration::from_secs(10));
        assert_eq!(at(400, 13).since(at(1000, 10)), Duration::from_secs(3));
        assert_eq!(at(400, 9).since(at(1000, 10)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_as_long_as_it_is_told_up_to_a_year() {
        let day = Duration::from_secs(86_400);
        let now = deadline(Duration::ZERO);
        assert_eq!(deadline(day * 364) - now, day * 364);
        assert_eq!(deadline(Duration::MAX) - now, day * 365);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_time_of_boot_is_the_kernels() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!(boot_time().as_secs_f64() > seconds - 1.0);
    }

    #[test]
    fn absurd_durations_do_not_overflow() {
        let far = at(1000, 10).after(Duration::MAX);
        assert!(!at(2000, 1000).reached(far));
        assert_eq!(at(5, 5).before(Duration::MAX).boot, Duration::ZERO);
    }

    #[test]
    fn a_boot_clock_can_tell_of_a_time_before_boot() {
        let year = Duration::from_secs(366 * 86_400);
        #[derive(Debug)]
        struct Zero;
        impl Clock for Zero {
            fn now(&self) -> Now {
                at(1_000_000_000, 0)
            }
        }
        for now in [SystemClock.now(), SinceLong(Arc::new(Zero)).now()] {
            let obtained = now.before(year);
            assert_eq!(now.boot.checked_sub(obtained.boot), Some(year));
            let set_back = Now::new(SystemTime::UNIX_EPOCH, now.boot);
            assert!(set_back.reached(obtained.after(year)), "only the boot clock can tell");
        }
    }

    #[test]
    fn the_system_clock_moves_forward() {
        let first = SystemClock.now();
        assert!(SystemClock.now().boot >= first.boot);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_glance_is_the_wall_clock_a_little_late() {
        let millis = |now: Now| now.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let before = millis(SystemClock.now());
        let glance = u128::from(SystemClock.glance().unwrap());
        let after = millis(SystemClock.now());
        assert!(before.saturating_sub(100) <= glance && glance <= after, "{before} {glance} {after}");
    }
}
