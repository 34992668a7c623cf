//! One flight, as a pure state machine: `(state, now, event) -> (state, step)`.
//!
//! Everything hard is decided here: who may refresh, when a foreign mark may be succeeded, what a
//! conflict after an exchange means, when a refusal is final. No clock, no I/O, no runtime and no
//! randomness: the [`driver`](super::driver) does what a [`Step`] says and comes back with its [`Event`],
//! so a test can try every order and every fault.
//!
//! The parts: `judge` looks at a record and decides what to do about it, `exchange` marks, sends and
//! understands the answer, `commit` makes a received token set durable.

#![expect(clippy::needless_pass_by_value, reason = "a phase is consumed by the event that ends it")]
#![expect(clippy::large_enum_variant, reason = "each is moved once, from step to step")]

mod commit;
mod exchange;
mod judge;
mod own;
mod seen;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

pub(crate) use self::commit::Commit;
use self::exchange::{Attempt, Lease};
pub(super) use self::judge::verdict_error;
pub(crate) use self::own::Own;
use self::seen::Seen;
use super::guard::{Refused, Wanted};
use super::policy::{COMMIT_LIMIT, Policy, SETTLE};
use crate::clock::Now;
use crate::coordinator::outcome::{Held, Outcome};
use crate::error::{Cause, ErrorKind, RefreshError};
use crate::secret::{BoundKey, RefreshToken};
use crate::store::record::{ClientPrint, CredentialRecord, Holder, LoginId, Verdict};
use crate::store::{StoreError, Version};
use crate::token::TokenSet;

/// A flight.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Machine {
    policy: Policy,
    me: Holder,
    client: ClientPrint,
    own: Own,
    /// What the caller holds and is not satisfied with.
    known: Option<Held>,
    /// A refresh token that the server refused for good, and what was said.
    dead: Option<Verdict>,
    /// The login that was ended here, though the store may not know.
    ended: Option<LoginId>,
    began: Option<Now>,
    /// When the last step was asked for, or had its [turn](Self::had_to_wait).
    asked: Option<Now>,
    /// Since it first could: it may have waited for others before.
    tried: Option<Now>,
    phase: Phase,
    /// Does it [hold a place](Self::holds_place)?
    place: bool,
    /// Has it read the record before?
    looked: bool,
    sends: u32,
    retries: u32,
    doubts: u32,
    store_failures: u32,
    late_marks: u32,
    restores: u32,
    /// The foreign version that is being watched for lying still, and since when.
    settling: Option<(Version, Now)>,
    /// Why something newer is wanted.
    wanted: Wanted,
    /// Of these refusals, the ones that the refresh is for.
    charged: Vec<Refused>,
    /// Whose mark the write of ours would replace.
    succeeding: Option<Holder>,
    notes: Vec<Note>,
    /// A received token set that is not known to be stored, whatever phase has it.
    in_hand: Option<Commit>,
    /// Does the next call for it take as long as any other?
    patient: bool,
    /// Nothing more is sent.
    closed: bool,
}

/// What the flight is waiting for.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
enum Phase {
    Ready,
    /// Reading the record.
    Looking,
    /// Pausing before the next look.
    Watching,
    /// Putting back a newer token set that the store has lost.
    Restoring,
    /// Waiting for a place at the token endpoint.
    Entering {
        lease: Lease,
    },
    /// Writing the mark.
    Leasing {
        attempt: Attempt,
    },
    /// Reading how old a mark is that took too long to write.
    Checking {
        attempt: Attempt,
    },
    /// The token endpoint has the request.
    Sending {
        attempt: Attempt,
        sent: Now,
    },
    /// Pausing before a retry, still under the mark.
    Pausing {
        attempt: Attempt,
    },
    /// The endpoint said that the grant is dead; reading again before believing it.
    Rereading {
        attempt: Attempt,
        code: String,
    },
    /// Writing the hard verdict.
    Condemning {
        verdict: RefreshError,
    },
    /// Clearing the mark after a failure: to try again after a pause, or to end with an error.
    Releasing {
        then: Result<Duration, RefreshError>,
    },
    /// Storing a received token set.
    Committing {
        commit: Commit,
    },
    /// Pausing before the write is tried again.
    Holding {
        commit: Commit,
    },
    /// Reading what became of the write.
    Reloading {
        commit: Commit,
    },
    /// Giving back a token set that nobody may use any more.
    Revoking,
    Over,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    Begin,
    Entered,
    /// There is no place at the token endpoint.
    TurnedAway(TurnedAway),
    Loaded(Result<Option<Snapshot>, Arc<StoreError>>),
    Swapped(Result<Swapped, Arc<StoreError>>),
    Answered(Answer),
    Woke,
    Revoked,
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) version: Version,
    pub(crate) record: CredentialRecord,
    /// Time since it was written, by the store's clock.
    pub(crate) age: Duration,
    /// Is the process that holds its mark proven dead?
    pub(crate) holder_dead: bool,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) enum Swapped {
    Done,
    Conflict(Option<Snapshot>),
}

/// What came back from the token endpoint.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Tokens(TokenSet),
    /// A success without a usable access token.
    Unusable {
        refresh_token: Option<RefreshToken>,
    },
    GrantDead {
        code: String,
    },
    Configuration {
        code: Option<String>,
    },
    NeedsUser {
        code: Option<String>,
    },
    Refused {
        code: Option<String>,
        retry_after: Option<Duration>,
    },
    Unavailable {
        in_doubt: bool,
        retry_after: Option<Duration>,
        status: StatusCode,
        code: Option<String>,
    },
    /// The request never left, and perhaps why.
    NotSent(Option<Cause>),
    /// It left, and nothing that could be understood came back.
    Lost,
}

/// Why a flight got no place at the token endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TurnedAway {
    /// The server asked everybody to stay away until then.
    Rests(Now),
    /// Too many wait for a place. There may be one then.
    Full(Now),
    /// Nothing is sent any more.
    ShutDown,
}

/// In which order store calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// A received token set is to be made durable.
    Commit,
    /// Goes on with what was begun.
    Begun,
    /// Begins.
    New,
}

/// What to do next. Each is answered by one [`Event`].
#[derive(Debug)]
pub(crate) enum Step {
    /// [`Event::Entered`] or [`Event::TurnedAway`].
    Enter,
    /// [`Event::Loaded`].
    Load,
    /// [`Event::Swapped`].
    Swap {
        expected: Option<Version>,
        version: Version,
        new: CredentialRecord,
    },
    /// [`Event::Answered`].
    Send {
        refresh_token: Option<RefreshToken>,
        bound_key: Option<BoundKey>,
    },
    /// [`Event::Woke`], when the time is over or the record may have changed.
    Wait(Duration),
    /// [`Event::Revoked`].
    Revoke {
        refresh_token: RefreshToken,
        bound_key: Option<BoundKey>,
    },
    Done,
}

/// What others should know, in order, before the step is done.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// The waiters' outcome. May come again while an unpersisted set is being written.
    Tell(Outcome),
    /// The server refused this refresh token for good.
    Condemned(Verdict),
    /// A received set could not be stored yet.
    PersistFailed,
    /// A mark of somebody who ended without a word was succeeded.
    Succeeded(Holder),
    /// The store held an older generation than this process.
    StoreRegressed,
    /// The answer held the refresh token before the one spent. It was not taken.
    RetiredTokenReturned,
    /// The answer grants less than the tokens before it.
    ScopeReduced,
    /// A set was received for a login that had ended, and was given back.
    Discarded,
}

/// What the driver must bring along, because the machine cannot draw lots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lots {
    pub(crate) version: Version,
    pub(crate) nonce: u128,
    /// From 0 to 1.
    pub(crate) unit: f64,
}

// ===== impl Machine =====

impl Machine {
    /// A flight for somebody who holds `known`, and needs something newer.
    pub(crate) fn new(policy: Policy, me: Holder, known: Option<Held>, dead: Option<Verdict>) -> Self {
        Self {
            policy,
            me,
            client: ClientPrint(0),
            own: Own::default(),
            known,
            dead,
            ended: None,
            began: None,
            asked: None,
            tried: None,
            phase: Phase::Ready,
            place: false,
            looked: false,
            sends: 0,
            retries: 0,
            doubts: 0,
            store_failures: 0,
            late_marks: 0,
            restores: 0,
            settling: None,
            wanted: Wanted::DUE,
            charged: Vec::new(),
            succeeding: None,
            notes: Vec::new(),
            in_hand: None,
            patient: false,
            closed: false,
        }
    }

    /// The same, of a process where this login was ended.
    pub(crate) fn ended(mut self, ended: Option<LoginId>) -> Self {
        self.ended = ended;
        self
    }

    /// Why something newer is wanted, by now: further callers have reasons of their own.
    pub(crate) fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    /// Takes in what happened and says what to do. [`Self::notes`] come first.
    pub(crate) fn step(&mut self, now: Now, lots: Lots, event: Event) -> Step {
        let since = self.asked.replace(now).unwrap_or(now);
        match (std::mem::replace(&mut self.phase, Phase::Over), event) {
            (Phase::Ready, Event::Begin) => {
                self.began = Some(now);
                match self.in_hand.clone() {
                    Some(commit) => self.resume(now, commit),
                    None => self.look(),
                }
            }
            (Phase::Watching, Event::Woke)
            | (Phase::Restoring, Event::Swapped(Ok(Swapped::Done)))
            | (Phase::Revoking, Event::Revoked) => self.look(),
            (Phase::Restoring, Event::Swapped(Ok(Swapped::Conflict(found)))) => {
                self.looked(now, lots, since, Ok(found))
            }
            (Phase::Restoring, Event::Swapped(Err(error))) => self.fail(store_error(error)),
            (Phase::Looking, Event::Loaded(loaded)) => {
                self.looked = true;
                self.looked(now, lots, since, loaded)
            }
            (Phase::Entering { lease }, Event::Entered) => {
                self.place = true;
                self.mark(now, lots, lease)
            }
            (Phase::Entering { .. }, Event::TurnedAway(why)) => self.turned_away(now, why),
            (Phase::Leasing { attempt }, Event::Swapped(swapped)) => {
                self.leased(now, lots, since, attempt, swapped)
            }
            (Phase::Checking { attempt }, Event::Loaded(loaded)) => {
                self.checked(now, lots, since, attempt, loaded)
            }
            (Phase::Sending { attempt, sent }, Event::Answered(answer)) => {
                self.answered(now, lots, attempt, sent, answer)
            }
            (Phase::Pausing { attempt }, Event::Woke) => self.renew(now, lots, attempt),
            (Phase::Rereading { attempt, code }, Event::Loaded(loaded)) => {
                self.reread(now, lots, attempt, code, since, loaded)
            }
            (Phase::Condemning { verdict }, Event::Swapped(swapped)) => self.condemned(verdict, swapped),
            // Cleared or not, the attempt is over: whoever finds the mark waits it out.
            (Phase::Releasing { then }, Event::Swapped(_)) => match then {
                Ok(pause) => self.watch(pause),
                Err(error) => self.fail(error),
            },
            (Phase::Committing { commit }, Event::Swapped(swapped)) => {
                self.committed(now, lots, commit, since, swapped)
            }
            (Phase::Holding { commit }, Event::Woke) => self.reload(commit),
            (Phase::Reloading { commit }, Event::Loaded(loaded)) => {
                self.reloaded(now, lots, commit, since, loaded)
            }
            (_, _) => self.fail(RefreshError::new(ErrorKind::Aborted)),
        }
    }

    /// What others should know since the last step.
    pub(crate) fn notes(&mut self) -> std::vec::Drain<'_, Note> {
        self.notes.drain(..)
    }

    /// From now on no refresh token is sent. A set that was received is stored all the same.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// The step that was asked for had to wait for its turn until `now`. This counts for nothing: a store call
    /// says what was so at the earliest from here on, and the flight's time is for what it does. How long a call of
    /// the store may take.
    pub(crate) fn had_to_wait(&mut self, now: Now) -> Duration {
        if let Some(asked) = self.asked.replace(now) {
            let waited = now.since(asked);
            self.began = self.began.map(|began| began.after(waited));
            self.tried = self.tried.map(|tried| tried.after(waited));
        }
        self.store_limit(now)
    }

    fn store_limit(&self, now: Now) -> Duration {
        let limit = self.policy.store_limit;
        let hurry = self.policy.mark_life().saturating_add(SETTLE);
        // Later, whoever wants to take the mark over has done so, and a slow store is better than none.
        match &self.in_hand {
            Some(commit) if now.since(commit.obtained()) < hurry && !self.patient => limit.min(COMMIT_LIMIT),
            _ => limit,
        }
    }

    /// Is the flight between the begin of an exchange, that is [`Step::Enter`], and its end?
    pub(crate) fn holds_place(&self) -> bool {
        self.place
    }

    /// The rank of the store call that was asked for.
    pub(crate) fn rank(&self) -> Rank {
        match self.phase {
            Phase::Committing { .. } | Phase::Reloading { .. } => Rank::Commit,
            Phase::Looking if !self.looked => Rank::New,
            _ => Rank::Begun,
        }
    }

    fn look(&mut self) -> Step {
        self.phase = Phase::Looking;
        Step::Load
    }

    fn watch(&mut self, pause: Duration) -> Step {
        self.place = false;
        if self.closed {
            return self.fail(RefreshError::new(ErrorKind::ShutDown));
        }
        self.phase = Phase::Watching;
        Step::Wait(pause)
    }

    fn finish(&mut self, outcome: Outcome) -> Step {
        self.phase = Phase::Over;
        // Of a token that is kept, nothing has changed in the store.
        if matches!(outcome, Outcome::Refreshed(_) | Outcome::Adopted(_)) {
            self.own = Own::default();
        }
        self.notes.push(Note::Tell(outcome));
        Step::Done
    }

    fn fail(&mut self, error: RefreshError) -> Step {
        self.finish(Outcome::Failed(error))
    }

    fn flown(&self, now: Now) -> Duration {
        self.began.map_or(Duration::ZERO, |began| now.since(began))
    }

    /// Has this flight had its time, or its attempts?
    fn exhausted(&self, now: Now) -> bool {
        let tried = self.tried.map_or(Duration::ZERO, |tried| now.since(tried));
        tried >= self.policy.flight_limit || self.sends >= super::policy::MAX_SENDS
    }
}

pub(super) fn store_error(error: Arc<StoreError>) -> RefreshError {
    let kind = if error.is_unreadable() { ErrorKind::Unreadable } else { ErrorKind::Store };
    RefreshError::new(kind).with_source(error)
}

#[cfg(test)]
mod tests;
