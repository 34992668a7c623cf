//! A store that lives longer than the runtime it was first used on, or beside one that nobody drives.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use sqlx::postgres::PgPoolOptions;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tower_oauth_refresh::{StoredKey, Swap, TokenStore, Version};
use tower_oauth_refresh_redis::{RedisStore, redis};
use tower_oauth_refresh_sql::PostgresStore;
use xtask::{Postgres, Redis};

use super::{body, version};

/// What a coordinator allows a call of its store.
const LIMIT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn key() -> StoredKey {
    "acme".into()
}

fn redis_store(redis: &Redis) -> RedisStore {
    RedisStore::new(redis::Client::open(redis.url()).unwrap()).unwrap()
}

/// Migrated, on a runtime that is gone.
fn postgres_store(postgres: &Postgres, connections: u32) -> PostgresStore {
    runtime().block_on(async {
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(LIMIT / 4);
        let store = PostgresStore::new(pool.connect(&postgres.url()).await.unwrap());
        store.migrate().await.unwrap();
        store
    })
}

async fn swap(store: &impl TokenStore, old: Option<Version>) -> Option<Version> {
    let new = body(b"body");
    let swap = store.compare_and_swap(&key(), old, Some(&new)).await.unwrap();
    assert!(matches!(swap, Swap::Swapped), "{swap:?}");
    Some(new.version())
}

/// What the runtime does not live to see the end of.
async fn begin_loads(store: &(impl TokenStore + Clone)) {
    for _ in 0..3 {
        let store = store.clone();
        drop(tokio::runtime::Handle::current().spawn(async move { store.load(&key()).await }));
    }
    tokio::task::yield_now().await;
}

#[test]
fn a_redis_store_goes_on_where_a_runtime_has_ended_from_the_first_call() {
    let redis = Redis::start().unwrap();
    let store = redis_store(&redis);
    let mut at = None;
    for _ in 0..4 {
        runtime().block_on(async {
            at = swap(&store, at).await;
            assert_eq!(version(&store, &key()).await, at);
            begin_loads(&store).await;
        });
    }
}

#[test]
fn a_postgresql_store_comes_back_where_a_runtime_has_ended() {
    let postgres = Postgres::start().unwrap();
    let store = postgres_store(&postgres, 2);
    for _ in 0..4 {
        runtime().block_on(async {
            let mut tries = 0..10;
            let swapped = async || {
                let at = store.load(&key()).await?.map(|record| record.body.version());
                store.compare_and_swap(&key(), at, Some(&body(b"body"))).await
            };
            while !matches!(timeout(LIMIT, swapped()).await, Ok(Ok(Swap::Swapped))) {
                assert!(tries.next().is_some(), "it does not come back");
            }
            assert!(store.changes().is_some());
            begin_loads(&store).await;
        });
    }
}

#[test]
fn whoever_listens_to_redis_is_told_again_when_the_runtime_of_the_connection_has_ended() {
    let redis = Redis::start().unwrap();
    let reader = redis_store(&redis);
    let (first, second) = (runtime(), runtime());
    let mut told = reader.changes().unwrap();
    let mut hear = |runtime: &Runtime, mut at| {
        let writer = redis_store(&redis);
        let heard = async {
            loop {
                at = swap(&writer, at).await;
                if timeout(Duration::from_millis(20), told.next()).await.is_ok() {
                    return at;
                }
            }
        };
        runtime.block_on(async { timeout(PATIENCE, heard).await })
    };
    let at = hear(&first, None).unwrap();
    drop(first);
    hear(&second, at).expect("nobody makes another connection");
}

/// A time limit around each call, as a coordinator has, and how many of them fail.
async fn failures(store: &impl TokenStore) -> u32 {
    let mut failures = 0;
    while !matches!(timeout(LIMIT, store.load(&key())).await, Ok(Ok(_))) {
        failures += 1;
        assert!(failures < 5, "it does not recover");
    }
    failures
}

#[test]
fn a_redis_store_goes_on_beside_a_runtime_that_stands_still() {
    let redis = Redis::start().unwrap();
    let store = redis_store(&redis);
    let still = runtime();
    // While it connects, and when it has.
    for _ in 0..2 {
        let stored = key();
        let mut call = store.load(&stored);
        still.block_on(async { assert!(call.as_mut().now_or_never().is_none()) });
        assert!(runtime().block_on(failures(&store)) <= 1);
        still.block_on(failures(&store));
    }
}

#[test]
fn a_postgresql_store_comes_back_beside_a_runtime_that_stands_still() {
    let postgres = Postgres::start().unwrap();
    let store = postgres_store(&postgres, 2);
    let still = runtime();
    still.block_on(failures(&store));
    // The pool lends its connection to others, and one of them gives it up.
    runtime().block_on(failures(&store));
}
