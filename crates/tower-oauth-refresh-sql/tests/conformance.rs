//! SQLite keeps the promises of every store, in the clear and sealed. PostgreSQL, which needs a server, is held
//! to them with the tests across crates.
#![cfg(feature = "sqlite")]

use sqlx::sqlite::SqlitePoolOptions;
use tower_oauth_refresh::{Sealed, SealingKey};
use tower_oauth_refresh_sql::SqliteStore;
use tower_oauth_refresh_testkit::store_conformance;

store_conformance!(sqlite, async { tempfile::tempdir().unwrap() }, |dir| async {
    SqliteStore::open(dir.path().join("credentials.db")).await.unwrap()
});

store_conformance!(sealed_sqlite, async { tempfile::tempdir().unwrap() }, |dir| async {
    let store = SqliteStore::open(dir.path().join("credentials.db")).await.unwrap();
    Sealed::new(store, SealingKey::new([7; 32]))
});

store_conformance!(sqlite_in_memory, async {
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let store = SqliteStore::new(pool.connect("sqlite::memory:").await.unwrap());
    store.migrate().await.unwrap();
    store
},);
