//! A record as it was read, and what it is worth a while later.

use super::Snapshot;
use crate::clock::Now;
use crate::coordinator::outcome::Held;
use crate::coordinator::policy::{self, FAILURES_FORGOTTEN};
use crate::store::record::CredentialRecord;

/// A [`Snapshot`] and the time before it was asked for.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) at: Now,
    pub(super) snapshot: Snapshot,
}

impl Seen {
    /// The record as it is `now`: its ages have grown since it was written.
    pub(super) fn record(&self, now: Now) -> CredentialRecord {
        let age = self.snapshot.age.saturating_add(now.since(self.at));
        let mut record = self.snapshot.record.aged(age);
        if age >= FAILURES_FORGOTTEN {
            record.failures = 0;
        }
        record
    }

    /// The token set, if it is good to send.
    pub(super) fn usable(&self, now: Now) -> Option<Held> {
        let record = &self.snapshot.record;
        let tokens = record.tokens.as_ref()?;
        let age = tokens.age.saturating_add(self.snapshot.age);
        let held = Held {
            login: record.login,
            generation: record.generation,
            tokens: tokens.clone(),
            obtained: self.at.before(age),
        };
        policy::usable(tokens, age.saturating_add(now.since(self.at))).then_some(held)
    }
}
