//! Keeping refresh tokens alive that nobody uses.
//!
//! Many servers end a refresh token that was not used for some days or months. A request keeps its credential
//! fresh by itself; this is for those credentials that no request comes for. One task for all of a coordinator:
//! it sleeps until the first is due, asks the store how old the token set is, and refreshes it if it is.
//! Nothing of its own is kept beside the time of the next look, so that a restart costs nothing but a look.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::guard::Wanted;
use super::machine::Rank;
use super::{Activity, RefreshCoordinator, driver, jitter};
use crate::coordinator::outcome::Held;
use crate::credential::CredentialKey;
use crate::error::{ErrorKind, Misuse, RefreshError};
use crate::events::EventKind;
use crate::foreign::{self, guarded};
use crate::generation::Generation;
use crate::store::record::Life;

/// The credentials that are looked after.
#[derive(Debug, Default)]
pub(super) struct Roster(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    /// How often each is refreshed.
    every: HashMap<CredentialKey, Kept>,
    /// The next looks, by time of boot, each under its number. One with another number than the credential has now is
    /// no longer meant.
    looks: BinaryHeap<Reverse<(Duration, u64, CredentialKey)>>,
    numbered: u64,
    /// What is looked at now, and has not been told of since: it is on no other list.
    looked_at: Option<CredentialKey>,
    /// Here once there is a task, and what wakes it.
    task: Option<(JoinHandle<()>, Arc<Notify>)>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    every: Duration,
    /// Of the next look.
    number: u64,
    /// How many looks in a row have found no record.
    away: u32,
}

/// What a look has found.
enum Look {
    /// Look again after this time.
    Again(Duration),
    /// There is no record. It may be installed, or restored, later.
    Away(Duration),
    /// The login has ended.
    Ended,
}

/// Nobody's refresh token ends within the hour, and more refreshes than this are a mistake.
const LEAST: Duration = Duration::from_secs(60);
/// After so many looks without a record, a time of `every` in all, there is nothing to keep.
const AWAY_LOOKS: u32 = 16;

/// The task looks at the clock at least this often: it may have been suspended.
const NAP: Duration = Duration::from_secs(60);

impl RefreshCoordinator {
    /// Refreshes the credential before its refresh token is older than `every`, also while nobody uses it: for servers that
    /// end a refresh token which was not used for some time. `every` is at least a minute. A third of the server's limit is
    /// a good value; refreshing more often only loads the server.
    ///
    /// One task looks after all credentials of a coordinator. It spreads them over the second half of
    /// `every`, each at a place of its own, so that what was installed together is not refreshed together. It stops for a
    /// credential whose login has ended, or that had no record for a whole `every`, and emits [`EventKind::LetGo`]; call
    /// this again to resume. It ends with the coordinator or its [`shutdown`](Self::shutdown). Nothing of it is kept in the
    /// store: call this again after a restart. The task runs where this was called first; when that runtime has ended, the next call
    /// starts it where that one is made, for all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRuntime`], outside of a tokio runtime. [`ErrorKind::ShutDown`], after a shutdown.
    /// [`ErrorKind::Configuration`], where `every` is less than a minute.
    pub fn keep_fresh(
        self: &Arc<Self>,
        key: impl Into<CredentialKey>,
        every: Duration,
    ) -> Result<(), RefreshError> {
        if self.activity.borrow().closed {
            return Err(RefreshError::new(ErrorKind::ShutDown));
        }
        if every < LEAST {
            let misuse = RefreshError::misuse(ErrorKind::Configuration, Misuse::TooOften);
            return Err(misuse.with_code(Some("keep_fresh_too_often")));
        }
        let (key, now) = (key.into(), self.clock.now().boot);
        // The first look costs a read. Not all of them at once after a restart.
        let first = |key: &CredentialKey, every: Duration| {
            let after = Duration::try_from_secs_f64(every.as_secs_f64() * self.place(key) / 64.0);
            now.saturating_add(after.unwrap_or(Duration::MAX))
        };
        let mut listed = self.roster.listed();
        if listed.task.as_ref().is_none_or(|(task, _)| task.is_finished()) {
            let wake = Arc::<Notify>::default();
            let ended = self.activity.subscribe();
            let task = driver::detach(look_after(Arc::downgrade(self), wake.clone(), ended))?;
            listed.task = Some((task, wake));
            listed.looked_at = None;
            let kept = listed.every.iter();
            listed.looks =
                kept.map(|(key, kept)| Reverse((first(key, kept.every), kept.number, key.clone()))).collect();
        }
        let looked_at = listed.looked_at.take_if(|looked_at| *looked_at == key).is_some();
        if listed.every.get(&key).is_none_or(|kept| kept.every != every) || looked_at {
            let at = first(&key, every);
            listed.look(key, Kept { every, number: 0, away: 0 }, at);
            listed.task.iter().for_each(|(_, wake)| wake.notify_one());
        }
        Ok(())
    }

    /// The same for a credential at all times.
    fn place(&self, key: &CredentialKey) -> f64 {
        jitter(0, key.as_str(), Generation::ZERO)
    }

    /// Refreshes the credential if it is due.
    async fn look_at(self: &Arc<Self>, key: &CredentialKey, every: Duration) -> Look {
        // The last tenth is for what goes wrong.
        let due = every.mul_f64(0.5 + self.place(key) * 0.4);
        // Where something went wrong, and to see what came of a refresh.
        let soon = (every / 16).max(Duration::from_secs(1));
        let slot = self.slots.get(key, || super::Slot::new(key.clone()));
        let (asked, epoch) = (self.clock.now(), slot.state().epoch);
        let Ok(found) = self.load(&slot, Rank::New).await else { return Look::Again(soon) };
        let now = self.clock.now();
        let mut state = slot.state();
        // A login has begun or ended while the store was asked: what it said is of the one before.
        if state.epoch != epoch {
            return Look::Again(soon);
        }
        let Some(found) = found else { return Look::Away(soon) };
        if found.record.life != Life::Live || state.ended.as_deref() == Some(&found.record.login) {
            return Look::Ended;
        }
        let Some(tokens) = found.record.tokens else { return Look::Ended };
        let age = tokens.age.saturating_add(found.age);
        if age < due {
            return Look::Again(due.saturating_sub(age));
        }
        // The flight must not be content with what is stored, however long it can still be used.
        let held = Held {
            login: found.record.login,
            generation: found.record.generation,
            tokens,
            obtained: asked.before(age),
        };
        // It may be the last of an error of the store's own: that goes after the lock.
        let _before = state.standing.clone();
        // A verdict that the store did not take is not forgotten for this.
        if slot.current.load().is_none()
            && state.dead.is_none()
            && let Some(current) = self.current(&slot, held)
        {
            slot.publish(&mut state, Arc::new(current));
        }
        // Nobody waits here: the flight has a task of its own, and its turn at the endpoint.
        let _ = self.join(&slot, state, now, Wanted::DUE);
        Look::Again(soon)
    }
}

/// Ends with its coordinator, of which it holds nothing while it sleeps.
async fn look_after(
    coordinator: Weak<RefreshCoordinator>,
    wake: Arc<Notify>,
    mut ended: watch::Receiver<Activity>,
) {
    loop {
        let Some(nap) = looks(&coordinator).await else { return };
        tokio::select! {
            () = sleep(nap) => {}
            () = wake.notified() => {}
            // An error says that the coordinator is gone.
            _ = ended.wait_for(|activity| activity.closed) => return,
        }
    }
}

/// Does what is due, and says how long there is nothing. `None`: the coordinator is gone.
async fn looks(coordinator: &Weak<RefreshCoordinator>) -> Option<Duration> {
    loop {
        let coordinator = coordinator.upgrade()?;
        if coordinator.activity.borrow().closed {
            return None;
        }
        let Ok(now) = foreign::call(|| coordinator.clock.now()) else { return Some(NAP) };
        let (key, every) = match coordinator.roster.due(now.boot) {
            Ok(due) => due,
            Err(nap) => return Some(nap),
        };
        // One credential's clock or store that panics ends the care for no other.
        let look = guarded(coordinator.look_at(&key, every)).await.unwrap_or(Look::Again(LEAST));
        if coordinator.roster.again(key.clone(), &look, coordinator.now_or(now).boot) {
            coordinator.emit(&coordinator.slot(&key), EventKind::LetGo);
        }
    }
}

impl Listed {
    /// Looks at it at this time, and at no other.
    fn look(&mut self, key: CredentialKey, kept: Kept, at: Duration) {
        self.numbered += 1;
        let number = self.numbered;
        self.every.insert(key.clone(), Kept { number, ..kept });
        self.looks.push(Reverse((at, number, key)));
        // Those that are no longer meant go when they are half of all.
        if self.looks.len() > 2 * self.every.len() + 16 {
            let every = &self.every;
            self.looks.retain(|Reverse((_, number, key))| {
                every.get(key).is_some_and(|kept| kept.number == *number)
            });
        }
    }
}

impl Roster {
    /// The first that is due, or how long none is.
    fn due(&self, now: Duration) -> Result<(CredentialKey, Duration), Duration> {
        let mut listed = self.listed();
        loop {
            match listed.looks.peek() {
                Some(Reverse((at, ..))) if *at <= now => {}
                first => return Err(first.map_or(NAP, |Reverse((at, ..))| at.saturating_sub(now)).min(NAP)),
            }
            let Some(Reverse((_, number, key))) = listed.looks.pop() else { return Err(NAP) };
            let Some(kept) = listed.every.get(&key).filter(|kept| kept.number == number) else { continue };
            let every = kept.every;
            listed.looked_at = Some(key.clone());
            return Ok((key, every));
        }
    }

    /// After a look. Has the credential been let go of?
    fn again(&self, key: CredentialKey, look: &Look, now: Duration) -> bool {
        let mut listed = self.listed();
        if listed.looked_at.take().is_none() {
            // Told of meanwhile, and on the list by that.
            return false;
        }
        let Some(kept) = listed.every.get(&key).copied() else { return false };
        let (after, away) = match look {
            Look::Again(after) => (*after, 0),
            Look::Away(after) if kept.away < AWAY_LOOKS => (*after, kept.away + 1),
            Look::Away(_) | Look::Ended => {
                listed.every.remove(&key);
                return true;
            }
        };
        listed.look(key, Kept { away, ..kept }, now.saturating_add(after));
        false
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let listed = self.listed();
        listed.every.is_empty()
    }

    /// With those that are no longer meant.
    #[cfg(test)]
    pub(super) fn all_looks(&self) -> usize {
        self.listed().looks.len()
    }

    #[cfg(test)]
    pub(super) fn looks(&self) -> usize {
        let listed = self.listed();
        let meant =
            |number: &u64, key| listed.every.get(key).is_some_and(|kept: &Kept| kept.number == *number);
        listed.looks.iter().filter(|Reverse((_, number, key))| meant(number, key)).count()
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
