//! Joining the one refresh in progress, and sharing its outcome.
//!
//! A flight is owned by its coordinator and never by a request: dropping every waiter does not touch it.
//! Its broadcast channel exists only while it does.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use futures_util::TryFutureExt as _;
use futures_util::future::{Either, ready};
use http::HeaderValue;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::driver;
use super::guard::Wanted;
use super::machine::{Machine, Note};
use super::origins::OriginId;
use super::policy::{RECHECK, REFUSED_RECHECK};
use super::slot::{Current, Parked, Slot, Standing, State, TokenId, Told};
use super::waiter::{Waiter, Waiters};
use super::{Active, RefreshCoordinator, jitter};
use crate::attach::Attachment;
use crate::clock::{Now, deadline};
use crate::coordinator::outcome::{Held, Outcome};
use crate::credential::CredentialKey;
use crate::error::{ErrorKind, RefreshError};
use crate::events::EventKind;
use crate::foreign;

/// What a request that needs a token gets.
#[derive(Debug)]
pub(crate) enum Token {
    Ready(Arc<Current>),
    Wait(Waiter),
    Fail(RefreshError),
}

/// What a refused request gets.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A newer token is there already.
    Replay(Arc<Current>),
    Wait(Waiter),
    /// The token is left alone: another one would be refused just so.
    TooFresh,
    Fail(RefreshError),
}

impl RefreshCoordinator {
    /// The header of a token that is good to send, where nothing else is to be done: one atomic load, one
    /// look at the clock. With a token of `many` requests, no count is touched that other threads touch.
    #[inline]
    pub(crate) fn ready(&self, slot: &Slot, many: bool) -> Option<(Attachment, TokenId)> {
        let current = slot.current.load();
        let current = current.as_deref()?;
        if !current.is_ready(&*self.clock) {
            return None;
        }
        Some((if many { current.own_attachment() } else { current.attachment() }, current.id()))
    }

    /// The header of a token that is good to send, now or later.
    // No `async fn`, for the reason of `Waiter::wait`. The flight holds the slot, and so does
    // whoever waits: it may have to look again.
    pub(super) fn header(
        self: &Arc<Self>,
        key: &CredentialKey,
    ) -> impl Future<Output = Result<HeaderValue, RefreshError>> + Send + use<> {
        let slot = self.slot(key);
        if let Some((token, _)) = self.ready(&slot, false) {
            return Either::Left(ready(Ok(token.header)));
        }
        match self.token_for(&slot) {
            Token::Ready(current) => Either::Left(ready(Ok(current.attachment().header))),
            Token::Wait(waiter) => Either::Right(waiter.wait().map_ok(|current| current.attachment().header)),
            Token::Fail(error) => Either::Left(ready(Err(error))),
        }
    }

    /// Are its tokens bound to a key that requests must prove to have?
    pub(crate) fn proves(&self) -> bool {
        self.policy.dpop
    }

    /// The authentication scheme of its tokens.
    pub(crate) fn scheme(&self) -> &'static str {
        self.policy.scheme()
    }

    /// The token set in use, if it is of the login of the one that was used.
    pub(crate) fn same_login(&self, slot: &Slot, used: TokenId) -> Option<Arc<Current>> {
        slot.current.load_full().filter(|current| current.id().login == used.login)
    }

    /// The token set in use, for a request that has waited with one: after a logout none of that login is sent.
    pub(crate) fn in_use(&self, slot: &Slot) -> Result<Arc<Current>, RefreshError> {
        slot.current.load_full().ok_or_else(|| {
            let standing = slot.state().standing.as_deref().map(|standing| standing.error.clone());
            // Another login has begun elsewhere, of which there is no token yet.
            standing.unwrap_or_else(|| RefreshError::new(ErrorKind::Aborted))
        })
    }

    /// A token good to send, or the way to one.
    pub(crate) fn token_for(self: &Arc<Self>, slot: &Arc<Slot>) -> Token {
        self.token_by(slot, deadline(self.policy.wait_limit))
    }

    /// The same, for a request that waits until then.
    pub(super) fn token_by(self: &Arc<Self>, slot: &Arc<Slot>, until: Instant) -> Token {
        let now = self.clock.now();
        if let Some(current) = slot.usable(now) {
            if current.is_ahead_due(now) {
                self.refresh_ahead(slot, now);
            }
            return Token::Ready(current);
        }
        let state = slot.state();
        // Looked at again under the lock: a flight may have ended in between.
        if let Some(current) = slot.usable(now) {
            return Token::Ready(current);
        }
        match self.wait_by(slot, state, now, (Wanted::DUE, None), until) {
            Ok(waiter) => Token::Wait(waiter),
            Err(error) => Token::Fail(self.about(slot, error)),
        }
    }

    /// What to do about a request to `origin` that carried `used` and was refused.
    pub(crate) fn refused(self: &Arc<Self>, slot: &Arc<Slot>, used: TokenId, origin: OriginId) -> Refusal {
        self.refused_by(slot, (used, origin), deadline(self.policy.wait_limit))
    }

    /// The same, for a request that waits until then.
    pub(super) fn refused_by(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        (used, origin): (TokenId, OriginId),
        until: Instant,
    ) -> Refusal {
        let now = self.clock.now();
        let mut state = slot.state();
        let mut wanted = Wanted::DUE;
        if let Some(current) = slot.current.load_full().filter(|current| current.is_usable(now)) {
            if current.id() != used {
                return Refusal::Replay(current);
            }
            let Some(refused) = slot.refused(&mut state, used, origin, now) else { return Refusal::TooFresh };
            wanted = Wanted::refused(refused);
        }
        match self.wait_by(slot, state, now, (wanted, Some((used, origin))), until) {
            Ok(waiter) => Refusal::Wait(waiter),
            Err(error) => Refusal::Fail(self.about(slot, error)),
        }
    }

    /// A replay was refused too: whatever else the API accepts with this token, it has not accepted it before.
    pub(crate) fn refused_again(&self, slot: &Slot, used: TokenId, origin: OriginId) {
        let now = self.clock.now();
        let mut state = slot.state();
        let newest = slot.current.load();
        if newest.as_ref().is_some_and(|newest| newest.id() == used) {
            slot.refused(&mut state, used, origin, now);
        }
    }

    fn refresh_ahead(self: &Arc<Self>, slot: &Arc<Slot>, now: Now) {
        let state = slot.state();
        // Looked at again under the lock: somebody may have seen to it, or brought another one.
        let Some(current) = slot.usable(now).filter(|current| current.is_ahead_due(now)) else { return };
        // Before it flies: how it ends decides what comes next.
        current.set_ahead(None);
        match self.join(slot, state, now, Wanted::DUE) {
            Ok(_) => {}
            // Others may be on one.
            Err(error) if error.kind() == ErrorKind::NoRuntime => current.set_ahead(Some(now)),
            Err(error) => current.set_ahead(error.rests_until()),
        }
    }

    /// Joins the flight, starting it if need be.
    pub(super) fn join(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        state: MutexGuard<'_, State>,
        now: Now,
        wanted: Wanted,
    ) -> Result<Waiter, RefreshError> {
        self.join_by(slot, state, now, wanted, deadline(self.policy.wait_limit))
    }

    pub(super) fn join_by(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        mut state: MutexGuard<'_, State>,
        now: Now,
        wanted: Wanted,
        until: Instant,
    ) -> Result<Waiter, RefreshError> {
        if driver::flies(self, &slot.key) {
            return Err(RefreshError::new(ErrorKind::Reentrant));
        }
        // First of all: a flight may still be under way whose login has ended.
        if let Some(standing) = state.standing.as_deref()
            && !now.reached(standing.until)
        {
            return Err(standing.error.clone());
        }
        // Also to wait for a flight: the deadline is a timer.
        let runtime = driver::runtime()?;
        if let Some(flight) = &mut state.flight {
            flight.wanted.and(wanted);
            return flight.join(runtime, until);
        }
        self.start(slot, state, now, (wanted, until), &runtime)
    }

    /// Goes on with a received token set whose runtime has ended.
    pub(super) fn resume(self: &Arc<Self>, slot: &Arc<Slot>) {
        if slot.state().parked.is_none() {
            return;
        }
        let (Ok(runtime), now) = (driver::runtime(), self.clock.now()) else { return };
        let state = slot.state();
        if state.flight.is_none() && state.parked.is_some() {
            let until = deadline(self.policy.wait_limit);
            let _ = self.start(slot, state, now, (Wanted::DUE, until), &runtime);
        }
    }

    fn start(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        mut state: MutexGuard<'_, State>,
        now: Now,
        (wanted, until): (Wanted, Instant),
        runtime: &Handle,
    ) -> Result<Waiter, RefreshError> {
        // What was parked is stored also during a shutdown.
        let (parked, active) = match state.parked.take() {
            Some(parked) => (Some(parked.commit), Some(parked.active)),
            None => (None, self.enter()),
        };
        let active = active.ok_or_else(|| RefreshError::new(ErrorKind::ShutDown))?;
        let waiters = state.flight.insert(Box::new(Waiters::new(wanted)));
        let waiter = waiters.join(runtime.clone(), until)?;
        let current = slot.current.load_full();
        let known = current.as_ref().map(|current| current.held());
        let (epoch, dead) = (state.epoch, state.dead.as_deref().cloned());
        let mut own = state.own.as_deref().cloned().unwrap_or_default();
        own.refreshed_known = current.is_some_and(|current| current.was_refreshed_here());
        let ended = state.ended.as_deref().copied();
        // A runtime that is ending drops the flight at once, and that one takes the state to say so.
        drop(state);
        let machine = Machine::new(self.policy, self.me(), known, dead)
            .remembering(own, self.client_print())
            .ended(ended)
            .carrying(parked);
        let flight = Flight {
            coordinator: self.clone(),
            slot: slot.clone(),
            epoch,
            last: now,
            machine,
            unsaid: Vec::new(),
            ended: false,
            active: Some(active),
        };
        // It may bring a token whose login ends elsewhere.
        self.listen(slot);
        driver::launch(runtime, flight);
        Ok(waiter)
    }
}

/// The flight's end of the bargain: whatever becomes of its task, the waiters are told.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) coordinator: Arc<RefreshCoordinator>,
    pub(super) slot: Arc<Slot>,
    epoch: u32,
    /// The last reading of the clock.
    last: Now,
    pub(super) machine: Machine,
    /// What others hear of once nothing waits for it.
    unsaid: Vec<EventKind>,
    ended: bool,
    /// Until it is over. Goes with a token set that another flight has to store.
    active: Option<Active>,
}

impl Flight {
    /// Takes note of what the machine says on the way; `over`: these are its last words.
    pub(super) fn note(&mut self, note: Note, over: bool) {
        let kind = match note {
            Note::Tell(outcome) => return self.tell(outcome, over),
            Note::Condemned(verdict) => {
                let mut state = self.slot.state();
                if state.epoch == self.epoch {
                    state.dead = Some(Box::new(verdict));
                }
                return;
            }
            Note::PersistFailed => EventKind::PersistFailed,
            Note::Succeeded(holder) => EventKind::TookOver { pid: holder.pid },
            Note::StoreRegressed => EventKind::StoreRegressed,
            Note::RetiredTokenReturned => EventKind::RetiredTokenReturned,
            Note::ScopeReduced => EventKind::ScopeReduced,
            Note::Discarded => EventKind::Discarded,
        };
        self.say_later(kind);
    }

    pub(super) fn now(&mut self) -> Now {
        self.last = self.coordinator.now_or(self.last);
        self.last
    }

    /// The step that was asked for had to wait for its turn until now. How long a call of the store may take.
    pub(super) fn had_to_wait(&mut self) -> Duration {
        let now = self.now();
        self.machine.had_to_wait(now)
    }

    /// Whoever hears of it may take long, and is in nobody's way by then.
    pub(super) fn say_later(&mut self, kind: EventKind) {
        self.unsaid.push(kind);
    }

    /// Says what there is to say.
    pub(super) fn say(&mut self) {
        for kind in self.unsaid.drain(..) {
            self.coordinator.emit(&self.slot, kind);
        }
    }

    fn tell(&mut self, outcome: Outcome, over: bool) {
        let now = self.now();
        let mut state = self.slot.state();
        // It may be the last of an error of the store's own, and wakes those who wait for its end: after the lock.
        let before = state.standing.clone();
        if over {
            let own = self.machine.own().clone();
            let own = if state.epoch == self.epoch { own } else { own.of_another_login() };
            state.own = Some(own).filter(|own| !own.is_empty()).map(Box::new);
        }
        let (told, event) = if state.epoch == self.epoch || self.is_of_the_login_now(&outcome) {
            self.believe(&mut state, outcome, now)
        } else {
            // Installed, logged out or forgotten meanwhile: what holds now is what that left.
            let standing = state.standing.as_deref().map(|standing| standing.error.clone());
            let error = || standing.unwrap_or_else(|| RefreshError::new(ErrorKind::Aborted));
            (self.slot.usable(now).ok_or_else(error), None)
        };
        // Under one lock with the outcome: nobody joins a flight that has nothing left to say.
        let waiters = state.flight.as_ref().map(|waiters| waiters.outcomes());
        if over {
            state.flight = None;
        }
        self.ended |= over;
        drop(state);
        self.unsaid.extend(event);
        // Whoever looks again while nothing may be sent finds what was said before.
        if let Err(error) = &told
            && before.as_ref().is_none_or(|before| !error.repeats(&before.error))
        {
            self.say_later(EventKind::Failed(error.clone()));
        }
        drop(before);
        // Published first, woken second: whoever is woken finds the new token. Nobody may be waiting.
        if let Some(waiters) = waiters {
            let _ = waiters.send(told);
        }
    }

    /// A flight that finds its login gone goes on with the one that was installed in its place.
    fn is_of_the_login_now(&self, outcome: &Outcome) -> bool {
        let (Outcome::Refreshed(held) | Outcome::Adopted(held)) = outcome else {
            return false;
        };
        self.slot.current.load().as_ref().is_some_and(|current| current.id().login == held.login)
    }

    fn believe(&self, state: &mut State, outcome: Outcome, now: Now) -> (Told, Option<EventKind>) {
        let (held, event, here) = match outcome {
            Outcome::Refreshed(held) => (held, EventKind::Refreshed as fn(_) -> _, true),
            Outcome::Adopted(held) => (held, EventKind::Adopted as fn(_) -> _, false),
            Outcome::Kept(until) => return self.keep(state, until, now),
            Outcome::Failed(error) => {
                let error = self.coordinator.about(&self.slot, error);
                self.stand(state, &error, now);
                return (Err(error), None);
            }
        };
        let generation = held.generation;
        let mut news = true;
        let told = match self.coordinator.current(&self.slot, held) {
            Some(current) => {
                let current = Arc::new(if here { current.refreshed_here() } else { current });
                // Served before it was stored, it comes again.
                news = self.slot.current.load().as_ref().is_none_or(|known| known.id() != current.id());
                self.slot.publish(state, current.clone());
                Ok(current)
            }
            None => {
                let error = RefreshError::new(ErrorKind::Refused).with_code(Some("unusable_access_token"));
                self.stand(state, &error, now);
                Err(error)
            }
        };
        (told, news.then(|| event(generation)))
    }

    /// Those who were refused are told of the token that they know. The record is looked at again soon.
    fn keep(&self, state: &mut State, until: Now, now: Now) -> (Told, Option<EventKind>) {
        let Some(current) = self.slot.usable(now) else {
            return (Err(RefreshError::new(ErrorKind::Aborted)), None);
        };
        let wanted = state.flight.as_ref().map_or(Wanted::DUE, |waiters| waiters.wanted.clone());
        let soon = now.after(now.until(until).min(REFUSED_RECHECK));
        let news = Slot::leave_alone(state, &wanted, soon);
        if wanted.due {
            // Somebody wanted to refresh it ahead, a moment too late for this flight.
            current.set_ahead(Some(now));
        }
        let event = news.then(|| EventKind::LeftAlone(current.generation()));
        (Ok(current), event)
    }

    /// A failure answers for the requests to come, for a while. A hard one takes the token away; any other
    /// leaves a valid token in use.
    fn stand(&self, state: &mut State, error: &RefreshError, now: Now) {
        let until = error.rests_until().unwrap_or_else(|| {
            now.after(if error.needs_login() {
                RECHECK
            } else {
                Standing::length(state.standing.as_deref(), error, now)
            })
        });
        let again_at = until;
        // Others may succeed meanwhile.
        let looks = state.own.as_ref().is_some_and(|own| own.rests()) && now.until(until) > RECHECK;
        let until = if looks { now.after(RECHECK) } else { until };
        // Another flight need not wait where there is a token set to store.
        if state.parked.is_none() {
            state.standing = Some(Standing::new(error.clone(), now, now.until(until)));
        }
        let ends = error.needs_login()
            && error.kind() != ErrorKind::NeedsUser
            && error.kind() != ErrorKind::NoRefreshToken;
        // Where nothing can refresh it, there is no sense in trying before it is refused or has expired.
        let again = (self.coordinator.policy.refresh_ahead || state.parked.is_some())
            && error.kind() != ErrorKind::NoRefreshToken;
        if ends {
            self.slot.current.store(None);
        } else if again && let Some(current) = self.slot.current.load().as_ref() {
            current.set_ahead(Some(again_at));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.ended {
            // The task panicked, or its runtime went away. Nobody hangs for it, and no token set is lost by it.
            if let Some(commit) = self.machine.hand_over()
                && let Some(active) = self.active.take()
            {
                self.slot.state().parked = Some(Box::new(Parked { commit, active }));
            }
            self.tell(Outcome::Failed(RefreshError::new(ErrorKind::Aborted)), true);
        }
        self.say();
    }
}

impl RefreshCoordinator {
    /// What time it is. A clock that panics has not moved.
    pub(super) fn now_or(&self, last: Now) -> Now {
        foreign::call(|| self.clock.now()).unwrap_or(last)
    }

    pub(super) fn current(&self, slot: &Slot, held: Held) -> Option<Current> {
        let unit = jitter(self.me.coordinator, slot.key.as_str(), held.generation);
        Current::new(held, &self.policy, unit)
    }
}
