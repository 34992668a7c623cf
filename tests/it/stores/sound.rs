//! The stores of this workspace against the whole conformance suite, as often as `cargo xtask verify` asks for; and what
//! the suite cannot do by itself, letting time pass.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePool;
use tempfile::TempDir;
use tower_oauth_refresh::{MemoryStore, Sealed, SealingKey, TokenStore};
use tower_oauth_refresh_file::FileStore;
use tower_oauth_refresh_redis::RedisStore;
use tower_oauth_refresh_sql::{PostgresStore, SqliteStore};
use tower_oauth_refresh_testkit::conformance::{check_all, check_lasting};

use super::address;
use super::postgres::{Schema, run};

fn key() -> SealingKey {
    SealingKey::new([7; 32])
}

/// How many runs there were, how many of them refused a store, and why.
#[derive(Default)]
struct Count {
    runs: usize,
    refused: usize,
    why: Vec<String>,
}

impl Count {
    async fn check<S: TokenStore>(&mut self, open: impl AsyncFn() -> S) {
        let violations = check_all(&open).await;
        self.runs += 1;
        self.refused += usize::from(!violations.is_empty());
        let name = std::any::type_name::<S>();
        self.why.extend(violations.iter().map(|violation| format!("{name}: {violation}")));
    }
}

fn redis() -> RedisStore {
    RedisStore::new(redis::Client::open(address("REDIS_URL")).unwrap()).unwrap().prefix("test-sound:")
}

async fn postgres() -> PostgresStore {
    let pool = PgPoolOptions::new().max_connections(4).connect(&address("DATABASE_URL")).await.unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    store
}

async fn sqlite(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.path().join("credentials.db")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_store_of_this_workspace_is_refused_in_any_run() {
    let mut count = Count::default();
    let runs = std::env::var("VERIFY_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for _ in 0_u32..runs {
        let (dir, memory) = (tempfile::tempdir().unwrap(), MemoryStore::new());
        count.check(async || memory.clone()).await;
        count.check(async || FileStore::open(dir.path().join("plain")).unwrap()).await;
        count.check(async || FileStore::sealed(dir.path().join("sealed"), key()).unwrap()).await;
        count.check(async || sqlite(&dir).await).await;
        count.check(postgres).await;
        count.check(async || redis()).await;
        count.check(async || Sealed::new(redis(), key())).await;
    }
    println!("ours: {} of {} refused", count.refused, count.runs);
    assert!(count.why.is_empty(), "{:#?}", count.why);
}

#[tokio::test]
async fn records_in_sqlite_do_not_expire() {
    let dir = tempfile::tempdir().unwrap();
    drop(sqlite(&dir).await);
    let url = format!("sqlite:{}", dir.path().join("credentials.db").display());
    let later = async |passed: Duration| {
        let pool = SqlitePool::connect(&url).await.unwrap();
        let older =
            "UPDATE tower_oauth_refresh_records SET written_ms = written_ms - $1, boot_ms = boot_ms - $1";
        let by = i64::try_from(passed.as_millis()).unwrap();
        sqlx::query(older).bind(by).execute(&pool).await.unwrap();
        pool.close().await;
    };
    assert_eq!(check_lasting(&async || sqlite(&dir).await, &later).await, Ok(()));
}

#[tokio::test]
async fn records_in_postgres_do_not_expire() {
    let schema = Schema::new().await;
    let pool = schema.pool_of(PgPoolOptions::new()).await;
    let later = async |passed: Duration| {
        let older = "UPDATE tower_oauth_refresh_records SET written_at = written_at";
        run(&pool, format!("{older} - interval '{} seconds'", passed.as_secs())).await;
    };
    let open = async || {
        let store = PostgresStore::new(pool.clone());
        store.migrate().await.unwrap();
        store
    };
    drop(open().await);
    assert_eq!(check_lasting(&open, &later).await, Ok(()));
    schema.remove().await;
}
