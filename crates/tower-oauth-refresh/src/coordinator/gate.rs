//! The way to the token endpoint, which all credentials of a coordinator share.
//!
//! A number of exchanges at a time, first come first served; and where the server says when to come back, nobody
//! comes earlier. Whoever waits here has no mark in the store and has not read the record yet that he will act on:
//! a lease that ran while its holder queued would be good for nothing.
//!
//! A short rest of the server is waited for in the queue, so that nobody loses his turn by it; a long one, and a
//! queue that is too long, is said at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

use super::machine::{Answer, Step};
use crate::clock::Now;

/// Where all flights of a coordinator pass.
#[derive(Debug)]
pub(super) struct Gate {
    places: Semaphore,
    queue: AtomicUsize,
    // A std mutex: held for an assignment, never across an await.
    rests_until: Mutex<Option<Now>>,
}

/// A flight at the gate.
#[derive(Debug)]
pub(super) struct Passage<'a> {
    gate: &'a Gate,
    place: Option<SemaphorePermit<'a>>,
    sent: bool,
}

#[derive(Debug)]
struct Queued<'a>(&'a AtomicUsize);

/// A caller would wait as long for a refresh that fails once. What is longer, it is told.
const SHORT_REST: Duration = Duration::from_secs(5);

/// A flight that queues is a task, of a few kilobytes.
const LONGEST_QUEUE: usize = 10_000;

/// May the flight go on?
#[derive(Debug)]
pub(super) enum Passed {
    Yes,
    /// It waited, and what it knows of the record is old: begin again. It has its place now.
    Anew,
    /// The server asked everybody to stay away until then.
    Rests(Now),
}

impl Gate {
    pub(super) fn new(places: usize) -> Self {
        let places = Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS));
        Self { places, queue: AtomicUsize::new(0), rests_until: Mutex::default() }
    }

    pub(super) fn passage(&self) -> Passage<'_> {
        Passage { gate: self, place: None, sent: false }
    }

    /// Takes note of what the server said about when to come back. Of a refusal of one credential, that is
    /// said to the one.
    pub(super) fn heard(&self, answer: &Answer, now: Now) {
        if let Answer::Unavailable { retry_after: Some(wait), .. } = answer {
            let until = now.after(*wait);
            let mut rests = self.rests();
            if rests.is_none_or(|known| known.boot < until.boot) {
                *rests = Some(until);
            }
        }
    }

    fn rests_until(&self, now: Now) -> Option<Now> {
        self.rests().filter(|until| !now.reached(*until))
    }

    fn long_rest(&self, now: Now) -> Option<Now> {
        self.rests_until(now).filter(|until| now.until(*until) > SHORT_REST)
    }

    /// Room in the queue.
    fn queue(&self) -> Option<Queued<'_>> {
        let queued = Queued(&self.queue);
        (self.queue.fetch_add(1, Ordering::Relaxed) < LONGEST_QUEUE).then_some(queued)
    }

    fn rests(&self) -> MutexGuard<'_, Option<Now>> {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Passage<'_> {
    /// Before a step of the machine.
    pub(super) async fn before(&mut self, step: &Step, now: impl Fn() -> Now) -> Passed {
        match step {
            Step::Swap { new, .. } if new.mark.is_some() => return self.enter(now).await,
            // The exchange is over: committed, released, condemned.
            Step::Swap { .. } | Step::Done => self.place = None,
            Step::Send { .. } => self.sent = true,
            // Under somebody else's mark. The pause between two attempts is short.
            Step::Wait(_) if !self.sent => self.place = None,
            Step::Wait(_) | Step::Load | Step::Revoke { .. } => {}
        }
        Passed::Yes
    }

    async fn enter(&mut self, now: impl Fn() -> Now) -> Passed {
        if self.place.is_some() {
            return Passed::Yes;
        }
        if self.sent {
            // Rare: an exchange is over and a second one follows. The flight keeps count of what it has sent; if it
            // waits for too long, it sends nothing before it has looked again.
            self.place = self.gate.places.acquire().await.ok();
            return Passed::Yes;
        }
        if self.gate.rests_until(now()).is_none()
            && let Ok(place) = self.gate.places.try_acquire()
        {
            self.place = Some(place);
            return Passed::Yes;
        }
        let Some(_queued) = self.gate.queue() else {
            return Passed::Rests(now().after(SHORT_REST));
        };
        if let Some(until) = self.gate.long_rest(now()) {
            return Passed::Rests(until);
        }
        // Never closed.
        self.place = self.gate.places.acquire().await.ok();
        while let Some(until) = self.gate.rests_until(now()) {
            if self.gate.long_rest(now()).is_some() {
                return Passed::Rests(until);
            }
            sleep(now().until(until)).await;
        }
        Passed::Anew
    }
}

#[cfg(test)]
mod tests;
