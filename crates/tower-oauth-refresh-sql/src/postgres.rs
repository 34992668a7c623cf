//! PostgreSQL.

mod changes;
mod migrate;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgPool};
use sqlx::query::Query;
use tower_oauth_refresh::{
    BoxFuture, BoxStream, KeyDigest, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version,
};

use self::changes::Changes;
use crate::error::{in_runtime, store_error};
use crate::prefix;
use crate::record::{conflict, from_columns, of_damaged, removed_nothing, to_column};

// One row, also where there is no record: a standby that has not heard of it yet must not prove it absent.
const LOAD: &str = "SELECT pg_is_in_recovery(), version, body, \
    EXTRACT(EPOCH FROM clock_timestamp() - written_at)::float8 \
    FROM (SELECT 1) AS always LEFT JOIN tower_oauth_refresh_records ON key = $1";
const INSERT: &str = "INSERT INTO tower_oauth_refresh_records (key, version, body, written_at) \
    VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT (key) DO NOTHING";
const UPDATE: &str = "UPDATE tower_oauth_refresh_records \
    SET version = $3, body = $4, written_at = clock_timestamp() WHERE key = $1 AND version = $2";
const DELETE: &str = "DELETE FROM tower_oauth_refresh_records WHERE key = $1 AND version = $2";

// For a row that has no version to know it by.
const UPDATE_DAMAGED: &str = "UPDATE tower_oauth_refresh_records \
    SET version = $4, body = $5, written_at = clock_timestamp() \
    WHERE key = $1 AND version = $2 AND body = $3";
const DELETE_DAMAGED: &str = "DELETE FROM tower_oauth_refresh_records \
    WHERE key = $1 AND version = $2 AND body = $3";

// Two statements each, since a bound that may be absent would cost the index.
const LIST: &str = "SELECT key FROM tower_oauth_refresh_records \
    WHERE key >= $1 AND key IS DISTINCT FROM $2 AND key < $4 ORDER BY key LIMIT $3";
const LIST_TO_END: &str = "SELECT key FROM tower_oauth_refresh_records \
    WHERE key >= $1 AND key IS DISTINCT FROM $2 ORDER BY key LIMIT $3";
const REMOVE: &str = "DELETE FROM tower_oauth_refresh_records WHERE key IN \
    (SELECT key FROM tower_oauth_refresh_records WHERE key >= $1 AND key < $3 ORDER BY key LIMIT $2) \
    RETURNING key";
const REMOVE_TO_END: &str = "DELETE FROM tower_oauth_refresh_records WHERE key IN \
    (SELECT key FROM tower_oauth_refresh_records WHERE key >= $1 ORDER BY key LIMIT $2) \
    RETURNING key";

const STANDBY: &str = "SELECT pg_is_in_recovery()";
const SYNCHRONOUS: &str = "SELECT current_setting('synchronous_commit') <> 'off'";

/// Keeps records in PostgreSQL, for any number of hosts.
///
/// Its age of a record is by the server's clock. Keys are text: those with a zero byte, or longer than what an
/// index can hold (2700 bytes), are refused by the server, and so is what its encoding does not know.
///
/// # Changes
///
/// Every write is told by `NOTIFY`, on the channel `tower_oauth_refresh`, to each process whose coordinators hold or
/// want a token: over one connection of its own beside the pool, which is opened again when it is lost and closed
/// when nobody listens any more. PostgreSQL lets every role that may connect to the database listen, so the payload
/// names no key: it is the [digest](StoredKey::digest) of one, in 32 hexadecimal digits. A program that removes rows
/// by itself can tell of it: `pg_notify('tower_oauth_refresh',
/// left(encode(sha256(convert_to(key, 'UTF8')), 'hex'), 32))`.
///
/// A process that listens receives every change of the whole fleet, in 62 bytes, and looks it up in a map. A login is
/// one change, a refresh two and a logout two: 1,000 refreshes a second are 2,000 messages and 124 kB a second for
/// each process.
///
/// A write is told *after* it is committed, by a statement of its own
/// for all that were written meanwhile: as part of the write, `NOTIFY` would let only one transaction of the
/// whole database commit at a time, and a full queue would make every write fail. What is missed for it,
/// waiters find by polling, as they do behind a connection pooler that does not pass notifications on.
///
/// # Errors
///
/// A call fails as not available when there is no tokio runtime, when the server does not answer, is
/// read-only, refuses, or gives up on a deadlock or a serialization failure, when `migrate` was not called,
/// and, for a write, when `synchronous_commit` is off. Damage is [unreadable](StoreError::is_unreadable).
///
/// A standby may lack the last writes, so loads fail on one as writes do, and its connection is closed: the next
/// call connects again, perhaps to the primary. A primary that was cut off from the others does not know that it has
/// been replaced, and answers until it is fenced off: that is for whoever promotes another.
///
/// A connection of the pool works only while the runtime that opened it does. When that has ended, calls on others
/// may fail until the pool has replaced it; while nobody drives it, they may wait without a limit but the caller's.
/// Give each runtime a store with a pool of its own where that matters.
///
/// # Cancel safety
///
/// A write is one statement: a dropped one has happened or not, or is about to. Drop a call where there is a
/// runtime; elsewhere the driver panics.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    changes: Arc<Changes>,
    is_durable: Arc<OnceLock<()>>,
}

/// A row of the table: version, body, age.
type Row = (Vec<u8>, Vec<u8>, Duration);
/// The same, where there may be none, after whether it comes from a standby.
type Columns = (bool, Option<Vec<u8>>, Option<Vec<u8>>, Option<f64>);

impl PostgresStore {
    /// A store in the database of this pool. Call [`migrate`](Self::migrate) before it is used.
    ///
    /// The pool must lead to a primary; the driver ignores `target_session_attrs`. With `synchronous_commit` at
    /// `off` a crash would undo what was stored: this is looked at with the first write, which fails if it is so.
    /// With `fsync` at `off`, which some services set on storage that is durable by other means and which is not looked
    /// at, a crash of the machine loses or damages the whole database elsewhere.
    ///
    /// Where the primary can fail over, only a synchronous standby keeps what was stored last. A write that is cancelled
    /// (`pg_cancel_backend`) while it waits for that standby counts as stored, and may be lost by a failover.
    ///
    /// Statements are prepared by name. A pooler that hands out another connection to the server for each transaction
    /// must follow them: PgBouncer from 1.21, with `max_prepared_statements`, and with `extra_float_digits` among its
    /// `ignore_startup_parameters`. Under an earlier one in transaction mode,
    /// calls fail, and the error says so; setting the statement cache to 0 does not help, and may run statements of
    /// other clients. Connect directly there, or in session mode. Notifications pass through none in transaction mode:
    /// a waiter then polls, and a login that ended elsewhere is over here when its token expires.
    ///
    /// TLS is the pool's, and so are two settings to think about. `test_before_acquire(false)` saves a round trip
    /// of each call, which makes a refresh 12 to 40 % faster; a load then finds the connections that broke while
    /// they were idle and takes another, and a write on such a one fails. `acquire_timeout` (30 s unless set) should
    /// be below the coordinator's five seconds for a call of the store, so that a pool that is too small is named
    /// in the error.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, changes: Arc::default(), is_durable: Arc::default() }
    }

    /// Creates or updates the tables, in the schema where the connections create theirs. Several processes
    /// may do so at once, and again at every start; where there is nothing to do, it takes no right to create.
    ///
    /// # Errors
    ///
    /// As for every call.
    ///
    /// # Cancel safety
    ///
    /// All of the migrations have been applied, or none.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        in_runtime()?;
        migrate::run(&self.pool).await.map_err(store_error)
    }

    /// The keys that begin with `prefix`, in the order of their bytes: those after `after`, at most `limit`.
    /// To see all of them, go on with the last one as `after`.
    ///
    /// # Errors
    ///
    /// As for every call.
    pub async fn keys_with_prefix(
        &self,
        prefix: &str,
        after: Option<&StoredKey>,
        limit: u32,
    ) -> Result<Vec<StoredKey>, StoreError> {
        in_runtime()?;
        let mut connection = self.pool.acquire().await.map_err(store_error)?;
        if sqlx::query_scalar(STANDBY).fetch_one(&mut *connection).await.map_err(store_error)? {
            return Err(standby(connection));
        }
        let after = after.map(StoredKey::as_str);
        let end = prefix::end(prefix);
        let list = sqlx::query_scalar(if end.is_some() { LIST } else { LIST_TO_END });
        let list =
            list.bind(after.map_or(prefix, |after| after.max(prefix))).bind(after).bind(i64::from(limit));
        let keys = if let Some(end) = end { list.bind(end) } else { list }.fetch_all(&mut *connection).await;
        Ok(keys.map_err(store_error)?.into_iter().map(|key: String| key.into()).collect())
    }

    /// Removes every record whose key begins with `prefix`, whoever may be refreshing it (a token set that
    /// arrives afterwards is revoked, not stored), and says how many there were. Nothing is revoked at the
    /// server, and processes that listen to changes stop sending its access token within a second; one that misses
    /// the change goes on with it until it expires:
    /// [`logout`](tower_oauth_refresh::RefreshCoordinator::logout) does more, for one credential.
    ///
    /// `"user-1"` is also the beginning of `"user-12"`: end it with whatever separates the parts of your
    /// keys. The empty prefix is the beginning of every key.
    ///
    /// # Errors
    ///
    /// As for every call. Some of the records may have been removed.
    ///
    /// # Cancel safety
    ///
    /// Some of the records may have been removed. Nothing is sent to the authorization server.
    pub async fn remove_prefix(&self, prefix: &str) -> Result<u64, StoreError> {
        in_runtime()?;
        self.check_durable().await?;
        let end = prefix::end(prefix);
        let mut removed = 0;
        loop {
            // A thousand at a time: no lock is held for long.
            let remove = sqlx::query_scalar(if end.is_some() { REMOVE } else { REMOVE_TO_END });
            let remove = remove.bind(prefix).bind(1000_i64);
            let remove = if let Some(end) = &end { remove.bind(end) } else { remove };
            let keys: Vec<String> = remove.fetch_all(&self.pool).await.map_err(store_error)?;
            if keys.is_empty() {
                return Ok(removed);
            }
            removed += keys.len() as u64;
            self.changes.tell(&self.pool, keys.into_iter().map(|key| StoredKey::new(key).digest()));
        }
    }

    async fn get(&self, key: &StoredKey) -> Result<Option<Record>, StoreError> {
        let row = self.row(key).await?;
        row.map(|(version, body, age)| from_columns(key, &version, body, age)).transpose()
    }

    async fn row(&self, key: &StoredKey) -> Result<Option<Row>, StoreError> {
        // Connections may have broken while they were idle: each that is there may be found so once.
        let mut idle = self.pool.num_idle();
        let (columns, connection): (Columns, _) = loop {
            let mut connection = self.pool.acquire().await.map_err(store_error)?;
            match sqlx::query_as(LOAD).bind(key.as_str()).fetch_one(&mut *connection).await {
                Ok(columns) => break (columns, connection),
                Err(error) if idle > 0 && is_lost(&error) => idle -= 1,
                Err(error) => return Err(store_error(error)),
            }
            connection.close_on_drop();
        };
        Ok(match columns {
            (true, ..) => return Err(standby(connection)),
            // Negative where the clock was set back.
            (false, Some(version), Some(body), Some(age)) => {
                Some((version, body, Duration::try_from_secs_f64(age).unwrap_or_default()))
            }
            (false, ..) => None,
        })
    }

    async fn swap(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Result<Swap, StoreError> {
        self.check_durable().await?;
        let statement = match (expected, new) {
            (None, None) => return Ok(removed_nothing(self.get(key).await?)),
            (None, Some(_)) => sqlx::query(INSERT).bind(key.as_str()),
            (Some(old), Some(_)) => sqlx::query(UPDATE).bind(key.as_str()).bind(to_column(old)),
            (Some(old), None) => sqlx::query(DELETE).bind(key.as_str()).bind(to_column(old)),
        };
        if self.write(key, statement, new).await? {
            return Ok(Swap::Swapped);
        }
        match (self.get(key).await, expected) {
            (Err(error), Some(named)) if error.version() == Some(named) => {
                self.swap_damaged(key, named, new).await
            }
            (found, _) => Ok(conflict(found?, new)),
        }
    }

    /// Replaces or removes a row that is damaged, if it is the one that was `named`.
    async fn swap_damaged(
        &self,
        key: &StoredKey,
        named: Version,
        new: Option<&RecordBody>,
    ) -> Result<Swap, StoreError> {
        let row = self.row(key).await?;
        if let Some((version, body, _)) = row.filter(|(version, body, _)| of_damaged(version, body) == named)
        {
            let statement = if new.is_some() { UPDATE_DAMAGED } else { DELETE_DAMAGED };
            let statement = sqlx::query(statement).bind(key.as_str()).bind(version).bind(body);
            if self.write(key, statement, new).await? {
                return Ok(Swap::Swapped);
            }
        }
        Ok(conflict(self.get(key).await?, new))
    }

    /// Has this statement written a row?
    async fn write<'q>(
        &self,
        key: &StoredKey,
        statement: Query<'q, Postgres, PgArguments>,
        new: Option<&'q RecordBody>,
    ) -> Result<bool, StoreError> {
        let statement = match new {
            Some(new) => statement.bind(to_column(new.version())).bind(new.bytes()),
            None => statement,
        };
        let mut connection = self.pool.acquire().await.map_err(store_error)?;
        let done = statement.execute(&mut *connection).await.map_err(|error| {
            if is_read_only(&error) {
                connection.close_on_drop();
            }
            store_error(error)
        })?;
        let written = done.rows_affected() > 0;
        if written {
            self.changes.tell(&self.pool, [key.digest()]);
        }
        Ok(written)
    }

    /// Looked at once: the connections of a pool are alike.
    async fn check_durable(&self) -> Result<(), StoreError> {
        // By each that comes before the first has seen it: nobody waits for a call that may stand still.
        if self.is_durable.get().is_none() {
            let synchronous = sqlx::query_scalar(SYNCHRONOUS).fetch_one(&self.pool).await;
            if !synchronous.map_err(store_error)? {
                let refused = "a crash would undo writes: synchronous_commit is off";
                return Err(StoreError::unavailable(refused));
            }
            self.is_durable.get_or_init(|| ());
        }
        Ok(())
    }
}

/// Closes the connection, which another one may replace that leads to the primary.
fn standby(mut connection: PoolConnection<Postgres>) -> StoreError {
    connection.close_on_drop();
    StoreError::unavailable("the server is a standby, which may lack the last writes: not the primary")
}

/// Was the connection lost, or ended by the server?
fn is_lost(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(error, sqlx::Error::Io(_)) || matches!(code.as_deref(), Some("57P01" | "57P02"))
}

/// A standby refuses every write so.
fn is_read_only(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("25006"))
}

impl TokenStore for PostgresStore {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            in_runtime()?;
            self.get(key).await
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            in_runtime()?;
            self.swap(key, expected, new).await
        })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        self.changes.subscribe(&self.pool)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the pool: its options have the password.
        let options = self.pool.connect_options();
        f.debug_struct("PostgresStore")
            .field("host", &options.get_host())
            .field("database", &options.get_database())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_no_server_gave_is_neither_a_lost_connection_nor_a_standby() {
        assert!(is_lost(&sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())));
        assert!(!is_lost(&sqlx::Error::PoolClosed));
        assert!(!is_read_only(&sqlx::Error::PoolClosed));
    }

    #[tokio::test]
    async fn a_store_shows_where_it_is_and_not_with_which_password() {
        let pool = PgPool::connect_lazy("postgres://user:s3cr3t@127.0.0.1:1/tokens").unwrap();
        let shown = format!("{:?}", PostgresStore::new(pool));
        assert!(shown.starts_with("PostgresStore { host: ") && !shown.contains("s3cr3t"), "{shown}");
    }

    #[test]
    fn what_the_server_says_of_itself_is_known_by_its_code() {
        let said = |code| sqlx::Error::Database(Box::new(crate::error::tests::Said(code)));
        assert!(is_lost(&said("57P01")) && is_lost(&said("57P02")) && !is_lost(&said("25006")));
        assert!(is_read_only(&said("25006")) && !is_read_only(&said("57P01")));
    }
}
