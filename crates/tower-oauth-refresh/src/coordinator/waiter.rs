//! Waiting for the outcome of a flight.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::driver;
use super::guard::Wanted;
use super::slot::Told;
use crate::clock::deadline;
use crate::error::{ErrorKind, RefreshError};
use crate::foreign;

/// Those who wait for one flight.
#[derive(Debug)]
pub(super) struct Waiters {
    outcomes: broadcast::Sender<Told>,
    /// Why they wait.
    pub(super) wanted: Wanted,
}

/// Waits for the outcome of a flight.
#[derive(Debug)]
pub(crate) struct Waiter {
    outcomes: broadcast::Receiver<Told>,
    until: Instant,
    runtime: Handle,
}

/// More requests than this do not wait for one flight: by then they are the outage.
const MAX_WAITERS: usize = 2_000_000;

impl Waiters {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { outcomes: broadcast::Sender::new(1), wanted }
    }

    /// One more, of this runtime, who waits for this long.
    pub(super) fn join(&self, runtime: Handle, limit: Duration) -> Result<Waiter, RefreshError> {
        if self.count() >= MAX_WAITERS {
            return Err(RefreshError::new(ErrorKind::TooManyWaiters));
        }
        Ok(Waiter { outcomes: self.outcomes.subscribe(), until: deadline(limit), runtime })
    }

    /// Where they are told.
    pub(super) fn outcomes(&self) -> broadcast::Sender<Told> {
        self.outcomes.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.outcomes.receiver_count()
    }
}

impl Waiter {
    /// The flight's outcome, or this waiter's own time limit.
    // No `async fn`: that would hold its arguments beside what is made of them, for each who waits.
    pub(crate) fn wait(self) -> impl Future<Output = Told> + Send {
        let Self { mut outcomes, until, mut runtime } = self;
        async move {
            let mut told = pin!(async move {
                loop {
                    match outcomes.recv().await {
                        Ok(told) => return told,
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return Err(RefreshError::new(ErrorKind::Aborted)),
                    }
                }
            });
            let mut timer = pin!(None);
            poll_fn(move |cx| {
                let waker = foreign::contained(cx.waker());
                let cx = &mut Context::from_waker(&waker);
                // First: what was told in time is heard, however late this is polled.
                if let Poll::Ready(told) = told.as_mut().poll(cx) {
                    return Poll::Ready(told);
                }
                // The timer of a runtime that stands still, or has ended, would never fire: it moves along.
                let here = driver::runtime().ok().filter(|here| here.id() != runtime.id());
                let over = foreign::call(|| {
                    if here.is_some() || timer.is_none() {
                        runtime = here.unwrap_or_else(|| runtime.clone());
                        let _entered = runtime.enter();
                        timer.set(Some(sleep_until(until)));
                    }
                    timer.as_mut().as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(cx))
                });
                match over {
                    Ok(over) => over.map(|()| Err(RefreshError::new(ErrorKind::TimedOut))),
                    // A runtime that is ending has no timers.
                    Err(_) => Poll::Ready(Err(RefreshError::new(ErrorKind::Aborted))),
                }
            })
            .await
        }
    }
}
