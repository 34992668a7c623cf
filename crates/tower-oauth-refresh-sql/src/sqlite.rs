//! SQLite.

mod age;
mod file;
mod migrate;
mod turns;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use sqlx::sqlite::{SqlitePool, SqliteQueryResult};
use tower_oauth_refresh::{BoxFuture, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version};

use self::age::Moment;
use self::turns::Turns;
use crate::error::{in_runtime, store_error};
use crate::prefix;
use crate::record::{from_columns, of_damaged, removed_nothing, to_column};

const LOAD: &str = "SELECT version, body, written_ms, boot_id, boot_ms, \
    CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) \
    FROM tower_oauth_refresh_records WHERE key = ?1";
const INSERT: &str = "INSERT INTO tower_oauth_refresh_records (key, version, body, written_ms, boot_id, boot_ms) \
    VALUES (?1, ?2, ?3, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), ?4, ?5) \
    ON CONFLICT (key) DO NOTHING";
const UPDATE: &str = "UPDATE tower_oauth_refresh_records SET version = ?3, body = ?4, \
    written_ms = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), boot_id = ?5, boot_ms = ?6 \
    WHERE key = ?1 AND version = ?2";
const DELETE: &str = "DELETE FROM tower_oauth_refresh_records WHERE key = ?1 AND version = ?2";

// For a row that has no version to know it by.
const DAMAGED: &str = "SELECT version, body FROM tower_oauth_refresh_records WHERE key = ?1";
const UPDATE_DAMAGED: &str = "UPDATE tower_oauth_refresh_records SET version = ?4, body = ?5, \
    written_ms = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), boot_id = ?6, boot_ms = ?7 \
    WHERE key = ?1 AND version = ?2 AND body = ?3";
const DELETE_DAMAGED: &str = "DELETE FROM tower_oauth_refresh_records \
    WHERE key = ?1 AND version = ?2 AND body = ?3";

// Two statements each, since a bound that may be absent would cost the index.
const LIST: &str = "SELECT key FROM tower_oauth_refresh_records \
    WHERE key >= ?1 AND key IS NOT ?2 AND key < ?4 ORDER BY key LIMIT ?3";
const LIST_TO_END: &str = "SELECT key FROM tower_oauth_refresh_records \
    WHERE key >= ?1 AND key IS NOT ?2 ORDER BY key LIMIT ?3";
const REMOVE: &str = "DELETE FROM tower_oauth_refresh_records WHERE key IN \
    (SELECT key FROM tower_oauth_refresh_records WHERE key >= ?1 AND key < ?3 ORDER BY key LIMIT ?2)";
const REMOVE_TO_END: &str = "DELETE FROM tower_oauth_refresh_records WHERE key IN \
    (SELECT key FROM tower_oauth_refresh_records WHERE key >= ?1 ORDER BY key LIMIT ?2)";

/// Keeps records in a SQLite database, for any number of tasks and processes on one machine.
///
/// Clones share one queue of writers: SQLite has one writer at a time, and those of a process wait in
/// order. The database must be on a local disk; SQLite's locks and its write-ahead log do not work over a
/// network.
///
/// Its age of a record is by this machine's wall clock, and where there is a clock of this boot that nobody
/// sets (Linux), never more than that one says: a wall clock set forward does not make a lease look expired.
///
/// There are no [`changes`](TokenStore::changes): SQLite cannot tell other processes of a write.
///
/// # Errors
///
/// A call fails as not available when there is no tokio runtime, when another process writes for longer than
/// the pool's busy timeout, when the disk is full or read-only, when `migrate` was not called, and when the
/// pool's connections do not make writes durable. Damage is [unreadable](StoreError::is_unreadable).
///
/// No connection is bound to a runtime, but a call keeps its own until it is driven to its end or dropped. When those
/// on a runtime that nobody drives any more have the whole pool, others fail after its acquire timeout.
///
/// # Cancel safety
///
/// A write is one statement: a dropped one has happened or not. What waits for its turn has not. Drop a call where
/// there is a runtime; elsewhere the driver panics.
#[derive(Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    writers: Arc<Turns>,
    is_durable: Arc<OnceLock<()>>,
}

type Columns = (Vec<u8>, Vec<u8>, i64, Option<String>, Option<i64>, i64);

impl SqliteStore {
    /// Opens the database file at `path`, creates it where there is none, and [migrates](Self::migrate) it.
    ///
    /// It is for the owner alone, and so is its directory if that is created: a file that others may read is
    /// one they no longer may afterwards. Beside it, SQLite keeps `-wal` and `-shm`. Removed rows are
    /// overwritten with zeros, in the file; in the log they are overwritten as it is reused.
    ///
    /// Blocks for a few file operations: call it at start-up.
    ///
    /// # Errors
    ///
    /// [`StoreError::unavailable`] when the file cannot be created, opened or written.
    ///
    /// # Cancel safety
    ///
    /// There may be a file afterwards. It can be opened again.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        in_runtime()?;
        let store = Self::new(file::open(path.as_ref()).await?);
        store.migrate().await?;
        Ok(store)
    }

    /// A store in the database of this pool, for whoever shares it with an application. Call
    /// [`migrate`](Self::migrate) before it is used.
    ///
    /// With `test_before_acquire(false)` a call is up to 40 % faster: the pool's question whether a connection is alive
    /// has no use for a file. Its connections should have a `busy_timeout`, and must have `PRAGMA synchronous` at `FULL` (which is
    /// the default) or `EXTRA`, or else a power cut undoes what was stored: this is looked at with the first
    /// call, which fails if it is not so, or if `PRAGMA journal_mode` is `OFF` or `MEMORY`. Journal mode `WAL` takes half the flushes of others. On macOS, only
    /// `PRAGMA fullfsync` makes a flush reach the disk. An in-memory database is
    /// not for this: it is gone with its connection, which a call that is dropped halfway may close.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool, writers: Arc::default(), is_durable: Arc::default() }
    }

    /// Creates or updates the tables. Several processes may do so at once, and again at every start.
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
        self.check_durable().await?;
        let _turn = self.writers.turn().await;
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
        let after = after.map(StoredKey::as_str);
        let end = prefix::end(prefix);
        let list = sqlx::query_scalar(if end.is_some() { LIST } else { LIST_TO_END });
        let list = list.bind(after.map_or(prefix, |after| after.max(prefix))).bind(after).bind(limit);
        let keys = if let Some(end) = end { list.bind(end) } else { list }.fetch_all(&self.pool).await;
        Ok(keys.map_err(store_error)?.into_iter().map(|key: String| key.into()).collect())
    }

    /// Removes every record whose key begins with `prefix`, whoever may be refreshing it (a token set that
    /// arrives afterwards is revoked, not stored), and says how many there were. Nothing is revoked at the
    /// server, and a process goes on with the access token it has until that expires:
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
    /// Some of the records may have been removed. Nothing is sent to the server.
    pub async fn remove_prefix(&self, prefix: &str) -> Result<u64, StoreError> {
        in_runtime()?;
        self.check_durable().await?;
        let end = prefix::end(prefix);
        let mut removed = 0;
        loop {
            // A thousand at a time, and in between it is somebody else's turn.
            let turn = self.writers.turn().await;
            let remove = sqlx::query(if end.is_some() { REMOVE } else { REMOVE_TO_END });
            let remove = remove.bind(prefix).bind(1000);
            let remove = if let Some(end) = &end { remove.bind(end) } else { remove };
            let rows = remove.execute(&self.pool).await.map_err(store_error)?.rows_affected();
            drop(turn);
            removed += rows;
            if rows == 0 {
                return Ok(removed);
            }
        }
    }

    async fn get(&self, key: &StoredKey) -> Result<Option<Record>, StoreError> {
        let now = Moment::now();
        let found = sqlx::query_as(LOAD).bind(key.as_str()).fetch_optional(&self.pool).await;
        let Some(columns) = found.map_err(store_error)? else { return Ok(None) };
        let (version, body, written_ms, boot_id, boot_ms, wall_ms): Columns = columns;
        let age = now.since(wall_ms.saturating_sub(written_ms), boot_id.as_deref(), boot_ms);
        from_columns(key, &version, body, age).map(Some)
    }

    async fn swap(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Result<Swap, StoreError> {
        self.check_durable().await?;
        let turn = self.writers.turn().await;
        let done = match (expected, new) {
            (None, None) => return Ok(removed_nothing(self.get(key).await?)),
            (None, Some(new)) => self.write(sqlx::query(INSERT).bind(key.as_str()), new).await,
            (Some(old), Some(new)) => {
                self.write(sqlx::query(UPDATE).bind(key.as_str()).bind(to_column(old)), new).await
            }
            (Some(old), None) => {
                sqlx::query(DELETE).bind(key.as_str()).bind(to_column(old)).execute(&self.pool).await
            }
        };
        drop(turn);
        if done.map_err(store_error)?.rows_affected() > 0 {
            return Ok(Swap::Swapped);
        }
        match (self.get(key).await, expected) {
            (Err(error), Some(named)) if error.version() == Some(named) => {
                self.swap_damaged(key, named, new).await
            }
            (found, _) => Ok(Swap::Conflict(found?)),
        }
    }

    /// Replaces or removes a row that is damaged, if it is the one that was `named`.
    async fn swap_damaged(
        &self,
        key: &StoredKey,
        named: Version,
        new: Option<&RecordBody>,
    ) -> Result<Swap, StoreError> {
        let turn = self.writers.turn().await;
        let found = sqlx::query_as(DAMAGED).bind(key.as_str()).fetch_optional(&self.pool).await;
        let found: Option<(Vec<u8>, Vec<u8>)> = found.map_err(store_error)?;
        let mut swapped = 0;
        if let Some((version, body)) = found.filter(|(version, body)| of_damaged(version, body) == named) {
            let of = |statement| sqlx::query(statement).bind(key.as_str()).bind(version).bind(body);
            let done = match new {
                Some(new) => self.write(of(UPDATE_DAMAGED), new).await,
                None => of(DELETE_DAMAGED).execute(&self.pool).await,
            };
            swapped = done.map_err(store_error)?.rows_affected();
        }
        drop(turn);
        if swapped > 0 { Ok(Swap::Swapped) } else { Ok(Swap::Conflict(self.get(key).await?)) }
    }

    async fn write<'q>(
        &self,
        statement: Statement<'q>,
        new: &'q RecordBody,
    ) -> sqlx::Result<SqliteQueryResult> {
        let now = Moment::now();
        let statement = statement.bind(to_column(new.version())).bind(new.bytes());
        statement.bind(now.boot_id).bind(now.boot_ms).execute(&self.pool).await
    }

    /// Looked at once: the connections of a pool are alike.
    async fn check_durable(&self) -> Result<(), StoreError> {
        // By each that comes before the first has seen it: nobody waits for a call that may stand still.
        if self.is_durable.get().is_none() {
            let synchronous = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&self.pool).await;
            let synchronous: i64 = synchronous.map_err(store_error)?;
            if synchronous < FULL {
                let refused = "a power cut would undo writes: set PRAGMA synchronous to FULL";
                return Err(StoreError::unavailable(refused));
            }
            let journal = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&self.pool).await;
            let journal: String = journal.map_err(store_error)?;
            if NO_JOURNAL.contains(&journal.as_str()) {
                let refused = "a crash would damage the database: PRAGMA journal_mode is OFF or MEMORY";
                return Err(StoreError::unavailable(refused));
            }
            self.is_durable.get_or_init(|| ());
        }
        Ok(())
    }
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

const FULL: i64 = 2;
/// With these a half-done write is not undone after a crash.
const NO_JOURNAL: [&str; 2] = ["off", "memory"];

impl TokenStore for SqliteStore {
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
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("file", &self.pool.connect_options().get_filename())
            .finish_non_exhaustive()
    }
}
