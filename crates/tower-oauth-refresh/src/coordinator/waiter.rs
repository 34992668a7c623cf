//! Waiting for the outcome of a flight.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};

use futures_util::future::Either;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::guard::Wanted;
use super::origins::OriginId;
use super::slot::{Slot, Standing, State, TokenId, Told};
use super::{RefreshCoordinator, Refusal, Token, driver};
use crate::clock::{Now, deadline};
use crate::error::{ErrorKind, RefreshError};
use crate::foreign;

/// Those who wait for one flight, or for the end of one rest.
#[derive(Clone, Debug)]
pub(super) struct Waiters {
    outcomes: broadcast::Sender<Told>,
    /// Why they wait.
    pub(super) wanted: Wanted,
}

/// Waits for the outcome of a flight, or of several.
#[derive(Debug)]
pub(crate) struct Waiter {
    outcomes: broadcast::Receiver<Told>,
    until: Instant,
    runtime: Handle,
    again: Option<Box<Again>>,
}

/// What it takes to look again, after a rest or a flight that found the endpoint not available.
#[derive(Debug)]
struct Again {
    coordinator: Arc<RefreshCoordinator>,
    slot: Arc<Slot>,
    /// The token that was refused, and where, if one was.
    used: Option<(TokenId, OriginId)>,
    /// How long the request waits in all.
    until: Instant,
    /// Is it a rest that is waited for now, and no flight?
    rests: bool,
}

/// More requests than this do not wait for one flight: by then they are the outage.
const MAX_WAITERS: usize = 2_000_000;

impl Waiters {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { outcomes: broadcast::Sender::new(1), wanted }
    }

    /// One more, of this runtime, who waits until then.
    pub(super) fn join(&self, runtime: Handle, until: Instant) -> Result<Waiter, RefreshError> {
        if self.count() >= MAX_WAITERS {
            return Err(RefreshError::new(ErrorKind::TooManyWaiters));
        }
        Ok(Waiter { outcomes: self.outcomes.subscribe(), until, runtime, again: None })
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
    /// Not only for this flight, or rest.
    fn and_again(self, again: Again) -> Self {
        Self { again: Some(Box::new(again)), ..self }
    }

    /// A token, the error of the last flight, or this waiter's own time limit.
    pub(crate) async fn wait(mut self) -> Told {
        loop {
            let (again, runtime) = (self.again.take(), self.runtime.clone());
            let resting = again.as_deref().filter(|again| again.rests);
            // In a box: nearly nobody waits for a rest, and many may wait.
            let closing = resting.map(|again| Box::pin(again.coordinator.closing()));
            let told = self.once(closing).await;
            let Some(again) = again else { return told };
            match told {
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                // Where no timer runs, the next rest would end as soon.
                Err(error) if again.rests && error.kind() != ErrorKind::Aborted => {}
                told => return told,
            }
            // Whoever polls this may have no runtime of its own.
            let entered = driver::runtime().is_err().then(|| runtime.enter());
            let next = again.look();
            drop(entered);
            self = match next {
                Either::Left(waiter) => waiter,
                Either::Right(told) => return told,
            };
        }
    }

    /// What one flight came to, or an error at the end of one rest.
    // No `async fn`: that would hold its arguments beside what is made of them, for each who waits.
    fn once(self, closing: Option<impl Future<Output = ()> + Send>) -> impl Future<Output = Told> + Send {
        let Self { mut outcomes, until, mut runtime, .. } = self;
        let closed = if closing.is_some() { ErrorKind::Unavailable } else { ErrorKind::Aborted };
        async move {
            let mut told = pin!(async move {
                let heard = async {
                    loop {
                        match outcomes.recv().await {
                            Ok(told) => return told,
                            Err(RecvError::Lagged(_)) => {}
                            Err(RecvError::Closed) => return Err(RefreshError::new(closed)),
                        }
                    }
                };
                match closing {
                    None => heard.await,
                    Some(closing) => tokio::select! {
                        told = heard => told,
                        () = closing => Err(RefreshError::new(ErrorKind::ShutDown)),
                    },
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

impl Again {
    /// What holds now: something to wait for, or the outcome.
    fn look(self) -> Either<Waiter, Told> {
        let Self { coordinator, slot, used, until, .. } = self;
        let Some(used) = used else {
            return match coordinator.token_by(&slot, until) {
                Token::Ready(current) => Either::Right(Ok(current)),
                Token::Wait(waiter) => Either::Left(waiter),
                Token::Fail(error) => Either::Right(Err(error)),
            };
        };
        match coordinator.refused_by(&slot, used, until) {
            Refusal::Replay(current) => Either::Right(Ok(current)),
            Refusal::Wait(waiter) => Either::Left(waiter),
            // Told of the token that it knows.
            Refusal::TooFresh => {
                let known = slot.current.load_full();
                Either::Right(known.ok_or_else(|| RefreshError::new(ErrorKind::Aborted)))
            }
            Refusal::Fail(error) => Either::Right(Err(error)),
        }
    }
}

impl RefreshCoordinator {
    /// The way to a token for a request that waits until then: through flights that fail, and through the rests after
    /// them.
    pub(super) fn wait_by(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        mut state: MutexGuard<'_, State>,
        now: Now,
        (wanted, used): (Wanted, Option<(TokenId, OriginId)>),
        until: Instant,
    ) -> Result<Waiter, RefreshError> {
        let mut rests = false;
        let waiter = match state.standing.as_deref_mut() {
            Some(standing) if self.may_wait(slot, standing, now, until) => {
                rests = true;
                let over = deadline(now.until(standing.until));
                let waiters = standing.waiters.get_or_insert_with(|| Waiters::new(Wanted::DUE));
                waiters.join(driver::runtime()?, over)?
            }
            _ => self.join_by(slot, state, now, wanted, until)?,
        };
        Ok(waiter.and_again(Again { coordinator: self.clone(), slot: slot.clone(), used, until, rests }))
    }

    /// Does the endpoint rest for so short a time that the request waits for the next attempt?
    fn may_wait(&self, slot: &Slot, standing: &Standing, now: Now, until: Instant) -> bool {
        let next = standing.error.waited_until();
        next.is_some_and(|next| deadline(now.until(next)) < until)
            && !now.reached(standing.until)
            && !self.is_closed()
            && !driver::flies(self, &slot.key)
    }
}
