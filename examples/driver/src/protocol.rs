//! What comes in: one JSON object a line.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, from_value};

pub(crate) enum Operation {
    Open(Box<Open>),
    Fire(Fire),
    Logout(String),
    Dump,
}

/// Why a line is not carried out.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Unsupported,
    /// For whoever wrote the line. It never repeats what stood there, which may be a token.
    Error(String),
}

// No `Debug`: it holds tokens as they came. `lease_ms` is not read: a lease lives for the exchange limit
// and one second.
#[derive(Deserialize)]
pub(crate) struct Open {
    pub(crate) cred: String,
    pub(crate) token_endpoint: String,
    pub(crate) revocation_endpoint: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
    pub(crate) auth: String,
    pub(crate) access_token: Option<String>,
    pub(crate) refresh_token: Option<String>,
    /// In seconds. Zero or negative: expired already.
    pub(crate) expires_in: Option<f64>,
    #[serde(default)]
    pub(crate) origins: Vec<String>,
    pub(crate) store: Option<Value>,
    #[serde(default)]
    pub(crate) seed: bool,
    pub(crate) exchange_ms: Option<f64>,
    pub(crate) challenge_min_age_ms: Option<f64>,
}

#[derive(Deserialize)]
pub(crate) struct Fire {
    pub(crate) cred: String,
    pub(crate) url: String,
    pub(crate) n: usize,
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) body_bytes: usize,
    pub(crate) deadline_ms: Option<f64>,
    pub(crate) cancel_after_ms: Option<f64>,
    #[serde(default)]
    pub(crate) parallel: bool,
    #[serde(default)]
    pub(crate) tag: String,
}

/// The line's id, null where it has none, and what it asks for.
pub(crate) fn read(line: &[u8]) -> (Value, Result<Operation, Refusal>) {
    let members: Value = match serde_json::from_slice(line) {
        Ok(members) => members,
        Err(error) => return (Value::Null, Err(malformed(&error))),
    };
    let member = |name| members.get(name).cloned().unwrap_or_default();
    let (id, cred) = (member("id"), member("cred"));
    let operation = match member("op").as_str() {
        Some("open") => from_value(members).map(|open| Operation::Open(Box::new(open))),
        Some("fire") => from_value(members).map(Operation::Fire),
        Some("logout") => from_value(cred).map(Operation::Logout),
        Some("dump") => Ok(Operation::Dump),
        Some(_) => return (id, Err(Refusal::Unsupported)),
        None => return (id, Err(Refusal::Error("no operation is named".to_owned()))),
    };
    (id, operation.map_err(|error| malformed(&error)))
}

/// The kind of the fault without its words, which quote what was found.
fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::Error(format!("malformed line: {:?} error", error.classify()))
}

/// `None`: no time was given, or none that a clock could count.
pub(crate) fn millis(millis: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(millis? / 1000.0).ok()
}
