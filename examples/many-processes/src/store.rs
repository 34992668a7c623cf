//! One credential, many processes: each opens the same store.

use std::sync::Arc;

use sqlx::postgres::PgPoolOptions;
use tower::BoxError;
use tower_oauth_refresh::{
    BoxFuture, BoxStream, KeyDigest, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version,
};
use tower_oauth_refresh_file::FileStore;
use tower_oauth_refresh_redis::RedisStore;
use tower_oauth_refresh_sql::{PostgresStore, SqliteStore};

use crate::protocol::Place;

/// Whichever store was chosen on the command line.
pub(crate) struct AnyStore(Arc<dyn TokenStore>);

impl AnyStore {
    /// In earnest, wrap it: `Sealed::new(store, key)`. These hold tokens in the clear.
    pub(crate) async fn open(place: &Place) -> Result<Self, BoxError> {
        Ok(Self(match place {
            Place::File(path) => Arc::new(FileStore::open(path)?),
            Place::Sqlite(path) => Arc::new(SqliteStore::open(path).await?),
            Place::Postgres(url) => {
                let store = PostgresStore::new(PgPoolOptions::new().max_connections(2).connect(url).await?);
                store.migrate().await?;
                Arc::new(store)
            }
            Place::Redis(url) => Arc::new(RedisStore::new(redis::Client::open(url.as_str())?)?),
        }))
    }
}

impl TokenStore for AnyStore {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.0.load(key)
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.0.compare_and_swap(key, expected, new)
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        self.0.changes()
    }
}
