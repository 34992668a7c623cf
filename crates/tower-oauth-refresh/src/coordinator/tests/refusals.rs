//! A standing check for every simulation: while all is healthy, no user is refused for longer than a limit.

use std::collections::BTreeMap;
use std::time::Duration;

/// Who is refused, and since when. Time is the simulation's own.
#[derive(Clone, Debug)]
pub(in crate::coordinator) struct Refusals {
    limit: Duration,
    /// Since when nothing is out of order. `None`: something is.
    healthy_since: Option<Duration>,
    refused_since: BTreeMap<usize, Duration>,
    longest: Duration,
}

impl Refusals {
    /// All is healthy, and has been.
    pub(in crate::coordinator) fn new(limit: Duration) -> Self {
        Self {
            limit,
            healthy_since: Some(Duration::ZERO),
            refused_since: BTreeMap::new(),
            longest: Duration::ZERO,
        }
    }

    /// Something is out of order: refusals do not count until [`all_is_healthy`](Self::all_is_healthy).
    pub(in crate::coordinator) fn something_is_wrong(&mut self) {
        self.healthy_since = None;
    }

    /// Refusals count from `now`. Nothing changes where they did.
    pub(in crate::coordinator) fn all_is_healthy(&mut self, now: Duration) {
        self.healthy_since.get_or_insert(now);
    }

    /// This user got what he asked for, or has left.
    pub(in crate::coordinator) fn served(&mut self, user: usize) {
        self.refused_since.remove(&user);
    }

    /// This user asked at `asked`, and at `now` gets an error or a 401. `Err`: he has for too long.
    pub(in crate::coordinator) fn refused(
        &mut self,
        user: usize,
        asked: Duration,
        now: Duration,
    ) -> Result<(), String> {
        let since = *self.refused_since.entry(user).or_insert(asked);
        let Some(healthy_since) = self.healthy_since else { return Ok(()) };
        let refused = now.saturating_sub(since.max(healthy_since));
        self.longest = self.longest.max(refused);
        if refused > self.limit {
            return Err(format!("all is healthy, and user {user} is refused for {refused:?}"));
        }
        Ok(())
    }

    /// The longest that any user was refused while all was healthy.
    pub(in crate::coordinator) fn longest(&self) -> Duration {
        self.longest
    }
}

#[test]
fn only_refusals_while_all_is_healthy_count() {
    let at = Duration::from_secs;
    let mut refusals = Refusals::new(at(5));
    assert!(refusals.refused(1, at(10), at(15)).is_ok());
    assert!(refusals.refused(1, at(16), at(16)).is_err(), "since its first refusal");
    refusals.something_is_wrong();
    assert!(refusals.refused(1, at(17), at(30)).is_ok());
    refusals.all_is_healthy(at(30));
    refusals.all_is_healthy(at(34));
    assert!(refusals.refused(1, at(34), at(35)).is_ok());
    assert!(refusals.refused(1, at(35), at(36)).is_err(), "since all is healthy");
    refusals.served(1);
    assert!(refusals.refused(1, at(40), at(45)).is_ok());
    assert_eq!(refusals.longest(), at(6));
}
