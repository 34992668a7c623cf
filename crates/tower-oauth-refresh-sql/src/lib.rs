//! OAuth 2.0 credentials in SQLite or PostgreSQL.
//!
//! [`SqliteStore`] is one file on one machine, for more credentials than a plain file should hold.
//! [`PostgresStore`] is the source of truth of a fleet. Both are a
//! [`TokenStore`](tower_oauth_refresh::TokenStore): a compare-and-swap is one statement, durable when it
//! returns. The features `sqlite` and `postgres` each add one of them; both are on by default.
//!
#![cfg_attr(feature = "sqlite", doc = "```")]
#![cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
//! use tower_oauth_refresh::{Sealed, SealingKey};
//! use tower_oauth_refresh_sql::SqliteStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let home = home.path();
//! let store = SqliteStore::open(home.join("my-service/credentials.db")).await?;
//! let store = Sealed::new(store, SealingKey::generate()?); // a key that is kept, that is
//! # drop(store);
//! # Ok(())
//! # }
//! ```
//!
//! # Encryption
//!
//! The stores keep the bytes they are given, and these hold tokens. Wrap them in
//! [`Sealed`](tower_oauth_refresh::Sealed): otherwise tokens are in backups, in replicas, in the
//! write-ahead log, and in the server's own log if it logs the parameters of statements. What was removed
//! stays there for a while, too.
//!
//! # One table
//!
//! `migrate()` creates `tower_oauth_refresh_records`, and `tower_oauth_refresh_migrations` beside it, which
//! says what was applied; both may share a database with the tables of an application. The key is the
//! primary key, in the order of its bytes, so that keys can be listed and removed by their beginning. A
//! migration leaves what earlier releases need, so that two releases can run side by side.
//!
//! A coordinator puts its token endpoint and client before each key;
//! [`stored_key`](tower_oauth_refresh::RefreshCoordinator::stored_key) says what results. Hence, when the
//! account of user 42 is deleted, whose credentials are called `42/github`, `42/google` and so on:
//! `store.remove_prefix(coordinator.stored_key("42/").as_str())`.
//!
//! Nothing is removed by its age: a store cannot tell a login that is seldom used from one that has ended, and what it
//! holds may be sealed. A logout removes its record;
//! [`logout`](tower_oauth_refresh::RefreshCoordinator::logout) says what is left, and for how long.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod error;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod prefix;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod record;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

/// The crate whose pools the stores take.
pub use sqlx;

#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
