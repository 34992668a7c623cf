//! The stores that processes can share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower_oauth_refresh::TokenStore;
use tower_oauth_refresh_file::FileStore;
use tower_oauth_refresh_redis::RedisStore;
use tower_oauth_refresh_sql::{PostgresStore, SqliteStore};

/// One of each is taken to every test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreKind {
    File,
    Sqlite,
    Postgres,
    Redis,
}

const ALL: [StoreKind; 4] = [StoreKind::File, StoreKind::Sqlite, StoreKind::Postgres, StoreKind::Redis];

/// Where the records are, for any process to open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Place {
    File(PathBuf),
    Sqlite(PathBuf),
    Postgres(String),
    Redis(String),
}

impl StoreKind {
    /// A place of this kind; `dir` is there as long as the test.
    pub(super) fn place(self, dir: &TempDir) -> Place {
        match self {
            Self::File => Place::File(dir.path().join("credentials")),
            Self::Sqlite => Place::Sqlite(dir.path().join("credentials.db")),
            Self::Postgres => Place::Postgres(server("DATABASE_URL")),
            Self::Redis => Place::Redis(server("REDIS_URL")),
        }
    }
}

/// All tests share it, each under a key of its own.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("this needs {variable}: run cargo xtask test"))
}

impl Place {
    pub(super) async fn open(&self) -> Arc<dyn TokenStore> {
        match self {
            Self::File(path) => Arc::new(FileStore::open(path).unwrap()),
            Self::Sqlite(path) => Arc::new(SqliteStore::open(path).await.unwrap()),
            Self::Postgres(url) => {
                // Of each of many processes.
                let pool = PgPoolOptions::new().max_connections(2).connect(url).await.unwrap();
                let store = PostgresStore::new(pool);
                store.migrate().await.unwrap();
                Arc::new(store)
            }
            Self::Redis(url) => {
                Arc::new(RedisStore::new(redis::Client::open(url.as_str()).unwrap()).unwrap())
            }
        }
    }
}

/// Runs the test on every store at once, or on those that the variable names, and then tells which failed.
pub(super) async fn on_each_store<F>(test: impl Fn(StoreKind) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let named = std::env::var("PROCESS_TEST_STORES").ok();
    let (mut tests, mut kinds, mut failed) = (JoinSet::new(), HashMap::new(), Vec::new());
    for kind in ALL {
        let name = format!("{kind:?}").to_lowercase();
        if named.as_ref().is_none_or(|named| named.split(',').any(|one| one == name)) {
            kinds.insert(tests.spawn(test(kind)).id(), kind);
        }
    }
    assert!(!kinds.is_empty(), "no such store: {named:?}");
    while let Some(ended) = tests.join_next_with_id().await {
        failed.extend(ended.err().map(|error| (kinds[&error.id()], error.to_string())));
    }
    assert!(failed.is_empty(), "{failed:?}");
}
