//! The promises that hold between processes, tested with real ones: this binary starts itself again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests, of which clippy knows only the attribute"
)]

use std::env;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio, id};

use tokio::task::JoinSet;
use tower_oauth_refresh::{Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version};
use tower_oauth_refresh_file::{FileStore, KeyFile};

const ROLE: &str = "FILE_STORE_TEST_ROLE";
const PATH: &str = "FILE_STORE_TEST_PATH";

/// What a child process does; run by hand it does nothing.
#[tokio::test]
#[ignore = "the child process of the other tests"]
async fn child() {
    let (Ok(role), Ok(path)) = (env::var(ROLE), env::var(PATH)) else { return };
    match role.as_str() {
        "count to 25" => {
            say("ready");
            listen();
            let store = FileStore::open(path).unwrap();
            for turn in 0..25 {
                count_up(&store, turn).await;
            }
        }
        "count" => {
            let store = FileStore::open(path).unwrap();
            for turn in 0.. {
                say(&count_up(&store, turn).await.to_string());
            }
        }
        "keep writing" => keep_writing(&FileStore::open(path).unwrap()).await,
        "lock" => {
            let lock = File::create(format!("{path}.lock")).unwrap();
            lock.lock().unwrap();
            say("locked");
            listen();
        }
        "key" => {
            say("ready");
            listen();
            say(&format!("{:?}", KeyFile::open_or_create(path).unwrap().expose_secret()));
        }
        "full disk" => on_a_full_disk(&path).await,
        other => panic!("no such role: {other}"),
    }
}

/// Many tasks, of which one always waits for the lock that another lets go.
async fn keep_writing(store: &FileStore) {
    let mut tasks = JoinSet::new();
    for task in 0..16_u8 {
        let store = store.clone();
        tasks.spawn(async move {
            let key = StoredKey::new(task.to_string());
            let mut expected = None;
            for bits in 0.. {
                let new = RecordBody::new(Version::from_bits(bits), vec![task]);
                let swapped = store.compare_and_swap(&key, expected, Some(&new)).await.unwrap();
                assert!(matches!(swapped, Swap::Swapped));
                expected = Some(new.version());
                say("wrote");
            }
        });
    }
    tasks.join_all().await;
}

async fn on_a_full_disk(path: &str) {
    let store = FileStore::open(path).unwrap();
    assert_eq!(count_up(&store, 0).await, 1);
    let old = load(&store).await.unwrap().unwrap().body.version();
    let large = RecordBody::new(Version::from_bits(99), vec![b'x'; 1_000_000]);
    // Another one that is written with it has room.
    let (key, beside, small) = (key(), "beside".into(), RecordBody::new(Version::from_bits(98), vec![b'x']));
    let lock = File::open(format!("{path}.lock")).unwrap();
    lock.lock().unwrap();
    let both = async {
        tokio::join!(
            store.compare_and_swap(&key, Some(old), Some(&large)),
            store.compare_and_swap(&beside, None, Some(&small)),
        )
    };
    let ((refused, swapped), ()) = tokio::join!(biased; both, async { lock.unlock().unwrap() });
    assert!(matches!(swapped, Ok(Swap::Swapped)), "{swapped:?}");
    assert!(store.load(&beside).await.unwrap().is_some());
    let error = refused.unwrap_err();
    assert!(!error.is_unreadable());
    assert_eq!(load(&store).await.unwrap().unwrap().body.version(), old);
    assert!(!Path::new(&format!("{path}.tmp")).exists(), "it would keep the disk full");
    assert_eq!(count_up(&store, 1).await, 2);
    say("passed");
}

fn start(role: &str, path: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    spawn(command.args(["--exact", "child", "--ignored", "--nocapture"]), role, path)
}

fn spawn(command: &mut Command, role: &str, path: &Path) -> Child {
    command.env(ROLE, role).env(PATH, path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What a child says to its parent, told apart from what the test harness prints.
fn say(text: &str) {
    println!("\nsays {text}");
}

fn listen() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn words(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("says ").map(str::to_owned))
}

fn key() -> StoredKey {
    "acme".into()
}

async fn load(store: &impl TokenStore) -> Result<Option<Record>, StoreError> {
    store.load(&key()).await
}

fn number(record: Option<&Record>) -> u64 {
    record.map_or(0, |record| std::str::from_utf8(record.body.bytes()).unwrap().parse().unwrap())
}

/// Adds one to the number in the record, however often others are faster.
async fn count_up(store: &impl TokenStore, turn: u64) -> u64 {
    let version = Version::from_bits(u128::from(id()) << 64 | u128::from(turn));
    let mut current = load(store).await.unwrap();
    loop {
        let next = number(current.as_ref()) + 1;
        let new = RecordBody::new(version, next.to_string().into_bytes());
        let expected = current.map(|record| record.body.version());
        match store.compare_and_swap(&key(), expected, Some(&new)).await.unwrap() {
            Swap::Swapped => return next,
            Swap::Conflict(record) => current = record,
        }
    }
}

#[tokio::test]
async fn no_write_of_racing_processes_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials");
    let mut children = [(); 4].map(|()| start("count to 25", &path));
    let mut told = children.each_mut().map(words);
    for told in &mut told {
        assert_eq!(told.next().unwrap(), "ready");
    }
    for child in &mut children {
        drop(child.stdin.take());
    }
    for (mut child, told) in children.into_iter().zip(told) {
        assert_eq!(told.count(), 0);
        assert!(child.wait().unwrap().success());
    }
    let record = load(&FileStore::open(&path).unwrap()).await.unwrap();
    assert_eq!(number(record.as_ref()), 100);
}

#[tokio::test]
async fn a_process_that_never_stops_writing_does_not_keep_others_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials");
    let mut busy = start("keep writing", &path);
    let mut told = words(&mut busy);
    told.next().unwrap();
    let told = std::thread::spawn(move || told.count());
    let store = FileStore::open(&path).unwrap();
    for turn in 0..30 {
        count_up(&store, turn).await;
    }
    busy.kill().unwrap();
    busy.wait().unwrap();
    assert!(told.join().unwrap() > 0, "it wrote all the while");
}

#[tokio::test]
async fn a_lock_frees_itself_when_its_holder_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials");
    let mut holder = start("lock", &path);
    assert_eq!(words(&mut holder).next().unwrap(), "locked");
    let lock = File::open(dir.path().join("credentials.lock")).unwrap();
    assert!(lock.try_lock().is_err(), "the child holds it");

    let store = FileStore::open(&path).unwrap();
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { count_up(&store, 0).await });
    tokio::task::yield_now().await;
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(waiting.join_all().await, [1]);
}

#[tokio::test]
async fn a_writer_killed_at_any_moment_leaves_everything_it_was_told_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials");
    let store = FileStore::open(&path).unwrap();
    for round in 1..=20 {
        let before = number(load(&store).await.unwrap().as_ref());
        let mut child = start("count", &path);
        let mut counted = words(&mut child);
        let seen = counted.by_ref().take(round).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let told: u64 = counted.last().unwrap_or(seen).parse().unwrap();

        let stored = number(load(&store).await.unwrap().as_ref());
        assert!(told > before);
        assert!(stored == told || stored == told + 1, "told {told}, stored {stored}");
        assert_eq!(count_up(&store, round as u64).await, stored + 1);
    }
}

#[test]
fn processes_that_create_a_key_at_once_end_with_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let mut children = [(); 4].map(|()| start("key", &path));
    let mut told = children.each_mut().map(words);
    for told in &mut told {
        assert_eq!(told.next().unwrap(), "ready");
    }
    for child in &mut children {
        drop(child.stdin.take());
    }
    let key = format!("{:?}", KeyFile::open_or_create(&path).unwrap().expose_secret());
    for (mut child, mut told) in children.into_iter().zip(told) {
        assert_eq!(told.next().unwrap(), key);
        assert_eq!(told.count(), 0);
        assert!(child.wait().unwrap().success());
    }
}

/// The limit on a file's size stands in for the disk: it binds root as well.
#[cfg(unix)]
#[test]
fn on_a_full_disk_the_old_records_stay_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" --exact child --ignored --nocapture";
    shell.args(["-c", script]).arg(env::current_exe().unwrap());
    let mut child = spawn(&mut shell, "full disk", &dir.path().join("credentials"));
    assert_eq!(words(&mut child).last().as_deref(), Some("passed"));
    child.wait().unwrap();
}
