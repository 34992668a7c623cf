//! The world of a history: processes, store, server, time; and the scheduler that moves them.

mod end;
mod flight;
mod logins;
mod scheduler;
mod serving;
mod state;
mod storage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::check::PROMISES;
use super::choices::Choices;
use super::process::Process;
use super::server::{Rotation, Server};
use crate::clock::Now;
use crate::coordinator::machine::Lots;
use crate::coordinator::policy::Policy;
use crate::coordinator::tests::refusals::Refusals;
use crate::generation::Generation;
use crate::store::record::{ClientPrint, CredentialRecord, LoginId};
use crate::store::{StoreError, Version};

#[derive(Clone)]
pub(super) struct World {
    pub(super) choices: Choices,
    pub(super) story: Vec<String>,
    pub(super) exercised: BTreeMap<&'static str, u64>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    /// Of the machine's table.
    pub(super) rows: BTreeMap<(&'static str, &'static str), u64>,
    /// Faults, less the failures of a store that is down.
    pub(super) hurt: u64,
    /// As many there may be.
    pub(super) most: u64,
    told: bool,
    policy: Policy,
    now: u64,
    lot: u128,
    incarnation: u64,
    processes: Vec<Process>,
    server: Server,
    store: Option<(Version, CredentialRecord, u64)>,
    /// What was there before the last generation.
    backup: Option<(Version, CredentialRecord, u64)>,
    /// Grows with every write, for whoever waits for changes.
    writes: u64,
    store_down: bool,
    server_down: bool,
    /// Logins whose logout has returned, or that were replaced.
    ended: Vec<LoginId>,
    /// The newest refresh token of each family that any record has held.
    stored: BTreeMap<usize, u64>,
    healing: bool,
    /// How the first process differs from the others: see [`Self::configure`].
    unequal: u32,
    refusals: Refusals,
}

impl World {
    pub(super) fn new(mut choices: Choices, told: bool) -> Self {
        let rotation = match choices.pick(4) {
            0 | 1 => Rotation::Strict,
            2 => Rotation::Lenient,
            _ => Rotation::Never,
        };
        let number = 2 + choices.pick(2) as usize;
        let one_host = choices.pick(2) == 1;
        let unequal = choices.pick(3);
        let processes = (0..number).map(|id| Process::new(id, if one_host { 0 } else { id }, 0)).collect();
        let mut world = Self {
            choices,
            story: Vec::new(),
            exercised: BTreeMap::new(),
            faults: BTreeMap::new(),
            rows: BTreeMap::new(),
            hurt: 0,
            most: u64::MAX,
            told,
            policy: Policy::default(),
            now: 1_000_000,
            // Names are long, so that they are known for names.
            lot: 1 << 100,
            incarnation: 0,
            processes,
            server: Server { rotation, families: Vec::new() },
            store: None,
            backup: None,
            writes: 0,
            store_down: false,
            server_down: false,
            ended: Vec::new(),
            stored: BTreeMap::new(),
            healing: false,
            unequal,
            refusals: Refusals::new(Duration::from_secs(90)),
        };
        (0..number).for_each(|id| world.configure(id));
        let login = LoginId(world.lot());
        let set = world.server.login(login);
        let mut record = CredentialRecord::installed(login, Generation::new(1), &set);
        record.tokens.as_mut().unwrap().age = Duration::from_secs(3600);
        world.store = Some((Version::from_bits(1), record, world.now));
        world.stored.insert(0, 1);
        world.tell(|| {
            format!(
                "{rotation:?} rotation, {number} processes, {}",
                if one_host { "one host" } else { "a host each" },
            ) + ["", ", one patient", ", one impatient"][unequal as usize]
        });
        world
    }

    /// Two configurations on one store: the first process may have a longer exchange limit, or a shorter one, and
    /// then each has a client authentication of its own.
    fn configure(&mut self, id: usize) {
        let process = &mut self.processes[id];
        process.limit =
            [[10_000, 10_000], [30_000, 10_000], [3_000, 10_000]][self.unequal as usize][id.min(1)];
        process.client = ClientPrint(if self.unequal == 0 { 0 } else { u16::try_from(id).unwrap() });
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
        if !self.choices.is_every() {
            *self.exercised.entry(promise).or_default() += 1;
        }
    }

    fn may_hurt(&self) -> bool {
        !self.healing && self.hurt < self.most
    }

    fn fault(&mut self, fault: &'static str) {
        self.hurt += 1;
        if !self.choices.is_every() {
            *self.faults.entry(fault).or_default() += 1;
        }
    }

    fn clock(&self, id: usize) -> Now {
        let wall = i64::try_from(self.now).unwrap() + self.processes[id].skew + 1_000_000_000_000;
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(wall).unwrap());
        Now::new(wall, Duration::from_millis(self.now))
    }
}

fn down() -> Arc<StoreError> {
    Arc::new(StoreError::unavailable("down"))
}
