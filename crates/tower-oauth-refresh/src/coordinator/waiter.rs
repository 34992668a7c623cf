//! Waiting for the outcome of a flight.
//!
//! Every waiter has a time limit, and nearly none comes to it. So one timer stands for all of theirs: nobody waits
//! for longer than the flight lasts, and when it has lasted for the limit, its bell rings. Whoever still waits
//! then takes a timer for what he has left. A runtime may stand still, and the bell with it: on another one,
//! waiters take timers at once.

use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::driver;
use super::slot::{Slot, Told};
use crate::clock::deadline;
use crate::error::{ErrorKind, RefreshError};

/// Those who wait for one flight.
#[derive(Debug)]
pub(super) struct Waiters {
    words: broadcast::Sender<Word>,
    /// The runtime with the bell. `None`: it has rung.
    bell: Option<runtime::Id>,
}

/// What those who wait for a flight hear.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Outcome(Told),
    Bell,
}

/// Waits for the outcome of a flight.
#[derive(Debug)]
pub(crate) struct Waiter {
    words: broadcast::Receiver<Word>,
    until: Instant,
    bell: Option<runtime::Id>,
}

/// More requests than this do not wait for one flight: by then they are the outage.
const MAX_WAITERS: usize = 2_000_000;

impl Waiters {
    /// For a flight of this runtime, where somebody [rings](ring) when it has lasted for the time limit.
    pub(super) fn on(runtime: &Handle) -> Self {
        // Room for two: the bell puts out no outcome that somebody has not heard yet.
        Self { words: broadcast::Sender::new(2), bell: Some(runtime.id()) }
    }

    /// One more, who waits for this long.
    pub(super) fn join(&self, limit: Duration) -> Result<Waiter, RefreshError> {
        if self.count() >= MAX_WAITERS {
            return Err(RefreshError::new(ErrorKind::TooManyWaiters));
        }
        Ok(Waiter { words: self.words.subscribe(), until: deadline(limit), bell: self.bell })
    }

    /// Where they are told.
    pub(super) fn words(&self) -> broadcast::Sender<Word> {
        self.words.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.words.receiver_count()
    }
}

/// From now on, those who wait for the flight of this slot look at the time by themselves.
pub(super) fn ring(slot: &Slot) {
    let words = slot.state().flight.as_deref_mut().map(|waiters| {
        waiters.bell = None;
        waiters.words()
    });
    if let Some(words) = words {
        // Nobody may be waiting.
        let _ = words.send(Word::Bell);
    }
}

impl Waiter {
    /// The flight's outcome, or this waiter's own time limit. To be called where it will be polled.
    // No `async fn`: that would hold its arguments beside what is made of them, for each who waits.
    pub(crate) fn wait(self) -> impl Future<Output = Told> + Send {
        let Self { mut words, until, bell } = self;
        let hears_bell = bell.is_some_and(|bell| driver::runtime().is_ok_and(|here| here.id() == bell));
        async move {
            if hears_bell && let Some(told) = outcome(words.recv().await) {
                return told;
            }
            let told = async move {
                loop {
                    if let Some(told) = outcome(words.recv().await) {
                        return told;
                    }
                }
            };
            // In a box, for nearly nobody needs it.
            let told = Box::pin(timeout_at(until, told)).await;
            told.unwrap_or_else(|_| Err(RefreshError::new(ErrorKind::TimedOut)))
        }
    }
}

/// `None`: there is more to come.
fn outcome(heard: Result<Word, RecvError>) -> Option<Told> {
    match heard {
        Ok(Word::Outcome(told)) => Some(told),
        Ok(Word::Bell) | Err(RecvError::Lagged(_)) => None,
        Err(RecvError::Closed) => Some(Err(RefreshError::new(ErrorKind::Aborted))),
    }
}
