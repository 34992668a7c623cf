//! What a worker is told and what it says, one JSON object a line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::held::Held;

/// The first line a worker gets.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) number: u64,
    pub(crate) seed: u64,
    pub(crate) place: Place,
    pub(crate) sides: Vec<Side>,
    /// Where it writes down what it says of itself.
    pub(crate) diary: PathBuf,
}

/// An authorization server and its API, as a worker reaches them, and the credentials there.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) token_endpoint: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) api: String,
    pub(crate) keys: Vec<String>,
}

/// Where the records are.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Place {
    File(PathBuf),
    Sqlite(PathBuf),
    Postgres(String),
    Redis(String),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    Work,
    /// Stop, let everything come to its end, and say what is still held.
    Rest,
    /// One request for each credential.
    Once,
    /// No refresh may start any more.
    End,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Said {
    Ready,
    Working,
    Rested(Held),
    /// Credentials whose request was not served, and why.
    Served(Vec<(String, String)>),
    Ended(Account),
}

/// What became of a worker's requests.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    /// By the name of the side, a colon, and the fate.
    pub(crate) fates: BTreeMap<String, usize>,
    pub(crate) slowest_ms: u64,
    pub(crate) most_at_once: usize,
    /// Had every refresh ended?
    pub(crate) flights_ended: bool,
}
