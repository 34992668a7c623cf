//! Does what the machine says: the only place that spawns.

use std::future::poll_fn;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::RefreshCoordinator;
use super::flight::Flight;
use super::gate::Place;
use super::limiter::{Call, Permit};
use super::machine::{Answer, Event, Lots, Note, Rank, Snapshot, Step, Swapped, TurnedAway};
use super::policy::{COMMIT_RETRY, Policy};
use super::slot::Slot;
use crate::clock::Now;
use crate::coordinator::outcome::Outcome;
use crate::credential::CredentialKey;
use crate::error::{ErrorKind, RefreshError};
use crate::events::EventKind;
use crate::foreign::{self, guarded};
use crate::secret::{BoundKey, RefreshToken};
use crate::store::record::CredentialRecord;
use crate::store::{Record, RecordBody, StoreError, Swap, Version};

/// A change that is told sooner is looked at after this.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

tokio::task_local! {
    /// The flight that this task flies: by coordinator and credential.
    static FLYING: (u128, CredentialKey);
}

/// Is the caller part of this credential's own flight? It would wait for itself.
pub(super) fn flies(coordinator: &RefreshCoordinator, key: &CredentialKey) -> bool {
    FLYING.try_with(|(id, flying)| *id == coordinator.me.coordinator && flying == key).unwrap_or(false)
}

/// The runtime of whoever calls.
pub(crate) fn runtime() -> Result<Handle, RefreshError> {
    Handle::try_current().map_err(|_| RefreshError::new(ErrorKind::NoRuntime))
}

/// Starts the flight's task.
pub(super) fn launch(runtime: &Handle, mut flight: Flight) {
    // Not the caller's task: no request can cancel it.
    drop(runtime.spawn(async move {
        let id = (flight.coordinator.me.coordinator, flight.slot.key.clone());
        let flying = async {
            let mut event = Event::Begin;
            // The flight is outside of what may unwind: a received token set is in its machine.
            while AssertUnwindSafe(fly(&mut flight, event)).catch_unwind().await.is_err()
                && flight.machine.salvage()
            {
                sleep(COMMIT_RETRY).await;
                event = Event::Woke;
            }
        };
        FLYING.scope(id, flying).await;
        // Whatever it ended in, the flight tells its waiters when it is dropped, if it has not done so.
        drop(flight);
    }));
}

/// Runs what must not be cut off by its caller's end.
pub(super) fn detach<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> Result<JoinHandle<T>, RefreshError> {
    Ok(runtime()?.spawn(task))
}

async fn fly(flight: &mut Flight, mut event: Event) {
    let (coordinator, slot) = (&*flight.coordinator.clone(), &*flight.slot.clone());
    let failed = |error| Note::Tell(Outcome::Failed(error));
    let mut place = None;
    loop {
        let Some(lots) = coordinator.urn.draw() else {
            return flight.note(failed(RefreshError::new(ErrorKind::Aborted)), true);
        };
        if coordinator.is_closed() {
            flight.machine.close();
        }
        let now = flight.now();
        flight.machine.want(slot.wanted());
        let step = flight.machine.step(now, lots, event);
        let over = matches!(step, Step::Done);
        for note in flight.machine.notes().collect::<Vec<_>>() {
            flight.note(note, over);
        }
        if !flight.machine.holds_place() {
            drop(place.take());
        }
        event = match step {
            Step::Enter => match enter(coordinator, now).await {
                Ok(free) => {
                    place = Some(free);
                    flight.had_to_wait();
                    Event::Entered
                }
                Err(why) => Event::TurnedAway(why),
            },
            Step::Load => {
                let permit = coordinator.limiter.permit(flight.machine.rank(), Call::Load).await;
                let limit = flight.had_to_wait();
                Event::Loaded(coordinator.load_within(slot, permit, limit).await)
            }
            Step::Swap { expected, version, new } => {
                let permit = coordinator.limiter.permit(flight.machine.rank(), Call::Swap).await;
                let limit = flight.had_to_wait();
                let new = Some((version, &new));
                Event::Swapped(coordinator.swap_within(slot, permit, expected, new, limit).await)
            }
            Step::Send { refresh_token, bound_key } => {
                Event::Answered(exchange(flight, now, refresh_token, bound_key).await)
            }
            Step::Wait(pause) => {
                flight.say();
                coordinator.pause(slot, pause, flight.machine.holds_set()).await;
                Event::Woke
            }
            Step::Revoke { refresh_token, bound_key } => {
                let limit = coordinator.policy.exchange_limit;
                let confirmed = coordinator.endpoint.revoke(&refresh_token, bound_key, limit).await;
                slot.state().given_back = Some(confirmed);
                Event::Revoked
            }
            Step::Done => return,
        };
    }
}

/// A place at the token endpoint. Nobody waits for one during a shutdown.
async fn enter(coordinator: &RefreshCoordinator, now: Now) -> Result<Place<'_>, TurnedAway> {
    tokio::select! {
        biased;
        () = coordinator.closing() => Err(TurnedAway::ShutDown),
        entered = coordinator.gate.enter(|| coordinator.now_or(now)) => entered,
    }
}

/// One exchange, of the machine's step at `now`: the time limit counts from there.
async fn exchange(
    flight: &mut Flight,
    now: Now,
    refresh_token: Option<RefreshToken>,
    bound_key: Option<BoundKey>,
) -> Answer {
    let coordinator = flight.coordinator.clone();
    let Policy { grant, exchange_limit, .. } = coordinator.policy;
    let answer = coordinator.endpoint.refresh(grant, refresh_token, bound_key, now, exchange_limit);
    let mut answer = pin!(answer);
    // Whoever hears of it may take his time: the request comes first.
    let at_once = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
    flight.say_later(EventKind::RefreshStarted);
    let answer = match at_once {
        Poll::Ready(answer) => answer,
        Poll::Pending => {
            flight.say();
            answer.await
        }
    };
    let now = flight.now();
    coordinator.gate.heard(&flight.slot.key, &answer, now);
    answer
}

/// Where lots come from: the operating system, or a seed, for simulations that are to come again.
#[derive(Debug)]
pub(super) struct Urn(Option<(u64, AtomicU64)>);

impl Urn {
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self(seed.map(|seed| (seed, AtomicU64::new(0))))
    }

    /// Lots for one step.
    pub(super) fn draw(&self) -> Option<Lots> {
        // All at once: each is a call of the system.
        let mut bytes = [0; 36];
        self.fill(&mut bytes)?;
        let (version, bytes) = bytes.split_first_chunk()?;
        let (nonce, bytes) = bytes.split_first_chunk()?;
        Some(Lots {
            version: Version::from_bits(u128::from_ne_bytes(*version)),
            nonce: u128::from_ne_bytes(*nonce),
            unit: f64::from(u32::from_ne_bytes(*bytes.first_chunk()?)) / f64::from(u32::MAX),
        })
    }

    fn fill(&self, bytes: &mut [u8]) -> Option<()> {
        let Some((seed, drawn)) = &self.0 else { return getrandom::fill(bytes).ok() };
        for chunk in bytes.chunks_mut(8) {
            let lot =
                BuildHasherDefault::<DefaultHasher>::default().hash_one((seed, drawn.fetch_add(1, Relaxed)));
            chunk.copy_from_slice(lot.to_ne_bytes().get(..chunk.len())?);
        }
        Some(())
    }
}

impl RefreshCoordinator {
    pub(super) async fn load(&self, slot: &Slot, rank: Rank) -> Result<Option<Snapshot>, Arc<StoreError>> {
        let permit = self.limiter.permit(rank, Call::Load).await;
        self.load_within(slot, permit, self.policy.store_limit).await
    }

    async fn load_within(
        &self,
        slot: &Slot,
        permit: Permit<'_>,
        limit: Duration,
    ) -> Result<Option<Snapshot>, Arc<StoreError>> {
        let stored = self.stored_key(slot.key.clone());
        let found = store_call(permit, limit, async { self.store.load(&stored).await }).await?;
        found.map(|record| self.snapshot(&record)).transpose()
    }

    pub(super) async fn swap(
        &self,
        slot: &Slot,
        expected: Option<Version>,
        new: Option<(Version, &CredentialRecord)>,
    ) -> Result<Swapped, Arc<StoreError>> {
        let permit = self.limiter.permit(Rank::Begun, Call::Swap).await;
        self.swap_within(slot, permit, expected, new, self.policy.store_limit).await
    }

    async fn swap_within(
        &self,
        slot: &Slot,
        permit: Permit<'_>,
        expected: Option<Version>,
        new: Option<(Version, &CredentialRecord)>,
        limit: Duration,
    ) -> Result<Swapped, Arc<StoreError>> {
        let body: Option<RecordBody> = new.map(|(version, record)| record.encode(version));
        let stored = self.stored_key(slot.key.clone());
        let swap = async { self.store.compare_and_swap(&stored, expected, body.as_ref()).await };
        match store_call(permit, limit, swap).await? {
            Swap::Swapped => Ok(Swapped::Done),
            // Nobody else writes this version: the write was repeated on the way, and has succeeded.
            Swap::Conflict(Some(record))
                if new.is_some_and(|(version, _)| record.body.version() == version) =>
            {
                Ok(Swapped::Done)
            }
            Swap::Conflict(found) => {
                let found = found.map(|record| self.snapshot(&record)).transpose()?;
                Ok(Swapped::Conflict(found))
            }
        }
    }

    fn snapshot(&self, record: &Record) -> Result<Snapshot, Arc<StoreError>> {
        let decoded = CredentialRecord::decode(&record.body).map_err(Arc::new)?;
        let holder_dead = decoded.mark.as_ref().is_some_and(|mark| self.proves_dead(&mark.holder));
        let version = record.body.version();
        Ok(Snapshot { version, record: decoded, age: record.age, holder_dead })
    }

    /// Until the time is over, the store tells of a change, or a shutdown begins that this need not wait for. A store
    /// that panics when it is asked for changes has none to tell.
    async fn pause(&self, slot: &Slot, pause: Duration, holds_set: bool) {
        let changed = guarded(async {
            let digest = self.stored_key(slot.key.clone()).digest();
            if let Some(changes) = self.store.changes() {
                let mut ours = changes.filter(|changed| std::future::ready(*changed == digest));
                if ours.next().await.is_some() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        // A store may tell of something whenever it is asked.
        let least = sleep(pause.min(LEAST_PAUSE));
        let changed = async {
            if changed.await.is_err() {
                std::future::pending::<()>().await;
            }
            least.await;
        };
        tokio::select! {
            // In this order, so that a test sees the same calls of the store in each run.
            biased;
            () = sleep(pause) => {}
            () = changed => {}
            () = self.closing(), if !holds_set && !self.is_closed() => {}
        }
    }
}

/// A store that does not answer is a store that failed, and so is one that panics: whoever holds a received token
/// set goes on trying to write it. The time limit begins with the permit: it is the store's, and not that of the queue
/// before it.
async fn store_call<T>(
    permit: Permit<'_>,
    limit: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Arc<StoreError>> {
    let answer = timeout(limit, guarded(call)).await;
    drop(permit);
    match answer {
        Ok(Ok(answer)) => answer.map_err(Arc::new),
        Ok(Err(foreign::Panicked)) => Err(Arc::new(StoreError::unavailable("it panicked"))),
        Err(_) => Err(Arc::new(StoreError::unavailable("no answer within the time limit"))),
    }
}
