//! The store itself.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{Client, Pipeline, Script, Value};
use tower_oauth_refresh::{
    BoxFuture, BoxStream, KeyDigest, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version,
};

use crate::answer::{read, write_version};
use crate::changes::{Listener, channel, payload};
use crate::connection::{Connector, Fence};
use crate::failure::Failure;

const PREFIX: &str = "tower-oauth-refresh:";
/// For one round trip, a new connection included: plenty for TLS over an ocean or a slow `fsync`, and
/// little enough that whoever waits learns soon that Redis is away.
const LIMIT: Duration = Duration::from_millis(1500);

const CODE: &str = include_str!("script.lua");
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(CODE));

/// Keeps records in Redis (6 or later) or Valkey, for any number of tasks, processes and hosts.
///
/// What Redis promises about a record that was written is a matter of its configuration: see
/// [the crate](crate). Clones share a connection.
///
/// A record is the hash `{prefix}{credential key}` with the fields `version`, `written` (milliseconds
/// since 1970, by the server's clock) and `body`. It does not expire, not even after its login has ended: a store
/// cannot tell. [`logout`](tower_oauth_refresh::RefreshCoordinator::logout) removes it. Something else under that name is
/// [unreadable](StoreError::is_unreadable), and only a new login or a logout replaces it. The records are not
/// encrypted: put a
/// [`Sealed`](tower_oauth_refresh::Sealed) around the store.
///
/// Loads are answered by a server that takes writes, never by a replica; a user of the store needs the
/// rights to `EVAL`, `EVALSHA`, `PERSIST`, `TIME`, `TYPE`, `HMGET`, `HSET`, `DEL`, `DUMP` and `INFO`, and for
/// [`changes`](TokenStore::changes) to `PUBLISH`, `SUBSCRIBE` and the channel `{prefix}changes`, for
/// [`wait_replicas`](Self::wait_replicas) to `WAIT`.
///
/// # Changes
///
/// Every write is told on the channel `{prefix}changes` to each process whose coordinators hold or want a token, over
/// the connection of its calls. Who may subscribe to it learns no key: a message is the
/// [digest](StoredKey::digest) of one, in 32 hexadecimal digits.
///
/// A process that listens receives every change of the whole fleet, in 90 bytes with the usual prefix, and looks it up
/// in a map. A login is one change, a refresh two and a logout two: 1,000 refreshes a second are 2,000 messages and
/// 180 kB a second for each process. When nobody listens any more, the first change ends the subscription, and the
/// connection with it.
///
/// # Errors
///
/// A round trip ends after a second and a half, and the patience of `wait_replicas`; a call makes one, seldom two or
/// three. It fails as not available when no tokio runtime is there, when
/// Redis is not reachable or does not answer, and when it refuses: read-only, out of memory, still loading. It fails
/// with a primary that has replicas and a `min-replicas-to-write` of 0.
/// The next call tries again. A connection ends with the runtime that made it, and the next call makes another;
/// where nobody drives that runtime any more, one call waits in vain first.
///
/// # Cancel safety
///
/// A dropped swap that was sent may still be carried out, whole.
#[derive(Clone)]
pub struct RedisStore {
    connector: Arc<Connector>,
    prefix: Arc<str>,
    replicas: Option<Replicas>,
    fence: Fence,
}

#[derive(Clone, Copy, Debug)]
struct Replicas {
    count: u32,
    patience: Duration,
}

struct Change<'a> {
    expected: Option<Version>,
    new: Option<&'a RecordBody>,
}

impl RedisStore {
    /// A store that connects to the client's address when it is first used, and again whenever the
    /// connection broke. Behind a failover the address must lead to the primary: a proxy, or a name that
    /// is resolved anew.
    ///
    /// # Errors
    ///
    /// [`StoreError::unavailable`] when no connection can be made with the client's settings at all.
    // By value: the settings are taken over, as from the client's own constructors.
    #[expect(clippy::needless_pass_by_value, reason = "the store takes the client over")]
    pub fn new(client: Client) -> Result<Self, StoreError> {
        let connector = Connector::new(&client).map_err(|error| Failure::from(&error))?;
        Ok(Self { connector, prefix: PREFIX.into(), replicas: None, fence: Fence::WithReplicas })
    }

    /// What the names of all keys begin with: `tower-oauth-refresh:` unless said otherwise. All processes
    /// that share credentials must agree.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Has every write wait (`WAIT`) until so many replicas hold it, in memory. When they do not in time,
    /// the call fails, *and the write stands*, as after any error.
    ///
    /// This makes it unlikely that a failover loses a refresh token, not impossible: the server elected
    /// may be another. While one write waits, everybody on this connection does.
    ///
    /// It also says that there are replicas, where none is connected at the moment: `min-replicas-to-write` must
    /// not be 0 then either.
    #[must_use]
    pub fn wait_replicas(mut self, count: u32, patience: Duration) -> Self {
        if self.fence == Fence::WithReplicas {
            self.fence = Fence::Always;
        }
        // To Redis no time at all means to wait for ever.
        self.replicas = Some(Replicas { count, patience: patience.max(Duration::from_millis(1)) });
        self
    }

    /// Does without `min-replicas-to-write`, for servers where it cannot be set, and does not ask for it.
    ///
    /// For some seconds after a failover, loads over a connection to the former primary then find old records:
    /// a spent refresh token may be submitted, for which a strict server ends the login.
    #[must_use]
    pub fn accept_stale_loads_after_failover(mut self) -> Self {
        self.fence = Fence::Never;
        self
    }

    async fn run(&self, key: &StoredKey, change: Option<Change<'_>>) -> Result<Swap, StoreError> {
        let waits = change.as_ref().and(self.replicas);
        let limit = LIMIT + waits.map_or(Duration::ZERO, |replicas| replicas.patience);
        let commands = |eval, script| self.commands(eval, script, key, change.as_ref());
        let known = commands("EVALSHA", SCRIPT.get_hash());
        let mut answers = self.connector.call(&known, self.fence, limit).await;
        // The connection may have broken while nobody looked. A swap may have been carried out, and is not
        // repeated; each refresh begins with a load.
        if change.is_none() && answers.as_ref().is_err_and(Failure::is_connection) {
            answers = self.connector.call(&known, self.fence, limit).await;
        }
        if answers.as_ref().is_err_and(Failure::is_unknown_script) {
            answers = self.connector.call(&commands("EVAL", CODE), self.fence, limit).await;
        }
        let mut answers = answers?.into_iter();
        let swap = read(answers.next().ok_or(Failure::Answer)?, key)?;
        match (waits, answers.next(), &swap) {
            (Some(replicas), Some(Value::Int(held)), Swap::Swapped) if held < i64::from(replicas.count) => {
                Err(Failure::Replicas { held, asked: replicas.count }.into())
            }
            _ => Ok(swap),
        }
    }

    /// The script, and in the same breath the wait for what it wrote: over another connection it would
    /// wait for nothing.
    fn commands(&self, eval: &str, script: &str, key: &StoredKey, change: Option<&Change<'_>>) -> Pipeline {
        let mut commands = Pipeline::new();
        commands.cmd(eval).arg(script).arg(1).arg(format!("{}{key}", self.prefix));
        let Some(change) = change else { return commands };
        commands
            .arg(write_version(change.expected))
            .arg(write_version(change.new.map(RecordBody::version)))
            .arg(channel(&self.prefix))
            .arg(payload(key.digest()))
            .arg(change.new.map(RecordBody::bytes).unwrap_or_default());
        if let Some(replicas) = self.replicas {
            let patience = u64::try_from(replicas.patience.as_millis()).unwrap_or(u64::MAX);
            commands.cmd("WAIT").arg(replicas.count).arg(patience);
        }
        commands
    }
}

impl TokenStore for RedisStore {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            match self.run(key, None).await? {
                Swap::Conflict(found) => Ok(found),
                Swap::Swapped => Err(Failure::Answer.into()),
            }
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.run(key, Some(Change { expected, new })))
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        let listener = Listener::new(Arc::clone(&self.connector), channel(&self.prefix), LIMIT);
        Some(listener.into_stream())
    }
}

/// Without the client, whose address may hold a password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_the_address_is_not_shown() {
        let client = Client::open("redis://:s3cr3t@localhost/").unwrap();
        let shown = format!("{:?}", RedisStore::new(client).unwrap());
        assert!(shown.starts_with("RedisStore { prefix: ") && !shown.contains("s3cr3t"), "{shown}");
    }
}
