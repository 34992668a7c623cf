//! What must hold after every step of a history, and at its end.

use super::super::super::*;
use super::act::{Act, Begin};
use super::far::What;
use super::{LONG, Room, STEPS, bearer};

impl Room {
    pub(super) fn look(&self) {
        let sends = self.gates.calls().iter().filter(|call| call.what == What::Send).count();
        self.check(sends <= 1, "two exchanges are in flight");
        let listening = self.slot.state().flight.as_ref().map_or(0, |waiters| waiters.count());
        let logouts = usize::from(self.story.contains(&Act::Logout));
        self.check(listening <= self.asking.len() + logouts, "somebody who has gone is still counted");
        let returns = self.ended.is_some() && !self.story.contains(&Act::Install);
        self.check(!(returns && self.slot.current.load().is_some()), "a login is back after its logout");
        self.check(!(self.closed && self.flies()), "a flight outlives the shutdown");
        let (reuses, excused) = self.with_far(|far| (far.reuses, far.excused));
        self.check(reuses == 0 || excused, "a spent token was submitted");
    }

    /// Everything has come to rest: looks at what is left.
    pub(in super::super) fn end(&mut self) {
        let steps = self.story.len();
        self.check(self.asking.is_empty() && !self.flies(), "it does not rest");
        let flights = self.coordinator.activity.borrow().flights;
        // A set that its task has left counts until another one has stored it.
        let parked = usize::from(self.slot.state().parked.is_some());
        self.check(flights == parked, "a flight is counted that is not there");
        let tasks = self.runtime.as_ref().unwrap().metrics().num_alive_tasks();
        self.check(tasks == 0, "a task is left");
        let holders = Arc::strong_count(&self.slot);
        self.check(
            holders == 2,
            &format!("the slot is held by {holders}, and not only by its map and this test"),
        );
        let (lost, excused) = self.with_far(|far| (far.lost(), far.excused));
        self.check(lost.is_empty() || excused, &format!("received and lost: {lost:?}"));
        if self.ended == Some(Logout::Revoked) {
            let over = self.with_far(|far| far.is_over(self.logins));
            self.check(over, "it said revoked, and the server knows nothing of it");
        }
        self.last_request();
        self.story.truncate(steps);
    }

    /// Somebody who comes much later.
    fn last_request(&mut self) {
        // Whatever was good to send at the beginning is so no more.
        self.pass(SECOND * 100);
        if self.coordinator.activity.borrow().closed {
            let _entered = self.runtime.as_ref().unwrap().enter();
            let parked = self.slot.state().parked.is_some();
            let waits = matches!(self.coordinator.token_for(&self.slot), Token::Wait(_));
            return self.check(waits == parked, "a flight begins after the shutdown");
        }
        for _ in 0..STEPS {
            self.pass(LONG);
            match self.ask_and_wait() {
                Ok(token) => {
                    let (newest, excused) = self.with_far(|far| (far.newest(), far.excused));
                    let is_newest = newest.iter().any(|newest| format!("access-{newest}") == token);
                    return self.check(is_newest || excused, &format!("{token} instead of {newest:?}"));
                }
                Err(error) if error.needs_login() => {
                    let excused = self.with_far(|far| far.excused) || self.story.contains(&Act::Logout);
                    return self.check(excused, &format!("the login is over: {error:?}"));
                }
                Err(_) => {}
            }
        }
        self.check(false, "nobody ever gets a token again");
    }

    fn ask_and_wait(&mut self) -> Result<String, RefreshError> {
        let told = {
            let _entered = self.runtime.as_ref().unwrap().enter();
            self.coordinator.token_for(&self.slot)
        };
        match told {
            Token::Ready(current) => return Ok(bearer(&current)),
            Token::Fail(error) => return Err(error),
            Token::Wait(waiter) => self.ask(waiter, true),
        }
        while !self.asking.is_empty() {
            self.play(Act::Go);
        }
        self.told.clone().unwrap()
    }

    #[track_caller]
    pub(super) fn check(&self, holds: bool, otherwise: &str) {
        let hangs = self.story.len() > STEPS;
        if !holds || hangs {
            let begin = Begin::ALL.iter().position(|one| *one == self.begin).unwrap();
            let numbers = self.history.iter().fold(begin.to_string(), |all, one| format!("{all},{one}"));
            let what = if hangs { "it never ends" } else { otherwise };
            let story = self.story.chunk_by(|one, next| one == next);
            let story: Vec<_> = story.map(|acts| format!("{:?} x{}", acts[0], acts.len())).collect();
            panic!("{what}\nORDERS_HISTORY={numbers}\n{:?}: {}", self.begin, story.join(", "));
        }
    }
}
