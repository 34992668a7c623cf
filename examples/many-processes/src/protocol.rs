//! What the processes are told, and what they tell: one JSON object a line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the credential is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Place {
    File(PathBuf),
    Sqlite(PathBuf),
    Postgres(String),
    Redis(String),
}

/// The first line that a process reads. When its input ends, so does it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) place: Place,
    pub(crate) key: String,
    pub(crate) token_endpoint: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) api: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// A request is on its way to the token endpoint.
    Refreshing,
    Refreshed(u64),
    Adopted(u64),
    TookOver(u32),
    Failed(String),
    /// Its last words.
    Ended {
        served: usize,
        failed: usize,
    },
}
