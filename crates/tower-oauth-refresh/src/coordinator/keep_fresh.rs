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

use super::machine::Rank;
use super::{Activity, RefreshCoordinator, driver, jitter};
use crate::coordinator::outcome::Held;
use crate::credential::CredentialKey;
use crate::error::{ErrorKind, RefreshError};
use crate::generation::Generation;
use crate::store::record::Life;

/// The credentials that are looked after.
#[derive(Debug, Default)]
pub(super) struct Roster(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    /// How often each is refreshed.
    every: HashMap<CredentialKey, Duration>,
    /// The next looks, by time of boot.
    looks: BinaryHeap<Reverse<(Duration, CredentialKey)>>,
    /// What is looked at now, and has not been told of since: it is on no other list.
    looked_at: Option<CredentialKey>,
    /// Here once there is a task, and what wakes it.
    task: Option<(JoinHandle<()>, Arc<Notify>)>,
}

/// The task looks at the clock at least this often: it may have been suspended.
const NAP: Duration = Duration::from_secs(60);

impl RefreshCoordinator {
    /// Sees from now on that the refresh token of `key` does not grow older than `every`, also while nobody
    /// uses the credential: for servers that end a refresh token which was not used for some time. A third of
    /// that time is a good `every`; one refresh of every day is not.
    ///
    /// One task looks after all credentials of a coordinator. It spreads them over the second half of
    /// `every`, each at a place of its own, so that what was installed together is not refreshed together. It
    /// lets go of a credential whose login has ended, until it is told again, and ends with the coordinator or
    /// its [`shutdown`](Self::shutdown). What is looked after is not remembered in the store: say it again
    /// after a restart. The task runs where this was called first; when that runtime has ended, the next call
    /// starts it where that one is made, for all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRuntime`], outside of a tokio runtime. [`ErrorKind::ShutDown`], after a shutdown.
    pub fn keep_fresh(
        self: &Arc<Self>,
        key: impl Into<CredentialKey>,
        every: Duration,
    ) -> Result<(), RefreshError> {
        if self.activity.borrow().closed {
            return Err(RefreshError::new(ErrorKind::ShutDown));
        }
        let (key, now) = (key.into(), self.clock.now().boot);
        // The first look costs a read. Not all of them at once after a restart.
        let first = |key: &CredentialKey, every: Duration| {
            Reverse((now.saturating_add(every.mul_f64(self.place(key) / 64.0)), key.clone()))
        };
        let mut listed = self.roster.listed();
        if listed.task.as_ref().is_none_or(|(task, _)| task.is_finished()) {
            let wake = Arc::<Notify>::default();
            let ended = self.activity.subscribe();
            let task = driver::detach(look_after(Arc::downgrade(self), wake.clone(), ended))?;
            listed.task = Some((task, wake));
            listed.looked_at = None;
            listed.looks = listed.every.iter().map(|(key, every)| first(key, *every)).collect();
        }
        let looked_at = listed.looked_at.take_if(|looked_at| *looked_at == key).is_some();
        let before = listed.every.insert(key.clone(), every);
        if before != Some(every) || looked_at {
            if before.is_some() && !looked_at {
                // Another time is seldom told: a search does.
                listed.looks.retain(|Reverse((_, other))| *other != key);
            }
            listed.looks.push(first(&key, every));
            listed.task.iter().for_each(|(_, wake)| wake.notify_one());
        }
        Ok(())
    }

    /// The same for a credential at all times.
    fn place(&self, key: &CredentialKey) -> f64 {
        jitter(0, key.as_str(), Generation::ZERO)
    }

    /// Refreshes the credential if it is due. When to look again; `None`: never.
    async fn look_at(self: &Arc<Self>, key: &CredentialKey, every: Duration) -> Option<Duration> {
        // The last tenth is for what goes wrong.
        let due = every.mul_f64(0.5 + self.place(key) * 0.4);
        // Where something went wrong, and to see what came of a refresh.
        let soon = (every / 16).max(Duration::from_secs(1));
        let slot = self.slots.get(key, || super::Slot::new(key.clone()));
        let (asked, epoch) = (self.clock.now(), slot.state().epoch);
        let Ok(found) = self.load(&slot, Rank::New).await else { return Some(soon) };
        let now = self.clock.now();
        let mut state = slot.state();
        // A login has begun or ended while the store was asked: what it said is of the one before.
        if state.epoch != epoch {
            return Some(soon);
        }
        let found = found?;
        if found.record.life != Life::Live || state.ended.as_deref() == Some(&found.record.login) {
            return None;
        }
        let tokens = found.record.tokens?;
        let age = tokens.age.saturating_add(found.age);
        if age < due {
            return Some(due.saturating_sub(age));
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
            && let Some(current) = self.current(&slot, held, None)
        {
            slot.publish(&mut state, Arc::new(current));
        }
        // Nobody waits here: the flight has a task of its own, and its turn at the endpoint.
        let _ = self.join(&slot, state, now);
        Some(soon)
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
        let now = coordinator.clock.now().boot;
        let (key, every) = match coordinator.roster.due(now) {
            Ok(due) => due,
            Err(nap) => return Some(nap),
        };
        let again = coordinator.look_at(&key, every).await;
        coordinator.roster.again(key, again.map(|after| coordinator.clock.now().boot.saturating_add(after)));
    }
}

impl Roster {
    /// The first that is due, or how long none is.
    fn due(&self, now: Duration) -> Result<(CredentialKey, Duration), Duration> {
        let mut listed = self.listed();
        match listed.looks.peek() {
            Some(Reverse((at, _))) if *at <= now => {}
            first => return Err(first.map_or(NAP, |Reverse((at, _))| at.saturating_sub(now)).min(NAP)),
        }
        let Some(Reverse((_, key))) = listed.looks.pop() else { return Err(NAP) };
        let every = listed.every.get(&key).copied().unwrap_or(NAP);
        listed.looked_at = Some(key.clone());
        Ok((key, every))
    }

    fn again(&self, key: CredentialKey, at: Option<Duration>) {
        let mut listed = self.listed();
        if listed.looked_at.take().is_none() {
            // Told of meanwhile, and on the list by that.
            return;
        }
        match at {
            Some(at) => listed.looks.push(Reverse((at, key))),
            None => drop(listed.every.remove(&key)),
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let listed = self.listed();
        listed.every.is_empty() && listed.looks.is_empty()
    }

    #[cfg(test)]
    pub(super) fn looks(&self) -> usize {
        self.listed().looks.len()
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
