//! A flight of the real machine, and what its process does for it.

use std::time::Duration;

use super::super::check::Checked;
use super::super::process::Pending;
use super::super::rows::row;
use super::{World, down};
use crate::coordinator::machine::{Event, Note, Snapshot, Step, TurnedAway};
use crate::coordinator::outcome::Outcome;

impl World {
    pub(super) fn event(&mut self, id: usize, event: Event) -> Checked {
        let (now, lots) = (self.clock(id), self.lots());
        let Some(flight) = &mut self.processes[id].flight else {
            return Ok(());
        };
        if !self.choices.is_every() {
            *self.rows.entry(row(&flight.machine, &event)).or_default() += 1;
        }
        let step = flight.machine.step(now, lots, event);
        let notes: Vec<Note> = flight.machine.notes().collect();
        let own = flight.machine.own().clone();
        flight.since = self.now;
        let began = flight.began;
        for note in notes {
            self.note(id, note);
        }
        let pending = match step {
            Step::Enter => Pending::Enter,
            Step::Load => Pending::Load,
            Step::Swap { expected, version, new } => Pending::Swap { expected, version, new },
            Step::Send { refresh_token, .. } => {
                let token = refresh_token.unwrap();
                self.sending(id, &token)?;
                Pending::Sent(Some(token))
            }
            Step::Wait(pause) => {
                let until = self.now + u64::try_from(pause.as_millis()).unwrap();
                Pending::Wait { until, seen: self.writes }
            }
            Step::Revoke { refresh_token, .. } => Pending::Revoke(refresh_token),
            Step::Done => {
                self.processes[id].flight = None;
                self.processes[id].own = own;
                return Ok(());
            }
        };
        if self.healing && self.now - began > 300_000 {
            return Err(format!("I6: the flight of process {id} does not end"));
        }
        let enters = matches!(pending, Pending::Enter);
        if let Some(flight) = &mut self.processes[id].flight {
            flight.pending = pending;
        }
        // There is a place more often than not.
        if enters && !self.choices.is_every() && self.choices.pick(4) > 0 { self.act(id) } else { Ok(()) }
    }

    pub(super) fn note(&mut self, id: usize, note: Note) {
        match note {
            Note::Tell(outcome) => {
                let rest = match &outcome {
                    Outcome::Failed(error) => {
                        let until = error.rests_until().map(|at| {
                            let boot = u64::try_from(at.boot.as_millis()).unwrap();
                            boot.max(self.now)
                        });
                        until.unwrap_or(self.now + 1_000)
                    }
                    _ => 0,
                };
                self.processes[id].rests_until = rest;
                match outcome {
                    Outcome::Refreshed(held) => {
                        self.tell(|| format!("process {id}: refreshed, generation {}", held.generation));
                        self.processes[id].memory = Some(held);
                    }
                    Outcome::Adopted(held) => {
                        self.seen("rule 8");
                        self.tell(|| format!("process {id}: adopted generation {}", held.generation));
                        self.processes[id].memory = Some(held);
                    }
                    Outcome::Kept(_) => self.tell(|| format!("process {id}: keeps its token")),
                    Outcome::Failed(error) => {
                        self.tell(|| format!("process {id}: {:?}", error.kind()));
                        if error.needs_login() {
                            self.processes[id].memory = None;
                        }
                    }
                }
            }
            Note::Condemned(verdict) => self.processes[id].dead = Some(verdict),
            Note::Succeeded(_) => self.tell(|| format!("process {id}: succeeds a foreign mark")),
            Note::PersistFailed => self.seen("I2"),
            Note::StoreRegressed => self.seen("rule 9"),
            Note::RetiredTokenReturned | Note::ScopeReduced | Note::Discarded => {}
        }
    }

    /// The process does what its flight waits for.
    pub(super) fn act(&mut self, id: usize) -> Checked {
        // A frozen process's request is answered all the same; the answer lies unread.
        let on_the_wire = self.processes[id].flight.as_ref().is_some_and(|flight| {
            matches!(flight.pending, Pending::Sent(Some(_)))
                && self.now - flight.since < self.processes[id].limit
        });
        if !self.processes[id].acts() && !on_the_wire {
            return Ok(());
        }
        let Some(mut flight) = self.processes[id].flight.take() else {
            return Ok(());
        };
        let pending = std::mem::replace(&mut flight.pending, Pending::Load);
        let since = flight.since;
        self.processes[id].flight = Some(flight);
        let put = |world: &mut Self, pending| {
            if let Some(flight) = &mut world.processes[id].flight {
                flight.pending = pending;
            }
            Ok(())
        };
        match pending {
            Pending::Enter => self.enter(id),
            Pending::Load => {
                let failed = self.fails(id);
                let loaded = if failed { Err(()) } else { Ok(self.snapshot(id)) };
                put(self, Pending::Loaded(loaded))?;
                self.hears(id)
            }
            Pending::Swap { expected, version, new } => {
                let swapped = self.swap(id, expected, version, new)?;
                put(self, Pending::Swapped(swapped))
            }
            Pending::Loaded(loaded) => {
                self.looked_at(id, &loaded);
                self.event(id, Event::Loaded(loaded.map_err(|()| down())))
            }
            Pending::Swapped(swapped) => self.event(id, Event::Swapped(swapped.map_err(|()| down()))),
            Pending::Sent(token) => {
                let pending = self.serve(id, since, token);
                put(self, pending)?;
                self.hears(id)
            }
            Pending::Answer(answer) => self.event(id, Event::Answered(answer)),
            Pending::Wait { until, seen } => {
                if self.now >= until || self.writes != seen {
                    return self.event(id, Event::Woke);
                }
                put(self, Pending::Wait { until, seen })
            }
            Pending::Revoke(token) => {
                self.tell(|| format!("process {id}: gives a late token back"));
                self.server.revoke(token.expose_secret());
                self.event(id, Event::Revoked)
            }
        }
    }

    /// The flight has its turn at the token endpoint, or is turned away.
    fn enter(&mut self, id: usize) -> Checked {
        let now = self.clock(id);
        if let Some(flight) = &mut self.processes[id].flight {
            flight.machine.had_to_wait(now);
        }
        if self.may_hurt() && !self.choices.is_every() && self.choices.rarely(50) {
            self.fault("the server asks everybody to stay away");
            let until = now.after(Duration::from_secs(10));
            return self.event(id, Event::TurnedAway(TurnedAway::Rests(until)));
        }
        self.event(id, Event::Entered)
    }

    /// Where every order is tried, what was read or answered is heard at once: hearing it later is much like
    /// acting on it later. That a mark was written may be heard too late to send.
    fn hears(&mut self, id: usize) -> Checked {
        let flight = self.processes[id].flight.as_ref();
        let heard =
            flight.is_some_and(|flight| matches!(flight.pending, Pending::Loaded(_) | Pending::Answer(_)));
        if heard && self.choices.is_every() { self.act(id) } else { Ok(()) }
    }

    pub(super) fn looked_at(&mut self, id: usize, loaded: &Result<Option<Snapshot>, ()>) {
        let Ok(Some(found)) = loaded else { return };
        let ours = self.processes[id].holder.coordinator;
        if found.record.mark.as_ref().is_some_and(|mark| mark.holder.coordinator != ours) {
            self.seen("I1");
        }
    }
}
