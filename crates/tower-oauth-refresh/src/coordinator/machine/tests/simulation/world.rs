//! The world of a history: processes, store, server, time; and the scheduler that moves them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::STORE_LATENCY;
use super::check::{CUT_OFF, DIED_WITH_ANSWER, FROZEN, LOST_ANSWER, PROMISES};
use super::choices::Choices;
use super::process::{Flight, Login, LoginKind, Pending, Process};
use super::server::{Done, Rotation, Server, parse};
use crate::clock::Now;
use crate::coordinator::machine::{Answer, Event, Lots, Machine, Note, Snapshot, Step, Swapped};
use crate::coordinator::outcome::Outcome;
use crate::coordinator::policy::Policy;
use crate::generation::Generation;
use crate::secret::RefreshToken;
use crate::store::record::{CredentialRecord, Life, LoginId};
use crate::store::{StoreError, Version};

pub(super) struct World {
    pub(super) choices: Choices,
    pub(super) story: Vec<String>,
    pub(super) exercised: BTreeMap<&'static str, u64>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    told: bool,
    policy: Policy,
    now: u64,
    lot: u128,
    incarnation: u64,
    processes: Vec<Process>,
    server: Server,
    store: Option<(Version, CredentialRecord, u64)>,
    /// Grows with every write, for whoever waits for changes.
    writes: u64,
    store_down: bool,
    server_down: bool,
    /// Logins whose logout has returned, or that were replaced.
    ended: Vec<LoginId>,
    /// The newest refresh token of each family that any record has held.
    stored: BTreeMap<usize, u64>,
    healing: bool,
}

type Checked = Result<(), String>;

impl World {
    pub(super) fn new(mut choices: Choices, told: bool) -> Self {
        let rotation = match choices.pick(4) {
            0 | 1 => Rotation::Strict,
            2 => Rotation::Lenient,
            _ => Rotation::Never,
        };
        let number = 2 + choices.pick(2) as usize;
        let one_host = choices.pick(2) == 1;
        let processes = (0..number).map(|id| Process::new(id, if one_host { 0 } else { id }, 0)).collect();
        let mut world = Self {
            choices,
            story: Vec::new(),
            exercised: BTreeMap::new(),
            faults: BTreeMap::new(),
            told,
            policy: Policy::default(),
            now: 1_000_000,
            lot: 1,
            incarnation: 0,
            processes,
            server: Server { rotation, families: Vec::new() },
            store: None,
            writes: 0,
            store_down: false,
            server_down: false,
            ended: Vec::new(),
            stored: BTreeMap::new(),
            healing: false,
        };
        let login = LoginId(world.lot());
        let set = world.server.login(login);
        let mut record = CredentialRecord::installed(login, Generation::new(1), &set);
        record.tokens.as_mut().unwrap().age = Duration::from_secs(3600);
        world.store = Some((Version::from_bits(1), record, world.now));
        world.stored.insert(0, 1);
        world.tell(|| {
            format!(
                "{rotation:?} rotation, {number} processes, {}",
                if one_host { "one host" } else { "a host each" }
            )
        });
        world
    }

    fn lot(&mut self) -> u128 {
        self.lot += 1;
        self.lot
    }

    fn lots(&mut self) -> Lots {
        Lots { version: Version::from_bits(self.lot()), nonce: self.lot(), unit: 0.5 }
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.told {
            let at = (self.now - 1_000_000) as f64 / 1000.0;
            self.story.push(format!("{at:>8.2} s  {}", line()));
        }
    }

    fn seen(&mut self, promise: &str) {
        let promise = PROMISES.iter().find(|one| one.starts_with(promise)).unwrap();
        *self.exercised.entry(promise).or_default() += 1;
    }

    fn fault(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    fn clock(&self, id: usize) -> Now {
        let wall = i64::try_from(self.now).unwrap() + self.processes[id].skew + 1_000_000_000_000;
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(wall).unwrap());
        Now::new(wall, Duration::from_millis(self.now))
    }

    // ===== the scheduler =====

    pub(super) fn step(&mut self) -> Checked {
        let id = self.choices.pick(u32::try_from(self.processes.len()).unwrap()) as usize;
        match self.choices.pick(16) {
            0..=7 => self.act(id),
            8 | 9 => self.request(id, false),
            10 => self.request(id, true),
            11 | 12 => {
                let wish = [10, 100, 1_000, 2_100, 5_000, 11_500, 40_000][self.choices.pick(7) as usize];
                self.pass(wish)
            }
            13 => {
                if self.choices.pick(2) == 1 {
                    self.misfortune(id);
                }
                Ok(())
            }
            14 => {
                self.begin_login(id);
                Ok(())
            }
            _ => self.login(id),
        }
    }

    /// Time passes, as far as the processes that are awake and the store let it.
    fn pass(&mut self, wish: u64) -> Checked {
        let mut until = self.now + wish;
        for process in self.processes.iter().filter(|process| process.acts()) {
            if let Some(flight) = &process.flight {
                until = until.min(match &flight.pending {
                    Pending::Load | Pending::Swap { .. } | Pending::Loaded(_) | Pending::Swapped(_) => {
                        flight.since + STORE_LATENCY
                    }
                    Pending::Answer(_) | Pending::Revoke(_) => self.now + 20,
                    Pending::Sent(_) => flight.since + 10_000,
                    Pending::Wait { until, .. } => *until + 20,
                });
            }
            if let Some(login) = &process.login {
                until = until.min(login.since + STORE_LATENCY);
            }
        }
        if until > self.now {
            self.now = until;
            return Ok(());
        }
        // Somebody is late: it is their turn.
        let late = |process: &Process, now: u64| {
            process.acts()
                && (process.login.as_ref().is_some_and(|login| login.since + STORE_LATENCY <= now)
                    || process.flight.as_ref().is_some_and(|flight| match &flight.pending {
                        Pending::Sent(_) => flight.since + 10_000 <= now,
                        Pending::Wait { until, .. } => *until + 20 <= now,
                        Pending::Answer(_) | Pending::Revoke(_) => true,
                        _ => flight.since + STORE_LATENCY <= now,
                    }))
        };
        let Some(id) = (0..self.processes.len()).find(|id| late(&self.processes[*id], self.now)) else {
            return Ok(());
        };
        if self.processes[id].login.is_some() { self.login(id) } else { self.act(id) }
    }

    /// A request that needs a token, or was refused with the one there is.
    fn request(&mut self, id: usize, refused: bool) -> Checked {
        let now = self.clock(id);
        let process = &self.processes[id];
        let idle = process.acts() && process.flight.is_none() && process.login.is_none();
        if !idle || self.now < process.rests_until || (!refused && process.usable(now)) {
            return Ok(());
        }
        if refused && process.memory.is_none() {
            return Ok(());
        }
        self.tell(|| {
            format!("process {id}: a request needs a {} token", if refused { "newer" } else { "valid" })
        });
        let process = &self.processes[id];
        let machine =
            Machine::new(self.policy, process.holder.clone(), process.memory.clone(), process.dead.clone());
        let began = self.now;
        let flight = Flight { machine, pending: Pending::Load, since: began, began };
        self.processes[id].flight = Some(flight);
        self.seen("I6");
        self.event(id, Event::Begin)
    }

    fn misfortune(&mut self, id: usize) {
        if self.healing {
            return;
        }
        match self.choices.pick(7) {
            0 => {
                let frozen = !self.processes[id].frozen;
                self.excuse_frozen(id);
                self.processes[id].frozen = frozen;
                self.processes[id].frozen_since = self.now;
                if frozen {
                    self.fault("a process is frozen");
                }
                self.tell(|| format!("process {id} {}", if frozen { "is frozen" } else { "thaws" }));
            }
            1 => self.kill(id),
            2 => {
                self.store_down = !self.store_down;
                let down = self.store_down;
                if down {
                    self.fault("the store is down");
                }
                self.tell(|| format!("the store is {}", if down { "down" } else { "up again" }));
            }
            3 => {
                self.server_down = !self.server_down;
                let down = self.server_down;
                if down {
                    self.fault("the server is down");
                }
                self.tell(|| format!("the server is {}", if down { "down" } else { "up again" }));
            }
            4 => {
                self.processes[id].skew =
                    [0, 86_400_000, -86_400_000, 300_000, -300_000][self.choices.pick(5) as usize];
                self.fault("a wall clock is set");
                self.tell(|| format!("the wall clock of process {id} is set"));
            }
            _ => {}
        }
    }

    /// Whoever got a token and has not stored it is in trouble now.
    fn excuse_holder(&mut self, id: usize, cause: &'static str) {
        for family in &mut self.server.families {
            if family.unstored == Some(id) {
                family.excuse = Some(cause);
            }
        }
    }

    /// Frozen for so long that others rightly take it for dead.
    fn excuse_frozen(&mut self, id: usize) {
        let process = &self.processes[id];
        if process.frozen && self.now - process.frozen_since >= 2_000 {
            self.excuse_holder(id, FROZEN);
        }
    }

    fn kill(&mut self, id: usize) {
        self.excuse_holder(id, DIED_WITH_ANSWER);
        self.fault("a process is killed");
        if self.processes[id].flight.as_ref().is_some_and(|flight| !matches!(flight.pending, Pending::Load)) {
            self.seen("I14");
        }
        // What is on the wire may still arrive.
        if let Some(Flight { pending: Pending::Sent(Some(token)), since, .. }) = &self.processes[id].flight
            && self.now - since < 10_000
            && self.choices.pick(2) == 1
        {
            let token = token.clone();
            self.submit(id, &token, true);
        }
        self.incarnation += 1;
        let host = self.processes[id].host;
        self.processes[id] = Process::new(id, host, self.incarnation);
        self.tell(|| format!("process {id} is killed and starts again"));
    }

    // ===== a flight =====

    fn event(&mut self, id: usize, event: Event) -> Checked {
        let (now, lots) = (self.clock(id), self.lots());
        let Some(flight) = &mut self.processes[id].flight else {
            return Ok(());
        };
        let step = flight.machine.step(now, lots, event);
        let notes: Vec<Note> = flight.machine.notes().collect();
        flight.since = self.now;
        let began = flight.began;
        for note in notes {
            self.note(id, note);
        }
        let pending = match step {
            Step::Load => Pending::Load,
            Step::Swap { expected, version, new } => Pending::Swap { expected, version, new },
            Step::Send { refresh_token } => {
                let token = refresh_token.unwrap();
                self.sending(id, &token)?;
                Pending::Sent(Some(token))
            }
            Step::Wait(pause) => {
                let until = self.now + u64::try_from(pause.as_millis()).unwrap();
                Pending::Wait { until, seen: self.writes }
            }
            Step::Revoke { refresh_token } => Pending::Revoke(refresh_token),
            Step::Done => {
                self.processes[id].flight = None;
                return Ok(());
            }
        };
        if self.healing && self.now - began > 300_000 {
            return Err(format!("I6: the flight of process {id} does not end"));
        }
        if let Some(flight) = &mut self.processes[id].flight {
            flight.pending = pending;
        }
        Ok(())
    }

    fn note(&mut self, id: usize, note: Note) {
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
            Note::StoreRegressed | Note::RetiredTokenReturned | Note::ScopeReduced | Note::Discarded => {}
        }
    }

    /// The process does what its flight waits for.
    fn act(&mut self, id: usize) -> Checked {
        // A frozen process's request is answered all the same; the answer lies unread.
        let on_the_wire = self.processes[id].flight.as_ref().is_some_and(|flight| {
            matches!(flight.pending, Pending::Sent(Some(_))) && self.now - flight.since < 10_000
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
            Pending::Load => {
                let failed = self.fails(id);
                let loaded = if failed { Err(()) } else { Ok(self.snapshot(id)) };
                put(self, Pending::Loaded(loaded))
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
                put(self, pending)
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

    fn looked_at(&mut self, id: usize, loaded: &Result<Option<Snapshot>, ()>) {
        let Ok(Some(found)) = loaded else { return };
        let ours = self.processes[id].holder.coordinator;
        if found.record.mark.as_ref().is_some_and(|mark| mark.holder.coordinator != ours) {
            self.seen("I1");
        }
    }

    // ===== the server =====

    fn sending(&mut self, id: usize, token: &RefreshToken) -> Checked {
        self.processes[id].submissions += 1;
        let (family, number) = parse(token.expose_secret());
        self.tell(|| format!("process {id}: sends {}", token.expose_secret()));
        if self.server_down {
            self.seen("I11");
        }
        let stored = self.stored.get(&family).copied().unwrap_or(0);
        if stored > 1 {
            self.seen("I3");
        }
        let excused = self.server.families[family].excuse.is_some();
        if number < stored && self.server.rotation != Rotation::Never && !excused {
            return Err(format!(
                "I3: process {id} sends {} though its successor is stored",
                token.expose_secret()
            ));
        }
        for (other, process) in self.processes.iter().enumerate() {
            let Some(Flight { pending: Pending::Sent(Some(theirs)), since, .. }) = &process.flight else {
                continue;
            };
            let under_way = other != id && self.now - since < 10_000;
            if under_way && parse(theirs.expose_secret()).0 == family && !excused {
                return Err(format!("I1: processes {id} and {other} have an attempt under way"));
            }
        }
        Ok(())
    }

    /// The server meets a request, or does not.
    fn serve(&mut self, id: usize, since: u64, token: Option<RefreshToken>) -> Pending {
        let Some(token) = token else {
            // Silence, until the client's own limit.
            return if self.now - since >= 10_000 {
                Pending::Answer(Answer::Lost)
            } else {
                Pending::Sent(None)
            };
        };
        if self.now - since >= 10_000 {
            return Pending::Answer(Answer::Lost);
        }
        let outage = Answer::Unavailable { in_doubt: false, retry_after: None };
        if self.server_down {
            return Pending::Answer(if self.choices.pick(2) == 0 { outage } else { Answer::NotSent });
        }
        if self.healing || !self.choices.rarely(6) {
            return match self.submit(id, &token, false) {
                Some(answer) => Pending::Answer(answer),
                None => Pending::Sent(None),
            };
        }
        match self.choices.pick(7) {
            0 => {
                self.fault("the request is lost");
                Pending::Answer(Answer::Lost)
            }
            1 => {
                self.fault("the answer is lost");
                self.submit(id, &token, true);
                Pending::Answer(Answer::Lost)
            }
            2 => {
                self.fault("no answer comes");
                self.submit(id, &token, true);
                Pending::Sent(None)
            }
            3 => {
                self.fault("503");
                Pending::Answer(Answer::Unavailable { in_doubt: true, retry_after: None })
            }
            4 => {
                self.fault("500 after the server rotated");
                self.submit(id, &token, true);
                Pending::Answer(Answer::Unavailable { in_doubt: true, retry_after: None })
            }
            5 => {
                self.fault("429 with Retry-After");
                Pending::Answer(Answer::Unavailable {
                    in_doubt: false,
                    retry_after: Some(Duration::from_secs(20)),
                })
            }
            _ => {
                self.fault("a refusal without a reason");
                Pending::Answer(Answer::Refused { code: None, retry_after: None })
            }
        }
    }

    fn submit(&mut self, id: usize, token: &RefreshToken, lost: bool) -> Option<Answer> {
        let (family, _) = parse(token.expose_secret());
        (0..self.processes.len()).for_each(|id| self.excuse_frozen(id));
        let done = self.server.submit(token.expose_secret());
        self.tell(|| {
            let what = match &done {
                Done::Rotated(_) => "rotates",
                Done::Kept(_) => "answers",
                Done::Dead => "refuses",
                Done::Reuse => "sees it again and ends the login",
            };
            format!(
                "the server gets {} and {what}{}",
                token.expose_secret(),
                if lost { "; the answer is lost" } else { "" }
            )
        });
        match done {
            Done::Rotated(answer) => {
                let known = &mut self.server.families[family];
                if lost {
                    known.excuse = Some(LOST_ANSWER);
                } else {
                    known.unstored = Some(id);
                }
                (!lost).then_some(answer)
            }
            Done::Kept(answer) => (!lost).then_some(answer),
            Done::Dead | Done::Reuse => {
                (!lost).then(|| Answer::GrantDead { code: "invalid_grant".to_owned() })
            }
        }
    }

    // ===== the store =====

    /// Does this operation fail? A store that is down does; one that is up, rarely.
    fn fails(&mut self, id: usize) -> bool {
        let cut = !self.store_down && !self.healing && self.choices.rarely(20);
        self.processes[id].cut = if cut { self.processes[id].cut + 1 } else { 0 };
        if self.processes[id].cut >= 3 {
            self.excuse_holder(id, CUT_OFF);
        }
        if cut || self.store_down {
            self.fault("the store fails");
        }
        cut || self.store_down
    }

    fn snapshot(&self, id: usize) -> Option<Snapshot> {
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

    fn swap(
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

    fn conflicted(&mut self, new: &CredentialRecord, found: Option<&Snapshot>) {
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
    fn write(&mut self, id: usize, version: Version, new: Option<CredentialRecord>) -> Checked {
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
        self.store = new.map(|new| (version, new, self.now));
        self.writes += 1;
        Ok(())
    }

    // ===== logins =====

    fn begin_login(&mut self, id: usize) {
        let process = &self.processes[id];
        if self.healing || !process.acts() || process.login.is_some() || !self.choices.rarely(4) {
            return;
        }
        let kind = if self.choices.pick(2) == 0 {
            let login = LoginId(self.lot());
            self.server.login(login);
            LoginKind::Install(login)
        } else {
            self.processes[id].memory = None;
            LoginKind::Logout
        };
        self.tell(|| {
            format!(
                "process {id}: begins to {}",
                if kind == LoginKind::Logout { "log out" } else { "log in" }
            )
        });
        self.fault(if kind == LoginKind::Logout { "a logout" } else { "a new login" });
        let since = self.now;
        self.processes[id].login =
            Some(Login { kind, read: None, since, ends: None, maybe: None, failures: 0 });
    }

    /// The next part of a login or logout: look, then swap.
    fn login(&mut self, id: usize) -> Checked {
        if !self.processes[id].acts() {
            return Ok(());
        }
        let Some(mut login) = self.processes[id].login.take() else {
            return Ok(());
        };
        login.since = self.now;
        let Some(read) = login.read.take() else {
            if self.fails(id) {
                // The caller is told, and the login stays as it is.
                return Ok(());
            }
            login.read = Some(self.snapshot(id));
            self.processes[id].login = Some(login);
            return Ok(());
        };
        let version = read.as_ref().map(|read| read.version);
        let settled = match login.kind {
            LoginKind::Install(new) => read.as_ref().is_some_and(|read| read.record.login == new),
            LoginKind::Logout => false,
        };
        if !settled && login.maybe.is_some_and(|expected| expected != version || version.is_none()) {
            return Ok(());
        }
        if let LoginKind::Install(new) = login.kind {
            return self.install(id, new, read, login);
        }
        let Some(ended) = read.as_ref().and_then(|read| read.record.logged_out()) else {
            return Ok(());
        };
        if *login.ends.get_or_insert(ended.login) != ended.login {
            return Ok(());
        }
        let token = read.as_ref().and_then(|read| read.record.refresh_token().cloned());
        let version = Version::from_bits(self.lot());
        let of = ended.login;
        let expected = read.map(|read| read.version);
        match self.swap(id, expected, version, ended)? {
            Ok(Swapped::Done) => {
                self.ended.push(of);
                let ours = self.processes[id].holder.coordinator;
                let foreign = self.store.as_ref().and_then(|(_, record, _)| record.mark.clone());
                if foreign.is_none_or(|mark| mark.holder.coordinator == ours) {
                    self.write(id, version, None)?;
                }
                if let Some(token) = token {
                    self.server.revoke(token.expose_secret());
                }
                Ok(())
            }
            ended => {
                login.failed(ended.is_err(), expected);
                self.processes[id].login = Some(login);
                Ok(())
            }
        }
    }

    fn install(&mut self, id: usize, login: LoginId, read: Option<Snapshot>, mut again: Login) -> Checked {
        if read.as_ref().is_some_and(|read| read.record.login == login) {
            self.processes[id].dead = None;
            self.processes[id].rests_until = 0;
            return Ok(());
        }
        let family = self.server.families.iter().position(|family| family.login == login).unwrap();
        let set = crate::token::TokenSet::new(format!("at-{family}-1"))
            .with_refresh_token(super::server::name(family, 1))
            .with_expires_in(super::server::LIFETIME);
        let generation = read.as_ref().map_or(Generation::ZERO, |read| read.record.generation);
        let before = read.as_ref().map(|read| read.record.login);
        let record = CredentialRecord::installed(login, generation.next(), &set);
        let version = Version::from_bits(self.lot());
        let expected = read.map(|read| read.version);
        match self.swap(id, expected, version, record)? {
            Ok(Swapped::Done) => {
                self.ended.extend(before);
                self.processes[id].dead = None;
                self.processes[id].rests_until = 0;
            }
            ended => {
                again.failed(ended.is_err(), expected);
                self.processes[id].login = Some(again);
            }
        }
        Ok(())
    }

    // ===== the end =====

    /// Everything is made well; now every process must come by a token, or say why the login is gone, and
    /// that must be nobody's fault.
    pub(super) fn heal(&mut self) -> Checked {
        self.tell(|| "all is well again".to_owned());
        self.healing = true;
        self.store_down = false;
        self.server_down = false;
        for id in 0..self.processes.len() {
            self.excuse_frozen(id);
            self.processes[id].frozen = false;
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

    fn settled(&self, process: &Process) -> bool {
        process.memory.is_some() || self.store.as_ref().is_none_or(|(_, record, _)| record.life != Life::Live)
    }

    fn judge(&mut self) -> Checked {
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
                match (known.alive, known.excuse) {
                    (true, _) => Err("a living login was condemned".to_owned()),
                    (false, Some(_)) => Ok(()),
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

fn down() -> Arc<StoreError> {
    Arc::new(StoreError::unavailable("down"))
}
