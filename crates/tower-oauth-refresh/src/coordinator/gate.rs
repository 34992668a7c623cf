//! The way to the token endpoint, which all credentials of a coordinator share.
//!
//! A number of exchanges at a time, first come first served; and where the server says when to come back, nobody
//! comes earlier. Whoever waits here has no mark in the store: a lease that ran meanwhile would be good for nothing.
//!
//! A short rest of the server is waited for in the queue, so that nobody loses his turn by it; a long one, and a
//! queue that is too long, is said at once.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};

use super::machine::{Answer, TurnedAway};
use super::policy::SHORT_REST;
use crate::clock::{Now, deadline};
use crate::credential::CredentialKey;

/// Where all flights of a coordinator pass.
#[derive(Debug)]
pub(super) struct Gate {
    places: Semaphore,
    /// Whoever has a place for longer does not come back: its runtime stands still.
    longest: Duration,
    held: Mutex<Held>,
    queue: AtomicUsize,
    // A std mutex: held for some assignments, never across an await.
    rests: Mutex<Rests>,
}

/// What the server said about when to come back.
#[derive(Debug, Default)]
struct Rests {
    /// To everybody.
    server: Option<Now>,
    /// To a credential, and to another one: that is then no limit of one account.
    limited: [Option<(CredentialKey, Now)>; 2],
}

/// Places, and since when each is taken.
#[derive(Debug, Default)]
struct Held {
    number: u64,
    since: BTreeMap<u64, Instant>,
}

/// A place at the token endpoint. It ends with this.
#[derive(Debug)]
pub(super) struct Place<'a> {
    gate: &'a Gate,
    number: u64,
}

#[derive(Debug)]
struct Queued<'a>(&'a AtomicUsize);

/// A flight that queues is a task, of a few kilobytes.
const LONGEST_QUEUE: usize = 10_000;

impl Gate {
    pub(super) fn new(places: usize, longest: Duration) -> Self {
        let places = Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS));
        Self { places, longest, held: Mutex::default(), queue: AtomicUsize::new(0), rests: Mutex::default() }
    }

    /// A place at the token endpoint, when it is this flight's turn.
    pub(super) async fn enter(&self, now: impl Fn() -> Now) -> Result<Place<'_>, TurnedAway> {
        if self.rests_until(now()).is_none()
            && let Ok(permit) = self.places.try_acquire()
        {
            return Ok(self.place(permit));
        }
        let Some(_queued) = self.queue() else {
            return Err(TurnedAway::Full(now().after(SHORT_REST)));
        };
        self.is_open(now())?;
        let mut permit = pin!(self.places.acquire());
        let place = loop {
            match timeout_at(self.next_expiry(), permit.as_mut()).await {
                // Never closed.
                Ok(permit) => break self.place(permit.map_err(|_| TurnedAway::Full(now()))?),
                Err(_) => self.take_back(),
            }
        };
        while let Some(until) = self.rests_until(now()) {
            self.is_open(now())?;
            sleep(now().until(until)).await;
        }
        Ok(place)
    }

    fn place(&self, permit: SemaphorePermit<'_>) -> Place<'_> {
        permit.forget();
        let mut held = self.held();
        held.number += 1;
        let number = held.number;
        held.since.insert(number, deadline(Duration::ZERO));
        Place { gate: self, number }
    }

    /// When the oldest place is taken back.
    fn next_expiry(&self) -> Instant {
        let oldest = self.held().since.values().next().copied();
        oldest.and_then(|since| since.checked_add(self.longest)).unwrap_or_else(|| deadline(self.longest))
    }

    /// Gives places to others that their holders have had for too long.
    fn take_back(&self) {
        let now = deadline(Duration::ZERO);
        let mut held = self.held();
        let before = held.since.len();
        held.since.retain(|_, since| now.saturating_duration_since(*since) < self.longest);
        self.places.add_permits(before - held.since.len());
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the server answered to a request of this credential.
    pub(super) fn heard(&self, key: &CredentialKey, answer: &Answer, now: Now) {
        match answer {
            Answer::Tokens(_) => self.rests().lift(now),
            Answer::Unavailable { retry_after: Some(wait), status, .. } => {
                self.rests().note(key, *status, now.after(*wait), now);
            }
            _ => {}
        }
    }

    /// The credential has a new login: what the server said to the one before does not bind it.
    pub(super) fn forget(&self, key: &CredentialKey) {
        for limited in &mut self.rests().limited {
            limited.take_if(|(limited, _)| limited == key);
        }
    }

    fn rests_until(&self, now: Now) -> Option<Now> {
        self.rests().until(now)
    }

    fn is_open(&self, now: Now) -> Result<(), TurnedAway> {
        match self.rests_until(now) {
            Some(until) if now.until(until) > SHORT_REST => Err(TurnedAway::Rests(until)),
            _ => Ok(()),
        }
    }

    /// Room in the queue.
    fn queue(&self) -> Option<Queued<'_>> {
        let queued = Queued(&self.queue);
        (self.queue.fetch_add(1, Ordering::Relaxed) < LONGEST_QUEUE).then_some(queued)
    }

    fn rests(&self) -> MutexGuard<'_, Rests> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.gate.held().since.remove(&self.number).is_some() {
            self.gate.places.add_permits(1);
        }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Rests {
    /// Until when nobody asks.
    fn until(&self, now: Now) -> Option<Now> {
        let limited = match &self.limited {
            [Some((_, one)), Some((_, other))] => Some(if one.boot < other.boot { *one } else { *other }),
            _ => None,
        };
        let rests = [self.server, limited].into_iter().flatten().filter(|until| !now.reached(*until));
        rests.max_by_key(|until| until.boot)
    }

    fn note(&mut self, key: &CredentialKey, status: StatusCode, until: Now, now: Now) {
        let speaks_to_all = match status.as_u16() {
            // A quarrel about this credential.
            403 | 409 => return,
            // May be a limit of this account alone. If not, a short one is heard again by each.
            400..=499 => now.until(until) <= SHORT_REST,
            _ => true,
        };
        if speaks_to_all {
            if self.server.is_none_or(|known| known.boot < until.boot) {
                self.server = Some(until);
            }
            return;
        }
        for limited in &mut self.limited {
            limited.take_if(|(limited, until)| limited == key || now.reached(*until));
        }
        match &mut self.limited {
            [free @ None, _] | [_, free @ None] => *free = Some((key.clone(), until)),
            // Others may know better by now.
            [_, last] => *last = Some((key.clone(), until)),
        }
    }

    /// The server serves somebody. A short rest ends by itself: what was under way when it began may still succeed.
    fn lift(&mut self, now: Now) {
        self.limited = [None, None];
        self.server.take_if(|until| now.until(*until) > SHORT_REST);
    }
}

#[cfg(test)]
mod tests;
