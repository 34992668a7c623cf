//! Marking, sending, and understanding the answer.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use super::judge::{rest_error, verdict_error};
use super::{Answer, Lots, Machine, Note, Phase, Seen, Snapshot, Step, Swapped, TurnedAway, store_error};
use crate::clock::Now;
use crate::coordinator::policy::{
    COOL_DOWN, LATE_MARKS, Policy, SEND_WINDOW, SUBMISSION_WINDOW, SUBMISSIONS,
};
use crate::error::{Cause, ErrorKind, RefreshError};
use crate::grant::Grant;
use crate::secret::RefreshToken;
use crate::store::record::{
    CredentialRecord, Doubt, Fingerprint, Life, Mark, Rest, RestReason, Tokens, Verdict,
};
use crate::store::{StoreError, Version};
use crate::token::TokenSet;

/// The code of an error after an answer without a usable access token.
pub(super) const UNUSABLE: &str = "unusable_answer";

/// One announced submission of a refresh token.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Names the record with our mark.
    pub(super) version: Version,
    /// That record.
    pub(super) record: CredentialRecord,
    /// When it was written.
    pub(super) written: Now,
    pub(super) nonce: u128,
    pub(super) number: u64,
}

/// What a mark is to be written over.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Lease {
    pub(super) expected: Option<Version>,
    /// As it was `at` this moment.
    pub(super) record: CredentialRecord,
    pub(super) at: Now,
    pub(super) doubt: Option<Doubt>,
}

impl Attempt {
    /// How long ago requests were sent, the newest first.
    fn sent_ago(&self, now: Now) -> Vec<Duration> {
        let since = now.since(self.written);
        self.record.sent.iter().map(|sent| sent.saturating_add(since)).collect()
    }
}

impl Machine {
    /// Takes the lease, as soon as there is a place at the token endpoint. Whoever waits for one has no mark: a
    /// lease that ran meanwhile would be good for nothing.
    pub(super) fn lease(&mut self, now: Now, lots: Lots, lease: Lease) -> Step {
        if let Some(error) = self.own_rest(now) {
            return self.fail(error);
        }
        if self.place {
            return self.mark(now, lots, lease);
        }
        self.phase = Phase::Entering { lease };
        Step::Enter
    }

    pub(super) fn turned_away(&mut self, now: Now, why: TurnedAway) -> Step {
        self.fail(match why {
            TurnedAway::Rests(until) => unavailable(now.until(until), until),
            TurnedAway::Full(until) => RefreshError::new(ErrorKind::TooManyWaiters).with_retry_at(until),
            TurnedAway::ShutDown => RefreshError::new(ErrorKind::ShutDown),
        })
    }

    /// Writes the mark: lease, fence, write-ahead entry and proof that the store can be written, before
    /// a rotating token is spent. Nothing is read again, however long the flight has waited: the record is the
    /// one that was judged, or the swap says what is there instead.
    pub(super) fn mark(&mut self, now: Now, lots: Lots, lease: Lease) -> Step {
        if self.closed {
            return self.fail(RefreshError::new(ErrorKind::ShutDown));
        }
        self.tried.get_or_insert(now);
        if self.exhausted(now) {
            let slow = self.sends == 0 && self.late_marks + self.store_failures > 0;
            return self.fail(if slow { too_slow() } else { RefreshError::new(ErrorKind::TimedOut) });
        }
        let Lease { expected, record, at, doubt } = lease;
        let mut record = record.aged(now.since(at));
        if doubt.is_some() && record.mark.is_some() {
            record.failures = record.failures.saturating_add(1);
            note_submission(&mut record);
        }
        record.marks = record.marks.saturating_add(1);
        record.mark = Some(Mark {
            holder: self.me.clone(),
            nonce: lots.nonce,
            number: record.marks,
            fingerprint: record.fingerprint(),
            life: Some(self.policy.mark_life()),
        });
        self.own.marks(lots.nonce);
        record.rest = None;
        record.doubt = doubt;
        let attempt = Attempt {
            version: lots.version,
            written: now,
            nonce: lots.nonce,
            number: record.marks,
            record: record.clone(),
        };
        self.phase = Phase::Leasing { attempt };
        Step::Swap { expected, version: lots.version, new: record }
    }

    /// `since` is before the swap that found the lease free, and took it.
    pub(super) fn leased(
        &mut self,
        now: Now,
        lots: Lots,
        since: Now,
        attempt: Attempt,
        swapped: Result<Swapped, Arc<StoreError>>,
    ) -> Step {
        match &swapped {
            // Not before: of several heirs, one is the first.
            Ok(Swapped::Done) => self.notes.extend(self.succeeding.take().map(Note::Succeeded)),
            Ok(Swapped::Conflict(_)) => self.succeeding = None,
            Err(_) => {}
        }
        match swapped {
            Ok(Swapped::Done) if now.since(since) <= SEND_WINDOW => self.send(now, lots, attempt),
            // It may have been written long ago, or just now.
            Ok(Swapped::Done) => {
                self.phase = Phase::Checking { attempt };
                Step::Load
            }
            Ok(Swapped::Conflict(found)) => self.looked(now, lots, since, Ok(found)),
            // Maybe written: look once. A store that fails twice is not written to again.
            Err(error) => {
                self.store_failures += 1;
                if self.store_failures > 1 || self.sends > 0 {
                    return self.fail(store_error(error));
                }
                self.look()
            }
        }
    }

    /// A mark that took too long to write is as good as another while it is young: others count its age from when
    /// it was written, too. One that is too old is written again, for as long as this has any prospect.
    pub(super) fn checked(
        &mut self,
        now: Now,
        lots: Lots,
        since: Now,
        attempt: Attempt,
        loaded: Result<Option<Snapshot>, Arc<StoreError>>,
    ) -> Step {
        let age = match &loaded {
            Ok(Some(found)) if found.version == attempt.version => found.age.saturating_add(now.since(since)),
            _ => return self.looked(now, lots, since, loaded),
        };
        if age <= SEND_WINDOW {
            return self.send(now, lots, attempt);
        }
        self.late_marks += 1;
        if self.late_marks < LATE_MARKS && !self.exhausted(now) {
            return self.renew(now, lots, attempt);
        }
        self.clear(now, lots, attempt, None, Err(too_slow()))
    }

    fn send(&mut self, now: Now, lots: Lots, mut attempt: Attempt) -> Step {
        if self.closed {
            return self.clear(now, lots, attempt, None, Err(RefreshError::new(ErrorKind::ShutDown)));
        }
        self.sends += 1;
        self.own.sends(attempt.nonce);
        attempt.record = attempt.record.aged(now.since(attempt.written));
        attempt.written = now;
        note_submission(&mut attempt.record);
        let refresh_token = match self.policy.grant {
            Grant::RefreshToken => attempt.record.refresh_token().cloned(),
            Grant::ClientCredentials => None,
        };
        let bound_key = attempt.record.bound_key().cloned();
        self.phase = Phase::Sending { attempt, sent: now };
        Step::Send { refresh_token, bound_key }
    }

    pub(super) fn answered(
        &mut self,
        now: Now,
        lots: Lots,
        attempt: Attempt,
        sent: Now,
        answer: Answer,
    ) -> Step {
        match answer {
            Answer::Tokens(set) => {
                let tokens = self.received(&attempt.record, set);
                self.commit(now, lots, attempt, sent, tokens)
            }
            Answer::Unusable { refresh_token: Some(new) } => {
                let spent = attempt.record.refresh_token().cloned();
                match self.unless_retired(&attempt.record, Some(new)).or(spent) {
                    Some(token) => self.commit(now, lots, attempt, sent, Tokens::refresh_only(token)),
                    None => self.doubt(now, lots, attempt, UNUSABLE),
                }
            }
            Answer::Unusable { refresh_token: None } => self.doubt(now, lots, attempt, UNUSABLE),
            Answer::Lost => self.doubt(now, lots, attempt, "no_answer"),
            Answer::GrantDead { code } => {
                self.phase = Phase::Rereading { attempt, code };
                Step::Load
            }
            Answer::NotSent(cause) => self.not_sent(now, lots, attempt, cause),
            Answer::Unavailable { in_doubt, retry_after, status, code } => {
                let code = code.unwrap_or_else(|| format!("http_{}", status.as_u16()));
                self.out_of_order(now, lots, attempt, in_doubt, retry_after, code)
            }
            Answer::Refused { code, retry_after } => {
                let own = Policy::refused_rest(attempt.record.failures.saturating_add(1), lots.unit)
                    .max(Policy::spaced(&attempt.sent_ago(now)));
                let wait = retry_after.map_or(own, |server| server.max(own));
                let rest = Rest { wait, reason: RestReason::Refused, code, client: None };
                self.release(now, lots, attempt, rest)
            }
            Answer::Configuration { code } => self.client_refused(now, lots, attempt, code),
            Answer::NeedsUser { code } => {
                let rest = Rest { wait: COOL_DOWN, reason: RestReason::NeedsUser, code, client: None };
                self.release(now, lots, attempt, rest)
            }
        }
    }

    /// What an answer is worth beside what was known before.
    fn received(&mut self, record: &CredentialRecord, mut set: TokenSet) -> Tokens {
        set.refresh_token = self.unless_retired(record, set.refresh_token);
        let kept = record.tokens.as_ref();
        let known = kept.and_then(|kept| kept.scope.as_deref()).unwrap_or_default();
        if let Some(scope) = &set.scope
            && known
                .split_ascii_whitespace()
                .any(|one| scope.split_ascii_whitespace().all(|other| one != other))
        {
            self.notes.push(Note::ScopeReduced);
        }
        Tokens::received(&set, kept)
    }

    /// The refresh token of an answer. Submitting a superseded one could end the login: the one just spent is kept.
    fn unless_retired(
        &mut self,
        record: &CredentialRecord,
        new: Option<RefreshToken>,
    ) -> Option<RefreshToken> {
        let of = |token: &RefreshToken| Fingerprint::of(record.login, token);
        if record.retired.is_some() && new.as_ref().map(of) == record.retired {
            self.notes.push(Note::RetiredTokenReturned);
            return None;
        }
        new
    }

    /// No answer: the same refresh token is sent once more at once, for that is what grace windows are
    /// made for. After a second silence the mark stays, and the next attempt knows.
    fn doubt(&mut self, now: Now, lots: Lots, mut attempt: Attempt, code: &str) -> Step {
        self.doubts += 1;
        self.leave_doubt(&mut attempt);
        if self.doubts == 1 && self.may_retry(now, &attempt) {
            return self.renew(now, lots, attempt);
        }
        let wait = Policy::outage_rest(attempt.record.failures.saturating_add(1), lots.unit)
            .max(Policy::spaced(&attempt.sent_ago(now)));
        self.fail(RefreshError::new(ErrorKind::InDoubt).with_code(Some(code)).with_retry_at(now.after(wait)))
    }

    /// Is this the first failure, and is there room for another submission?
    fn may_retry(&self, now: Now, attempt: &Attempt) -> bool {
        attempt.record.failures == 0 && attempt.record.sent.len() < SUBMISSIONS && !self.exhausted(now)
    }

    fn leave_doubt(&self, attempt: &mut Attempt) {
        let ours = Doubt { sent_at: attempt.written.wall, pid: self.me.pid };
        attempt.record.doubt.get_or_insert(ours);
    }

    /// The endpoint is out of order: one retry in the first flight, then everybody rests.
    fn out_of_order(
        &mut self,
        now: Now,
        lots: Lots,
        mut attempt: Attempt,
        in_doubt: bool,
        retry_after: Option<Duration>,
        code: String,
    ) -> Step {
        if in_doubt {
            self.leave_doubt(&mut attempt);
        }
        if self.retries < self.policy.retries && retry_after.is_none() && self.may_retry(now, &attempt) {
            self.retries += 1;
            self.phase = Phase::Pausing { attempt };
            return Step::Wait(Policy::retry_pause(lots.unit));
        }
        let failures = attempt.record.failures.saturating_add(1);
        let own = Policy::unavailable_rest(failures, &attempt.sent_ago(now), lots.unit);
        let wait = retry_after.map_or(own, |server| server.max(own));
        let rest = Rest { wait, reason: RestReason::Unavailable, code: Some(code), client: None };
        self.release(now, lots, attempt, rest)
    }

    /// Something is wrong with this host, not with the server: nobody else waits for that. The mark goes at once, also
    /// before the retry.
    fn not_sent(&mut self, now: Now, lots: Lots, attempt: Attempt, cause: Option<Cause>) -> Step {
        if reentrant(cause.as_deref()) {
            let until = now.after(COOL_DOWN);
            let error = RefreshError::new(ErrorKind::Reentrant).with_retry_at(until);
            self.own.rest(until, None, error.clone());
            return self.clear(now, lots, attempt, None, Err(error));
        }
        self.own.was_not_sent(now);
        let first = self.retries < self.policy.retries && self.own.unsent == 1;
        if first && self.may_retry(now, &attempt) {
            self.retries += 1;
            return self.clear(now, lots, attempt, None, Ok(Policy::retry_pause(lots.unit)));
        }
        let wait = Policy::unavailable_rest(self.own.unsent, &attempt.sent_ago(now), lots.unit);
        let until = now.after(wait);
        let error = unavailable(wait, until);
        let error = match cause {
            Some(cause) => error.with_source(cause),
            None => error,
        };
        self.own.rest(until, None, error.clone());
        self.clear(now, lots, attempt, None, Err(error))
    }

    /// Whoever shows the same client authentication would be refused as well, and nobody else.
    fn client_refused(&mut self, now: Now, lots: Lots, attempt: Attempt, code: Option<String>) -> Step {
        let rest =
            Rest { wait: COOL_DOWN, reason: RestReason::Configuration, code, client: Some(self.client) };
        let until = now.after(rest.wait);
        let error = rest_error(&rest, until);
        self.own.rest(until, rest.client, error.clone());
        self.clear(now, lots, attempt, Some(rest), Err(error))
    }

    /// A further submission needs a mark of its own; the time to send counts from now.
    pub(super) fn renew(&mut self, now: Now, lots: Lots, attempt: Attempt) -> Step {
        if self.closed {
            return self.clear(now, lots, attempt, None, Err(RefreshError::new(ErrorKind::ShutDown)));
        }
        let mut record = attempt.record.aged(now.since(attempt.written));
        let doubt = record.doubt;
        record.mark = None;
        self.mark(now, lots, Lease { expected: Some(attempt.version), record, at: now, doubt })
    }

    /// Clears the mark, and leaves for all processes how long to rest.
    fn release(&mut self, now: Now, lots: Lots, attempt: Attempt, rest: Rest) -> Step {
        let error = rest_error(&rest, now.after(rest.wait));
        let failures = attempt.record.failures.saturating_add(1);
        let record = CredentialRecord { failures, ..attempt.record };
        self.clear(now, lots, Attempt { record, ..attempt }, Some(rest), Err(error))
    }

    /// Clears the mark. What was sent under it is over, or nothing was.
    fn clear(
        &mut self,
        now: Now,
        lots: Lots,
        attempt: Attempt,
        rest: Option<Rest>,
        then: Result<Duration, RefreshError>,
    ) -> Step {
        let mut record = attempt.record.aged(now.since(attempt.written));
        record.mark = None;
        record.rest = rest;
        self.place = false;
        self.phase = Phase::Releasing { then };
        Step::Swap { expected: Some(attempt.version), version: lots.version, new: record }
    }

    /// The refusal is believed only if nobody else moved the credential on.
    pub(super) fn reread(
        &mut self,
        now: Now,
        lots: Lots,
        attempt: Attempt,
        code: String,
        since: Now,
        loaded: Result<Option<Snapshot>, Arc<StoreError>>,
    ) -> Step {
        // Client credentials spend no refresh token, though a server may have given one.
        let spent = attempt.record.fingerprint().filter(|_| self.policy.grant == Grant::RefreshToken);
        let verdict = spent.map(|fingerprint| Verdict {
            generation: attempt.record.generation,
            fingerprint,
            doubt: attempt.record.doubt,
            code: code.clone(),
        });
        let snapshot = match loaded {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => return self.fail(RefreshError::new(ErrorKind::NotInstalled)),
            Err(error) => {
                // The next flight reads again, and need not ask the server.
                self.notes.extend(verdict.map(Note::Condemned));
                return self.fail(store_error(error));
            }
        };
        let seen = Seen { at: since, snapshot };
        if seen.snapshot.version != attempt.version {
            // The refused token is known to be no good: only something newer will do.
            return self.judge(now, lots, seen);
        }
        let Some(verdict) = verdict else {
            return self.client_refused(now, lots, attempt, Some(code));
        };
        self.notes.push(Note::Condemned(verdict.clone()));
        self.condemn(lots, attempt.version, &attempt.record, verdict)
    }

    /// Writes the verdict over the record with our mark, and over no other.
    pub(super) fn condemn(
        &mut self,
        lots: Lots,
        marked: Version,
        record: &CredentialRecord,
        verdict: Verdict,
    ) -> Step {
        self.place = false;
        self.phase = Phase::Condemning { verdict: verdict_error(&verdict) };
        let new = CredentialRecord {
            marks: record.marks,
            under: record.under,
            life: Life::Dead(verdict),
            unknown: record.unknown.clone(),
            ..CredentialRecord::empty(record.login, record.generation)
        };
        Step::Swap { expected: Some(marked), version: lots.version, new }
    }

    pub(super) fn condemned(
        &mut self,
        verdict: RefreshError,
        swapped: Result<Swapped, Arc<StoreError>>,
    ) -> Step {
        match swapped {
            Ok(Swapped::Conflict(_)) => self.look(),
            // Where the store did not take it, this process still knows better than to ask again.
            Ok(Swapped::Done) | Err(_) => self.fail(verdict),
        }
    }
}

/// Does the endpoint's client wait for the refresh that it is to make? It would do so again.
fn reentrant(cause: Option<&(dyn StdError + Send + Sync + 'static)>) -> bool {
    let mut next = cause.map(|cause| cause as &(dyn StdError + 'static));
    while let Some(error) = next {
        if error.downcast_ref::<RefreshError>().is_some_and(|ours| ours.kind() == ErrorKind::Reentrant) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The error of an endpoint that is left alone for so long.
fn unavailable(wait: Duration, until: Now) -> RefreshError {
    rest_error(&Rest { wait, reason: RestReason::Unavailable, code: None, client: None }, until)
}

/// A request is sent now, or was sent under the mark that this record follows.
fn note_submission(record: &mut CredentialRecord) {
    record.sent.retain(|sent| *sent < SUBMISSION_WINDOW);
    record.sent.insert(0, Duration::ZERO);
    record.sent.truncate(SUBMISSIONS);
}

/// The error of a store that leaves no time to send.
fn too_slow() -> RefreshError {
    store_error(Arc::new(StoreError::unavailable("it takes too long to answer")))
}
