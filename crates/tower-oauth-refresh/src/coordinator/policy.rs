//! Every number of a refresh, with its reason.

use std::time::Duration;

use crate::attach::authorization;
use crate::clock::Now;
use crate::grant::Grant;
use crate::store::record::{Mark, Tokens};

/// What the builder decided. Copied into every flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) grant: Grant,
    /// One attempt at the token endpoint, from the first byte sent to the last byte read.
    pub(crate) exchange_limit: Duration,
    /// All attempts of one flight.
    pub(crate) flight_limit: Duration,
    /// Further attempts in the same flight after a transient failure.
    pub(crate) retries: u32,
    /// One call of the store.
    pub(crate) store_limit: Duration,
    /// How long callers are held while a received token set cannot be stored.
    pub(crate) hold_limit: Duration,
    /// Are they given the token then, instead of an error?
    pub(crate) serve_unpersisted: bool,
    /// How long a request waits for a flight.
    pub(crate) wait_limit: Duration,
    /// Is a token refreshed in the background before it expires?
    pub(crate) refresh_ahead: bool,
    /// A token that was refreshed less than this ago, and never accepted, is not refreshed for a challenge.
    pub(crate) challenge_min_age: Duration,
    /// Are access tokens bound to a key?
    pub(crate) dpop: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            grant: Grant::RefreshToken,
            exchange_limit: Duration::from_secs(10),
            flight_limit: Duration::from_secs(30),
            retries: 1,
            store_limit: Duration::from_secs(5),
            hold_limit: Duration::from_secs(5),
            serve_unpersisted: false,
            wait_limit: Duration::from_secs(45),
            refresh_ahead: true,
            challenge_min_age: Duration::from_secs(5),
            dpop: false,
        }
    }
}

/// Who begins or ends a login waits so long for whoever is at it: longer than that takes, where its runtime runs.
pub(crate) const TURN_LIMIT: Duration = Duration::from_secs(60);
/// A request leaves at most this long after the begin of the swap that found the lease free and took it, or with a
/// mark of at most this age; later, somebody else may rightly hold the lease.
pub(crate) const SEND_WINDOW: Duration = Duration::from_secs(1);
/// A mark outlives the exchange it announces by this much: the [`SEND_WINDOW`] of its holder.
pub(crate) const MARK_MARGIN: Duration = SEND_WINDOW;
/// No holder announces an exchange that takes longer: a mark that says so is damaged.
pub(crate) const MARK_LIFE_MAX: Duration = Duration::from_secs(3600);
/// An old mark is taken over only if the record lay still for this long: longer than [`COMMIT_RETRY`], so
/// that a holder with a token set in hand comes first.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// A settling that took longer than this was itself suspended, and says nothing.
pub(crate) const SETTLE_AT_MOST: Duration = Duration::from_secs(4);
/// How often a token set that could not be stored is written again.
pub(crate) const COMMIT_RETRY: Duration = Duration::from_secs(1);
/// One call of the store, while a received token set is not stored. Somebody who finds the mark old takes it over
/// after [`SETTLE`]: a call that hangs must not keep this from being written until then.
pub(crate) const COMMIT_LIMIT: Duration = Duration::from_secs(1);
/// How often at last, where the record there cannot be read.
pub(crate) const UNREADABLE_RETRY: Duration = Duration::from_secs(60);
/// How often a record under somebody else's mark is looked at, where the store cannot tell of changes.
pub(crate) const POLL: Duration = Duration::from_millis(250);
/// A store in which so many marks of one flight, one after the other, are too old to send under is too slow.
pub(crate) const LATE_MARKS: u32 = 5;
/// A store that still has an older record after this many writes of one flight does not tell what was written last.
pub(crate) const RESTORES: u32 = 3;
/// Attempts of one flight, whatever their reasons.
pub(crate) const MAX_SENDS: u32 = 4;
/// Nobody asks again for a client that was refused, or a user who has to act.
pub(crate) const COOL_DOWN: Duration = Duration::from_secs(60);
/// While a refused token is left alone, the record is looked at this often: another process may have a newer one.
pub(crate) const REFUSED_RECHECK: Duration = Duration::from_secs(1);
/// A received set is used for this long, however short its life: no request that comes later is a refresh of its own.
pub(crate) const USED_AT_LEAST: Duration = Duration::from_secs(1);
/// A server's wish to be asked sooner than this, or than half the lifetime, is not met.
pub(crate) const REFRESH_IN_MIN: Duration = Duration::from_secs(60);
/// What is so short is waited for by whoever has so much time, and what is longer is told at once: a caller would
/// wait as long for a refresh that fails once.
pub(crate) const SHORT_REST: Duration = Duration::from_secs(5);
/// A caller with enough time waits through rests up to this one, that is to the end of [`SUBMISSION_WINDOW`].
pub(crate) const WAITED_REST: Duration = SUBMISSION_WINDOW;
/// While refreshes of a credential fail, no more requests than this are sent in any [`SUBMISSION_WINDOW`].
pub(crate) const SUBMISSIONS: usize = 5;
pub(crate) const SUBMISSION_WINDOW: Duration = Duration::from_secs(10);
/// So many attempts follow each other as fast as [`SUBMISSIONS`] allows. Then the rests are too long to be waited for.
const FAST_ATTEMPTS: u32 = 13;
/// A record that has lain for so long tells nothing of how the endpoint is now. Longer than the longest rest of our own.
pub(crate) const FAILURES_FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// How often a dead credential's record is looked at: another process may have logged in.
pub(crate) const RECHECK: Duration = Duration::from_secs(1);

impl Policy {
    /// From a mark to the next thing that is written, with a retry.
    pub(crate) fn longest_exchange(&self) -> Duration {
        self.exchange_limit.saturating_add(self.store_limit.saturating_mul(2)).saturating_mul(2)
    }

    /// How access tokens are presented; of another type they are not.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.dpop { "DPoP" } else { "Bearer" }
    }

    /// Is the access token of the type that is used here, and without a byte that no header can hold? Somebody may have
    /// installed one with the line break at the end of a file.
    pub(crate) fn can_send(&self, tokens: &Tokens) -> bool {
        let scheme = self.scheme();
        tokens.token_type.eq_ignore_ascii_case(scheme)
            && tokens.access_token.as_ref().is_some_and(|token| authorization(scheme, token).is_some())
    }

    /// Are these tokens bound to a key that nobody here can prove to have?
    pub(crate) fn must_prove(&self, tokens: &Tokens) -> bool {
        !self.dpop && (tokens.bound_key.is_some() || tokens.token_type.eq_ignore_ascii_case("DPoP"))
    }

    /// How long a mark of this process may be acted under.
    pub(crate) fn mark_life(&self) -> Duration {
        self.exchange_limit.saturating_add(MARK_MARGIN)
    }

    /// Age after which a foreign mark may be succeeded: what its holder said, and never less than a process that is
    /// set up like this one would take.
    pub(crate) fn foreign_mark_life(&self, mark: &Mark) -> Duration {
        let said = mark.life.unwrap_or_default().min(MARK_LIFE_MAX);
        said.max(self.mark_life())
    }

    /// Rest after an attempt that lost nothing, of which these requests were sent so long ago: half a second, and what
    /// [`SUBMISSIONS`] asks for. Five attempts in some two seconds, five from the tenth second on and five from the
    /// twentieth; then 16 s and 30 s.
    pub(crate) fn unavailable_rest(failures: u32, sent: &[Duration], unit: f64) -> Duration {
        let rest = match failures {
            ..=FAST_ATTEMPTS => Duration::from_millis(500),
            more => doubled(Duration::from_secs(16), more - FAST_ATTEMPTS, Duration::from_secs(30)),
        };
        rest.mul_f64(1.0 + unit / 4.0).max(Self::spaced(sent))
    }

    /// How long [`SUBMISSIONS`] puts off the next request, where these were sent so long ago.
    pub(crate) fn spaced(sent: &[Duration]) -> Duration {
        sent.get(SUBMISSIONS - 1).map_or(Duration::ZERO, |sent| SUBMISSION_WINDOW.saturating_sub(*sent))
    }

    /// Rest between flights whose answer was lost, or of no use: 1 s, doubling to 30 s.
    pub(crate) fn outage_rest(failures: u32, unit: f64) -> Duration {
        doubled(Duration::from_secs(1), failures, Duration::from_secs(30)).mul_f64(1.0 + unit / 4.0)
    }

    /// Rest between flights after a refusal without a reason: 1 s, doubling to 5 min, so at most 5
    /// submissions in 10 s and 30 in an hour.
    pub(crate) fn refused_rest(failures: u32, unit: f64) -> Duration {
        doubled(Duration::from_secs(1), failures, Duration::from_secs(300)).mul_f64(1.0 + unit / 4.0)
    }

    /// Pause before the retry inside a flight: full jitter.
    pub(crate) fn retry_pause(unit: f64) -> Duration {
        Duration::from_millis(50) + Duration::from_millis(450).mul_f64(unit)
    }
}

/// `first` doubled with every failure after the first, at most `cap`.
pub(crate) fn doubled(first: Duration, failures: u32, cap: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    first.saturating_mul(1 << doublings).min(cap)
}

/// A token is treated as expired this long before it is: clocks and wires are not exact, and a short
/// token must not be always expired.
pub(crate) fn expiry_margin(lifetime: Duration) -> Duration {
    Duration::from_secs(30).min(lifetime / 20)
}

/// The background refresh starts this long before expiry at the earliest.
pub(crate) fn ahead_window(lifetime: Duration) -> Duration {
    Duration::from_secs(300).min(lifetime / 10)
}

/// For how long a set is good to send. `None`: not known.
pub(crate) fn usable_for(expires_in: Option<Duration>, at_least: Option<Duration>) -> Option<Duration> {
    let life = expires_in?;
    Some(life.saturating_sub(expiry_margin(life)).max(at_least.unwrap_or_default()))
}

/// Is the access token of a set good to send when the set is `age` old?
pub(crate) fn usable(tokens: &Tokens, age: Duration) -> bool {
    tokens.access_token.is_some()
        && usable_for(tokens.expires_in, tokens.at_least).is_none_or(|usable| age < usable)
}

/// When a set of this lifetime stops being good to send. `None`: not known.
pub(crate) fn usable_until(
    expires_in: Option<Duration>,
    at_least: Option<Duration>,
    obtained: Now,
) -> Option<Now> {
    usable_for(expires_in, at_least).map(|usable| obtained.after(usable))
}

/// The lifetimes of a set that was just received, `took` after its request was sent, in place of `kept`, which was
/// `age` old by then. `failures` is how many sets in a row were of no use when they came.
///
/// `true`: so was this one. It is sent all the same, since the API has the last word, and the next refresh waits.
pub(crate) fn settle(
    tokens: &mut Tokens,
    kept: Option<(&Tokens, Duration)>,
    took: Duration,
    failures: u32,
    unit: f64,
) -> bool {
    tokens.refresh_in = tokens
        .refresh_in
        .map(|wish| wish.max(tokens.expires_in.map_or(REFRESH_IN_MIN, |life| REFRESH_IN_MIN.min(life / 2))));
    if let Some((kept, age)) = kept.filter(|(kept, _)| kept.same_access_token(tokens)) {
        let left = kept.expires_in.map(|life| life.saturating_sub(age));
        let longer = left.is_some_and(|left| tokens.expires_in.is_some_and(|life| life > left * 2));
        if !longer {
            // Until its expiry the server has no other, so that nothing is to be had by asking earlier.
            tokens.expires_in = tokens.expires_in.max(left);
            tokens.at_least = tokens.expires_in;
        }
    }
    let Some(usable) =
        usable_for(tokens.expires_in, tokens.at_least).filter(|_| tokens.access_token.is_some())
    else {
        return false;
    };
    let useless = usable <= took;
    if usable <= took.saturating_add(USED_AT_LEAST) {
        let rest =
            if useless { Policy::refused_rest(failures.saturating_add(1), unit) } else { USED_AT_LEAST };
        tokens.at_least = Some(took.saturating_add(rest));
    }
    useless
}

/// When the background refresh of a set starts. `unit` is its place in the window, from 0 to 1.
pub(crate) fn ahead_from(tokens: &Tokens, obtained: Now, unit: f64) -> Option<Now> {
    if tokens.at_least.is_some() {
        return None;
    }
    let wished = tokens.refresh_in.filter(|wish| tokens.expires_in.is_none_or(|life| *wish < life));
    let after = wished.or_else(|| {
        let life = tokens.expires_in?;
        let margin = expiry_margin(life);
        let window = ahead_window(life).saturating_sub(margin);
        Some(life.saturating_sub(margin + window.mul_f64(0.5 + unit / 2.0)))
    })?;
    Some(obtained.after(after))
}

#[cfg(test)]
mod tests;
