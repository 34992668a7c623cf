//! The model store: a map with compare-and-swap that fails, and may have written.

use std::time::Duration;

use super::super::check::Checked;
use super::super::check::{CUT_OFF, SET_BACK};
use super::super::server::parse;
use super::World;
use crate::coordinator::machine::{Snapshot, Swapped};
use crate::store::Version;
use crate::store::record::{CredentialRecord, Life};

impl World {
    /// Does this operation fail? A store that is down does; one that is up, rarely.
    pub(super) fn fails(&mut self, id: usize) -> bool {
        let cut = !self.store_down && self.may_hurt() && self.choices.rarely(20);
        self.processes[id].cut = if cut { self.processes[id].cut + 1 } else { 0 };
        if self.processes[id].cut >= 3 {
            self.excuse_holder(id, CUT_OFF);
        }
        if cut {
            self.fault("the store fails");
        }
        cut || self.store_down
    }

    /// The store comes back from a backup, which has the generation before.
    pub(super) fn set_back(&mut self) {
        let live = |record: &CredentialRecord| record.life == Life::Live;
        if let (Some((_, now, _)), Some((_, old, _))) = (&self.store, &self.backup)
            && now.login == old.login
            && live(now)
            && live(old)
        {
            let login = now.login;
            self.store = self.backup.take();
            self.writes += 1;
            let family = self.server.of(login).unwrap();
            family.excuse.get_or_insert(SET_BACK);
            family.set_back = true;
            self.fault("the store is set back");
            self.tell(|| "the store is set back by a generation".to_owned());
        }
    }

    pub(super) fn snapshot(&self, id: usize) -> Option<Snapshot> {
        let (version, record, written) = self.store.as_ref()?;
        let holder_dead = record.mark.as_ref().is_some_and(|mark| {
            let me = &self.processes[id].holder;
            let owner = &self.processes[mark.holder.pid as usize].holder;
            mark.holder.boot == me.boot && mark.holder.started != owner.started
        });
        Some(Snapshot {
            version: *version,
            record: record.clone(),
            age: Duration::from_millis(self.now - written),
            holder_dead,
        })
    }

    pub(super) fn swap(
        &mut self,
        id: usize,
        expected: Option<Version>,
        version: Version,
        new: CredentialRecord,
    ) -> Result<Result<Swapped, ()>, String> {
        let failed = self.fails(id);
        if failed && (self.store_down || self.choices.pick(2) == 0) {
            return Ok(Err(()));
        }
        let now = self.store.as_ref().map(|(version, ..)| *version);
        if now != expected {
            let found = self.snapshot(id);
            self.conflicted(&new, found.as_ref());
            return Ok(if failed { Err(()) } else { Ok(Swapped::Conflict(found)) });
        }
        self.write(id, version, Some(new))?;
        Ok(if failed { Err(()) } else { Ok(Swapped::Done) })
    }

    pub(super) fn conflicted(&mut self, new: &CredentialRecord, found: Option<&Snapshot>) {
        let Some(found) = found else { return };
        if found.record.login == new.login && found.record.generation >= new.generation {
            self.seen("I4");
        }
        if found.record.life == Life::LoggedOut || found.record.login != new.login {
            self.seen("I10");
        }
        if matches!(new.life, Life::Dead(_)) {
            self.seen("rule 5");
        }
        if new.under.is_some() && found.record.generation.next() == new.generation {
            self.seen("rule 4");
        }
    }

    /// Every write of the history passes here.
    pub(super) fn write(&mut self, id: usize, version: Version, new: Option<CredentialRecord>) -> Checked {
        if let Some(new) = &new {
            if self.ended.contains(&new.login) && new.life == Life::Live {
                return Err(format!("I10: process {id} brings an ended login back"));
            }
            if let Some((_, old, _)) = &self.store
                && old.login == new.login
                && old.generation > new.generation
            {
                return Err(format!("I4: process {id} overwrites generation {}", old.generation));
            }
            if let Some(token) = new.refresh_token() {
                let (family, number) = parse(token.expose_secret());
                let newest = self.stored.entry(family).or_default();
                *newest = number.max(*newest);
                let known = &mut self.server.families[family];
                if number == known.newest {
                    known.unstored = None;
                }
            }
        }
        self.tell(|| match &new {
            None => format!("process {id}: removes the record"),
            Some(new) => format!(
                "process {id}: writes generation {}{}{}{}",
                new.generation,
                match new.life {
                    Life::Live => "",
                    Life::Dead(_) => ", dead",
                    Life::LoggedOut => ", logged out",
                },
                if new.mark.is_some() { ", marked" } else { "" },
                new.refresh_token().map_or(String::new(), |token| format!(", {}", token.expose_secret()))
            ),
        });
        let before = self.store.take();
        if before.as_ref().map(|(_, old, _)| old.generation) != new.as_ref().map(|new| new.generation) {
            self.backup = before;
        }
        self.store = new.map(|new| (version, new, self.now));
        self.writes += 1;
        Ok(())
    }
}
