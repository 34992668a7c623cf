//! Ending a login here that was ended elsewhere.
//!
//! A process that holds a valid token does not ask the store, and would send it until it expires. Where the store
//! tells of changes, one task of the coordinator listens. A change of a credential whose token is held here costs
//! one load, however many changes come at once; any other change costs one lookup. Changes that the store does not
//! tell, or that nobody listens to, are found when the access token expires, as on a store that tells of none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, coop};
use tokio::time::sleep;

use super::machine::{Rank, Snapshot, verdict_error};
use super::policy::{Policy, RECHECK, usable};
use super::slot::{Slot, Standing, TokenId};
use super::slots::Slots;
use super::{Activity, RefreshCoordinator, driver, jitter};
use crate::clock::Now;
use crate::coordinator::outcome::Held;
use crate::credential::CredentialKey;
use crate::error::{ErrorKind, RefreshError};
use crate::events::EventKind;
use crate::foreign::{self, guarded};
use crate::generation::Generation;
use crate::grant::Grant;
use crate::store::record::{Life, Tokens};
use crate::store::{KeyDigest, TokenStore};

/// The task that listens, once there is one, and what it listens for.
#[derive(Debug, Default)]
pub(super) struct Listener {
    task: Mutex<Option<JoinHandle<()>>>,
    watched: Mutex<HashMap<KeyDigest, CredentialKey>>,
}

/// From a change to the look at it, at least and at most: changes in between are looked at together, and the
/// processes of a fleet do not all look at the same moment.
const GATHER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(400));
/// Before a look that could not be made is tried again, doubling up to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Before the store is asked for changes again, doubling up to the second.
const SUBSCRIBE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What a stored record means for the token that is held.
#[derive(Debug)]
enum Verdict {
    /// It is still good.
    Keep,
    /// This one replaces it.
    Replace(Box<Held>),
    /// It is over. The next request finds out what is in its place.
    Drop,
    /// The login has ended.
    End(RefreshError),
}

/// How a look ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Done,
    /// A flight may be about to publish what it read before the change.
    Soon,
    /// The store could not say, or not for good.
    Later,
}

impl RefreshCoordinator {
    /// Sees to it that somebody listens to changes of this credential, where the store tells of them.
    pub(super) fn listen(self: &Arc<Self>, slot: &Slot) {
        let runs = |task: &Option<JoinHandle<()>>| task.as_ref().is_some_and(|task| !task.is_finished());
        if self.is_closed() {
            return;
        }
        let is_told = runs(&self.listener.task());
        if !is_told && !foreign::call(|| self.store.changes().is_some()).unwrap_or(false) {
            return;
        }
        let digest = self.stored_key(slot.key.clone()).digest();
        self.listener.watch(digest, &slot.key, &self.slots);
        let mut task = self.listener.task();
        if !runs(&task) {
            let ended = self.activity.subscribe();
            *task = driver::detach(listen(Arc::downgrade(self), self.store.clone(), ended)).ok();
        }
    }

    /// How long changes of this credential are gathered here.
    fn gather(&self, slot: &Slot) -> Duration {
        let (least, most) = GATHER;
        least + (most - least).mul_f64(jitter(self.me.coordinator, slot.key.as_str(), Generation::ZERO))
    }

    /// The credential of a changed record, if its token is held here or is about to be.
    fn concerned(&self, changed: KeyDigest) -> Option<Arc<Slot>> {
        let key = self.listener.watched().get(&changed).cloned()?;
        let slot = self.slots.find(&key)?;
        (slot.current.load().is_some() || slot.is_busy()).then_some(slot)
    }

    /// Asks the store what has become of the login whose token is held.
    async fn look_at_change(&self, slot: &Slot) -> Look {
        let asked = self.clock.now();
        let soon = |slot: &Slot| if slot.is_busy() { Look::Soon } else { Look::Done };
        let Some(held) = slot.current.load().as_ref().map(|current| current.id()) else {
            return soon(slot);
        };
        let found = match self.load(slot, Rank::New).await {
            Ok(found) => found,
            Err(error) if error.is_unreadable() => return Look::Done,
            Err(_) => return Look::Later,
        };
        let now = self.clock.now();
        let verdict = judge(&self.policy, held, found, asked, now);
        let mut state = slot.state();
        // What stood there goes after the lock.
        let before = state.standing.clone();
        let current = slot.current.load().as_ref().map(|current| current.id());
        // A login has begun or ended while the store was asked: what it said is of the one before.
        if current.is_none_or(|current| current.login != held.login) {
            drop(state);
            return soon(slot);
        }
        let in_flight = state.flight.is_some();
        let event = match verdict {
            Verdict::Keep => return Look::Done,
            Verdict::Replace(new) => {
                let (other, generation) = (new.login != held.login, new.generation);
                let Some(new) = self.current(slot, *new) else { return Look::Done };
                state.epoch += u32::from(other);
                slot.publish(&mut state, Arc::new(new));
                EventKind::Adopted(generation)
            }
            Verdict::Drop => {
                // What stands was said of the login before.
                state.standing = None;
                slot.current.store(None);
                drop(state);
                drop(before);
                return if in_flight { Look::Soon } else { Look::Done };
            }
            // The flight may hold an answer of the server, which counts for more than another's refusal.
            Verdict::End(error) if in_flight && !is_end(&error) => return Look::Later,
            Verdict::End(error) => {
                let error = self.about(slot, error);
                // What a flight has read before is no longer believed.
                state.epoch += 1;
                state.standing = Some(Standing::new(error.clone(), now, RECHECK));
                slot.current.store(None);
                if is_end(&error) { EventKind::LoggedOut } else { EventKind::Failed(error) }
            }
        };
        drop(state);
        drop(before);
        self.emit(slot, event);
        Look::Done
    }
}

impl Listener {
    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<KeyDigest, CredentialKey>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kept as long as the slot: the keys of those that were put out go when the map is full.
    fn watch(&self, digest: KeyDigest, key: &CredentialKey, slots: &Slots) {
        let mut watched = self.watched();
        if watched.len() == watched.capacity() {
            watched.retain(|_, key| slots.find(key).is_some());
            // Looked through again when it has doubled.
            let left = watched.len();
            watched.reserve(left);
        }
        watched.entry(digest).or_insert_with(|| key.clone());
    }
}

/// Did somebody end the login, and not the server?
fn is_end(error: &RefreshError) -> bool {
    matches!(error.kind(), ErrorKind::LoggedOut | ErrorKind::NotInstalled)
}

/// What `found`, which was `asked` for, means for the token of `held`.
fn judge(policy: &Policy, held: TokenId, found: Option<Snapshot>, asked: Now, now: Now) -> Verdict {
    let end =
        |error| if policy.grant == Grant::ClientCredentials { Verdict::Drop } else { Verdict::End(error) };
    // A store that lost its records does not tell of it: somebody has removed this one.
    let Some(found) = found else { return end(RefreshError::new(ErrorKind::NotInstalled)) };
    match &found.record.life {
        Life::LoggedOut => return end(RefreshError::new(ErrorKind::LoggedOut)),
        Life::Dead(verdict) => return end(verdict_error(verdict)),
        Life::Live => {}
    }
    let other = found.record.login != held.login;
    // An older generation is a store that was set back. The next flight sets it right.
    if !other && found.record.generation <= held.generation {
        return Verdict::Keep;
    }
    let (login, generation, age) = (found.record.login, found.record.generation, found.age);
    let serves = |tokens: &Tokens| {
        let age = tokens.age.saturating_add(age).saturating_add(now.since(asked));
        usable(tokens, age) && policy.can_send(tokens) && !policy.must_prove(tokens)
    };
    match found.record.tokens.filter(serves) {
        Some(tokens) => {
            let obtained = asked.before(tokens.age.saturating_add(age));
            Verdict::Replace(Box::new(Held { login, generation, tokens, obtained }))
        }
        None if other => Verdict::Drop,
        None => Verdict::Keep,
    }
}

/// Ends with its coordinator, of which it holds nothing but the store while it waits.
async fn listen(
    coordinator: Weak<RefreshCoordinator>,
    store: Arc<dyn TokenStore>,
    mut ended: watch::Receiver<Activity>,
) {
    let changed = Changed::default();
    let (concerned, slots) = mpsc::unbounded_channel();
    let hear = async {
        let mut pause = SUBSCRIBE.0;
        loop {
            let heard = guarded(async {
                let Some(mut changes) = store.changes() else { return };
                while let Some(key) = changes.next().await {
                    pause = SUBSCRIBE.0;
                    let slot = coordinator.upgrade().and_then(|coordinator| coordinator.concerned(key));
                    if let Some(slot) = slot.filter(|slot| changed.is_news(slot)) {
                        let _ = concerned.send(slot);
                    }
                    // A stream that is always ready must leave the thread to others.
                    coop::consume_budget().await;
                }
            });
            let _ = heard.await;
            sleep(pause).await;
            pause = (pause * 2).min(SUBSCRIBE.1);
        }
    };
    tokio::select! {
        () = hear => {}
        () = look_at_all(&coordinator, &changed, slots) => {}
        // An error says that the coordinator is gone.
        _ = ended.wait_for(|activity| activity.closed) => {}
    }
}

/// Looks at each by itself: one that the store does not answer for delays no other.
async fn look_at_all(
    coordinator: &Weak<RefreshCoordinator>,
    changed: &Changed,
    mut slots: mpsc::UnboundedReceiver<Arc<Slot>>,
) {
    let mut looks = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(slot) = slots.recv() => looks.push(look_at(coordinator, changed, slot)),
            Some(()) = looks.next() => {}
            else => return,
        }
    }
}

/// Looks until there is nothing that was not looked at.
async fn look_at(coordinator: &Weak<RefreshCoordinator>, changed: &Changed, slot: Arc<Slot>) {
    let Some(gather) = coordinator.upgrade().map(|coordinator| coordinator.gather(&slot)) else { return };
    let (mut pause, mut retry) = (gather, RETRY.0);
    loop {
        sleep(pause).await;
        changed.begin(&slot);
        let Some(coordinator) = coordinator.upgrade() else { return };
        // A clock that panics counts as a store that fails.
        let look = guarded(coordinator.look_at_change(&slot)).await.unwrap_or(Look::Later);
        drop(coordinator);
        if look == Look::Done && changed.is_over(&slot) {
            return;
        }
        (pause, retry) = match look {
            Look::Later => (retry, (retry * 2).min(RETRY.1)),
            Look::Done | Look::Soon => (gather, RETRY.0),
        };
    }
}

/// The credentials that are looked at. `true`: one has changed since the look began.
#[derive(Debug, Default)]
struct Changed(Mutex<HashMap<CredentialKey, bool>>);

impl Changed {
    /// Is nobody looking at it yet?
    fn is_news(&self, slot: &Slot) -> bool {
        self.keys().insert(slot.key.clone(), true).is_none()
    }

    fn begin(&self, slot: &Slot) {
        self.keys().insert(slot.key.clone(), false);
    }

    /// Has it not changed since the look began? Then nobody looks at it from here on.
    fn is_over(&self, slot: &Slot) -> bool {
        let mut keys = self.keys();
        let over = keys.get(&slot.key) != Some(&true);
        if over {
            keys.remove(&slot.key);
        }
        over
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<CredentialKey, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoredKey;

    #[test]
    fn what_is_watched_stays_as_bounded_as_the_slots() {
        let (listener, slots) = (Listener::default(), Slots::new(640));
        for name in 0..20_000 {
            let key = CredentialKey::from(format!("{name}"));
            let slot = slots.get(&key, || Slot::new(key.clone()));
            let digest = StoredKey::new(key.as_str()).digest();
            listener.watch(digest, &slot.key, &slots);
            assert!(listener.watched().contains_key(&digest));
            assert!(listener.watched().len() <= 8 * 640);
        }
    }
}
