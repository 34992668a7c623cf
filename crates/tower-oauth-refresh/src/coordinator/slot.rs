//! What this process holds of one credential: the current token set, and whoever is refreshing it.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::Active;
use super::guard::{Refused, Wanted};
use super::machine::{Commit, Own};
use super::origins::{Accepted, OriginId};
use super::per_thread::PerThread;
use super::policy::{self, Policy, TURN_LIMIT};
use super::waiter::Waiters;
use crate::attach::{Attachment, authorization, copy};
use crate::clock::{Clock, Now};
use crate::coordinator::outcome::Held;
use crate::credential::CredentialKey;
use crate::error::{ErrorKind, RefreshError};
use crate::generation::Generation;
use crate::secret::{AccessToken, BoundKey, RefreshToken, scheme};
use crate::store::record::{LoginId, Tokens, Unknown, Verdict};

/// A credential in this process.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The name its users know.
    pub(crate) key: CredentialKey,
    /// By anybody, since somebody last looked? Not by whoever had it made.
    pub(super) asked_for: AtomicBool,
    /// One atomic load on the path of every request.
    pub(crate) current: ArcSwapOption<Current>,
    accepted: Accepted,
    // A std mutex: held for a few assignments, never across an await.
    state: Mutex<State>,
}

/// Small while nothing happens: most credentials are idle.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Here while a flight is under way.
    pub(super) flight: Option<Box<Waiters>>,
    /// Grows with every install, logout and forget: an older flight's outcome is no longer believed.
    pub(super) epoch: u32,
    /// The last failure. Of what follows it, those who wait for its end hear at once: they look again when it is dropped,
    /// which is to be after the lock.
    pub(super) standing: Option<Box<Standing>>,
    /// The refresh token that was refused for good.
    pub(super) dead: Option<Box<Verdict>>,
    /// What this process remembers of its own attempts.
    pub(super) own: Option<Box<Own>>,
    /// A set that came too late for its login was given back: has the server confirmed it?
    pub(super) given_back: Option<bool>,
    /// A received token set that is not stored, and whose runtime has ended: the next flight goes on with it.
    pub(super) parked: Option<Box<Parked>>,
    /// The login that was ended here while the store could not be written: over until there is another one.
    pub(super) ended: Option<Box<LoginId>>,
    /// Here once the token in use was refused.
    refused: Option<Box<RefusedToken>>,
    /// Here while somebody installs, logs out or forgets: whose turn it is.
    pub(super) turns: Option<Arc<tokio::sync::Mutex<()>>>,
}

/// How long an unexplained failure answers for new requests. One of the store that follows another stands for twice as
/// long, up to the second.
const STANDS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// A failure that answers for new requests.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) error: RefreshError,
    /// For so long, and until then.
    pub(super) lasts: Duration,
    pub(super) until: Now,
    /// Here while somebody waits for the end of it.
    pub(super) waiters: Option<Waiters>,
}

/// A token set between two flights. It counts as under way.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) commit: Commit,
    pub(super) active: Active,
}

/// The turn to begin or end a login: in this process, one after another does.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    slot: &'a Slot,
    held: Option<OwnedMutexGuard<()>>,
}

/// What waiters are told.
pub(super) type Told = Result<Arc<Current>, RefreshError>;

/// A token set ready to be attached.
#[derive(Debug)]
pub(crate) struct Current {
    login: LoginId,
    generation: Generation,
    /// With the access token, of which this is the one copy.
    header: HeaderValue,
    refresh_token: Option<RefreshToken>,
    expires_in: Option<Duration>,
    refresh_in: Option<Duration>,
    at_least: Option<Duration>,
    scope: Option<Box<str>>,
    bound_key: Option<BoundKey>,
    unknown: Unknown,
    /// Lifetimes count from here.
    obtained: Now,
    /// Of the header, where a layer sends this token with all its requests.
    copies: OnceLock<Box<PerThread<HeaderValue>>>,
    /// When a request last looked closely, and found nothing to do for a while: by [`Clock::glance`].
    ///
    /// [`Clock::glance`]: crate::Clock::glance
    looked: AtomicU64,
    /// Time of boot, in milliseconds, from which a background refresh is due.
    ahead: AtomicU64,
    /// Of the header: tells two sets of one generation apart.
    hash: u64,
    /// Did this coordinator refresh it? Otherwise it was installed, or found in the store.
    refreshed_here: bool,
}

/// Which token set a request carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenId {
    pub(crate) login: LoginId,
    pub(crate) generation: Generation,
    hash: u64,
}

/// The token in use, once it was refused.
#[derive(Debug)]
struct RefusedToken {
    token: TokenId,
    /// By whom, and until when it is left alone for that.
    by: Vec<(Refused, Option<Now>)>,
}

/// Between close looks at the time, in milliseconds. Twice that is seen to be free of deadlines, since a
/// glance may be late.
const LOOK_EVERY: u64 = 50;

// ===== impl Slot =====

impl Slot {
    pub(crate) fn new(key: CredentialKey) -> Self {
        Self {
            key,
            asked_for: AtomicBool::new(false),
            current: ArcSwapOption::empty(),
            accepted: Accepted::default(),
            state: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does it know what the store does not: that a login has ended, or a received token set?
    pub(super) fn must_stay(&self) -> bool {
        let state = self.state();
        state.ended.is_some() || state.parked.is_some()
    }

    pub(super) async fn turn(&self) -> Result<Turn<'_>, RefreshError> {
        let turns = self.state().turns.get_or_insert_default().clone();
        // Whoever has it may be on a runtime that stands still.
        let held = timeout(TURN_LIMIT, turns.lock_owned()).await;
        let held = held.map_err(|_| RefreshError::new(ErrorKind::TimedOut))?;
        Ok(Turn { slot: self, held: Some(held) })
    }

    /// May somebody be about to publish a token set?
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.flight.is_some() || state.turns.is_some()
    }

    /// The current set, if it is good to send.
    pub(crate) fn usable(&self, now: Now) -> Option<Arc<Current>> {
        self.current.load_full().filter(|current| current.is_usable(now))
    }

    /// Makes `fresh` the current set, unless it or something newer is there. The caller holds the state.
    pub(super) fn publish(&self, state: &mut State, fresh: Arc<Current>) {
        let older = self.current.load().as_ref().is_some_and(|current| {
            // A store that lost a write has had this generation twice: what it holds now counts.
            current.login == fresh.login
                && (fresh.generation < current.generation || fresh.id() == current.id())
        });
        if !older {
            self.begin(state, Some(fresh));
        }
        state.standing = None;
        state.dead = None;
    }

    /// The current set from now on. The caller holds the state.
    pub(super) fn begin(&self, state: &mut State, current: Option<Arc<Current>>) {
        if let Some(fresh) = &current {
            // A token that a refresh returned unchanged is as good as before.
            let same = self.current.load_full().filter(|old| old.header == fresh.header);
            let refused = state.refused.take();
            let carried = same.map_or(0, |old| {
                let refused = refused.filter(|refused| refused.token == old.id());
                self.accepted.bits(old.generation) & !refused.map_or(0, |refused| refused.bits())
            });
            self.accepted.begin(fresh.generation, carried);
        }
        self.current.store(current);
    }

    /// An API has accepted this token.
    #[inline]
    pub(crate) fn accepted(&self, used: TokenId, origin: OriginId) {
        self.accepted.by(origin, used.generation);
    }

    /// Takes note of a refusal of the token in use. `None`: it is left alone for now.
    pub(super) fn refused(
        &self,
        state: &mut State,
        used: TokenId,
        origin: OriginId,
        now: Now,
    ) -> Option<Refused> {
        let token = RefusedToken::of(&mut state.refused, used);
        if let Some((refused, until)) = token.by.iter().find(|(refused, _)| refused.origin == origin) {
            return until.is_none_or(|until| now.reached(until)).then_some(*refused);
        }
        // What it was before the first refusal counts: some paths of an API accept anything.
        let accepted = self.accepted.bits(used.generation) & origin.bit() != 0;
        let refused = Refused { origin, accepted };
        token.by.push((refused, None));
        Some(refused)
    }

    /// Why those who wait for the flight do.
    pub(super) fn wanted(&self) -> Wanted {
        self.state().flight.as_ref().map_or(Wanted::DUE, |waiters| waiters.wanted.clone())
    }

    /// Until then, the refused token is left alone. Is this news?
    pub(super) fn leave_alone(state: &mut State, wanted: &Wanted, until: Now) -> bool {
        let Some(token) = state.refused.as_deref_mut() else { return false };
        let mut news = false;
        for (_, alone) in token.by.iter_mut().filter(|(refused, _)| wanted.refused.contains(refused)) {
            news |= alone.is_none();
            *alone = Some(until);
        }
        news
    }
}

impl Standing {
    pub(super) fn new(error: RefreshError, now: Now, lasts: Duration) -> Box<Self> {
        Box::new(Self { error, until: now.after(lasts), lasts, waiters: None })
    }

    /// How long this error stands after the one before.
    pub(super) fn length(before: Option<&Self>, error: &RefreshError, now: Now) -> Duration {
        let (least, most) = STANDS;
        let goes_on = |before: &&Self| {
            before.error.kind() == ErrorKind::Store && now.since(before.until) < Duration::from_secs(60)
        };
        match before.filter(goes_on) {
            Some(before) if error.kind() == ErrorKind::Store => (before.lasts * 2).clamp(least, most),
            _ => least,
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.slot.state();
        self.held = None;
        // Whoever waits for his turn holds them, too.
        if state.turns.as_ref().is_some_and(|turns| Arc::strong_count(turns) == 1) {
            state.turns = None;
        }
    }
}

// ===== impl Current =====

impl Current {
    /// `None`: the access token is not one to bear, or cannot stand in a header.
    pub(super) fn new(held: Held, policy: &Policy, unit: f64) -> Option<Self> {
        let scheme = policy.scheme();
        if !held.tokens.token_type.eq_ignore_ascii_case(scheme) {
            return None;
        }
        let Held { login, generation, tokens, obtained } = held;
        let header = authorization(scheme, tokens.access_token.as_ref()?)?;
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&header);
        let ahead = policy::ahead_from(&tokens, obtained, unit).filter(|_| policy.refresh_ahead);
        Some(Self {
            login,
            generation,
            header,
            refresh_token: tokens.refresh_token,
            expires_in: tokens.expires_in,
            refresh_in: tokens.refresh_in,
            at_least: tokens.at_least,
            scope: tokens.scope.map(Into::into),
            bound_key: tokens.bound_key,
            unknown: tokens.unknown,
            obtained,
            copies: OnceLock::new(),
            looked: AtomicU64::new(0),
            ahead: AtomicU64::new(ahead.map_or(u64::MAX, |at| millis(at.boot))),
            hash,
            refreshed_here: false,
        })
    }

    /// This coordinator has refreshed it.
    pub(super) fn refreshed_here(self) -> Self {
        Self { refreshed_here: true, ..self }
    }

    pub(super) fn was_refreshed_here(&self) -> bool {
        self.refreshed_here
    }

    /// The token set as it came.
    pub(super) fn held(&self) -> Held {
        let tokens = Tokens {
            access_token: Some(self.access_token()),
            refresh_token: self.refresh_token.clone(),
            token_type: scheme(&self.header).to_owned(),
            expires_in: self.expires_in,
            refresh_in: self.refresh_in,
            at_least: self.at_least,
            scope: self.scope.as_deref().map(str::to_owned),
            bound_key: self.bound_key.clone(),
            age: Duration::ZERO,
            unknown: self.unknown.clone(),
        };
        Held { login: self.login, generation: self.generation, tokens, obtained: self.obtained }
    }

    /// Nothing is copied.
    pub(crate) fn access_token(&self) -> AccessToken {
        AccessToken::carried_by(self.header.clone())
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn id(&self) -> TokenId {
        TokenId { login: self.login, generation: self.generation, hash: self.hash }
    }

    /// What a request with this token gets.
    #[inline]
    pub(crate) fn attachment(&self) -> Attachment {
        self.attach(self.header.clone())
    }

    /// The same, for one thread of many that all send it. They are made by the first who asks.
    #[inline]
    pub(super) fn own_attachment(&self) -> Attachment {
        let copies = self.copies.get_or_init(|| Box::new(PerThread::new(|| copy(&self.header))));
        self.attach(copies.mine().clone())
    }

    #[inline]
    fn attach(&self, header: HeaderValue) -> Attachment {
        Attachment { header, bound_key: self.bound_key.clone() }
    }

    /// Is it good to send, and is nothing else to be done?
    #[inline]
    pub(super) fn is_ready(&self, clock: &dyn Clock) -> bool {
        let glance = clock.glance();
        // After a jump of the wall clock, either way, this is no small number.
        let since = glance.map(|glance| glance.wrapping_sub(self.looked.load(Ordering::Relaxed)));
        since.is_some_and(|since| since < LOOK_EVERY) || self.is_ready_looked_at_closely(clock, glance)
    }

    /// Apart from the glance, which nearly all requests leave it at.
    #[cold]
    fn is_ready_looked_at_closely(&self, clock: &dyn Clock, glance: Option<u64>) -> bool {
        let now = clock.now();
        let ready = |at| self.is_usable(at) && !self.is_ahead_due(at);
        if let Some(glance) = glance
            && ready(now.after(2 * Duration::from_millis(LOOK_EVERY)))
        {
            self.looked.store(glance, Ordering::Relaxed);
        }
        ready(now)
    }

    pub(crate) fn is_usable(&self, now: Now) -> bool {
        policy::usable_until(self.expires_in, self.at_least, self.obtained)
            .is_none_or(|until| !now.reached(until))
    }

    /// Is a background refresh due?
    pub(crate) fn is_ahead_due(&self, now: Now) -> bool {
        millis(now.boot) >= self.ahead.load(Ordering::Relaxed)
    }

    /// A background refresh is under way, or failed and may be tried again at `next`.
    pub(super) fn set_ahead(&self, next: Option<Now>) {
        // Not within the millisecond: the failure would still stand.
        self.ahead
            .store(next.map_or(u64::MAX, |next| millis(next.boot).saturating_add(1)), Ordering::Relaxed);
    }
}

// ===== impl RefusedToken =====

impl RefusedToken {
    /// What is known of the refusals of this token. Of another it is forgotten.
    fn of(known: &mut Option<Box<Self>>, token: TokenId) -> &mut Self {
        if known.as_ref().is_none_or(|known| known.token != token) {
            *known = None;
        }
        known.get_or_insert_with(|| Box::new(Self { token, by: Vec::new() }))
    }

    /// The origins that have refused it.
    fn bits(&self) -> u64 {
        self.by.iter().fold(0, |bits, (refused, _)| bits | refused.origin.bit())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX - 1)
}
