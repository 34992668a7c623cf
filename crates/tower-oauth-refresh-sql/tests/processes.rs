//! The promises that hold between processes, tested with real ones: this binary starts itself again.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests, of which clippy knows only the attribute"
)]

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tower_oauth_refresh::{Record, RecordBody, StoredKey, Swap, TokenStore as _, Version};
use tower_oauth_refresh_sql::SqliteStore;
use tower_oauth_refresh_sql::sqlx;
use tower_oauth_refresh_sql::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool};

const ROLE: &str = "SQL_STORE_TEST_ROLE";
const PATH: &str = "SQL_STORE_TEST_PATH";

/// What a child process does; run by hand it does nothing.
#[tokio::test]
#[ignore = "the child process of the other tests"]
async fn child() {
    let (Ok(role), Ok(path)) = (env::var(ROLE), env::var(PATH)) else { return };
    if role == "look" {
        return say(&look(path.as_ref()).await.to_string());
    }
    say("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    // The first of them creates the file and its tables, while all the others do so too.
    let store = SqliteStore::open(path).await.unwrap();
    let turns = if role == "count for ever" { u64::MAX } else { 25 };
    for _ in 0..turns {
        say(&count_up(&store).await.to_string());
    }
}

#[tokio::test]
async fn processes_that_start_at_once_share_one_new_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/credentials.db");
    let mut children: Vec<_> = (0..6).map(|_| start("count", &path)).collect();
    let mut words: Vec<_> = children.iter_mut().map(words).collect();
    for words in &mut words {
        assert_eq!(words.next().as_deref(), Some("ready"));
    }
    // Now all of them begin.
    children.iter_mut().for_each(|child| drop(child.stdin.take()));
    let mut counted: Vec<u64> = words.into_iter().flatten().map(|word| word.parse().unwrap()).collect();
    assert!(children.into_iter().all(|mut child| child.wait().unwrap().success()));
    counted.sort_unstable();
    assert_eq!(counted, (1..=6 * 25).collect::<Vec<_>>(), "each swap took effect once");
}

#[tokio::test]
async fn what_a_killed_process_said_it_stored_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials.db");
    let mut last = 0;
    for round in 1..=8 {
        let mut child = start("count for ever", &path);
        let mut words = words(&mut child);
        assert_eq!(words.next().as_deref(), Some("ready"));
        drop(child.stdin.take());
        // Each round at another place in what it was doing.
        let said = words.by_ref().nth(round * 7).unwrap();
        child.kill().unwrap();
        let said: u64 = words.last().unwrap_or(said).parse().unwrap();
        child.wait().unwrap();
        let store = SqliteStore::open(&path).await.unwrap();
        let found = count(store.load(&key()).await.unwrap().as_ref());
        assert!(found == said || found == said + 1, "said {said}, found {found}");
        assert!(found > last);
        last = found;
    }
}

/// What somebody does who wants to know what is in the file: opens it, reads, and closes it.
async fn look(path: &Path) -> u64 {
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.unwrap();
    let query = sqlx::query_scalar("SELECT body FROM tower_oauth_refresh_records");
    let body: Vec<u8> = query.fetch_one(&pool).await.unwrap();
    pool.close().await;
    u64::from_be_bytes(body.try_into().unwrap())
}

fn looks(path: &Path) -> u64 {
    let mut child = start("look", path);
    let seen = words(&mut child).last().unwrap().parse().unwrap();
    assert!(child.wait().unwrap().success());
    seen
}

/// Has this process a lock on the file? Not every SQLite removes the log where it has none: to look at what is lost does
/// not do.
#[cfg(target_os = "linux")]
fn is_locked(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let inode = format!(":{}", std::fs::metadata(path).unwrap().ino());
    let (locks, process) = (std::fs::read_to_string("/proc/locks").unwrap(), std::process::id().to_string());
    let ours = |lock: &str| {
        let mut fields = lock.split_whitespace().skip(4);
        fields.next() == Some(process.as_str()) && fields.next().is_some_and(|file| file.ends_with(&inode))
    };
    locks.lines().any(ours)
}

#[cfg(not(target_os = "linux"))]
fn is_locked(_: &Path) -> bool {
    true
}

/// A lock of SQLite's is one of the process on the file, and whoever closes the file lets all of them go.
#[tokio::test]
async fn opening_the_store_again_lets_no_other_process_discard_its_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials.db");
    let first = SqliteStore::open(&path).await.unwrap();
    count_up(&first).await;
    let second = SqliteStore::open(&path).await.unwrap();
    assert!(is_locked(&path), "whoever closes the file lets SQLite's lock go");
    assert_eq!(looks(&path), 1);
    assert_eq!(count_up(&first).await, 2);
    assert_eq!(looks(&path), 2, "to another process, what was stored since is lost");
    assert_eq!(count_up(&second).await, 3);
    assert_eq!(looks(&path), 3);
}

/// The same, where the application has the file open, and opens a store beside its own pool.
#[tokio::test]
async fn opening_a_store_beside_an_applications_pool_leaves_the_pool_its_locks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("application.db");
    drop(SqliteStore::open(&path).await.unwrap());
    let options = SqliteConnectOptions::new().filename(&path).journal_mode(SqliteJournalMode::Wal);
    let application = SqliteStore::new(SqlitePool::connect_with(options).await.unwrap());
    count_up(&application).await;
    let opened = SqliteStore::open(&path).await.unwrap();
    assert!(is_locked(&path), "whoever closes the file lets SQLite's lock go");
    assert_eq!(looks(&path), 1);
    assert_eq!(count_up(&application).await, 2);
    assert_eq!(looks(&path), 2);
    assert_eq!(count_up(&opened).await, 3);
}

fn key() -> StoredKey {
    "acme".into()
}

fn count(record: Option<&Record>) -> u64 {
    record.map_or(0, |record| u64::from_be_bytes(record.body.bytes().try_into().unwrap()))
}

/// Adds one to the number in the record, as often as it takes, and says what it then is.
async fn count_up(store: &SqliteStore) -> u64 {
    let mut current = store.load(&key()).await.unwrap();
    loop {
        let count = count(current.as_ref()) + 1;
        let version = Version::from_bits(u128::from(count) << 64 | u128::from(std::process::id()));
        let new = RecordBody::new(version, count.to_be_bytes().to_vec());
        let old = current.map(|record| record.body.version());
        match store.compare_and_swap(&key(), old, Some(&new)).await.unwrap() {
            Swap::Swapped => return count,
            Swap::Conflict(found) => current = found,
        }
    }
}

fn start(role: &str, path: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--ignored", "--nocapture"]).env(ROLE, role).env(PATH, path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What a child says to its parent, told apart from what the test harness prints.
fn say(text: &str) {
    println!("\nsays {text}");
}

fn words(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("says ").map(str::to_owned))
}
