//! PostgreSQL: the promises of every store, and what a server does to them.

mod faults;

use std::str::FromStr as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_oauth_refresh::{Sealed, SealingKey, StoredKey, Swap, TokenStore as _};
use tower_oauth_refresh_sql::PostgresStore;
use tower_oauth_refresh_testkit::conformance::check_damaged;
use tower_oauth_refresh_testkit::store_conformance;

use super::{address, body, count_up, insert, version, words};

store_conformance!(plain, async { address("DATABASE_URL") }, |url| async { open(url).await });

store_conformance!(sealed, async { address("DATABASE_URL") }, |url| async {
    Sealed::new(open(url).await, SealingKey::new([7; 32]))
});

const PATIENCE: Duration = Duration::from_secs(30);

async fn open(url: &str) -> PostgresStore {
    let store = PostgresStore::new(PgPoolOptions::new().max_connections(4).connect(url).await.unwrap());
    store.migrate().await.unwrap();
    store
}

/// A schema of the test's own in the shared database.
pub(super) struct Schema {
    name: String,
    options: PgConnectOptions,
}

impl Schema {
    pub(super) async fn new() -> Self {
        Self::at(&address("DATABASE_URL")).await
    }

    async fn at(url: &str) -> Self {
        let name = format!("test_{:016x}", getrandom::u64().unwrap());
        let options = PgConnectOptions::from_str(url).unwrap();
        let pool = PgPool::connect_with(options.clone()).await.unwrap();
        run(&pool, format!("CREATE SCHEMA {name}")).await;
        Self { options: options.options([("search_path", &name)]), name }
    }

    async fn pool(&self) -> PgPool {
        self.pool_with(&[]).await
    }

    /// With these settings for every connection.
    async fn pool_with(&self, settings: &[(&str, &str)]) -> PgPool {
        let options = self.options.clone().options(settings.iter().copied());
        PgPoolOptions::new().max_connections(6).connect_with(options).await.unwrap()
    }

    pub(super) async fn pool_of(&self, options: PgPoolOptions) -> PgPool {
        options.connect_with(self.options.clone()).await.unwrap()
    }

    /// Migrated.
    async fn store(&self) -> PostgresStore {
        let store = PostgresStore::new(self.pool().await);
        store.migrate().await.unwrap();
        store
    }

    pub(super) async fn remove(self) {
        run(&self.pool().await, format!("DROP SCHEMA {} CASCADE", self.name)).await;
    }
}

pub(super) async fn run(pool: &PgPool, sql: impl Into<String>) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.into())).execute(pool).await.unwrap();
}

fn key() -> StoredKey {
    "acme".into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_tasks_on_two_pools_exactly_one_wins_each_of_a_hundred_swaps() {
    let schema = Schema::new().await;
    let stores = [schema.store().await, schema.store().await];
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = stores[task % 2].clone();
        tasks.spawn(async move { count_up(&store, &key(), 100).await });
    }
    let mut won: Vec<_> = tasks.join_all().await.concat();
    won.sort_unstable();
    assert_eq!(won, (1..=100).map(Some).collect::<Vec<_>>());
    schema.remove().await;
}

#[tokio::test]
async fn many_processes_may_migrate_at_once_and_again() {
    let schema = Schema::new().await;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = PostgresStore::new(schema.pool().await);
        tasks.spawn(async move { store.migrate().await });
    }
    tasks.join_all().await.into_iter().for_each(|migrated| migrated.unwrap());
    schema.store().await;
    schema.remove().await;
}

#[tokio::test]
async fn what_is_migrated_is_found_so_without_the_right_to_create() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    insert(&store, &key()).await;
    let admin = schema.pool().await;
    let name = &schema.name;
    run(&admin, format!("CREATE ROLE {name}; GRANT USAGE ON SCHEMA {name} TO {name}")).await;
    run(&admin, format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {name}"))
        .await;
    let store = PostgresStore::new(schema.pool_with(&[("role", name)]).await);
    store.migrate().await.unwrap();
    insert(&store, &"other".into()).await;
    run(&admin, format!("DROP OWNED BY {name}; DROP ROLE {name}")).await;
    schema.remove().await;
}

#[tokio::test]
async fn without_its_tables_the_store_is_not_available() {
    let schema = Schema::new().await;
    let error = PostgresStore::new(schema.pool().await).load(&key()).await.unwrap_err();
    assert!(!error.is_unreadable() && words(&error).contains("does not exist"), "{error:?}");
    schema.remove().await;
}

#[tokio::test]
async fn connections_that_do_not_wait_for_the_disk_are_refused() {
    let schema = Schema::new().await;
    let migrated = schema.store().await;
    let old = insert(&migrated, &key()).await;
    let store = PostgresStore::new(schema.pool_with(&[("synchronous_commit", "off")]).await);
    let error = store.compare_and_swap(&key(), Some(old), None).await.unwrap_err();
    assert!(words(&error).contains("synchronous_commit"), "{error:?}");
    assert_eq!(version(&migrated, &key()).await, Some(old));
    schema.remove().await;
}

#[tokio::test]
async fn a_swap_that_is_repeated_has_succeeded() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let old = insert(&store, &key()).await;
    let new = body(b"new");
    for _ in 0..2 {
        let swap = store.compare_and_swap(&key(), Some(old), Some(&new)).await.unwrap();
        assert!(matches!(swap, Swap::Swapped), "{swap:?}");
    }
    schema.remove().await;
}

#[tokio::test]
async fn a_damaged_row_can_be_replaced_by_whoever_names_it() {
    let schema = Schema::new().await;
    let pool = schema.pool().await;
    for damage in
        ["version = '\\x01'", "version = ''", "version = version || '\\x00'", "version = '', body = ''"]
    {
        let spoil = async |key: &StoredKey| {
            let spoil = format!("UPDATE tower_oauth_refresh_records SET {damage} WHERE key = $1");
            sqlx::query(sqlx::AssertSqlSafe(spoil)).bind(key.as_str()).execute(&pool).await.unwrap();
        };
        assert_eq!(check_damaged(&async || schema.store().await, &spoil).await, Ok(()), "{damage}");
    }
    schema.remove().await;
}

#[tokio::test]
async fn a_damaged_row_is_unreadable_and_stays_as_it_is() {
    let schema = Schema::new().await;
    let (store, pool) = (schema.store().await, schema.pool().await);
    let old = insert(&store, &key()).await;
    run(&pool, "UPDATE tower_oauth_refresh_records SET version = '\\x01'").await;
    assert!(store.load(&key()).await.unwrap_err().is_unreadable());
    for (expected, new) in [(None, Some(body(b"new"))), (Some(old), Some(body(b"new"))), (Some(old), None)] {
        assert!(store.compare_and_swap(&key(), expected, new.as_ref()).await.unwrap_err().is_unreadable());
    }
    let left: Vec<u8> =
        sqlx::query_scalar("SELECT version FROM tower_oauth_refresh_records").fetch_one(&pool).await.unwrap();
    assert_eq!(left, [1]);
    schema.remove().await;
}

#[tokio::test]
async fn an_error_does_not_quote_the_row() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    run(&schema.pool().await, "ALTER TABLE tower_oauth_refresh_records ADD CHECK (length(body) < 5)").await;
    let error = store.compare_and_swap(&key(), None, Some(&body(b"eyJhbGci"))).await.unwrap_err();
    let words = words(&error);
    assert!(words.contains("check constraint"), "{words}");
    let (text, hex) = ("eyJhbGci", "65794a68");
    assert!(!words.contains(text) && !words.contains(hex), "{words}");
    schema.remove().await;
}

#[tokio::test]
async fn an_age_is_that_of_the_server_and_never_negative() {
    let schema = Schema::new().await;
    let (store, pool) = (schema.store().await, schema.pool().await);
    insert(&store, &key()).await;
    for (hours, range) in [(-2, 7_200..7_260), (2, 0..60), (0, 0..60)] {
        let set = format!("SET written_at = clock_timestamp() + interval '{hours} hours'");
        run(&pool, format!("UPDATE tower_oauth_refresh_records {set}")).await;
        let age = store.load(&key()).await.unwrap().unwrap().age;
        assert!(range.contains(&age.as_secs()), "{hours}: {age:?}");
    }
    schema.remove().await;
}

#[tokio::test]
async fn keys_are_listed_in_the_order_of_bytes_where_text_sorts_otherwise() {
    let schema = Schema::new().await;
    let (admin, name) = (schema.pool().await, &schema.name);
    run(
        &admin,
        format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en'"
        ),
    )
    .await;
    let options = PgConnectOptions::from_str(&address("DATABASE_URL")).unwrap().database(name);
    let pool = PgPool::connect_with(options).await.unwrap();
    let sorts: bool = sqlx::query_scalar("SELECT 'a' < 'B'").fetch_one(&pool).await.unwrap();
    assert!(sorts, "this database is to differ from the order of bytes");
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    for name in ["b/2", "b/10", "B/1", "b/%", "b", "b/\u{10ffff}", "b/ä", "c", "", "b0"] {
        insert(&store, &name.into()).await;
    }
    let list = async |prefix: &str, after: Option<&str>, limit| {
        let keys = store.keys_with_prefix(prefix, after.map(Into::into).as_ref(), limit).await.unwrap();
        keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list("b/", None, 9).await, "b/% b/10 b/2 b/ä b/\u{10ffff}");
    assert_eq!(list("b/", Some("b/10"), 2).await, "b/2 b/ä");
    assert_eq!(list("b/", Some("a"), 1).await, "b/%");
    assert_eq!(list("", None, 99).await, " B/1 b b/% b/10 b/2 b/ä b/\u{10ffff} b0 c");
    assert_eq!(list("", Some(""), 1).await, "B/1");
    assert_eq!(store.remove_prefix("b/").await.unwrap(), 5);
    assert_eq!(list("", None, 99).await, " B/1 b b0 c");
    assert_eq!(store.remove_prefix("").await.unwrap(), 5);
    pool.close().await;
    run(&admin, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    schema.remove().await;
}

#[tokio::test]
async fn keys_among_many_are_listed_and_removed_by_a_range_of_the_index() {
    let schema = Schema::new().await;
    schema.store().await;
    // One connection: its statistics are not known elsewhere until it says so.
    let pool = PgPoolOptions::new().max_connections(1).connect_with(schema.options.clone()).await.unwrap();
    let store = PostgresStore::new(pool.clone());
    let fill = "INSERT INTO tower_oauth_refresh_records SELECT 'https://as.example/token us / user-' || n || '/a', \
         '', '', clock_timestamp() FROM generate_series(1, 200000) AS n";
    run(&pool, fill).await;
    run(&pool, "ANALYZE tower_oauth_refresh_records").await;
    let scans = async || {
        run(&pool, "SELECT pg_stat_force_next_flush()").await;
        let scans = "SELECT seq_scan, idx_tup_read FROM pg_stat_user_tables, \
            (SELECT sum(idx_tup_read)::int8 AS idx_tup_read FROM pg_stat_user_indexes \
             WHERE relid = 'tower_oauth_refresh_records'::regclass) AS indexes \
            WHERE relid = 'tower_oauth_refresh_records'::regclass";
        sqlx::query_as::<_, (i64, i64)>(scans).fetch_one(&pool).await.unwrap()
    };
    let before = scans().await;
    let prefix = "https://as.example/token us / user-77/";
    // More often than it takes until a prepared statement keeps one plan for all parameters.
    for _ in 0..10 {
        let listed = store.keys_with_prefix(prefix, None, 100).await.unwrap();
        assert_eq!(listed, [StoredKey::new(format!("{prefix}a"))]);
        assert_eq!(store.keys_with_prefix("", Some(&"https://b".into()), 100).await.unwrap(), []);
        assert_eq!(store.keys_with_prefix("https://as", None, 3).await.unwrap().len(), 3);
    }
    assert_eq!(store.remove_prefix(prefix).await.unwrap(), 1);
    let after = scans().await;
    assert_eq!(after.0 - before.0, 0, "scans of the whole table");
    assert!(after.1 - before.1 < 100, "{} entries of the index were read", after.1 - before.1);
    schema.remove().await;
}

/// Connections of this name that listen.
async fn listening(admin: &PgPool, name: &str) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND application_name = $1";
    sqlx::query_scalar(count).bind(name).fetch_one(admin).await.unwrap()
}

/// Writes again and again: the first may be written before anybody listens.
async fn write_on(writer: &PostgresStore) {
    let mut old = version(writer, &key()).await;
    loop {
        let new = body(b"next");
        old = match writer.compare_and_swap(&key(), old, Some(&new)).await.unwrap() {
            Swap::Swapped => Some(new.version()),
            // One that was dropped was carried out.
            Swap::Conflict(found) => found.map(|record| record.body.version()),
        };
    }
}

#[tokio::test]
async fn when_nobody_waits_any_more_the_next_change_ends_the_listening() {
    let schema = Schema::new().await;
    let name = schema.name.as_str();
    let listener = PostgresStore::new(schema.pool_with(&[("application_name", name)]).await);
    let (writer, admin) = (schema.store().await, schema.pool().await);
    for _ in 0..2 {
        let mut changes = listener.changes().unwrap();
        tokio::select! {
            told = timeout(PATIENCE, async { while changes.next().await != Some(key().digest()) {} }) => told.unwrap(),
            () = write_on(&writer) => {}
        }
        assert_eq!(listening(&admin, name).await, 1);
        drop(changes);
        tokio::select! {
            over = timeout(PATIENCE, async { while listening(&admin, name).await > 0 {} }) => over.unwrap(),
            () = write_on(&writer) => {}
        }
    }
    schema.remove().await;
}

#[tokio::test]
async fn a_change_is_told_to_every_waiter_over_one_connection_that_ends_with_the_store() {
    let schema = Schema::new().await;
    let name = schema.name.as_str();
    let listener = PostgresStore::new(schema.pool_with(&[("application_name", name)]).await);
    let (writer, admin) = (schema.store().await, schema.pool().await);
    let mut waiters: Vec<_> = (0..50).map(|_| listener.changes().unwrap()).collect();
    let heard = waiters.iter_mut().map(async |waiter| while waiter.next().await != Some(key().digest()) {});
    let heard = join_all(heard);
    let told = async {
        tokio::select! {
            _ = heard => {}
            () = write_on(&writer) => {}
        }
    };
    timeout(PATIENCE, told).await.unwrap();
    assert_eq!(listening(&admin, name).await, 1);
    drop(waiters);
    drop(listener);
    let ended = async { while listening(&admin, name).await > 0 {} };
    timeout(PATIENCE, ended).await.unwrap();
    schema.remove().await;
}

/// Whoever may connect to the database may listen, also without a right to the table.
#[tokio::test]
async fn who_listens_without_knowing_the_keys_learns_none() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let mut stranger = PgListener::connect_with(&schema.pool().await).await.unwrap();
    stranger.listen("tower_oauth_refresh").await.unwrap();
    let key = StoredKey::new(format!("https://as.example/token us / {}", schema.name));
    insert(&store, &key).await;
    let digest = format!("{:032x}", key.digest().to_bits());
    let told = async {
        // Other tests write here, too.
        loop {
            let told = stranger.recv().await.unwrap().payload().to_owned();
            assert!(!told.contains(&schema.name), "{told}");
            if told == digest {
                return;
            }
        }
    };
    timeout(PATIENCE, told).await.unwrap();
    schema.remove().await;
}

#[tokio::test]
async fn a_removal_by_prefix_is_told() {
    let schema = Schema::new().await;
    let (listener, writer) = (schema.store().await, schema.store().await);
    let mut changes = listener.changes().unwrap();
    let removed = StoredKey::from("user-1/removed");
    let heard = async { while changes.next().await != Some(removed.digest()) {} };
    let remove = async {
        loop {
            insert(&writer, &removed).await;
            writer.remove_prefix("user-1/").await.unwrap();
        }
    };
    tokio::select! {
        told = timeout(PATIENCE, heard) => told.unwrap(),
        () = remove => {}
    }
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_never_hands_its_answer_to_another() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let mut tasks = JoinSet::new();
    for task in 0..8_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            let key = StoredKey::new(task.to_string());
            for turn in 0..60_u64 {
                let found = store.load(&key).await.unwrap();
                assert!(found.iter().all(|record| record.body.bytes() == task.to_be_bytes()));
                let (new, old) = (body(&task.to_be_bytes()), found.map(|record| record.body.version()));
                // Cut off at another place each time.
                let limit = Duration::from_micros(turn * 37);
                let swap = timeout(limit, store.compare_and_swap(&key, old, Some(&new))).await;
                if let Ok(swap) = swap {
                    // A dropped one may have won.
                    drop(swap.unwrap());
                }
            }
        });
    }
    tasks.join_all().await;
    schema.remove().await;
}
