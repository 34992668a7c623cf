//! Everybody asks at once after a restart: the store holds a valid token set for each, and memory none.
//!
//! Two thousand credentials by default; a hundred thousand where `VERIFY_ROUNDS` is 20 or more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePool;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::service_fn;
use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, TokenSet, TokenStore};
use tower_oauth_refresh_sql::{PostgresStore, SqliteStore};
use tower_oauth_refresh_testkit::FaultyStore;

use super::postgres::{Schema, run};

/// The record that is copied: its key is the beginning of all.
const FIRST: &str = "user-";
const DAY: Duration = Duration::from_secs(86_400);

fn credentials() -> usize {
    let rounds: usize = std::env::var("VERIFY_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    if rounds < 20 { 2_000 } else { 100_000 }
}

/// Nothing is to be sent.
fn coordinator(store: impl TokenStore) -> Arc<RefreshCoordinator> {
    let transport = service_fn(|_: Request<Full<Bytes>>| async {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("a refresh was sent"))
    });
    let auth = ClientAuth::basic("client", "secret".to_owned());
    let endpoint = "https://as.example/token".parse().unwrap();
    RefreshCoordinator::builder(endpoint, auth).store(store).build(transport).unwrap()
}

async fn install_first(store: impl TokenStore) {
    let login = TokenSet::new("a".repeat(500)).with_refresh_token("r".repeat(500)).with_expires_in(DAY);
    coordinator(store).install(FIRST, login).await.unwrap();
}

/// By a coordinator that has nothing in memory.
#[expect(clippy::print_stdout, reason = "what it took is for whoever runs the ring")]
async fn all_ask_at_once(name: &str, store: impl TokenStore) {
    let (count, store) = (credentials(), FaultyStore::new(store));
    let coordinator = coordinator(store.clone());
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for number in 1..=count {
        let coordinator = coordinator.clone();
        callers.spawn(async move { coordinator.token(format!("{FIRST}{number}")).await.map(drop) });
    }
    let failed: Vec<_> = callers.join_all().await.into_iter().filter_map(Result::err).collect();
    let (took, loads, swaps) = (begun.elapsed(), store.loads(), store.swaps());
    let failures = failed.len();
    println!("{name}: {count} at once in {took:.1?}, {failures} failed, {loads} loads, {swaps} swaps");
    assert!(failed.is_empty(), "{name}: {failures} of {count} failed: {:?}", failed.first());
    assert_eq!((loads, swaps), (count, 0), "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_with_postgresql_everybody_at_once_is_served() {
    let schema = Schema::new().await;
    let pool = schema.pool_of(PgPoolOptions::new()).await;
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    install_first(store.clone()).await;
    let copy = "INSERT INTO tower_oauth_refresh_records (key, version, body, written_at) \
        SELECT key || number, version, body, written_at \
        FROM tower_oauth_refresh_records, generate_series(1, ";
    run(&pool, format!("{copy}{}) AS number", credentials())).await;
    all_ask_at_once("PostgreSQL", store).await;
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_with_sqlite_everybody_at_once_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials.db");
    let store = SqliteStore::open(&path).await.unwrap();
    install_first(store.clone()).await;
    let pool = SqlitePool::connect(path.to_str().unwrap()).await.unwrap();
    let copy = "WITH RECURSIVE numbers (number) AS \
        (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?1) \
        INSERT INTO tower_oauth_refresh_records (key, version, body, written_ms, boot_id, boot_ms) \
        SELECT key || number, version, body, written_ms, boot_id, boot_ms \
        FROM numbers, tower_oauth_refresh_records";
    sqlx::query(copy).bind(i64::try_from(credentials()).unwrap()).execute(&pool).await.unwrap();
    pool.close().await;
    all_ask_at_once("SQLite", store).await;
}
