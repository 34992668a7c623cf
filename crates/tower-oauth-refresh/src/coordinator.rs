//! The coordinator: keeps credentials alive behind every layer, task and process that shares them.
//!
//! Its parts, from the pure to the practical: `policy` has the numbers, `machine` decides one flight,
//! `driver` carries it out, `flight` shares it, `slot` is what this process holds of one credential, and
//! `login` begins and ends one.

mod builder;
mod driver;
mod flight;
mod gate;
mod guard;
mod holder;
mod keep_fresh;
mod limiter;
mod listen;
mod login;
mod machine;
mod origins;
mod outcome;
mod per_thread;
mod policy;
mod slot;
mod slots;
mod waiter;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use tokio::sync::{broadcast, watch};

pub use self::builder::{BuildError, Builder, Provider};
pub(crate) use self::driver::runtime;
pub(crate) use self::flight::{Refusal, Token};
use self::gate::Gate;
use self::keep_fresh::Roster;
use self::limiter::Limiter;
use self::listen::Listener;
pub use self::login::{Login, Logout};
pub(crate) use self::machine::Answer;
use self::machine::{Rank, store_error};
pub(crate) use self::origins::OriginId;
use self::origins::Origins;
pub(crate) use self::per_thread::PerThread;
use self::policy::Policy;
pub(crate) use self::slot::{Current, Slot, TokenId};
use self::slots::Slots;
pub(crate) use self::waiter::Waiter;
use crate::clock::Clock;
use crate::credential::CredentialKey;
use crate::endpoint::{ClientAuth, Endpoint};
use crate::error::{ErrorKind, RefreshError};
use crate::events::{Event, EventKind, Events};
use crate::foreign;
use crate::generation::Generation;
use crate::grant::Grant;
use crate::origin::Origin;
use crate::secret::AccessToken;
use crate::store::record::{ClientPrint, Doubt, Holder, Life};
use crate::store::{StoredKey, TokenStore};

/// Keeps credentials of one client at one authorization server alive.
///
/// Shared as an `Arc` by every [`RefreshLayer`](crate::RefreshLayer), and usable by itself where a token
/// is needed outside HTTP requests. It has no background thread: a refresh runs as a task of the tokio
/// runtime of whoever needs it first, and belongs to the coordinator from then on. While that runtime stands
/// still, as one of the current thread does outside of `block_on`, so does the refresh, for everybody who waits
/// for it: share a coordinator among runtimes that run.
pub struct RefreshCoordinator {
    policy: Policy,
    me: Holder,
    urn: driver::Urn,
    /// Goes before every key in the store.
    namespace: String,
    endpoint: Endpoint,
    gate: Gate,
    limiter: Limiter,
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    /// Not asked by a layer with a fixed key.
    slots: Slots,
    roster: Roster,
    listener: Listener,
    origins: Origins,
    events: broadcast::Sender<Event>,
    activity: watch::Sender<Activity>,
}

#[derive(Debug, Default)]
struct Activity {
    flights: usize,
    /// Logins that begin or end.
    logins: usize,
    /// May another one start?
    closed: bool,
}

/// Something under way, for whoever shuts down.
#[derive(Debug)]
struct Active(watch::Sender<Activity>, fn(&mut Activity) -> &mut usize);

/// What is known of a credential, without a token in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Of the stored token set.
    pub generation: Generation,
    /// When its access token expires, as far as the server said.
    pub expires_at: Option<SystemTime>,
    /// Why the login has ended, if it has. A rest after a failure is not told here.
    pub error: Option<RefreshError>,
    /// The refresh whose answer nobody has understood, if there was one: who sent it, and when.
    pub in_doubt: Option<Doubt>,
    /// The process that began a refresh whose end is not in the store, by its id. It may have died or failed since.
    pub refreshing: Option<u32>,
}

impl RefreshCoordinator {
    /// Starts to build a coordinator for this token endpoint (RFC 6749 §3.2) and client.
    ///
    /// Client and endpoint, or the [issuer](Builder::issuer) where one is set, are part of every key in the
    /// store. Without an
    /// issuer, a credential that was stored under another address of the same server is not found.
    pub fn builder(token_endpoint: http::Uri, auth: ClientAuth) -> Builder {
        Builder::new(token_endpoint, auth)
    }

    fn assemble(builder: Builder, endpoint: Endpoint) -> Result<Arc<Self>, BuildError> {
        let urn = driver::Urn::new(builder.seed);
        let lots = urn.draw().ok_or(BuildError::NoRandomness)?;
        Ok(Arc::new(Self {
            policy: builder.policy,
            me: Holder::this(lots.nonce),
            urn,
            namespace: endpoint.namespace(builder.policy.grant),
            store: builder.store_or_memory(),
            clock: builder.clock,
            endpoint,
            gate: Gate::new(builder.exchanges, builder.policy.longest_exchange()),
            limiter: Limiter::new(builder.policy.store_limit),
            slots: Slots::new(builder.room),
            roster: Roster::default(),
            listener: Listener::default(),
            origins: Origins::default(),
            events: broadcast::channel(256).0,
            activity: watch::Sender::default(),
        }))
    }

    /// An access token that is good to send, refreshed first if need be.
    ///
    /// For uses outside HTTP requests; a [`RefreshLayer`](crate::RefreshLayer) asks by itself.
    ///
    /// # Errors
    ///
    /// [`RefreshError`], if there is none to be had, or none within [`Builder::wait_limit`].
    ///
    /// # Cancel safety
    ///
    /// A refresh that was started goes on at the server and in the store when this is dropped.
    pub async fn token(self: &Arc<Self>, key: impl Into<CredentialKey>) -> Result<AccessToken, RefreshError> {
        let header = self.header(&key.into());
        Ok(AccessToken::carried_by(header.await?))
    }

    /// The same, in the `Authorization` header that carries it (RFC 6750 §2.1), marked sensitive: for requests that
    /// go through no [`RefreshLayer`](crate::RefreshLayer), such as the handshake of a WebSocket. Nothing is
    /// copied.
    ///
    /// A token that is bound to a key needs a proof beside it (RFC 9449 §7.1).
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token).
    ///
    /// # Cancel safety
    ///
    /// As for [`token`](Self::token).
    pub async fn authorization(
        self: &Arc<Self>,
        key: impl Into<CredentialKey>,
    ) -> Result<HeaderValue, RefreshError> {
        let header = self.header(&key.into());
        header.await
    }

    /// What the store says of a credential. `None`: nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store), if the store could not be read, and
    /// [`ErrorKind::Unreadable`](crate::ErrorKind::Unreadable), if the record could not.
    /// [`ErrorKind::NoRuntime`](crate::ErrorKind::NoRuntime), outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Only reads the store: nothing is sent to the server, dropped or not.
    pub async fn status(&self, key: impl Into<CredentialKey>) -> Result<Option<Status>, RefreshError> {
        // Its time limit is a timer.
        runtime()?;
        let slot = self.slot(&key.into());
        let loaded = self.load(&slot, Rank::Begun).await;
        let found = loaded.map_err(|error| self.about(&slot, store_error(error)))?;
        Ok(found.map(|snapshot| {
            let record = &snapshot.record;
            let tokens = record.tokens.as_ref();
            let left = tokens.and_then(|tokens| {
                Some(tokens.expires_in?.saturating_sub(tokens.age.saturating_add(snapshot.age)))
            });
            Status {
                generation: record.generation,
                expires_at: left.map(|left| self.clock.now().after(left).wall),
                error: match &record.life {
                    // Neither end holds for them.
                    _ if self.policy.grant == Grant::ClientCredentials => None,
                    Life::Live => None,
                    Life::LoggedOut => Some(RefreshError::new(ErrorKind::LoggedOut)),
                    Life::Dead(verdict) => Some(machine::verdict_error(verdict)),
                },
                in_doubt: match &record.life {
                    Life::Dead(verdict) => verdict.doubt,
                    Life::Live | Life::LoggedOut => record.doubt,
                },
                refreshing: record.mark.as_ref().map(|mark| mark.holder.pid),
            }
        }))
    }

    /// The key under which the store has the record: with what this coordinator puts before its keys. For
    /// whoever lists or removes records in the store itself; the beginning of a key becomes the beginning of
    /// stored keys.
    #[must_use]
    pub fn stored_key(&self, key: impl Into<CredentialKey>) -> StoredKey {
        StoredKey::new(format!("{}{}", self.namespace, key.into()))
    }

    /// Subscribes to what happens from now on, to all credentials. At most 256 events wait to be read.
    pub fn events(&self) -> Events {
        Events::new(self.events.subscribe())
    }

    /// Sends no further refresh, and waits at most for `limit` until the exchanges under way have ended and their tokens
    /// are stored, and until logins and logouts under way have ended. `true`: nothing is under way. `false`: something is,
    /// or a received token set is not stored yet. Valid tokens are still served; a refresh that was not sent fails with
    /// [`ErrorKind::ShutDown`]. Requests that wait for the end of a rest fail at once with the error of that rest,
    /// [`ErrorKind::Unavailable`].
    ///
    /// To log out at the end of a program, call [`logout`](Self::logout) first: one that begins later is not waited for.
    ///
    /// Outside of a tokio runtime it does not wait.
    ///
    /// # Cancel safety
    ///
    /// The shutdown has begun as soon as this is polled. What is under way goes on.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        self.activity.send_modify(|activity| activity.closed = true);
        let is_idle = |activity: &Activity| activity.flights == 0 && activity.logins == 0;
        if runtime().is_err() {
            return is_idle(&self.activity.borrow());
        }
        let mut activity = self.activity.subscribe();
        // The runtime whose timer this is may end before.
        let idle = foreign::guarded(tokio::time::timeout(limit, activity.wait_for(is_idle))).await;
        idle.map_or_else(|_| is_idle(&self.activity.borrow()), |idle| idle.is_ok())
    }

    fn is_closed(&self) -> bool {
        self.activity.borrow().closed
    }

    /// Ends when a shutdown begins.
    async fn closing(&self) {
        // Never an error: the sender is here.
        let _ = self.activity.subscribe().wait_for(|activity| activity.closed).await;
    }

    /// The right to start a flight; `None` after a shutdown began.
    fn enter(&self) -> Option<Active> {
        let mut entered = false;
        self.activity.send_if_modified(|activity| {
            entered = !activity.closed;
            activity.flights += usize::from(entered);
            entered
        });
        entered.then(|| Active(self.activity.clone(), |activity| &mut activity.flights))
    }

    /// Begins or ends a login, in a task that its caller's end does not cut off.
    fn detached<T: Send + 'static>(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<tokio::task::JoinHandle<T>, RefreshError> {
        self.resume(slot);
        self.activity.send_modify(|activity| activity.logins += 1);
        let active = Active(self.activity.clone(), |activity| &mut activity.logins);
        driver::detach(async move {
            let done = task.await;
            drop(active);
            done
        })
    }

    /// This process, as it is now: a fork has an id of its own.
    fn me(&self) -> Holder {
        if self.me.pid == std::process::id() { self.me.clone() } else { Holder::this(self.me.coordinator) }
    }

    /// Is `other` proven dead? Where this process is, is asked anew: it may have been moved since it was built.
    fn proves_dead(&self, other: &Holder) -> bool {
        self.me.proves_dead(other) && Holder::this(self.me.coordinator).proves_dead(other)
    }

    fn client_print(&self) -> ClientPrint {
        self.endpoint.client_print(self.me.coordinator)
    }

    /// What this process holds of the credential.
    pub(crate) fn slot(&self, key: &CredentialKey) -> Arc<Slot> {
        self.slots.get(key, || Slot::new(key.clone()))
    }

    /// How an origin is told from others.
    pub(crate) fn origin(&self, origin: &Origin) -> OriginId {
        self.origins.id(origin)
    }

    /// The error, with what it is about: its reader may have many credentials, clients and endpoints.
    pub(crate) fn about(&self, slot: &Slot, error: RefreshError) -> RefreshError {
        error.about(|| format!("{:?} of {}", slot.key.as_str(), self.endpoint.described()))
    }

    fn emit(&self, slot: &Slot, kind: EventKind) {
        // Whoever writes the log, or listens, may panic. Nobody listening is no failure.
        let _ = foreign::call(|| kind.log(&slot.key));
        let _ = foreign::call(|| self.events.send(Event { key: slot.key.clone(), kind, missed: 0 }));
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.send_modify(|activity| {
            let under_way = self.1(activity);
            *under_way = under_way.saturating_sub(1);
        });
    }
}

/// A number from 0 to 1 that is the same for this coordinator, credential and generation: jitter that is
/// drawn once, so that more requests do not mean an earlier refresh.
fn jitter(coordinator: u128, key: &str, generation: Generation) -> f64 {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((coordinator, key, generation));
    f64::from((hash >> 32) as u32) / f64::from(u32::MAX)
}

impl fmt::Debug for RefreshCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshCoordinator")
            .field("endpoint", &self.endpoint)
            .field("policy", &self.policy)
            .field("credentials", &self.slots.len())
            .finish_non_exhaustive()
    }
}
