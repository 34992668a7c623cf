//! Making a received token set durable, whatever the store says.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Attempt, UNUSABLE};
use super::{Lots, Machine, Note, Outcome, Phase, Seen, Snapshot, Step, Swapped};
use crate::clock::Now;
use crate::coordinator::guard::charge;
use crate::coordinator::outcome::Held;
use crate::coordinator::policy::{COMMIT_LIMIT, COMMIT_RETRY, Policy, UNREADABLE_RETRY, doubled, settle};
use crate::error::{ErrorKind, RefreshError};
use crate::generation::Generation;
use crate::secret::RefreshToken;
use crate::store::StoreError;
use crate::store::record::{
    CredentialRecord, Doubt, Fingerprint, Life, LoginId, Rest, RestReason, Tokens, Under,
};

/// A token set on its way into the store.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    login: LoginId,
    under: Under,
    tokens: Tokens,
    /// The refresh token that came with it, if it is another than the one spent.
    rotated: Option<RefreshToken>,
    /// The refresh token before the one it came with.
    retired: Option<Fingerprint>,
    /// Before its request was sent.
    obtained: Now,
    /// When the answer was understood: callers are held from here.
    received: Now,
    /// The generation it becomes, if the write under way succeeds.
    generation: Generation,
    failures: u32,
    /// Did its access token come too late to be used?
    useless: bool,
    /// How long to leave the server alone, where no usable access token came.
    rest: Option<Duration>,
    /// How often in a row the record could not be read.
    unread: u32,
    /// Somebody else who may have sent the same refresh token since: then the server may have ended the
    /// login, and when it says so, this is why.
    doubt: Option<Doubt>,
}

impl Machine {
    /// With a token set that an earlier flight received and could not store.
    pub(crate) fn carrying(mut self, in_hand: Option<Commit>) -> Self {
        self.in_hand = in_hand;
        self
    }

    /// Is there a received token set that is not stored yet?
    pub(crate) fn holds_set(&self) -> bool {
        self.in_hand.is_some()
    }

    /// The received token set that is not stored yet, for another flight to go on with.
    pub(crate) fn hand_over(&mut self) -> Option<Commit> {
        self.in_hand.take()
    }

    /// A step did not come to its end. Is there a received token set that is to be stored all the same? Then the
    /// machine waits for [`Event::Woke`](super::Event::Woke).
    pub(crate) fn salvage(&mut self) -> bool {
        let Some(commit) = self.in_hand.clone() else { return false };
        self.phase = Phase::Holding { commit };
        true
    }

    pub(super) fn commit(
        &mut self,
        now: Now,
        lots: Lots,
        attempt: Attempt,
        sent: Now,
        mut tokens: Tokens,
    ) -> Step {
        // What the answer's tokens are bound to has been in our request, not in the answer.
        tokens.bound_key = attempt.record.bound_key().cloned();
        let spent = attempt.record.generation;
        let login = attempt.record.login;
        let spent_token = attempt.record.fingerprint();
        let other = |token: &&RefreshToken| Some(Fingerprint::of(login, token)) != spent_token;
        let kept = attempt.record.tokens.as_ref();
        let kept = kept.map(|kept| (kept, kept.age.saturating_add(sent.since(attempt.written))));
        // By the clock that does not jump: what it adds to the life of a token would outlast the jump.
        let (took, failures) = (now.boot.saturating_sub(sent.boot), attempt.record.failures);
        let useless = settle(&mut tokens, kept, took, failures, lots.unit);
        let rotated = tokens.refresh_token.as_ref().filter(other).cloned();
        let commit = Commit {
            login,
            under: Under { nonce: attempt.nonce, number: attempt.number, spent },
            retired: if rotated.is_some() { spent_token } else { attempt.record.retired },
            rotated,
            tokens,
            obtained: sent,
            received: now,
            generation: spent,
            failures,
            useless,
            rest: None,
            unread: 0,
            doubt: None,
        };
        let base = attempt.record.aged(now.since(attempt.written));
        self.write(now, lots, commit, attempt.version, &base)
    }

    /// Writes the set over `base`, of this version.
    fn write(
        &mut self,
        now: Now,
        lots: Lots,
        mut commit: Commit,
        expected: crate::store::Version,
        base: &CredentialRecord,
    ) -> Step {
        commit.generation = base.generation.next();
        let mut record = CredentialRecord::empty(commit.login, commit.generation);
        record.marks = base.marks.max(commit.under.number);
        record.under = Some(commit.under);
        record.retired = commit.retired;
        record.doubt = commit.doubt;
        record.unknown = base.unknown.clone();
        record.refusals.clone_from(&base.refusals);
        self.charged.iter().for_each(|refused| charge(&mut record.refusals, *refused));
        record.tokens = Some(Tokens { age: now.since(commit.obtained), ..commit.tokens.clone() });
        if commit.useless {
            record.failures = commit.failures.saturating_add(1);
        }
        if commit.tokens.access_token.is_none() {
            let refused = !self.wanted.refused.is_empty();
            if let Some(kept) = base.tokens.as_ref().filter(|kept| kept.access_token.is_some() && !refused) {
                // Others may use it until it expires.
                let refresh_token = commit.tokens.refresh_token.clone();
                record.tokens = Some(Tokens { refresh_token, ..kept.clone() });
            }
            record.failures = commit.failures.saturating_add(1);
            // This request counts like one that failed.
            record.sent.clone_from(&base.sent);
            let wait = Policy::outage_rest(record.failures, lots.unit).max(Policy::spaced(&base.sent));
            commit.rest = Some(wait);
            record.rest = Some(Rest {
                wait,
                reason: RestReason::Unavailable,
                code: Some(UNUSABLE.to_owned()),
                client: None,
            });
        }
        self.in_hand = Some(commit.clone());
        self.place = false;
        self.phase = Phase::Committing { commit };
        Step::Swap { expected: Some(expected), version: lots.version, new: record }
    }

    pub(super) fn committed(
        &mut self,
        now: Now,
        lots: Lots,
        commit: Commit,
        since: Now,
        swapped: Result<Swapped, Arc<StoreError>>,
    ) -> Step {
        match swapped {
            Ok(Swapped::Done) => self.persisted(now, commit),
            Ok(Swapped::Conflict(Some(snapshot))) => {
                self.reconcile(now, lots, commit, Some(Seen { at: since, snapshot }))
            }
            Ok(Swapped::Conflict(None)) => self.reconcile(now, lots, commit, None),
            Err(error) => self.hold(now, commit, since, error),
        }
    }

    /// Goes on with a set of an earlier flight. Its callers have gone: those of this one are held from here.
    pub(super) fn resume(&mut self, now: Now, commit: Commit) -> Step {
        if self.ended == Some(commit.login) {
            // The store may not know of the end, and would take the set.
            return self.give_back(commit, true);
        }
        self.reload(Commit { received: now, ..commit })
    }

    pub(super) fn reload(&mut self, commit: Commit) -> Step {
        self.phase = Phase::Reloading { commit };
        Step::Load
    }

    pub(super) fn reloaded(
        &mut self,
        now: Now,
        lots: Lots,
        commit: Commit,
        since: Now,
        loaded: Result<Option<Snapshot>, Arc<StoreError>>,
    ) -> Step {
        match loaded {
            Ok(found) => {
                let seen = found.map(|snapshot| Seen { at: since, snapshot });
                self.reconcile(now, lots, commit, seen)
            }
            Err(error) => self.hold(now, commit, since, error),
        }
    }

    /// Somebody wrote while the set was on its way, or the write's own fate is unknown. What is there now
    /// says what the set is worth.
    fn reconcile(&mut self, now: Now, lots: Lots, commit: Commit, found: Option<Seen>) -> Step {
        let ours = found.filter(|seen| seen.snapshot.record.login == commit.login);
        let Some(seen) = ours else {
            return self.give_back(commit, true);
        };
        if seen.snapshot.record.life == Life::LoggedOut {
            // With what was forgotten, another program goes on.
            return self.give_back(commit, !seen.snapshot.record.forgotten);
        }
        let record = &seen.snapshot.record;
        let ours = record.under.is_some_and(|under| under.nonce == commit.under.nonce);
        if ours && record.generation >= commit.generation && record.tokens.is_some() {
            let commit = Commit { generation: record.generation, ..commit };
            return self.persisted(now, commit);
        }
        let unmoved = record.generation == commit.under.spent;
        let older_sibling = record
            .under
            .is_some_and(|under| under.spent == commit.under.spent && under.number < commit.under.number);
        if unmoved || older_sibling {
            let (version, base) = (seen.snapshot.version, seen.record(now));
            let doubt = commit.doubt.or_else(|| meddling(&commit, &seen, now));
            return self.write(now, lots, Commit { doubt, ..commit }, version, &base);
        }
        // Newer, inside the same login: ours is worth nothing, and revoking it would end that login.
        self.in_hand = None;
        self.judge(now, lots, seen)
    }

    fn persisted(&mut self, now: Now, commit: Commit) -> Step {
        self.in_hand = None;
        if let Some(wait) = commit.rest {
            let error = RefreshError::new(ErrorKind::Unavailable).with_code(Some(UNUSABLE));
            return self.fail(error.with_retry_at(now.after(wait)));
        }
        self.finish(Outcome::Refreshed(commit.held()))
    }

    /// The store does not take it. The set is authoritative here; the endpoint is not asked again, and the
    /// write is tried until it succeeds.
    ///
    /// A record that cannot be read is not written over: it may be newer. The set is kept for when somebody makes
    /// it readable again, and looks at it become rare.
    fn hold(&mut self, now: Now, mut commit: Commit, since: Now, error: Arc<StoreError>) -> Step {
        self.notes.push(Note::PersistFailed);
        commit.unread = if error.is_unreadable() { commit.unread.saturating_add(1) } else { 0 };
        let pause = match commit.unread {
            0 => COMMIT_RETRY.mul_f64(0.5),
            times => doubled(COMMIT_RETRY, times, UNREADABLE_RETRY),
        };
        if now.since(commit.received) >= self.policy.hold_limit {
            let usable = commit.tokens.access_token.is_some();
            let outcome = if self.policy.serve_unpersisted && usable {
                let generation = commit.under.spent.next();
                Outcome::Refreshed(Held { generation, ..commit.held() })
            } else {
                let next = now.after(pause.max(COMMIT_RETRY));
                let error = RefreshError::new(ErrorKind::Unpersisted).with_source(error);
                Outcome::Failed(error.with_retry_at(next))
            };
            self.notes.push(Note::Tell(outcome));
        }
        // A call that hangs is given up soon, and one that waits for others would begin anew each time: turn and turn about.
        self.patient ^= now.since(since) >= COMMIT_LIMIT;
        // A call that hung has taken the pause already.
        let pause = pause.saturating_sub(now.since(since));
        if pause.is_zero() {
            return self.reload(commit);
        }
        self.phase = Phase::Holding { commit };
        Step::Wait(pause)
    }

    /// The login that this set belongs to has ended: nobody may use it. A refresh token that was not
    /// rotated is left alone, for the next login may have been given the same one.
    fn give_back(&mut self, commit: Commit, revoke: bool) -> Step {
        self.in_hand = None;
        self.notes.push(Note::Discarded);
        let Some(refresh_token) = commit.rotated.filter(|_| revoke) else {
            return self.look();
        };
        self.phase = Phase::Revoking;
        Step::Revoke { refresh_token, bound_key: commit.tokens.bound_key }
    }
}

/// Who else marked the record, or has read a refusal there, while the set was on its way.
fn meddling(commit: &Commit, seen: &Seen, now: Now) -> Option<Doubt> {
    let record = &seen.snapshot.record;
    if let Life::Dead(verdict) = &record.life {
        return verdict.doubt;
    }
    match &record.mark {
        Some(mark) if mark.nonce == commit.under.nonce => None,
        Some(mark) => {
            let sent_at = now.before(seen.snapshot.age).wall;
            Some(record.doubt.unwrap_or(Doubt { sent_at, pid: mark.holder.pid }))
        }
        None => record.doubt,
    }
}

impl Commit {
    /// When the exchange began.
    pub(super) fn obtained(&self) -> Now {
        self.obtained
    }

    fn held(&self) -> Held {
        Held {
            login: self.login,
            generation: self.generation,
            tokens: self.tokens.clone(),
            obtained: self.obtained,
        }
    }
}
