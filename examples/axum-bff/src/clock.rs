//! A clock that can be set forward, so that nobody has to wait for a token to expire.
//!
//! It exists for one button of the page and for the tests. An application of your own has none, and the
//! coordinator goes by the machine's clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tower_oauth_refresh::{Clock, Now, SystemClock};

/// The machine's clock, and how far it was set forward.
#[derive(Debug, Default)]
pub struct MovableClock {
    machine: SystemClock,
    forward_ms: AtomicU64,
}

impl MovableClock {
    /// Sets it forward by this much more.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.forward_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Now {
        self.machine.now().after(Duration::from_millis(self.forward_ms.load(Ordering::SeqCst)))
    }
}
