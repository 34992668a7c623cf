//! A process: what it holds in memory, and the flight or the login that it is about.

use crate::clock::Now;
use crate::coordinator::machine::{Answer, Machine, Own, Snapshot, Swapped};
use crate::coordinator::outcome::Held;
use crate::secret::RefreshToken;
use crate::store::Version;
use crate::store::record::{ClientPrint, CredentialRecord, Holder, LoginId, Verdict};

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) host: usize,
    pub(super) holder: Holder,
    pub(super) alive: bool,
    pub(super) frozen: bool,
    pub(super) frozen_since: u64,
    /// Store operations that failed one after the other, while the store was there for others.
    pub(super) cut: u32,
    /// Its wall clock, less the world's time.
    pub(super) skew: i64,
    pub(super) memory: Option<Held>,
    pub(super) dead: Option<Verdict>,
    pub(super) own: Own,
    /// Its exchange limit, in milliseconds.
    pub(super) limit: u64,
    /// Its requests do not leave.
    pub(super) offline: bool,
    /// The client authentication it has.
    pub(super) client: ClientPrint,
    /// Nothing starts before.
    pub(super) rests_until: u64,
    pub(super) flight: Option<Flight>,
    pub(super) login: Option<Login>,
    pub(super) submissions: u64,
}

/// A flight, and where its last step has got to.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) machine: Machine,
    pub(super) pending: Pending,
    /// When the last step was asked for.
    pub(super) since: u64,
    /// When, or since when all is well.
    pub(super) began: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Pending {
    /// In the queue for the token endpoint.
    Enter,
    Load,
    Loaded(Result<Option<Snapshot>, ()>),
    Swap {
        expected: Option<Version>,
        version: Version,
        new: CredentialRecord,
    },
    Swapped(Result<Swapped, ()>),
    /// On the wire; `None` after the server has seen it, and its answer got lost.
    Sent(Option<RefreshToken>),
    Answer(Answer),
    Wait {
        until: u64,
        seen: u64,
    },
    Revoke(RefreshToken),
}

/// An install or a logout under way.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) kind: LoginKind,
    pub(super) read: Option<Option<Snapshot>>,
    pub(super) since: u64,
    /// The login that a logout ends.
    pub(super) ends: Option<LoginId>,
    /// What a write that may have happened wanted to replace.
    pub(super) maybe: Option<Option<Version>>,
    pub(super) failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoginKind {
    Install(LoginId),
    Logout,
}

impl Process {
    pub(super) fn new(id: usize, host: usize, incarnation: u64) -> Self {
        let holder = Holder {
            boot: format!("host-{host}"),
            namespace: "ns".to_owned(),
            pid: u32::try_from(id).unwrap(),
            started: incarnation + 1,
            coordinator: (id as u128) << 64 | u128::from(incarnation),
        };
        Self {
            host,
            holder,
            alive: true,
            frozen: false,
            frozen_since: 0,
            cut: 0,
            skew: 0,
            memory: None,
            dead: None,
            own: Own::default(),
            limit: 10_000,
            offline: false,
            client: ClientPrint(0),
            rests_until: 0,
            flight: None,
            login: None,
            submissions: 0,
        }
    }

    pub(super) fn acts(&self) -> bool {
        self.alive && !self.frozen
    }

    pub(super) fn usable(&self, now: Now) -> bool {
        self.memory
            .as_ref()
            .is_some_and(|held| crate::coordinator::policy::usable(&held.tokens, now.since(held.obtained)))
    }
}

impl Login {
    /// A write was refused, or may have happened.
    pub(super) fn failed(&mut self, maybe: bool, expected: Option<Version>) {
        self.failures += 1;
        if maybe {
            self.maybe = Some(expected);
        }
    }
}
