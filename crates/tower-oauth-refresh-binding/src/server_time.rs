//! The time as a server has it, learned when it refuses what was signed.
//!
//! What is signed lives for a minute or so, so a machine whose clock is off by two is refused everything. The clock is
//! for somebody to set right; until then, the server's own `Date` will do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use http::header::DATE;
use tower_oauth_refresh::Now;

/// The time of one server: our clock's, or its own once that has proved to differ. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct ServerTime(Arc<ArcSwapOption<Learned>>);

/// What a signature is dated by: what was learned until then, or our clock. In the extensions of the request that
/// carries an assertion, since others may learn while it is being signed.
#[derive(Clone, Default)]
pub(crate) struct Dated(Option<Arc<Learned>>);

/// What the server's clock showed, at some moment since boot. Nobody sets that clock, so this stays right when
/// somebody sets ours.
struct Learned {
    date: Duration,
    boot: Duration,
    /// Has it been of use? Until then it may be that of another clock than the one that counts.
    proved: AtomicBool,
}

impl ServerTime {
    /// What is to be dated now is dated by this.
    pub(crate) fn current(&self) -> Dated {
        Dated(self.0.load_full())
    }

    /// The server refused what was dated by `used`, and at `now` its clock showed `date`. Is there a better time by
    /// that, so that another attempt is worth it?
    pub(crate) fn learn(&self, used: &Dated, date: SystemTime, now: Now) -> bool {
        let date = since_1970(date);
        if date.abs_diff(since_1970(now.wall)) > MAX_OFF {
            tracing::warn!("a server's date is more than a day off and was not taken over");
            return false;
        }
        let agrees = |with: &Dated| date.abs_diff(with.since_1970(now)) <= TOLERANCE;
        // One lesson at a time: a server whose dates never agree would else be asked for ever, and the caller would
        // never hear of it.
        if !agrees(used) && used.is_proved() {
            let current = self.current();
            // Another refusal may have brought it already.
            if current.is(used) || !agrees(&current) {
                let seconds = date.abs_diff(since_1970(now.wall)).as_secs();
                tracing::warn!(seconds, "the clock differs from the server's, whose time is taken over");
                let proved = AtomicBool::new(false);
                self.0.store(Some(Arc::new(Learned { date, boot: now.boot, proved })));
            }
            return true;
        }
        // Refused with the time it gave: it was for another reason, or the date is not that of the clock that counts
        // there but of a proxy's. Our own is worth another try.
        if used.0.is_some() {
            self.0.compare_and_swap(&used.0, None);
        }
        false
    }
}

impl Dated {
    pub(crate) fn at(&self, now: Now) -> SystemTime {
        if self.0.is_some() { SystemTime::UNIX_EPOCH + self.since_1970(now) } else { now.wall }
    }

    pub(crate) fn since_1970(&self, now: Now) -> Duration {
        let Some(Learned { date, boot, .. }) = self.0.as_deref() else { return since_1970(now.wall) };
        date.saturating_add(now.boot.saturating_sub(*boot))
    }

    /// The server took what was dated by this.
    pub(crate) fn prove(&self) {
        if let Some(learned) = &self.0 {
            learned.proved.store(true, Ordering::Relaxed);
        }
    }

    /// Our own clock need not be.
    fn is_proved(&self) -> bool {
        self.0.as_ref().is_none_or(|learned| learned.proved.load(Ordering::Relaxed))
    }

    fn is(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }
}

/// The `Date` of an answer.
pub(crate) fn date(answer: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(answer.get(DATE)?.to_str().ok()?).ok()
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The field counts whole seconds, and an answer is under way for a while.
const TOLERANCE: Duration = Duration::from_secs(2);

/// A clock set to the wrong time zone is within it. A date that is further off is nonsense, and what is dated by it
/// might be good for whoever steals it long after.
const MAX_OFF: Duration = Duration::from_secs(86_400);
