//! Looking at the record: adopt, wait, give up, or take the lease.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::Lease;
use super::{Lots, Machine, Note, Outcome, Phase, Seen, Snapshot, Step, store_error};
use crate::clock::Now;
use crate::coordinator::guard;
use crate::coordinator::policy::{self, COMMIT_RETRY, POLL, RESTORES, SETTLE, SETTLE_AT_MOST, WAITED_REST};
use crate::error::{ErrorKind, Misuse, RefreshError};
use crate::generation::Generation;
use crate::grant::Grant;
use crate::store::StoreError;
use crate::store::record::{CredentialRecord, Doubt, Life, LoginId, Mark, Rest, RestReason, Verdict};

impl Machine {
    pub(super) fn looked(
        &mut self,
        now: Now,
        lots: Lots,
        since: Now,
        loaded: Result<Option<Snapshot>, Arc<StoreError>>,
    ) -> Step {
        match loaded {
            Ok(Some(snapshot)) => self.judge(now, lots, Seen { at: since, snapshot }),
            Ok(None) if self.policy.grant == Grant::ClientCredentials => {
                let login = LoginId(lots.nonce);
                let record = CredentialRecord::empty(login, Generation::ZERO);
                self.lease(now, lots, Lease { expected: None, record, doubt: None, at: now })
            }
            Ok(None) => self.fail(RefreshError::new(ErrorKind::NotInstalled)),
            Err(error) => {
                self.settling = None;
                self.fail(store_error(error))
            }
        }
    }

    pub(super) fn judge(&mut self, now: Now, lots: Lots, seen: Seen) -> Step {
        let record = &seen.snapshot.record;
        if self.policy.grant == Grant::ClientCredentials && record.life != Life::Live {
            // Neither end holds: there is no login that could have ended.
            let empty = CredentialRecord::empty(LoginId(lots.nonce), record.generation);
            let expected = Some(seen.snapshot.version);
            return self.lease(now, lots, Lease { expected, record: empty, doubt: None, at: now });
        }
        match &record.life {
            Life::LoggedOut => return self.fail(RefreshError::new(ErrorKind::LoggedOut)),
            Life::Dead(verdict) => return self.fail(verdict_error(verdict)),
            Life::Live => {}
        }
        if self.ended == Some(record.login) && self.policy.grant == Grant::RefreshToken {
            return self.end(lots, &seen);
        }
        if self.must_prove(record) {
            let bound = RefreshError::misuse(ErrorKind::Configuration, Misuse::Bound);
            return self.fail(bound.with_code(Some("bound_token")));
        }
        if let Some(verdict) = self.dead.take_if(|dead| record.fingerprint() == Some(dead.fingerprint)) {
            // The store did not take the verdict when it was given, or has lost it since. A process that is asking the
            // server itself will hear it there; under a mark that has had its life, nobody is.
            let had_its_life = |mark: &Mark| seen.snapshot.age >= self.policy.foreign_mark_life(mark);
            if record.mark.as_ref().is_none_or(|mark| self.own.wrote(mark) || had_its_life(mark)) {
                return self.condemn(lots, seen.snapshot.version, record, verdict);
            }
            return self.fail(verdict_error(&verdict));
        }
        if self.regressed(record) {
            return self.restore(now, lots, &seen);
        }
        if self.is_news(record)
            && let Some(held) = seen.usable(now)
            && self.policy.can_send(&held.tokens)
        {
            return self.finish(Outcome::Adopted(held));
        }
        if record.refresh_token().is_none() && self.policy.grant == Grant::RefreshToken {
            return self.fail(RefreshError::new(ErrorKind::NoRefreshToken));
        }
        self.queue(now, lots, &seen)
    }

    /// Writes the end of a login that the store did not take when it was told: a logout that failed is not undone.
    fn end(&mut self, lots: Lots, seen: &Seen) -> Step {
        let record = &seen.snapshot.record;
        let mut new = record.logged_out();
        new.unrevoked.extend(record.tokens.clone());
        self.phase = Phase::Releasing { then: Err(RefreshError::new(ErrorKind::LoggedOut)) };
        Step::Swap { expected: Some(seen.snapshot.version), version: lots.version, new }
    }

    /// Is the login bound to a key, and this coordinator not set up for it? A server refuses a refresh token without
    /// its proof, some for good, and what another gives for it would be bound no longer.
    fn must_prove(&self, record: &CredentialRecord) -> bool {
        self.policy.grant == Grant::RefreshToken
            && record.tokens.as_ref().is_some_and(|tokens| self.policy.must_prove(tokens))
    }

    /// Does the record hold another token set than the one that is not good enough?
    fn is_news(&self, record: &CredentialRecord) -> bool {
        let Some(known) = &self.known else { return true };
        let same = record.tokens.as_ref().is_some_and(|tokens| tokens.same_access_token(&known.tokens));
        known.login != record.login
            || if same {
                // A refresh has returned it unchanged, which does not help where it was refused.
                known.generation < record.generation && self.wanted.due
            } else {
                // A store that lost a write has had one generation twice.
                known.generation <= record.generation
            }
    }

    /// Was the store set back, to a refresh token that has been spent?
    fn regressed(&self, record: &CredentialRecord) -> bool {
        let newer = |known: &super::Held| known.login == record.login && record.generation < known.generation;
        self.known.as_ref().is_some_and(newer)
    }

    /// Puts the newer token set back. Sending the older refresh token would end the login.
    fn restore(&mut self, now: Now, lots: Lots, seen: &Seen) -> Step {
        let Some(known) = &self.known else {
            return self.look();
        };
        self.restores += 1;
        if self.restores > RESTORES {
            return self.fail(store_error(Arc::new(StoreError::unavailable("its records are out of date"))));
        }
        self.notes.push(Note::StoreRegressed);
        let mut record = CredentialRecord::empty(known.login, known.generation);
        record.marks = seen.snapshot.record.marks;
        record.unknown = seen.snapshot.record.unknown.clone();
        record.refusals = seen.record(now).refusals;
        record.tokens = Some(known.tokens.clone());
        if let Some(tokens) = &mut record.tokens {
            tokens.age = now.since(known.obtained);
        }
        self.phase = Phase::Restoring;
        Step::Swap { expected: Some(seen.snapshot.version), version: lots.version, new: record }
    }

    /// Waits for others' marks and for the rest between attempts, then takes the lease.
    fn queue(&mut self, now: Now, lots: Lots, seen: &Seen) -> Step {
        let record = &seen.snapshot.record;
        let Some(mark) = &record.mark else {
            self.succeeding = None;
            if let Some(until) = self.left_alone(now, seen) {
                return self.finish(Outcome::Kept(until));
            }
            let age = seen.snapshot.age.saturating_add(now.since(seen.at));
            let binds = |rest: &&Rest| rest.client.is_none_or(|client| client == self.client);
            if let Some(rest) = record.rest.as_ref().filter(|rest| rest.wait > age).filter(binds) {
                return self.fail(rest_error(rest, now.after(rest.wait.saturating_sub(age))));
            }
            let doubt = record.doubt;
            let lease =
                Lease { expected: Some(seen.snapshot.version), record: seen.record(now), doubt, at: now };
            return self.lease(now, lots, lease);
        };
        let sent = self.own.finds(mark);
        let ours = sent.is_some();
        if !ours
            && !seen.snapshot.holder_dead
            && let Some(pause) = self.must_wait(now, lots, seen, mark)
        {
            // Others have gone on refreshing all this time, and nobody with success.
            if self.flown(now) > self.policy.flight_limit.saturating_add(self.policy.foreign_mark_life(mark))
            {
                return self.fail(RefreshError::new(ErrorKind::TimedOut));
            }
            return self.watch(pause);
        }
        if let Some(until) = self.left_alone(now, seen) {
            return self.finish(Outcome::Kept(until));
        }
        if !ours {
            self.succeeding = Some(mark.holder.clone());
        }
        let sent_at = now.before(seen.snapshot.age).wall;
        let theirs = Some(Doubt { sent_at, pid: mark.holder.pid }).filter(|_| sent != Some(false));
        let doubt = record.doubt.or(theirs);
        let lease = Lease { expected: Some(seen.snapshot.version), record: seen.record(now), doubt, at: now };
        self.lease(now, lots, lease)
    }

    /// Until when the token in use is kept although it was refused. `None`: it is to be refreshed.
    fn left_alone(&mut self, now: Now, seen: &Seen) -> Option<Now> {
        self.charged.clear();
        let known = self.known.as_ref()?;
        if self.wanted.due || !policy::usable(&known.tokens, now.since(known.obtained)) {
            return None;
        }
        let age = seen.snapshot.age.saturating_add(now.since(seen.at));
        let held = now.boot.saturating_sub(known.obtained.boot);
        let own = self.own.refreshed_known;
        let mut least: Option<Duration> = None;
        for refused in &self.wanted.refused {
            let wait = guard::left_alone(&seen.snapshot.record, age, (held, own), *refused, &self.policy);
            if wait.is_zero() {
                self.charged.push(*refused);
            }
            least = Some(least.map_or(wait, |least| least.min(wait)));
        }
        least.filter(|least| !least.is_zero()).map(|least| now.after(least))
    }

    /// How long a foreign mark still has to be waited for. Its holder may be frozen with a request on the
    /// wire, or hold the answer and be about to write.
    fn must_wait(&mut self, now: Now, lots: Lots, seen: &Seen, mark: &Mark) -> Option<Duration> {
        let alive = self.policy.foreign_mark_life(mark).saturating_sub(seen.snapshot.age);
        if !alive.is_zero() {
            self.settling = None;
            let poll = POLL.mul_f64(0.75 + lots.unit / 2.0);
            return Some(alive.min(poll));
        }
        let version = seen.snapshot.version;
        let lay = self.settling.filter(|(settled, _)| *settled == version).map(|(_, t)| seen.at.since(t));
        match lay {
            Some(lay) if lay < SETTLE => Some(SETTLE.saturating_sub(lay)),
            Some(lay) if lay <= SETTLE_AT_MOST => None,
            _ => {
                self.settling = Some((version, now));
                Some(SETTLE)
            }
        }
    }
}

const _: () = assert!(SETTLE.as_millis() > COMMIT_RETRY.as_millis());

/// The error of a credential whose refresh token was refused.
pub(in crate::coordinator) fn verdict_error(verdict: &Verdict) -> RefreshError {
    let lost = verdict.doubt.is_some();
    let kind = if lost { ErrorKind::LostRotation } else { ErrorKind::InvalidGrant };
    RefreshError::new(kind).with_code(Some(&verdict.code))
}

/// The error of a credential whose endpoint is left alone until `until`.
pub(super) fn rest_error(rest: &Rest, until: Now) -> RefreshError {
    let kind = match rest.reason {
        RestReason::Unavailable => ErrorKind::Unavailable,
        RestReason::Refused => ErrorKind::Refused,
        RestReason::Configuration => ErrorKind::Configuration,
        RestReason::NeedsUser => ErrorKind::NeedsUser,
    };
    let error = RefreshError::new(kind).with_code(rest.code.as_deref()).with_retry_at(until);
    // Not what is left of a long one: with the endpoint down, nobody is to wait only to hear that it still is.
    if kind == ErrorKind::Unavailable && rest.wait <= WAITED_REST { error.with_wait() } else { error }
}
