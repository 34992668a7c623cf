//! What a test and its workers say to one another, one JSON object a line.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::points::Trap;
use super::stores::Place;

/// What a worker is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub(super) place: Place,
    pub(super) key: String,
    pub(super) token_endpoint: String,
    pub(super) revocation_endpoint: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// The API's origin.
    pub(super) api: String,
    pub(super) exchange_limit: Duration,
    pub(super) trap: Option<Trap>,
    /// Does it stand in for a process on another host, which cannot prove anybody dead?
    pub(super) elsewhere: bool,
}

/// Each gets one [`Reply`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// One request to the API.
    Get,
    /// So many tasks that send one request after another, until [`Order::Rest`].
    Work(usize),
    Rest,
    Status,
    Install {
        access_token: String,
        refresh_token: String,
    },
    Logout,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// It is about to do to itself what its trap says.
    Trapped,
    Event {
        what: Happened,
        at: Moment,
    },
    Reply(Reply),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Ready,
    Got(Fate),
    Working,
    /// How often each fate befell a request.
    Rested(Vec<(Fate, usize)>),
    Status(Option<Known>),
    Installed(u64),
    LoggedOut(String),
}

/// What became of a request: it was served, or the kind of the error, or what else was answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Fate {
    Served,
    Failed(String),
    Refused(String),
}

/// An event of the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Happened {
    Refreshed(u64),
    Adopted(u64),
    TookOver(u32),
    Discarded,
    Failed(String),
}

/// A status, as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) generation: u64,
    pub(super) error: Option<String>,
    /// Who sent it, and when.
    pub(super) in_doubt: Option<(u32, SystemTime)>,
    pub(super) refreshing: Option<u32>,
}

/// Time since boot: the same in all processes.
pub(super) type Moment = Duration;

pub(super) fn known(status: &tower_oauth_refresh::Status) -> Known {
    Known {
        generation: status.generation.get(),
        error: status.error.as_ref().map(|error| format!("{:?}", error.kind())),
        in_doubt: status.in_doubt.map(|doubt| (doubt.pid, doubt.sent_at)),
        refreshing: status.refreshing,
    }
}
