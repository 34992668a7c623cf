use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt as _;
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tower_oauth_refresh_testkit::conformance::check_damaged;

use super::*;

/// A directory, and the path of a database in it that does not exist yet.
fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials.db");
    (dir, path)
}

fn body(bits: u128, bytes: &[u8]) -> RecordBody {
    RecordBody::new(Version::from_bits(bits), bytes.to_vec())
}

fn key() -> StoredKey {
    "acme".into()
}

async fn insert(store: &SqliteStore, key: &StoredKey, bits: u128) {
    let swap = store.compare_and_swap(key, None, Some(&body(bits, b"body"))).await.unwrap();
    assert!(matches!(swap, Swap::Swapped), "{swap:?}");
}

async fn version(store: &SqliteStore) -> Option<u128> {
    store.load(&key()).await.unwrap().map(|record| record.body.version().to_bits())
}

/// All that an error says, to whoever prints it in whichever way.
fn words(error: &StoreError) -> String {
    let source = std::error::Error::source(error).unwrap();
    format!("{error} {error:?} {source} {source:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_tasks_on_two_pools_exactly_one_wins_each_of_a_hundred_swaps() {
    let (_dir, path) = place();
    let stores = [SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap()];
    insert(&stores[0], &key(), 0).await;
    let mut tasks = JoinSet::new();
    for task in 0..8_u128 {
        let store = stores[usize::try_from(task).unwrap() % 2].clone();
        tasks.spawn(async move {
            let mut won = 0;
            let mut at = store.load(&key()).await.unwrap().unwrap().body.version();
            while at.to_bits() >> 8 < 100 {
                let next = body(((at.to_bits() >> 8) + 1) << 8 | task, b"next");
                at = match store.compare_and_swap(&key(), Some(at), Some(&next)).await.unwrap() {
                    Swap::Swapped => {
                        won += 1;
                        next.version()
                    }
                    Swap::Conflict(found) => found.unwrap().body.version(),
                };
            }
            won
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<u32>(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_database_can_be_opened_by_many_at_once() {
    for _ in 0..20 {
        let (_dir, path) = place();
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let path = path.clone();
            tasks.spawn(async move { SqliteStore::open(path).await });
        }
        tasks.join_all().await.into_iter().for_each(|opened| drop(opened.unwrap()));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_the_write_and_keeps_the_record() {
    let (_dir, path) = place();
    drop(SqliteStore::open(&path).await.unwrap());
    let full = SqliteConnectOptions::new().filename(&path).pragma("max_page_count", "12");
    let store =
        SqliteStore::new(SqlitePoolOptions::new().max_connections(1).connect_with(full).await.unwrap());
    insert(&store, &key(), 1).await;
    let old = Version::from_bits(1);
    let secret = b"eyJhbGciOiJ".repeat(20_000);
    let error = store.compare_and_swap(&key(), Some(old), Some(&body(2, &secret))).await.unwrap_err();
    assert!(!error.is_unreadable() && words(&error).contains("full"), "{error:?}");
    assert!(!words(&error).contains("eyJhbGci"));
    assert_eq!(version(&store).await, Some(1));
    let swap = store.compare_and_swap(&key(), Some(old), Some(&body(3, b"small"))).await.unwrap();
    assert!(matches!(swap, Swap::Swapped), "there is room for this one");
}

#[tokio::test]
async fn a_read_only_database_can_be_loaded_and_not_written() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    insert(&store, &key(), 1).await;
    let options = SqliteConnectOptions::new().filename(&path).read_only(true);
    let store = SqliteStore::new(SqlitePool::connect_with(options).await.unwrap());
    let error = store.compare_and_swap(&key(), Some(Version::from_bits(1)), None).await.unwrap_err();
    assert!(!error.is_unreadable() && words(&error).contains("readonly"), "{error:?}");
    assert_eq!(version(&store).await, Some(1));
}

#[tokio::test]
async fn a_database_that_another_connection_keeps_locked_is_not_available() {
    let (_dir, path) = place();
    let holder = SqliteStore::open(&path).await.unwrap();
    insert(&holder, &key(), 1).await;
    let options = SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::from_millis(1));
    let store = SqliteStore::new(SqlitePool::connect_with(options).await.unwrap());
    let lock = holder.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let new = body(2, b"new");
    let error = store.compare_and_swap(&key(), Some(Version::from_bits(1)), Some(&new)).await.unwrap_err();
    assert!(words(&error).contains("locked"), "{error:?}");
    assert_eq!(version(&store).await, Some(1), "readers do not wait for it");
    lock.rollback().await.unwrap();
    store.compare_and_swap(&key(), Some(Version::from_bits(1)), Some(&new)).await.unwrap();
    assert_eq!(version(&store).await, Some(2));
}

#[tokio::test]
async fn connections_that_do_not_flush_are_refused() {
    let (_dir, path) = place();
    for (level, is_fine) in [("OFF", false), ("NORMAL", false), ("FULL", true), ("EXTRA", true)] {
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePool::connect_with(options.pragma("synchronous", level)).await.unwrap();
        let store = SqliteStore::new(pool);
        assert_eq!(store.migrate().await.is_ok(), is_fine, "{level}");
        let swap = store.compare_and_swap(&"other".into(), Some(Version::from_bits(1)), None).await;
        assert_eq!(swap.is_ok(), is_fine, "{level}");
    }
}

#[tokio::test]
async fn connections_that_cannot_undo_a_half_done_write_are_refused() {
    for (mode, is_fine) in [("OFF", false), ("MEMORY", false), ("DELETE", true), ("WAL", true)] {
        let (_dir, path) = place();
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePool::connect_with(options.pragma("journal_mode", mode)).await.unwrap();
        assert_eq!(SqliteStore::new(pool).migrate().await.is_ok(), is_fine, "{mode}");
    }
}

#[tokio::test]
async fn a_damaged_row_is_unreadable_and_stays_as_it_is() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    insert(&store, &key(), 1).await;
    sqlx::query("UPDATE tower_oauth_refresh_records SET version = x'01'").execute(&store.pool).await.unwrap();
    assert!(store.load(&key()).await.unwrap_err().is_unreadable());
    for expected in [None, Some(Version::from_bits(1))] {
        let error = store.compare_and_swap(&key(), expected, Some(&body(2, b"new"))).await.unwrap_err();
        assert!(error.is_unreadable());
    }
    assert!(store.compare_and_swap(&key(), None, None).await.unwrap_err().is_unreadable());
    assert!(
        store.compare_and_swap(&key(), Some(Version::from_bits(1)), None).await.unwrap_err().is_unreadable()
    );
    let left: Vec<u8> = sqlx::query_scalar("SELECT version FROM tower_oauth_refresh_records")
        .fetch_one(&store.pool)
        .await
        .unwrap();
    assert_eq!(left, [1]);
}

#[tokio::test]
async fn a_row_with_a_damaged_version_can_be_replaced() {
    let (_dir, path) = place();
    let pool = SqliteStore::open(&path).await.unwrap().pool;
    let damage = async |key: &StoredKey| {
        let spoil = sqlx::query("UPDATE tower_oauth_refresh_records SET version = x'01' WHERE key = ?1");
        spoil.bind(key.as_str()).execute(&pool).await.unwrap();
    };
    let open = async || SqliteStore::open(&path).await.unwrap();
    assert_eq!(check_damaged(&open, &damage).await, Ok(()));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_unreadable_and_stays_as_it_is() {
    let (_dir, path) = place();
    let other = b"somebody's notes, and not a database. ".repeat(100);
    std::fs::write(&path, &other).unwrap();
    assert!(SqliteStore::open(&path).await.unwrap_err().is_unreadable());
    assert_eq!(std::fs::read(&path).unwrap(), other);
}

#[tokio::test]
async fn without_its_tables_the_store_is_not_available() {
    let (_dir, path) = place();
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let store = SqliteStore::new(SqlitePool::connect_with(options).await.unwrap());
    let error = store.load(&key()).await.unwrap_err();
    assert!(!error.is_unreadable() && words(&error).contains("no such table"), "{error:?}");
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(version(&store).await, None);
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_shows_where_its_file_is() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    let shown = format!("{store:?}");
    assert!(shown.starts_with("SqliteStore { file: "), "{shown}");
}

#[tokio::test]
async fn the_files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    std::fs::write(dir.path().join("old.db"), b"").unwrap();
    std::fs::set_permissions(dir.path().join("old.db"), std::fs::Permissions::from_mode(0o644)).unwrap();
    for name in ["old.db", "new/new.db"] {
        let store = SqliteStore::open(dir.path().join(name)).await.unwrap();
        insert(&store, &key(), 1).await;
        for file in [name.to_owned(), format!("{name}-wal"), format!("{name}-shm")] {
            assert_eq!(mode(&file), 0o600, "{file}");
        }
    }
    assert_eq!(mode("new"), 0o700);
}

#[tokio::test]
async fn keys_are_listed_by_their_beginning_in_the_order_of_bytes() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    for name in ["b/2", "b/10", "B/1", "b/%", "b", "b/\u{10ffff}", "b/ä", "c", "", "b0"] {
        insert(&store, &name.into(), 1).await;
    }
    let list = async |prefix: &str, after: Option<&str>, limit| {
        let keys = store.keys_with_prefix(prefix, after.map(Into::into).as_ref(), limit).await.unwrap();
        keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list("b/", None, 9).await, "b/% b/10 b/2 b/ä b/\u{10ffff}");
    assert_eq!(list("b/", None, 2).await, "b/% b/10");
    assert_eq!(list("b/", Some("b/10"), 2).await, "b/2 b/ä");
    assert_eq!(list("b/", Some("a"), 1).await, "b/%", "an earlier place than the beginning");
    assert_eq!(list("b/", Some("c"), 9).await, "");
    assert_eq!(list("", None, 99).await, " B/1 b b/% b/10 b/2 b/ä b/\u{10ffff} b0 c");
    assert_eq!(list("", Some(""), 1).await, "B/1");
    assert_eq!(list("\u{10ffff}", None, 9).await, "");
}

#[tokio::test]
async fn removing_by_a_beginning_leaves_its_neighbours() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    for number in 0..1100 {
        insert(&store, &format!("user-1/{number}").into(), 1).await;
    }
    for name in ["user-1", "user-10/a", "user-1.", "user-2/a", "USER-1/a"] {
        insert(&store, &name.into(), 1).await;
    }
    assert_eq!(store.remove_prefix("user-1/").await.unwrap(), 1100);
    assert_eq!(store.remove_prefix("user-1/").await.unwrap(), 0);
    let left = store.keys_with_prefix("", None, 10).await.unwrap();
    assert_eq!(left, ["USER-1/a", "user-1", "user-1.", "user-10/a", "user-2/a"].map(StoredKey::from));
    assert_eq!(store.remove_prefix("").await.unwrap(), 5);
}

#[tokio::test]
async fn both_lists_are_ranges_of_the_index() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    for (statement, range) in [
        (LIST, "(key>? AND key<?)"),
        (LIST_TO_END, "(key>?)"),
        (REMOVE, "(key>? AND key<?)"),
        (REMOVE_TO_END, "(key>?)"),
    ] {
        let plan = sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
        let plan: Vec<(i64, i64, i64, String)> = plan.fetch_all(&store.pool).await.unwrap();
        let plan = plan.into_iter().map(|step| step.3).collect::<Vec<_>>().join("; ");
        assert!(
            plan.contains(range) && !plan.contains("SCAN") && !plan.contains("TEMP"),
            "{statement}: {plan}"
        );
    }
}

#[tokio::test]
async fn a_wall_clock_that_was_set_does_not_make_a_record_older_than_it_is() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    insert(&store, &key(), 1).await;
    for by_hours in [-100, 100] {
        let set = "UPDATE tower_oauth_refresh_records SET written_ms = written_ms + ?1";
        sqlx::query(set).bind(by_hours * 3_600_000).execute(&store.pool).await.unwrap();
        let age = store.load(&key()).await.unwrap().unwrap().age;
        assert!(cfg!(not(target_os = "linux")) || age < Duration::from_secs(60), "{age:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_never_hands_its_answer_to_another() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..8_u128 {
        let store = store.clone();
        tasks.spawn(async move {
            let key = StoredKey::new(task.to_string());
            let mut at: Option<Version> = None;
            for turn in 0..60_u128 {
                let new = body(task << 64 | turn, &task.to_be_bytes());
                let swap = store.compare_and_swap(&key, at, Some(&new));
                // As far as it gets in so many polls, which is somewhere else each time.
                let mut swap = std::pin::pin!(swap);
                for _ in 0..turn % 5 {
                    if swap.as_mut().now_or_never().is_some() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let found = store.load(&key).await.unwrap();
                assert!(found.iter().all(|record| record.body.bytes() == task.to_be_bytes()));
                at = found.map(|record| record.body.version());
            }
        });
    }
    tasks.join_all().await;
}

#[test]
fn without_a_runtime_a_call_fails_and_does_not_panic() {
    let runtime = current_thread(false);
    let (_dir, path) = place();
    let store = runtime.block_on(SqliteStore::open(&path)).unwrap();
    let key = key();
    assert!(store.load(&key).now_or_never().unwrap().is_err());
    assert!(
        futures_util::FutureExt::now_or_never(store.compare_and_swap(&key, None, None)).unwrap().is_err()
    );
    assert!(store.remove_prefix("").now_or_never().unwrap().is_err());
}

fn current_thread(paused: bool) -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(paused).build().unwrap()
}

#[test]
fn a_store_outlives_the_runtime_that_it_was_opened_on() {
    let (_dir, path) = place();
    let store = current_thread(false).block_on(SqliteStore::open(&path)).unwrap();
    for bits in 1..4 {
        current_thread(false).block_on(async {
            assert!(version(&store).await.is_none());
            insert(&store, &key(), bits).await;
            let swap = store.compare_and_swap(&key(), Some(Version::from_bits(bits)), None).await.unwrap();
            assert!(matches!(swap, Swap::Swapped));
        });
    }
}

/// All connections of a store that [`SqliteStore::open`] made.
async fn connections(store: &SqliteStore) -> Vec<PoolConnection<Sqlite>> {
    let mut all = Vec::new();
    while all.len() < 4 {
        all.push(store.pool.acquire().await.unwrap());
    }
    all
}

/// Lets others have them, who then need not connect: that has a time limit, and paused time would be over.
async fn let_go(store: &SqliteStore, connections: Vec<PoolConnection<Sqlite>>) {
    drop(connections);
    while store.pool.num_idle() < 4 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_call_on_a_runtime_that_stands_still_does_not_stop_the_writers_of_another() {
    // While it looks whether writes are durable, while it waits for its turn, and in the middle of its turn.
    for (is_first, is_busy) in [(true, false), (false, true), (false, false)] {
        let (_dir, path) = place();
        let still = current_thread(false);
        let opened = still.block_on(SqliteStore::open(&path)).unwrap();
        let store = if is_first { SqliteStore::new(opened.pool.clone()) } else { opened };
        let turn = is_busy.then(|| still.block_on(store.writers.turn()));
        let (other, new) = (StoredKey::from("other"), body(1, b"body"));
        let mut call = store.compare_and_swap(&other, None, Some(&new));
        still.block_on(async {
            let connections = connections(&store).await;
            assert!(call.as_mut().now_or_never().is_none());
            let_go(&store, connections).await;
        });
        drop(turn);
        assert_eq!(store.writers.queue().try_lock().is_err(), !is_first, "it has the turn, or not yet");

        let store = store.clone();
        let (over, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            current_thread(true).block_on(async {
                for name in ["a", "b", "c"] {
                    insert(&store, &name.into(), 2).await;
                }
            });
            let _ = over.send(());
        });
        ended.recv_timeout(Duration::from_secs(10)).expect("they wait for ever");
        // Driven again, it is carried out like any other.
        assert!(matches!(still.block_on(call), Ok(Swap::Swapped)));
    }
}
