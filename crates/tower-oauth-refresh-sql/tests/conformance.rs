//! SQLite keeps the promises of every store, in the clear and sealed. PostgreSQL, which needs a server, is held
//! to them with the tests across crates.
#![cfg(feature = "sqlite")]

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
