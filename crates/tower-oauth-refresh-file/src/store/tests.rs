use std::error::Error as _;
use std::fs::{self, File};
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::collection::{btree_map, vec};
use proptest::prelude::{any, proptest};
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_oauth_refresh::{ClientAuth, Now, RefreshCoordinator, TokenSet};
use tower_oauth_refresh_testkit::conformance::check_damaged;

use super::*;
use crate::contents::{Contents, Moment};
use crate::lock::lock;

mod many;

const ACME: &str = "acme";

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(dir: &TempDir) -> FileStore {
    FileStore::open(dir.path().join("credentials")).unwrap()
}

fn with_patience(mut store: FileStore, patience: Duration) -> FileStore {
    Arc::make_mut(&mut store.file).patience = patience;
    store
}

fn version(bits: u128) -> Version {
    Version::from_bits(bits)
}

fn body(bits: u128, text: &str) -> RecordBody {
    RecordBody::new(version(bits), text.as_bytes().to_vec())
}

async fn load(store: &impl TokenStore, name: &str) -> Result<Option<Record>, StoreError> {
    store.load(&name.into()).await
}

async fn swap(
    store: &impl TokenStore,
    name: &str,
    expected: Option<u128>,
    new: Option<RecordBody>,
) -> Result<Swap, StoreError> {
    store.compare_and_swap(&name.into(), expected.map(version), new.as_ref()).await
}

async fn write(store: &impl TokenStore, name: &str, expected: Option<u128>, new: RecordBody) {
    let swapped = swap(store, name, expected, Some(new)).await.unwrap();
    assert!(matches!(swapped, Swap::Swapped), "{swapped:?}");
}

fn text(record: Option<Record>) -> String {
    String::from_utf8(record.unwrap().body.bytes().to_vec()).unwrap()
}

/// Adds one to a number in the record, however often others are faster.
async fn count_up(store: &impl TokenStore, name: &str, bits: u128) {
    let mut current = load(store, name).await.unwrap();
    loop {
        let number: u64 = current.as_ref().map_or(0, |record| text(Some(record.clone())).parse().unwrap());
        let expected = current.map(|record| record.body.version().to_bits());
        match swap(store, name, expected, Some(body(bits, &(number + 1).to_string()))).await.unwrap() {
            Swap::Swapped => return,
            Swap::Conflict(record) => current = record,
        }
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_the_store_was_dropped_and_opened_again() {
    let dir = dir();
    assert!(load(&open(&dir), ACME).await.unwrap().is_none());
    write(&open(&dir), ACME, None, body(u128::MAX, "rt")).await;
    let record = load(&open(&dir), ACME).await.unwrap().unwrap();
    assert_eq!(record.body.version(), version(u128::MAX));
    assert_eq!(record.body.bytes(), b"rt");
}

#[tokio::test]
async fn a_stale_writer_conflicts_and_is_handed_what_is_there() {
    let dir = dir();
    let store = open(&dir);
    write(&store, ACME, None, body(1, "first")).await;
    write(&store, ACME, Some(1), body(2, "second")).await;
    for stale in [None, Some(1)] {
        let Swap::Conflict(record) = swap(&store, ACME, stale, Some(body(3, "late"))).await.unwrap() else {
            panic!("{stale:?} is not the version");
        };
        assert_eq!(text(record), "second");
    }
    assert_eq!(text(load(&store, ACME).await.unwrap()), "second");
}

#[tokio::test]
async fn a_swap_that_conflicts_writes_no_file() {
    let dir = dir();
    let store = open(&dir);
    write(&store, ACME, None, body(1, "old")).await;
    let before = store.file.counted.writes.load(Relaxed);
    assert!(matches!(
        swap(&store, ACME, Some(7), Some(body(2, "new"))).await.unwrap(),
        Swap::Conflict { .. }
    ));
    assert_eq!(store.file.counted.writes.load(Relaxed), before);
}

#[tokio::test]
async fn a_removed_record_is_gone_and_the_others_stay() {
    let dir = dir();
    let store = open(&dir);
    write(&store, ACME, None, body(1, "one")).await;
    write(&store, "other \"quoted\"\n", None, body(2, "two")).await;
    assert!(matches!(swap(&store, ACME, Some(1), None).await.unwrap(), Swap::Swapped));
    assert!(load(&store, ACME).await.unwrap().is_none());
    assert!(matches!(swap(&store, ACME, Some(1), None).await.unwrap(), Swap::Conflict(None)));
    assert_eq!(text(load(&store, "other \"quoted\"\n").await.unwrap()), "two");
}

#[tokio::test]
async fn an_empty_file_is_an_empty_store() {
    let dir = dir();
    fs::write(dir.path().join("credentials"), "").unwrap();
    let store = open(&dir);
    assert!(load(&store, ACME).await.unwrap().is_none());
    write(&store, ACME, None, body(1, "rt")).await;
    assert_eq!(text(load(&store, ACME).await.unwrap()), "rt");
}

#[tokio::test]
async fn a_sealed_file_shows_neither_token_nor_anything_of_it() {
    let dir = dir();
    let path = dir.path().join("credentials");
    let key = SealingKey::new([7; 32]);
    write(&FileStore::sealed(&path, key.clone()).unwrap(), ACME, None, body(1, "rt-secret")).await;
    let raw = load(&open(&dir), ACME).await.unwrap().unwrap();
    assert!(!raw.body.bytes().windows(4).any(|bytes| b"rt-secret".windows(4).any(|secret| secret == bytes)));
    assert_eq!(text(load(&FileStore::sealed(&path, key).unwrap(), ACME).await.unwrap()), "rt-secret");
    let wrong = FileStore::sealed(&path, SealingKey::new([8; 32])).unwrap();
    assert!(load(&wrong, ACME).await.unwrap_err().is_unreadable());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_of_many_tasks_on_two_stores_is_lost() {
    let dir = dir();
    let stores = [open(&dir), open(&dir)];
    let mut tasks = JoinSet::new();
    for task in 0..20_u32 {
        let store = stores[task as usize % 2].clone();
        tasks.spawn(async move {
            for turn in 0..5_u32 {
                count_up(&store, ACME, u128::from(task * 5 + turn)).await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(text(load(&stores[0], ACME).await.unwrap()), "100");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_beside_a_writer_always_finds_a_whole_record() {
    let dir = dir();
    let store = open(&dir);
    let long = "x".repeat(100_000);
    write(&store, ACME, None, body(0, &long)).await;
    let mut writer = JoinSet::new();
    writer.spawn({
        let (store, long) = (store.clone(), long.clone());
        async move {
            for turn in 0..50 {
                write(&store, ACME, Some(turn), body(turn + 1, &long)).await;
            }
        }
    });
    let reader = open(&dir);
    let mut seen = 0;
    while writer.try_join_next().is_none() {
        let record = load(&reader, ACME).await.unwrap().unwrap();
        assert_eq!(record.body.bytes().len(), long.len());
        assert!(record.body.version().to_bits() >= seen, "time went back");
        seen = record.body.version().to_bits();
    }
    assert_eq!(load(&reader, ACME).await.unwrap().unwrap().body.version(), version(50));
}

#[tokio::test]
async fn a_damaged_file_is_unreadable_and_never_overwritten() {
    let dir = dir();
    let path = dir.path().join("credentials");
    let store = open(&dir);
    write(&store, ACME, None, body(1, "rt")).await;
    let whole = fs::read(&path).unwrap();
    for len in 1..whole.len() - 1 {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(load(&store, ACME).await.unwrap_err().is_unreadable(), "{len} bytes");
    }
    for damaged in ["\0\0\0\0", "{}", "[]", "null", "\u{feff}{}"] {
        fs::write(&path, damaged).unwrap();
        assert!(load(&store, ACME).await.unwrap_err().is_unreadable(), "{damaged}");
        for expected in [None, Some(1)] {
            let error = swap(&store, ACME, expected, Some(body(2, "new"))).await.unwrap_err();
            assert!(error.is_unreadable(), "{damaged}");
        }
        assert_eq!(fs::read(&path).unwrap(), damaged.as_bytes());
    }
}

#[tokio::test]
async fn the_error_of_a_damaged_file_says_where_and_quotes_nothing() {
    let dir = dir();
    let foreign = "{\"format\":1,\n\"records\":\"rt-of-another-tool\"}";
    fs::write(dir.path().join("credentials"), foreign).unwrap();
    let error = load(&open(&dir), ACME).await.unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("credentials is damaged at line 2, column "), "{cause}");
    assert!(!format!("{error} {error:?}").contains("another-tool"), "{error:?}");
}

#[tokio::test]
async fn a_file_of_a_newer_release_is_left_alone() {
    let dir = dir();
    let path = dir.path().join("credentials");
    for newer in ["{\"format\":2,\"records\":{}}", "{\"format\":2,\"tables\":[]}"] {
        fs::write(&path, newer).unwrap();
        let error = swap(&open(&dir), ACME, None, Some(body(1, "rt"))).await.unwrap_err();
        assert!(error.is_unreadable());
        assert!(error.source().unwrap().to_string().contains("newer release (format 2)"), "{error:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    }
}

#[tokio::test]
async fn one_damaged_record_does_not_take_the_others_with_it() {
    let dir = dir();
    let path = dir.path().join("credentials");
    let store = open(&dir);
    write(&store, "bad", None, body(1, "rt-bad")).await;
    write(&store, "good", None, body(2, "rt-good")).await;
    let damaged = fs::read_to_string(&path).unwrap().replace("cnQtYmFk", "cnQt*mFk");
    fs::write(&path, damaged).unwrap();

    assert!(load(&store, "bad").await.unwrap_err().is_unreadable());
    assert!(swap(&store, "bad", None, Some(body(4, "login"))).await.unwrap_err().is_unreadable());
    write(&store, "good", Some(2), body(3, "newer")).await;
    assert_eq!(text(load(&store, "good").await.unwrap()), "newer");
    assert!(fs::read_to_string(&path).unwrap().contains("cnQt*mFk"), "for whoever can repair it");
}

/// Changes the entry of a key in the file as `spoil` says.
fn spoil_entry(dir: &TempDir, key: &StoredKey, spoil: impl Fn(&str) -> String) {
    let path = dir.path().join("credentials");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find(&format!("\"{key}\"")).unwrap() + key.as_str().len() + 4;
    let end = at + text[at..].find('\n').unwrap();
    let entry = text[at..end].trim_end_matches(',');
    fs::write(&path, text.replacen(entry, &spoil(entry), 1)).unwrap();
}

#[tokio::test]
async fn a_damaged_entry_is_replaced_by_whoever_names_it() {
    let spoils: [fn(&str) -> String; 5] = [
        |entry| entry.replace("\"body\":\"", "\"body\":\"*"),
        |entry| entry.replace("\"version\":\"", "\"version\":\"x"),
        |entry| entry.replace("\"version\"", "\"of a newer release\":1,\"version\""),
        |_| "null".to_owned(),
        |_| "[\"notes of somebody\"]".to_owned(),
    ];
    for spoil in spoils {
        let dir = dir();
        let (open, spoil) = (async || open(&dir), async |key: &StoredKey| spoil_entry(&dir, key, spoil));
        assert_eq!(check_damaged(&open, &spoil).await, Ok(()));
    }
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_by_whoever_names_it() {
    let dir = dir();
    let path = dir.path().join("credentials");
    let damaged = "{\"format\":1,\"records\":{\"acme\":";
    fs::write(&path, damaged).unwrap();
    let store = open(&dir);
    let error = load(&store, ACME).await.unwrap_err();
    let named = error.version().unwrap().to_bits();
    for expected in [None, Some(named ^ 1)] {
        let error = swap(&store, ACME, expected, Some(body(1, "new"))).await.unwrap_err();
        assert_eq!(error.version(), Some(version(named)));
    }
    write(&store, ACME, Some(named), body(1, "of a new login")).await;
    assert_eq!(text(load(&store, ACME).await.unwrap()), "of a new login");
    assert!(load(&store, "other").await.unwrap().is_none());
    let aside = crate::contents::aside(&path, version(named));
    assert_eq!(fs::read_to_string(&aside).unwrap(), damaged, "for whoever can repair it");
    let cause = error.source().unwrap().to_string();
    assert!(cause.ends_with(&format!("a new login moves it to {}", aside.display())), "{cause}");
}

#[tokio::test]
async fn a_new_login_goes_on_where_the_file_was_damaged() {
    let dir = dir();
    fs::write(dir.path().join("credentials"), "{\"format\":1,").unwrap();
    let nobody = tower::service_fn(async |_: http::Request<http_body_util::Full<bytes::Bytes>>| {
        let sent: std::io::Result<http::Response<http_body_util::Full<bytes::Bytes>>> =
            Err(std::io::Error::other("nothing is to be sent"));
        sent
    });
    let auth = ClientAuth::basic("client", "secret".to_owned());
    let coordinator = RefreshCoordinator::builder("https://as.example/token".parse().unwrap(), auth)
        .store(Sealed::new(open(&dir), SealingKey::new([7; 32])))
        .build(nobody)
        .unwrap();
    assert!(coordinator.token(ACME).await.is_err());
    let login = TokenSet::new("access-secret").with_expires_in(Duration::from_secs(3600));
    coordinator.install(ACME, login).await.unwrap();
    assert_eq!(coordinator.token(ACME).await.unwrap().expose_secret(), "access-secret");
}

#[tokio::test]
async fn a_damaged_file_whose_successor_cannot_be_written_stays_where_it_is() {
    let dir = dir();
    let path = dir.path().join("credentials");
    fs::write(&path, "damaged").unwrap();
    let store = open(&dir);
    let named = load(&store, ACME).await.unwrap_err().version().unwrap().to_bits();
    fs::create_dir_all(dir.path().join("credentials.tmp/in-the-way")).unwrap();
    assert!(!swap(&store, ACME, Some(named), Some(body(1, "new"))).await.unwrap_err().is_unreadable());
    assert_eq!(fs::read_to_string(&path).unwrap(), "damaged");
}

fn bytes_of(contents: &Contents) -> Vec<u8> {
    let mut bytes = Vec::new();
    contents.write_to(&mut bytes).unwrap();
    bytes
}

proptest! {
    #[test]
    fn arbitrary_bytes_in_the_file_are_unreadable_and_never_a_panic(bytes: Vec<u8>, text: String) {
        for bytes in [bytes, text.into_bytes()] {
            let parsed = Contents::parse(&bytes, Path::new("credentials"));
            assert_eq!(parsed.is_ok(), bytes.is_empty());
        }
    }

    #[test]
    fn any_records_are_read_back_beside_one_another(
        records in btree_map(".{0,8}", (any::<u128>(), vec(any::<u8>(), 0..32)), 0..5),
    ) {
        let moment = Moment::new(now(1_000, 10), Some("a"));
        let mut contents = Contents::parse(b"", Path::new("credentials")).unwrap();
        for (name, (bits, bytes)) in &records {
            let body = RecordBody::new(version(*bits), bytes.clone());
            contents.swap(&name.as_str().into(), None, Some(&body), &moment).unwrap();
        }
        let read = Contents::parse(&bytes_of(&contents), Path::new("credentials")).unwrap();
        for (name, (bits, bytes)) in &records {
            let record = read.get(&name.as_str().into(), &moment).unwrap().unwrap();
            assert_eq!((record.body.version(), record.body.bytes()), (version(*bits), bytes.as_slice()));
            assert_eq!(record.age, Duration::ZERO);
        }
    }

    #[test]
    fn a_flipped_bit_in_the_file_is_never_a_panic(at: usize, bit in 0..8_u8) {
        let mut contents = Contents::parse(b"", Path::new("credentials")).unwrap();
        let now = Moment::new(now(1_000, 10), Some("a"));
        contents.swap(&ACME.into(), None, Some(&body(7, "rt")), &now).unwrap();
        let mut bytes = bytes_of(&contents);
        let at = at % bytes.len();
        bytes[at] ^= 1_u8 << bit;
        if let Ok(contents) = Contents::parse(&bytes, Path::new("credentials")) {
            let _ = contents.get(&ACME.into(), &now);
        }
    }
}

#[tokio::test]
async fn a_record_that_makes_the_file_too_large_to_read_is_not_written() {
    let dir = dir();
    let store = open(&dir);
    write(&store, ACME, None, body(1, "rt")).await;
    let large = RecordBody::new(version(2), vec![0; 49 << 20]);
    let error = swap(&store, "large", None, Some(large)).await.unwrap_err();
    assert!(!error.is_unreadable());
    assert!(load(&store, "large").await.unwrap().is_none());
    assert_eq!(text(load(&open(&dir), ACME).await.unwrap()), "rt");
    assert!(!dir.path().join("credentials.tmp").exists());
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_not_replaced_by_a_first_write() {
    let dir = dir();
    let path = dir.path().join("credentials");
    let len = (64 << 20) + 1;
    File::create(&path).unwrap().set_len(len).unwrap();
    assert!(!swap(&open(&dir), ACME, None, Some(body(1, "new"))).await.unwrap_err().is_unreadable());
    assert_eq!(fs::metadata(&path).unwrap().len(), len);
}

#[tokio::test]
async fn a_torn_temporary_file_of_a_killed_process_is_ignored_and_replaced() {
    let dir = dir();
    let store = open(&dir);
    write(&store, ACME, None, body(1, "old")).await;
    let temp = dir.path().join("credentials.tmp");
    fs::write(&temp, "{\"format\":1,\"rec").unwrap();
    assert_eq!(text(load(&store, ACME).await.unwrap()), "old");
    write(&store, ACME, Some(1), body(2, "new")).await;
    assert_eq!(text(load(&store, ACME).await.unwrap()), "new");
    assert!(!temp.exists());
}

#[tokio::test]
async fn a_write_that_fails_leaves_the_old_records_whole() {
    let dir = dir();
    let store = open(&dir);
    write(&store, ACME, None, body(1, "old")).await;
    // Nobody, root included, can create a file where a directory is.
    fs::create_dir_all(dir.path().join("credentials.tmp/in-the-way")).unwrap();
    let error = swap(&store, ACME, Some(1), Some(body(2, "new"))).await.unwrap_err();
    assert!(!error.is_unreadable());
    assert!(error.source().unwrap().to_string().starts_with("cannot write "), "{error:?}");
    assert_eq!(text(load(&open(&dir), ACME).await.unwrap()), "old");
}

#[tokio::test]
async fn a_path_that_can_hold_no_file_is_not_available() {
    let dir = dir();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.join("credentials"), dir.path().to_path_buf(), "/dev/null".into()] {
        let error = FileStore::open(&path).unwrap_err();
        assert!(!error.is_unreadable(), "{}", path.display());
    }
    // The directory goes away while the store is open.
    let gone = dir.path().join("gone");
    let store = FileStore::open(gone.join("credentials")).unwrap();
    fs::remove_dir(&gone).unwrap();
    assert!(!swap(&store, ACME, None, Some(body(1, "rt"))).await.unwrap_err().is_unreadable());
}

#[test]
fn where_nothing_is_above_a_missing_directory_it_is_not_created() {
    // On Windows so is a drive that is missing; a relative path ends like one.
    let error = disk::create_dir("not-there/new".as_ref()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn whoever_keeps_the_lock_is_waited_for_but_not_forever() {
    let dir = dir();
    let store = open(&dir);
    write(&store, ACME, None, body(1, "old")).await;
    let lock = File::open(dir.path().join("credentials.lock")).unwrap();
    lock.lock().unwrap();
    let error =
        swap(&with_patience(store.clone(), Duration::from_millis(20)), ACME, Some(1), Some(body(2, "new")))
            .await
            .unwrap_err();
    assert!(!error.is_unreadable());
    assert_eq!(text(load(&store, ACME).await.unwrap()), "old", "readers take no lock");
    drop(lock);
    write(&with_patience(store, Duration::ZERO), ACME, Some(1), body(2, "new")).await;
}

/// A process that was forked has the same open file, and does not close it.
#[test]
fn a_lock_is_free_when_it_is_dropped_though_a_forked_process_has_it_open() {
    let dir = dir();
    let path = dir.path().join("credentials");
    let held = lock(&path, Duration::ZERO).unwrap();
    let inherited = held.duplicate();
    assert!(lock(&path, Duration::ZERO).is_err());
    drop(held);
    assert!(lock(&path, Duration::ZERO).is_ok());
    drop(inherited);
}

#[test]
fn whoever_waits_for_the_lock_is_not_overtaken_by_who_comes_later() {
    let dir = dir();
    let path = dir.path().join("credentials");
    let patience = Duration::from_secs(60);
    let held = lock(&path, patience).unwrap();
    let (got, done) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let held = lock(&path, patience).unwrap();
            got.wait();
            done.wait();
            drop(held);
        });
        let queue = File::create(disk::beside(&path, ".queue")).unwrap();
        let waits = (0..10_000_000).any(|_| {
            let taken = queue.try_lock().is_err();
            queue.unlock().unwrap();
            std::thread::yield_now();
            taken
        });
        drop(held);
        let overtaken = lock(&path, Duration::ZERO).is_ok();
        got.wait();
        done.wait();
        assert!(waits && !overtaken);
    });
    assert!(lock(&path, Duration::ZERO).is_ok());
}

#[tokio::test]
async fn a_lock_file_that_somebody_removed_locks_nobody() {
    let dir = dir();
    let store = open(&dir);
    write(&store, ACME, None, body(1, "old")).await;
    let removed = File::open(dir.path().join("credentials.lock")).unwrap();
    removed.lock().unwrap();
    fs::remove_file(dir.path().join("credentials.lock")).unwrap();
    write(&with_patience(store, Duration::ZERO), ACME, Some(1), body(2, "new")).await;
    assert!(dir.path().join("credentials.lock").exists());
}

#[test]
fn writers_that_wait_for_the_lock_take_one_blocking_thread_not_all() {
    let dir = dir();
    let store = open(&dir);
    let lock = File::create(dir.path().join("credentials.lock")).unwrap();
    lock.lock().unwrap();
    let runtime = Builder::new_current_thread().max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for bits in 0..50 {
            let store = store.clone();
            tasks.spawn(async move { swap(&store, &bits.to_string(), None, Some(body(bits, "rt"))).await });
        }
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert!(tasks.try_join_next().is_none(), "the lock was held");
        drop(lock);
        for swapped in tasks.join_all().await {
            assert!(matches!(swapped.unwrap(), Swap::Swapped));
        }
    });
    assert_eq!(store.file.counted.writes.load(Relaxed), 1, "all of them at once");
    assert_eq!(store.file.counted.reads.load(Relaxed), 0);
}

#[tokio::test]
async fn swaps_that_are_written_at_once_see_those_before_them() {
    let dir = dir();
    let store = open(&dir);
    let held = lock(&dir.path().join("credentials"), Duration::ZERO).unwrap();
    let swaps = async {
        tokio::join!(
            swap(&store, ACME, None, Some(body(1, "first"))),
            swap(&store, ACME, None, Some(body(2, "late"))),
            swap(&store, ACME, Some(1), Some(body(3, "second"))),
            swap(&store, "other", None, None),
        )
    };
    let (swaps, ()) = tokio::join!(biased; swaps, async { drop(held) });
    assert!(matches!(swaps.0.unwrap(), Swap::Swapped));
    let Swap::Conflict(record) = swaps.1.unwrap() else { panic!("there was a record by then") };
    assert_eq!(text(record), "first");
    assert!(matches!(swaps.2.unwrap(), Swap::Swapped));
    assert!(matches!(swaps.3.unwrap(), Swap::Swapped));
    assert_eq!(text(load(&store, ACME).await.unwrap()), "second");
    assert_eq!(store.file.counted.writes.load(Relaxed), 1);
}

#[test]
fn loads_at_once_read_the_file_once_on_one_blocking_thread() {
    let dir = dir();
    let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let store = open(&dir);
    runtime.block_on(async {
        write(&store, ACME, None, body(1, "of another process")).await;
        let store = open(&dir);
        let mut tasks = JoinSet::new();
        for _ in 0..2000 {
            let store = store.clone();
            tasks.spawn(async move { text(load(&store, ACME).await.unwrap()) });
        }
        assert!(tasks.join_all().await.iter().all(|text| text == "of another process"));
        assert_eq!(store.file.counted.reads.load(Relaxed), 1);
        // A load that follows a write of another one reads what that one wrote.
        write(&FileStore::open(dir.path().join("credentials")).unwrap(), ACME, Some(1), body(2, "new")).await;
        assert_eq!(text(load(&store, ACME).await.unwrap()), "new");
        assert_eq!(store.file.counted.reads.load(Relaxed), 2);
    });
}

#[tokio::test]
async fn the_file_that_was_read_stays_open_to_be_compared() {
    let dir = dir();
    let store = open(&dir);
    write(&store, ACME, None, body(1, "rt")).await;
    assert!(load(&store, ACME).await.unwrap().is_some());
    assert!(store.file.hold().is_some());
}

#[tokio::test]
async fn a_file_that_is_written_into_or_removed_is_read_again() {
    let dir = dir();
    let path = dir.path().join("credentials");
    let store = open(&dir);
    write(&store, ACME, None, body(1, "one")).await;
    let whole = fs::read_to_string(&path).unwrap();
    let (one, longer) = (BASE64.encode("one"), BASE64.encode("longer"));
    fs::write(&path, whole.replace(&one, &longer)).unwrap();
    assert_eq!(text(load(&store, ACME).await.unwrap()), "longer");
    fs::remove_file(&path).unwrap();
    assert!(load(&store, ACME).await.unwrap().is_none());
    // Another file of the same length, as if its time were the same as well.
    fs::write(&path, &whole).unwrap();
    assert_eq!(text(load(&store, ACME).await.unwrap()), "one");
}

#[tokio::test]
async fn a_write_whose_future_is_dropped_midway_is_finished() {
    let dir = dir();
    let store = open(&dir);
    let lock = File::create(dir.path().join("credentials.lock")).unwrap();
    lock.lock().unwrap();
    let first = timeout(Duration::ZERO, swap(&store, ACME, None, Some(body(1, "first")))).await;
    assert!(first.is_err(), "the lock was held");
    drop(lock);
    // Goes behind the first, whose turn it still is.
    let second = swap(&store, ACME, None, Some(body(2, "second"))).await.unwrap();
    assert!(matches!(second, Swap::Conflict(Some(_))), "{second:?}");
    assert_eq!(text(load(&store, ACME).await.unwrap()), "first");
}

#[tokio::test]
async fn a_write_dropped_while_it_waits_for_its_turn_has_not_happened() {
    let dir = dir();
    let store = open(&dir);
    let lock = File::create(dir.path().join("credentials.lock")).unwrap();
    lock.lock().unwrap();
    let other = swap(&store, "other", None, Some(body(1, "other")));
    let first = swap(&store, ACME, None, Some(body(1, "first")));
    let (_, first) = tokio::join!(biased; timeout(Duration::ZERO, other), timeout(Duration::ZERO, first));
    assert!(first.is_err(), "it was not its turn");
    drop(lock);
    write(&store, ACME, None, body(2, "second")).await;
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Polled once.
fn begin<T>(call: &mut BoxFuture<'_, T>) {
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

/// Writes what is there for as long as the test runs, or says that it hangs.
fn assert_writes(store: &FileStore) {
    let (over, ended) = std::sync::mpsc::channel();
    let store = store.clone();
    std::thread::spawn(move || {
        current_thread().block_on(async {
            for bits in 1..4 {
                write(&store, &format!("of another runtime {bits}"), None, body(bits, "written")).await;
            }
        });
        let _ = over.send(());
    });
    ended.recv_timeout(Duration::from_secs(20)).expect("it hangs");
}

#[test]
fn a_write_on_a_runtime_that_stands_still_does_not_stop_those_of_another() {
    let dir = dir();
    let store = open(&dir);
    let lock = File::create(dir.path().join("credentials.lock")).unwrap();
    lock.lock().unwrap();
    let still = current_thread();
    let (key, first, second) = (ACME.into(), body(1, "first"), body(2, "second"));
    let mut calls = [
        store.compare_and_swap(&key, None, Some(&first)),
        store.compare_and_swap(&key, Some(version(1)), Some(&second)),
    ];
    // One begins, one waits for its turn.
    still.block_on(async { calls.iter_mut().for_each(begin) });
    drop(lock);
    assert_writes(&store);
    // In their order, and nobody had to look.
    assert_eq!(text(current_thread().block_on(load(&store, ACME)).unwrap()), "second");
    for call in calls {
        assert!(matches!(still.block_on(call), Ok(Swap::Swapped)));
    }
}

#[test]
fn where_a_runtime_ends_those_who_still_wait_are_served_by_others() {
    let dir = dir();
    let store = open(&dir);
    let lock = File::create(dir.path().join("credentials.lock")).unwrap();
    lock.lock().unwrap();
    let ends = current_thread();
    let (key, first, second) = (ACME.into(), body(1, "first"), body(2, "second"));
    let mut begun = store.compare_and_swap(&key, None, Some(&first));
    let mut waits = store.compare_and_swap(&key, Some(version(1)), Some(&second));
    ends.block_on(async {
        begin(&mut begun);
        begin(&mut waits);
        // Of these nobody is left.
        for bits in 10..1000 {
            let store = store.clone();
            let call = async move { swap(&store, &bits.to_string(), None, Some(body(bits, "rt"))).await };
            Handle::current().spawn(call);
        }
        tokio::task::yield_now().await;
        // It has begun when it has come to the lock.
        while !dir.path().join("credentials.queue").exists() {
            tokio::task::yield_now().await;
        }
    });
    ends.shutdown_background();
    drop(lock);
    assert_writes(&store);
    let next = current_thread();
    assert!(matches!(next.block_on(begun), Ok(Swap::Swapped)));
    assert!(matches!(next.block_on(waits), Ok(Swap::Swapped)));
    assert_eq!(text(next.block_on(load(&store, ACME)).unwrap()), "second");
    assert!(next.block_on(load(&store, "10")).unwrap().is_none());
}

#[test]
fn on_a_runtime_that_has_ended_there_is_an_error_and_no_hang() {
    let dir = dir();
    let store = open(&dir);
    let ended = current_thread();
    let handle = ended.handle().clone();
    drop(ended);
    let ((over, ended), ours) = (std::sync::mpsc::channel(), store.clone());
    std::thread::spawn(move || {
        let _entered = handle.enter();
        for _ in 0..2 {
            let (key, new) = (ACME.into(), body(1, "new"));
            let mut call = ours.compare_and_swap(&key, None, Some(&new));
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
        }
        let _ = over.send(());
    });
    ended.recv_timeout(Duration::from_secs(10)).expect("it hangs");
    assert_writes(&store);
}

#[test]
fn outside_a_runtime_the_store_says_that_it_is_not_available() {
    let dir = dir();
    let store = open(&dir);
    let key = ACME.into();
    let mut future = store.load(&key);
    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Err(error)) = polled else { panic!("nothing can be loaded here") };
    assert!(!error.is_unreadable());
}

#[cfg(target_os = "linux")]
#[test]
fn the_boot_is_the_one_that_the_kernel_names() {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(open(&dir()).file.boot_id.as_deref().unwrap().starts_with(boot.trim()));
}

#[test]
fn the_debug_output_shows_the_path_only() {
    let dir = dir();
    assert!(format!("{:?}", open(&dir)).starts_with("FileStore { path: \"/"));
}

/// A clock that stands still.
#[derive(Debug)]
struct At(Now);

impl Clock for At {
    fn now(&self) -> Now {
        self.0
    }
}

fn now(wall: u64, boot: u64) -> Now {
    Now::new(SystemTime::UNIX_EPOCH + Duration::from_secs(wall), Duration::from_secs(boot))
}

async fn age(store: &FileStore, boot_id: Option<&str>, now: Now) -> u64 {
    let mut store = store.clone().with_clock(Arc::new(At(now)));
    Arc::make_mut(&mut store.file).boot_id = boot_id.map(str::to_owned);
    load(&store, ACME).await.unwrap().unwrap().age.as_secs()
}

#[tokio::test]
async fn the_age_of_a_record_survives_wall_clock_jumps_and_reboots_and_is_never_negative() {
    let dir = dir();
    let mut store = open(&dir).with_clock(Arc::new(At(now(1_000, 10))));
    Arc::make_mut(&mut store.file).boot_id = Some("a".to_owned());
    write(&store, ACME, None, body(1, "rt")).await;

    assert_eq!(age(&store, Some("a"), now(1_005, 15)).await, 5);
    assert_eq!(age(&store, Some("a"), now(9_000, 15)).await, 5, "the wall clock was set forward");
    assert_eq!(age(&store, Some("a"), now(400, 15)).await, 5, "the wall clock was set back");
    assert_eq!(age(&store, Some("b"), now(1_060, 3)).await, 60, "after a reboot");
    assert_eq!(age(&store, Some("b"), now(400, 15)).await, 0, "after a reboot, clock set back");
    assert_eq!(age(&store, None, now(1_060, 15)).await, 60, "no shared clock");
    assert_eq!(age(&store, Some("a"), now(1_000, 9)).await, 0);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::lock::is_at;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn everything_is_created_for_the_owner_alone() {
        let dir = dir();
        let path = dir.path().join("new/deeper/credentials");
        write(&FileStore::open(&path).unwrap(), ACME, None, body(1, "rt")).await;
        assert_eq!(mode(&path), 0o600);
        for beside in [".lock", ".queue"] {
            assert_eq!(mode(&disk::beside(&path, beside)), 0o600, "{beside}");
        }
        for above in [disk::parent(&path), &dir.path().join("new")] {
            assert_eq!(mode(above), 0o700, "{}", above.display());
        }
    }

    #[tokio::test]
    async fn a_file_that_others_may_read_is_tightened() {
        let dir = dir();
        let path = dir.path().join("credentials");
        write(&open(&dir), ACME, None, body(1, "rt")).await;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let store = open(&dir);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(text(load(&store, ACME).await.unwrap()), "rt");
    }

    #[tokio::test]
    async fn a_symlink_stays_one_and_its_target_is_replaced() {
        let dir = dir();
        fs::create_dir(dir.path().join("real")).unwrap();
        let (link, again) = (dir.path().join("link"), dir.path().join("again"));
        symlink("real/credentials", &link).unwrap(); // leads nowhere yet
        symlink(&link, &again).unwrap();

        let store = FileStore::open(&again).unwrap();
        write(&store, ACME, None, body(1, "one")).await;
        write(&FileStore::open(&link).unwrap(), ACME, Some(1), body(2, "two")).await;
        assert!(link.is_symlink() && again.is_symlink());
        let target = dir.path().join("real/credentials");
        assert!(!target.is_symlink() && disk::beside(&target, ".lock").exists());
        assert_eq!(text(load(&FileStore::open(&target).unwrap(), ACME).await.unwrap()), "two");

        fs::rename(&target, dir.path().join("moved")).unwrap();
        symlink("../moved", &target).unwrap();
        assert_eq!(text(load(&store, ACME).await.unwrap()), "two", "moved while the store was open");
    }

    #[test]
    fn a_lock_counts_only_while_its_file_is_where_others_look() {
        let dir = dir();
        let path = dir.path().join("credentials.lock");
        let lock = File::create(&path).unwrap();
        assert!(is_at(&lock, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&lock, &path));
        File::create(&path).unwrap();
        assert!(!is_at(&lock, &path));
    }

    #[tokio::test]
    async fn symlinks_in_a_circle_are_an_error() {
        let dir = dir();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert!(!FileStore::open(dir.path().join("a")).unwrap_err().is_unreadable());
    }
}
