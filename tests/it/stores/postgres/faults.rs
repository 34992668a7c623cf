//! What a server does to its clients: ends connections, crashes, refuses, keeps them waiting.

use std::str::FromStr as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::task::block_in_place;
use tokio::time::timeout;
use tower_oauth_refresh::{Swap, TokenStore as _};
use tower_oauth_refresh_sql::PostgresStore;
use xtask::{PgBouncer, Postgres};

use super::{PATIENCE, Schema, key, open};
use crate::stores::{body, count_up, insert, version, words};

/// Four tasks on two pools count to the goal, while something happens to their server.
async fn count_under(pools: [PgPool; 2], goal: u64, fault: impl Future<Output = ()>) {
    let stores = pools.map(PostgresStore::new);
    let counting = join_all((0..4).map(async |task| count_up(&stores[task % 2], &key(), goal).await));
    let (won, ()) = tokio::join!(counting, fault);
    let won = won.concat();
    let mut said: Vec<u64> = won.iter().copied().flatten().collect();
    let (said_in_all, failed) = (said.len(), won.len() - said.len());
    said.sort_unstable();
    said.dedup();
    assert_eq!(said.len(), said_in_all, "no swap was won twice");
    assert!(said_in_all + failed >= usize::try_from(goal).unwrap(), "what was counted, somebody wrote");
    let last = stores[0].load(&key()).await.unwrap().unwrap();
    assert_eq!(last.body.bytes(), goal.to_be_bytes(), "nothing that was said was undone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_lose_no_swap_and_are_replaced() {
    let schema = Schema::new().await;
    let admin = schema.pool().await;
    schema.store().await;
    let named = [("application_name", schema.name.as_str())];
    let pools = [schema.pool_with(&named).await, schema.pool_with(&named).await];
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
    let fault = async {
        let mut ended = 0;
        while ended < 60 {
            ended += sqlx::query_scalar::<_, i64>(end).bind(&schema.name).fetch_one(&admin).await.unwrap();
            // Time for some of them to come back and write.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    count_under(pools, 400, fault).await;
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_undoes_nothing_that_was_stored() {
    let mut server = start();
    open(&server.url()).await;
    let (one, other) = (impatient(&server), impatient(&server));
    let watch = PostgresStore::new(one.clone());
    let crashes = async {
        for reached in [100_u64, 300, 500] {
            let at = async || watch.load(&key()).await.unwrap().map(|record| record.body.bytes().to_vec());
            while at().await < Some(reached.to_be_bytes().to_vec()) {}
            block_in_place(|| server.stop_immediately()).unwrap();
            assert!(!watch.load(&key()).await.unwrap_err().is_unreadable());
            block_in_place(|| server.start_again()).unwrap();
        }
    };
    count_under([one.clone(), other], 600, crashes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_changes_are_told_again_on_the_same_stream() {
    let mut server = start();
    let (listener, writer) = (open(&server.url()).await, PostgresStore::new(impatient(&server)));
    let mut changes = listener.changes().unwrap();
    let mut old = None;
    for _ in 0..2 {
        let heard = timeout(PATIENCE, async { while changes.next().await != Some(key().digest()) {} });
        let write = async {
            loop {
                let new = body(b"next");
                let swap = writer.compare_and_swap(&key(), old, Some(&new)).await.unwrap();
                assert!(matches!(swap, Swap::Swapped));
                old = Some(new.version());
            }
        };
        tokio::select! {
            heard = heard => heard.unwrap(),
            () = write => {}
        }
        block_in_place(|| server.stop_immediately()).unwrap();
        writer.load(&key()).await.unwrap_err();
        block_in_place(|| server.start_again()).unwrap();
        // What was under way when the waiter had heard enough may have been written.
        old = version(&writer, &key()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serialization_failures_are_failures_and_no_conflicts() {
    let schema = Schema::new().await;
    schema.store().await;
    let isolated = [("default_transaction_isolation", "serializable")];
    let pools = [schema.pool_with(&isolated).await, schema.pool_with(&isolated).await];
    count_under(pools, 100, std::future::ready(())).await;

    // One that is certain: the row changes under a statement that waits for it.
    let (store, admin) = (PostgresStore::new(schema.pool_with(&isolated).await), schema.pool().await);
    let old = version(&store, &key()).await;
    let mut held = admin.begin().await.unwrap();
    let touch = "UPDATE tower_oauth_refresh_records SET body = body";
    sqlx::query(touch).execute(&mut *held).await.unwrap();
    let new = body(b"new");
    let key = key();
    let (swap, ()) = tokio::join!(store.compare_and_swap(&key, old, Some(&new)), async {
        until_somebody_waits(&schema).await;
        held.commit().await.unwrap();
    });
    let error = swap.unwrap_err();
    assert!(!error.is_unreadable() && words(&error).contains("40001"), "{error:?}");
    schema.remove().await;
}

#[tokio::test]
async fn a_swap_that_was_dropped_while_it_waited_for_the_row_leaves_the_old_or_the_new() {
    let (schema, key) = (Schema::new().await, key());
    let (store, admin) = (schema.store().await, schema.pool().await);
    let old = insert(&store, &key).await;
    let mut held = admin.begin().await.unwrap();
    let hold = "SELECT 1 FROM tower_oauth_refresh_records FOR UPDATE";
    sqlx::query(hold).execute(&mut *held).await.unwrap();
    let new = body(b"new");
    tokio::select! {
        swap = store.compare_and_swap(&key, Some(old), Some(&new)) => panic!("it did not wait: {swap:?}"),
        () = until_somebody_waits(&schema) => {}
    }
    assert_eq!(version(&store, &key).await, Some(old), "readers do not wait");
    held.rollback().await.unwrap();
    let found = version(&store, &key).await.unwrap();
    assert!(found == old || found == new.version());
    // Late or not, it is one of the two that wins from the old version.
    let other = body(b"other");
    let swap = store.compare_and_swap(&key, Some(old), Some(&other)).await.unwrap();
    let expected = if matches!(swap, Swap::Swapped) { other.version() } else { new.version() };
    assert_eq!(version(&store, &key).await, Some(expected));
    schema.remove().await;
}

#[tokio::test]
async fn a_read_only_server_can_be_loaded_from_and_not_written() {
    let schema = Schema::new().await;
    let old = insert(&schema.store().await, &key()).await;
    let store = PostgresStore::new(schema.pool_with(&[("default_transaction_read_only", "on")]).await);
    let error = store.compare_and_swap(&key(), Some(old), None).await.unwrap_err();
    assert!(!error.is_unreadable() && words(&error).contains("read-only"), "{error:?}");
    assert_eq!(version(&store, &key()).await, Some(old));
    schema.remove().await;
}

#[tokio::test]
async fn connections_that_broke_while_they_were_idle_fail_no_load() {
    let schema = Schema::new().await;
    let (store, admin) = (schema.store().await, schema.pool().await);
    let old = insert(&store, &key()).await;
    let untested = PgPoolOptions::new().max_connections(4).test_before_acquire(false);
    let named = schema.options.clone().application_name(&schema.name);
    let pool = untested.connect_with(named).await.unwrap();
    let idle = join_all((0..4).map(|_| pool.acquire())).await;
    drop(idle);
    while pool.num_idle() < 4 {
        tokio::task::yield_now().await;
    }
    let end =
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE application_name = $1";
    let ended: i64 = sqlx::query_scalar(end).bind(&schema.name).fetch_one(&admin).await.unwrap();
    assert_eq!(ended, 4);
    let store = PostgresStore::new(pool);
    assert_eq!(version(&store, &key()).await, Some(old));
    let swap = store.compare_and_swap(&key(), Some(old), Some(&body(b"new"))).await.unwrap();
    assert!(matches!(swap, Swap::Swapped), "the load has cleared the pool");
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_answers_no_load_and_is_not_asked_again() {
    let primary = start();
    let old = insert(&open(&primary.url()).await, &key()).await;
    let standby = block_in_place(|| primary.standby()).unwrap();
    // It is told by one address after the other, as by a name that is resolved anew.
    let pool = impatient(&standby);
    let store = PostgresStore::new(pool.clone());
    for key in [key(), "absent".into()] {
        let error = store.load(&key).await.unwrap_err();
        assert!(!error.is_unreadable() && words(&error).contains("standby"), "{error:?}");
        let error = store.compare_and_swap(&key, None, Some(&body(b"new"))).await.unwrap_err();
        assert!(words(&error).contains("read-only"), "{error:?}");
    }
    assert!(words(&store.keys_with_prefix("", None, 9).await.unwrap_err()).contains("standby"));

    pool.set_connect_options(PgConnectOptions::from_str(&primary.url()).unwrap());
    assert_eq!(version(&store, &key()).await, Some(old), "the connection to the standby was kept");

    let promoted = impatient(&standby);
    assert!(sqlx::query_scalar::<_, bool>("SELECT pg_promote()").fetch_one(&promoted).await.unwrap());
    assert_eq!(version(&PostgresStore::new(promoted), &key()).await, Some(old));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_loses_prepared_statements_is_named() {
    let server = start();
    open(&server.url()).await;
    let pooler = block_in_place(|| PgBouncer::start(&server, 2)).unwrap();
    let options = PgConnectOptions::from_str(&pooler.url()).unwrap();
    // Whose statement a server connection has depends on who was there before.
    let stores = join_all((0..4).map(async |_| {
        let pool = PgPoolOptions::new().max_connections(2).test_before_acquire(false);
        PostgresStore::new(pool.connect_with(options.clone()).await.unwrap())
    }));
    let stores = stores.await;
    let call = async |store: &PostgresStore| match store.load(&key()).await {
        Ok(_) => store.compare_and_swap(&key(), None, Some(&body(b"new"))).await.err(),
        Err(error) => Some(error),
    };
    let refused = async {
        loop {
            let calls = join_all(stores.iter().map(call)).await;
            if let Some(error) = calls.into_iter().flatten().next() {
                return error;
            }
        }
    };
    let error = timeout(PATIENCE, refused).await.unwrap();
    assert!(!error.is_unreadable() && words(&error).contains("pooler in transaction mode"), "{error:?}");
}

fn start() -> Postgres {
    block_in_place(Postgres::start).unwrap()
}

/// A pool that soon says that its server is not there.
fn impatient(server: &Postgres) -> PgPool {
    let options = PgConnectOptions::from_str(&server.url()).unwrap();
    PgPoolOptions::new().acquire_timeout(Duration::from_millis(500)).connect_lazy_with(options)
}

async fn until_somebody_waits(schema: &Schema) {
    let pool = schema.pool().await;
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pid IN \
        (SELECT pid FROM pg_stat_activity WHERE query LIKE 'UPDATE tower_oauth_refresh_records%'))";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap() {}
}
