//! All is made well, and then the history is judged.

use std::time::Duration;

use super::super::check::Checked;
use super::super::process::Process;
use super::super::server::{Rotation, parse};
use super::World;
use crate::store::record::{CredentialRecord, Life};

impl World {
    /// Everything is made well; now every process must come by a token, or say why the login is gone, and
    /// that must be nobody's fault.
    pub(in super::super) fn heal(&mut self) -> Checked {
        self.tell(|| "all is well again".to_owned());
        self.healing = true;
        self.store_down = false;
        self.server_down = false;
        for id in 0..self.processes.len() {
            self.excuse_frozen(id);
            self.processes[id].frozen = false;
            self.processes[id].offline = false;
            if let Some(flight) = &mut self.processes[id].flight {
                flight.began = self.now;
            }
        }
        for _ in 0..4_000 {
            for id in 0..self.processes.len() {
                self.login(id)?;
                self.act(id)?;
                if self.processes[id].memory.is_none() {
                    self.request(id, false)?;
                }
            }
            self.pass(200)?;
            self.nobody_is_refused_for_long()?;
            if self.processes.iter().all(|process| process.flight.is_none() && process.login.is_none())
                && self.now - 1_000_000 > 1_000
                && self.processes.iter().all(|process| self.settled(process))
            {
                return self.judge();
            }
        }
        let left: Vec<_> = self.processes.iter().filter(|process| !self.settled(process)).collect();
        Err(format!("I6: no end: {left:?}"))
    }

    /// All is healthy: whoever has no token, of a login that lives, has been refused since. What the server itself has
    /// asked for is waited for.
    fn nobody_is_refused_for_long(&mut self) -> Checked {
        let now = Duration::from_millis(self.now);
        let rests = |(_, record, written): &(_, CredentialRecord, u64)| {
            record
                .rest
                .as_ref()
                .is_some_and(|rest| rest.wait > now.saturating_sub(Duration::from_millis(*written)))
        };
        if self.store.as_ref().is_some_and(rests) {
            self.refusals.something_is_wrong();
        } else {
            self.refusals.all_is_healthy(now);
        }
        for (id, process) in self.processes.iter().enumerate() {
            if self.settled(process) {
                self.refusals.served(id);
            } else {
                self.refusals.refused(id, now, now)?;
            }
        }
        Ok(())
    }

    pub(super) fn settled(&self, process: &Process) -> bool {
        process.memory.is_some() || self.store.as_ref().is_none_or(|(_, record, _)| record.life != Life::Live)
    }

    pub(super) fn judge(&mut self) -> Checked {
        for (id, process) in self.processes.iter().enumerate() {
            let submissions = process.submissions;
            let minutes = (self.now - 1_000_000) / 60_000 + 1;
            // Every request of a history may find an expired token; an outage alone is asked rarely.
            if submissions > 40 + minutes * 10 {
                return Err(format!("I11: process {id} submitted {submissions} times in {minutes} minutes"));
            }
        }
        let Some((_, record, _)) = self.store.clone() else {
            return Ok(());
        };
        match &record.life {
            Life::LoggedOut => Ok(()),
            Life::Dead(verdict) => {
                let known = self.server.of(record.login).unwrap();
                let (alive, excuse) = (known.alive, known.excuse);
                match (alive, excuse) {
                    (true, _) => Err("a living login was condemned".to_owned()),
                    (false, Some(_)) if verdict.doubt.is_some() => {
                        self.seen("I14:");
                        Ok(())
                    }
                    (false, Some(_)) if known.set_back => Ok(()),
                    (false, Some(cause)) => {
                        Err(format!("I14: a login was lost without a word of how ({cause})"))
                    }
                    (false, None) => {
                        Err(format!("a login was lost, and nobody can say why ({})", verdict.code))
                    }
                }
            }
            Life::Live => {
                let known = self.server.of(record.login).unwrap();
                let (newest, alive, excuse) = (known.newest, known.alive, known.excuse);
                let (_, number) = parse(record.refresh_token().unwrap().expose_secret());
                if alive && number != newest && excuse.is_none() && self.server.rotation != Rotation::Lenient
                {
                    return Err(format!("I2: token {newest} was received and is not stored"));
                }
                let refused = |process: &&Process| process.memory.is_none();
                match self.processes.iter().find(refused) {
                    Some(process) if alive => {
                        Err(format!("a living login is not served: {:?}", process.holder.pid))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}
