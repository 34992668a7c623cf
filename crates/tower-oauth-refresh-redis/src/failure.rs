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
}

impl Failure {
    /// Is it only that this server does not know the script yet?
    pub(crate) fn is_unknown_script(&self) -> bool {
        self.says("NOSCRIPT")
    }

    /// Is the server a replica now? Another connection may lead to the primary.
    pub(crate) fn is_replica(&self) -> bool {
        self.says("READONLY")
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
            let code = errors.first()?.1.code();
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
