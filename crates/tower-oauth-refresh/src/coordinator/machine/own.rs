//! What a process remembers of its own attempts, from one flight of a credential to the next.
//!
//! Only what this process itself has done is its own: a fork, or a copy of a whole machine, has the same names and
//! the same memory, and what it does from then on is somebody else's.

use super::Machine;
use crate::clock::Now;
use crate::coordinator::policy::FAILURES_FORGOTTEN;
use crate::error::RefreshError;
use crate::store::record::{ClientPrint, Mark};

/// Marks that may still be in the store, and a rest that binds nobody else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// Of attempts that have ended. The newest is last.
    marks: Vec<OwnMark>,
    rest: Option<OwnRest>,
    /// Attempts that never left this host, one after the other.
    pub(super) unsent: u32,
    /// Did this process itself refresh the token set that the flight knows? Set for each flight.
    pub(crate) refreshed_known: bool,
}

#[derive(Clone, Copy, Debug)]
struct OwnMark {
    nonce: u128,
    /// Was anything sent under it? Otherwise it leaves no doubt.
    sent: bool,
}

/// How long this process does not ask, though others may.
#[derive(Clone, Debug)]
struct OwnRest {
    until: Now,
    /// The client authentication that was refused. With another one there is no rest.
    client: Option<ClientPrint>,
    error: RefreshError,
}

/// More marks than a flight writes, so that one that is in the store is remembered while others fail to get there.
const MARKS: usize = 8;

impl Own {
    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.rest.is_none() && self.unsent == 0
    }

    /// Is there a rest of this process's own?
    pub(crate) fn rests(&self) -> bool {
        self.rest.is_some()
    }

    /// A mark is about to be written.
    pub(super) fn marks(&mut self, nonce: u128) {
        self.push(OwnMark { nonce, sent: false });
    }

    /// The request under it leaves.
    pub(super) fn sends(&mut self, nonce: u128) {
        self.marks.iter_mut().filter(|mark| mark.nonce == nonce).for_each(|mark| mark.sent = true);
    }

    /// Was it written by this process, for an attempt that has ended?
    pub(crate) fn wrote(&self, mark: &Mark) -> bool {
        self.marks.iter().any(|own| own.nonce == mark.nonce)
    }

    /// The same, of a mark that is in the store: was anything sent under it?
    pub(super) fn finds(&mut self, mark: &Mark) -> Option<bool> {
        let at = self.marks.iter().position(|own| own.nonce == mark.nonce)?;
        let own = self.marks.remove(at);
        self.push(own);
        Some(own.sent)
    }

    fn push(&mut self, mark: OwnMark) {
        if self.marks.len() >= MARKS {
            self.marks.remove(0);
        }
        self.marks.push(mark);
    }

    /// What still counts after the login has changed.
    pub(crate) fn of_another_login(self) -> Self {
        Self { marks: self.marks, ..Self::default() }
    }

    /// Another attempt has not left this host.
    pub(super) fn was_not_sent(&mut self, now: Now) {
        if self.rest.as_ref().is_some_and(|rest| now.reached(rest.until.after(FAILURES_FORGOTTEN))) {
            self.unsent = 0;
        }
        self.unsent = self.unsent.saturating_add(1);
    }

    pub(super) fn rest(&mut self, until: Now, client: Option<ClientPrint>, error: RefreshError) {
        self.rest = Some(OwnRest { until, client, error });
    }
}

impl Machine {
    /// With what this process remembers of earlier flights, and its client authentication.
    pub(crate) fn remembering(self, own: Own, client: ClientPrint) -> Self {
        Self { own, client, ..self }
    }

    /// What the next flight has to remember.
    pub(crate) fn own(&self) -> &Own {
        &self.own
    }

    /// What this process still has to wait for, before it asks with this client authentication.
    pub(super) fn own_rest(&self, now: Now) -> Option<RefreshError> {
        let rest = self.own.rest.as_ref()?;
        let binds = rest.client.is_none_or(|client| client == self.client);
        (binds && !now.reached(rest.until)).then(|| rest.error.clone())
    }
}

#[cfg(test)]
impl Own {
    /// After an attempt under this mark.
    pub(super) fn sent(nonce: u128) -> Self {
        Self { marks: vec![OwnMark { nonce, sent: true }], ..Self::default() }
    }
}
