//! Whatever store a place has.

use std::sync::Arc;

use tower_oauth_refresh::{
    BoxFuture, BoxStream, KeyDigest, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version,
};
use tower_oauth_refresh_file::FileStore;
use tower_oauth_refresh_redis::{RedisStore, redis};
use tower_oauth_refresh_sql::sqlx::postgres::PgPoolOptions;
use tower_oauth_refresh_sql::{PostgresStore, SqliteStore};

use crate::protocol::Place;

/// One of the stores. Clones are the same one.
#[derive(Clone)]
pub(crate) struct AnyStore(Arc<dyn TokenStore>);

pub(crate) async fn open(place: &Place) -> AnyStore {
    AnyStore(match place {
        Place::File(path) => Arc::new(FileStore::open(path).unwrap()),
        Place::Sqlite(path) => Arc::new(SqliteStore::open(path).await.unwrap()),
        Place::Postgres(url) => {
            let pool = PgPoolOptions::new().max_connections(2).connect(url).await.unwrap();
            let store = PostgresStore::new(pool);
            store.migrate().await.unwrap();
            Arc::new(store)
        }
        Place::Redis(url) => Arc::new(RedisStore::new(redis::Client::open(url.as_str()).unwrap()).unwrap()),
    })
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
