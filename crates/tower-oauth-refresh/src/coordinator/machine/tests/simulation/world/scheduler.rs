//! Who acts next, how time passes, and what goes wrong meanwhile.

use std::time::Duration;

use super::super::STORE_LATENCY;
use super::super::check::Checked;
use super::super::check::{DIED_WITH_ANSWER, FROZEN};
use super::super::process::{Flight, Pending, Process};
use super::World;
use crate::coordinator::machine::{Event, Machine};
use crate::coordinator::policy::Policy;

/// How long nothing may happen.
const WISHES: [u64; 7] = [10, 100, 1_000, 2_100, 5_000, 11_500, 40_000];
/// Where every order is tried: longer than a lease, and no longer than until somebody acts.
const LONG: u64 = 11_500;

/// What may happen next, where every order is tried.
#[derive(Clone, Copy)]
enum Move {
    Act(usize),
    Request(usize, bool),
    Login(usize),
    Pass,
    BeginLogin(usize),
    Misfortune(usize, u32),
}

impl World {
    pub(in super::super) fn step(&mut self) -> Checked {
        if self.choices.is_every() {
            return self.any_step();
        }
        let id = self.choices.pick(u32::try_from(self.processes.len()).unwrap()) as usize;
        match self.choices.pick(16) {
            0..=7 => self.act(id),
            8 | 9 => self.request(id, false),
            10 => self.request(id, true),
            11 | 12 => {
                let wish = self.choices.pick(u32::try_from(WISHES.len()).unwrap());
                self.pass(WISHES[wish as usize])
            }
            13 => {
                let which = self.choices.pick(10);
                self.misfortune(id, which);
                Ok(())
            }
            14 => {
                if self.choices.rarely(4) {
                    self.begin_login(id);
                }
                Ok(())
            }
            _ => self.login(id),
        }
    }

    /// A step of those that change something. There are no more faults than the bound allows, and no clock
    /// is set: that is left to the seeds.
    fn any_step(&mut self) -> Checked {
        let mut moves = vec![Move::Pass];
        for (id, process) in self.processes.iter().enumerate() {
            let now = self.now;
            let acting = |flight: &Flight| match flight.pending {
                Pending::Wait { until, seen } => now >= until || self.writes != seen,
                Pending::Sent(None) => now - flight.since >= process.limit,
                _ => true,
            };
            if process.flight.as_ref().is_some_and(acting) {
                moves.push(Move::Act(id));
            }
            if process.acts() && process.login.is_some() {
                moves.push(Move::Login(id));
            } else if process.acts() && process.flight.is_none() {
                moves.push(Move::Request(id, process.usable(self.clock(id))));
            }
            if process.frozen {
                moves.push(Move::Misfortune(id, 0));
            }
            if self.may_hurt() {
                moves.extend([Move::Misfortune(id, 1), Move::BeginLogin(id)]);
                moves.extend((!process.frozen).then_some(Move::Misfortune(id, 0)));
            }
        }
        moves.extend((self.may_hurt() || self.store_down).then_some(Move::Misfortune(0, 2)));
        moves.extend((self.may_hurt() || self.server_down).then_some(Move::Misfortune(0, 3)));
        match moves[self.choices.pick(u32::try_from(moves.len()).unwrap()) as usize] {
            Move::Act(id) => self.act(id),
            Move::Request(id, refused) => self.request(id, refused),
            Move::Login(id) => self.login(id),
            Move::Pass => self.pass(LONG),
            Move::BeginLogin(id) => {
                self.begin_login(id);
                Ok(())
            }
            Move::Misfortune(id, which) => {
                self.misfortune(id, which);
                Ok(())
            }
        }
    }

    /// Time passes, as far as the processes that are awake and the store let it.
    pub(super) fn pass(&mut self, wish: u64) -> Checked {
        let mut until = self.now + wish;
        for process in self.processes.iter().filter(|process| process.acts()) {
            if let Some(flight) = &process.flight {
                until = until.min(match &flight.pending {
                    Pending::Enter => flight.since + LONG,
                    Pending::Load | Pending::Swap { .. } | Pending::Loaded(_) | Pending::Swapped(_) => {
                        flight.since + STORE_LATENCY
                    }
                    Pending::Answer(_) | Pending::Revoke(_) => self.now + 20,
                    Pending::Sent(_) => flight.since + process.limit,
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
                        Pending::Enter => flight.since + LONG <= now,
                        Pending::Sent(_) => flight.since + process.limit <= now,
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
    pub(super) fn request(&mut self, id: usize, refused: bool) -> Checked {
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
        let exchange_limit = Duration::from_millis(process.limit);
        let policy = Policy { exchange_limit, ..self.policy };
        let machine =
            Machine::new(policy, process.holder.clone(), process.memory.clone(), process.dead.clone())
                .remembering(process.own.clone(), process.client);
        let began = self.now;
        let flight = Flight { machine, pending: Pending::Load, since: began, began };
        self.processes[id].flight = Some(flight);
        self.seen("I6");
        self.event(id, Event::Begin)
    }

    pub(super) fn misfortune(&mut self, id: usize, which: u32) {
        match which {
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
            5 => self.set_back(),
            6 => self.fork(id),
            7 => {
                self.processes[id].offline = !self.processes[id].offline;
                let offline = self.processes[id].offline;
                if offline {
                    self.fault("a host cannot send");
                }
                self.tell(|| format!("process {id} is {}", if offline { "offline" } else { "online again" }));
            }
            _ => {}
        }
    }

    /// Whoever got a token and has not stored it is in trouble now.
    pub(super) fn excuse_holder(&mut self, id: usize, cause: &'static str) {
        for family in &mut self.server.families {
            if family.unstored == Some(id) {
                family.excuse = Some(cause);
            }
        }
    }

    /// Frozen for so long that others rightly take it for dead.
    pub(super) fn excuse_frozen(&mut self, id: usize) {
        let process = &self.processes[id];
        if process.frozen && self.now - process.frozen_since >= 2_000 {
            self.excuse_holder(id, FROZEN);
        }
    }

    /// Another process ends, and a copy of this one takes its place: with its names, but the process id, and with its
    /// memory. A flight does not survive in a copy, for its thread does not.
    fn fork(&mut self, id: usize) {
        let copy = (id + 1) % self.processes.len();
        self.kill(copy);
        let parent = self.processes[id].clone();
        let process = &mut self.processes[copy];
        process.host = parent.host;
        process.holder.boot = parent.holder.boot;
        process.holder.coordinator = parent.holder.coordinator;
        process.memory = parent.memory;
        process.dead = parent.dead;
        process.own = parent.own;
        process.limit = parent.limit;
        process.client = parent.client;
        self.fault("a process is forked");
        self.tell(|| format!("process {copy} is a fork of process {id} from now on"));
    }

    pub(super) fn kill(&mut self, id: usize) {
        self.excuse_holder(id, DIED_WITH_ANSWER);
        self.fault("a process is killed");
        if self.processes[id].flight.as_ref().is_some_and(|flight| !matches!(flight.pending, Pending::Load)) {
            self.seen("I14");
        }
        // What is on the wire may still arrive.
        if let Some(Flight { pending: Pending::Sent(Some(token)), since, .. }) = &self.processes[id].flight
            && self.now - since < self.processes[id].limit
            && self.choices.pick(2) == 1
        {
            let token = token.clone();
            self.submit(id, &token, true);
        }
        self.incarnation += 1;
        let host = self.processes[id].host;
        self.processes[id] = Process::new(id, host, self.incarnation);
        self.configure(id);
        self.tell(|| format!("process {id} is killed and starts again"));
    }
}
