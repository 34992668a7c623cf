//! What went wrong, without what was said: Redis quotes the arguments it does not like, and the client
//! the answer it does not understand, and both may be a record.

use std::time::Duration;

use redis::RedisError;
use tower_oauth_refresh::StoreError;

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer from Redis within {0:?}")]
    NoAnswer(Duration),
    #[error("the connection to Redis failed: {0}")]
    Connection(String),
    /// The first word of an error line, which names its kind.
    #[error("Redis refused with {0}")]
    Refused(String),
    #[error("the Redis client failed: {0}")]
    Client(String),
    #[error("{held} of {asked} replicas hold the write, which stands nevertheless")]
    Replicas { held: i64, asked: u32 },
    #[error("Redis answered what the script does not return")]
    Answer,
    #[error(
        "min-replicas-to-write is 0 at a primary with replicas: after a failover it would answer with stale \
         records"
    )]
    NoFence,
    #[error(
        "Redis refused INFO with {0}: it says whether a primary that was replaced would answer with stale records"
    )]
    Info(String),
}

/// What a server says that must not be written to, at least for now.
const WRONG_SERVER: [&str; 2] = ["READONLY", "NOREPLICAS"];

impl Failure {
    /// Is it only that this server does not know the script yet?
    pub(crate) fn is_unknown_script(&self) -> bool {
        self.says("NOSCRIPT")
    }

    /// Is the server a replica now, or cut off from its own? Another connection may lead to the primary.
    pub(crate) fn is_wrong_server(&self) -> bool {
        WRONG_SERVER.iter().any(|code| self.says(code))
    }

    pub(crate) fn is_connection(&self) -> bool {
        matches!(self, Self::Connection(_))
    }

    fn says(&self, code: &str) -> bool {
        matches!(self, Self::Refused(said) if said == code)
    }
}

impl From<&RedisError> for Failure {
    fn from(error: &RedisError) -> Self {
        if error.is_io_error() {
            return Self::Connection(error.to_string());
        }
        let code = error.clone().into_server_errors().and_then(|errors| {
            let said = &errors.first()?.1;
            // Redis 6 packs what a command of the script failed with into an error of its own.
            let inner = |code: &&str| said.details().is_some_and(|text| text.contains(&format!("-{code} ")));
            let code = WRONG_SERVER.iter().copied().find(inner).unwrap_or_else(|| said.code());
            code.chars().all(|c| c.is_ascii_uppercase()).then(|| code.to_owned())
        });
        code.map_or_else(|| Self::Client(error.category().to_owned()), Self::Refused)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::unavailable(failure)
    }
}
