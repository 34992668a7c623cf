//! The Redis store against a real server: the one that `cargo xtask test` runs, or one of a test's own where
//! it is killed or set up in another way.

use std::error::Error as _;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use redis::{Client, FromRedisValue};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_oauth_refresh::{
    KeyDigest, Record, RecordBody, Sealed, SealingKey, StoreError, StoredKey, Swap, TokenStore, Version,
};
use tower_oauth_refresh_redis::RedisStore;
use tower_oauth_refresh_testkit::conformance::check_damaged;
use xtask::Redis;

/// Longer than any of these takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &[u8] = b"\0refresh-token\xff";

fn shared() -> String {
    std::env::var("REDIS_URL").expect("these tests need a Redis: run cargo xtask test")
}

fn private() -> Redis {
    Redis::start().expect("these tests start a Redis of their own: run cargo xtask test")
}

/// A store on the server, with names that no other test uses.
fn store(url: &str, name: &str) -> RedisStore {
    let prefix = format!("test-{}-{name}:", std::process::id());
    RedisStore::new(Client::open(url).unwrap()).unwrap().prefix(&prefix)
}

/// What the store calls the credential `acme` in Redis.
fn stored(name: &str) -> String {
    format!("test-{}-{name}:acme", std::process::id())
}

fn key() -> StoredKey {
    "acme".into()
}

fn body(bits: u128) -> RecordBody {
    RecordBody::new(Version::from_bits(bits), SECRET.into())
}

fn version(bits: u128) -> Option<Version> {
    Some(Version::from_bits(bits))
}

/// Says something to Redis past the store.
async fn say<T: FromRedisValue>(url: &str, words: &[&str]) -> T {
    let mut connection = Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).query_async(&mut connection).await.unwrap()
}

async fn swap(store: &RedisStore, expected: Option<Version>, new: Option<&RecordBody>) -> Swap {
    store.compare_and_swap(&key(), expected, new).await.unwrap()
}

async fn write(store: &RedisStore, bits: u128) {
    let swap = swap(store, None, Some(&body(bits))).await;
    assert!(matches!(swap, Swap::Swapped), "{swap:?}");
}

async fn load(store: &RedisStore) -> Option<Record> {
    store.load(&key()).await.unwrap()
}

async fn loaded(store: &RedisStore) -> Option<Version> {
    load(store).await.map(|record| record.body.version())
}

/// Which version a swap that failed found in place.
fn conflict(swap: Swap) -> Option<Version> {
    let Swap::Conflict(found) = swap else { panic!("it was swapped") };
    found.map(|record| record.body.version())
}

/// The texts of an error down to its first cause, which must not hold what is in the record.
fn told(error: &StoreError) -> String {
    let cause = error.source().unwrap();
    let told = format!("{error}: {cause}, {error:?}");
    assert!(!told.contains("refresh-token"), "{told}");
    told
}

tower_oauth_refresh_testkit::store_conformance!(plain, async { shared() }, |url| async {
    store(url, "conformance")
});

tower_oauth_refresh_testkit::store_conformance!(sealed, async { shared() }, |url| async {
    Sealed::new(store(url, "sealed conformance"), SealingKey::new([7; 32]))
});

#[tokio::test]
async fn a_swap_succeeds_only_from_the_version_that_is_there() {
    let store = store(&shared(), "swap");
    assert!(load(&store).await.is_none());
    assert_eq!(conflict(swap(&store, version(1), Some(&body(2))).await), None);
    assert_eq!(conflict(swap(&store, version(1), None).await), None);
    assert!(load(&store).await.is_none());

    assert!(matches!(swap(&store, None, Some(&body(1))).await, Swap::Swapped));
    assert_eq!(conflict(swap(&store, None, Some(&body(2))).await), version(1));
    assert_eq!(conflict(swap(&store, version(2), Some(&body(3))).await), version(1));
    assert_eq!(conflict(swap(&store, None, None).await), version(1));
    assert_eq!(load(&store).await.unwrap().body.bytes(), SECRET);

    assert!(matches!(swap(&store, version(1), Some(&body(2))).await, Swap::Swapped));
    assert_eq!(conflict(swap(&store, version(1), None).await), version(2));
    assert!(matches!(swap(&store, version(2), None).await, Swap::Swapped));
    assert!(load(&store).await.is_none());
    assert!(matches!(swap(&store, None, None).await, Swap::Swapped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_tasks_exactly_one_wins() {
    let stores = [(); 4].map(|()| store(&shared(), "race"));
    let mut expected = None;
    for round in 0..20 {
        let mut tasks = JoinSet::new();
        for task in 0..100 {
            let store = stores[task % stores.len()].clone();
            let new = body(round * 100 + task as u128);
            tasks.spawn(async move { (new.version(), swap(&store, expected, Some(&new)).await) });
        }
        let ends = tasks.join_all().await;
        let winners: Vec<_> = ends
            .iter()
            .filter(|(_, swap)| matches!(swap, Swap::Swapped))
            .map(|(version, _)| *version)
            .collect();
        assert_eq!(winners.len(), 1);
        for (_, swap) in ends {
            if let Swap::Conflict(found) = swap {
                assert_eq!(found.unwrap().body.version(), winners[0]);
            }
        }
        expected = Some(winners[0]);
    }
    assert!(matches!(swap(&stores[0], expected, None).await, Swap::Swapped));
}

#[tokio::test]
async fn the_age_is_by_the_clock_of_the_server() {
    let (url, store) = (shared(), store(&shared(), "age"));
    write(&store, 1).await;
    let young = load(&store).await.unwrap().age;
    let grown = async { while load(&store).await.unwrap().age <= young {} };
    timeout(PATIENCE, grown).await.expect("the age grows");

    let now: (u64, u64) = say(&url, &["TIME"]).await;
    let earlier = format!("{}", (now.0 - 90) * 1000);
    let _: i64 = say(&url, &["HSET", &stored("age"), "written", &earlier]).await;
    let Swap::Conflict(Some(found)) = swap(&store, None, None).await else { panic!("no conflict") };
    assert!(found.age >= Duration::from_secs(90) && found.age < Duration::from_secs(90) + PATIENCE);

    let later = format!("{}", (now.0 + 90) * 1000);
    let _: i64 = say(&url, &["HSET", &stored("age"), "written", &later]).await;
    assert_eq!(load(&store).await.unwrap().age, Duration::ZERO);
    assert!(matches!(swap(&store, version(1), None).await, Swap::Swapped));
}

#[tokio::test]
async fn keys_of_odd_characters_are_kept_apart() {
    let store = store(&shared(), "odd");
    let odd = ["", " ", "{", "}", "{}", "{a}b", "{a}c", "a\0b", "a\r\nDEL b", "\"", "\\", "*", "ключ", "🔑"];
    for (bits, name) in odd.iter().enumerate() {
        let (name, new) = (StoredKey::from(*name), body(u128::try_from(bits).unwrap()));
        let swap = store.compare_and_swap(&name, None, Some(&new)).await.unwrap();
        assert!(matches!(swap, Swap::Swapped), "{name:?}");
    }
    for (bits, name) in odd.iter().enumerate() {
        let name = StoredKey::from(*name);
        let found = store.load(&name).await.unwrap().unwrap().body.version();
        assert_eq!(Some(found), version(u128::try_from(bits).unwrap()), "{name:?}");
        assert!(matches!(store.compare_and_swap(&name, Some(found), None).await.unwrap(), Swap::Swapped));
    }
}

/// Keeps writing until the stream tells of it: what was written before it listened may be missed.
async fn assert_told(told: &mut (impl Stream<Item = KeyDigest> + Unpin), writer: &RedisStore) {
    let write_on = async {
        loop {
            let expected = loaded(writer).await;
            let bits = expected.map_or(0, Version::to_bits) + 1;
            assert!(matches!(swap(writer, expected, Some(&body(bits))).await, Swap::Swapped));
            if let Ok(key) = timeout(Duration::from_millis(20), told.next()).await {
                return key;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, write_on).await.expect("changes are told"), Some(key().digest()));
}

#[tokio::test]
async fn changes_of_others_are_told() {
    let (reader, writer) = (store(&shared(), "told"), store(&shared(), "told"));
    let mut told = reader.changes().unwrap();
    let mut told_too = reader.changes().unwrap();
    assert_told(&mut told, &writer).await;
    assert_told(&mut told_too, &writer).await;
    // All that is under way is read up, then a removal is told like any change.
    while timeout(Duration::from_millis(100), told.next()).await.is_ok() {}
    let expected = loaded(&writer).await;
    assert!(matches!(swap(&writer, expected, None).await, Swap::Swapped));
    assert_eq!(timeout(PATIENCE, told.next()).await.unwrap(), Some(key().digest()));
}

#[tokio::test]
async fn when_nobody_waits_any_more_the_next_change_ends_the_subscription() {
    let (url, reader, writer) = (shared(), store(&shared(), "unwanted"), store(&shared(), "unwanted"));
    let channel = stored("unwanted").replace("acme", "changes");
    let subscribed = async || say::<(String, i64)>(&url, &["PUBSUB", "NUMSUB", &channel]).await.1;
    for _ in 0..2 {
        let mut told = reader.changes().unwrap();
        assert_told(&mut told, &writer).await;
        assert_eq!(subscribed().await, 1);
        drop(told);
        let over = async {
            while subscribed().await > 0 {
                let expected = loaded(&writer).await;
                let bits = expected.map_or(0, Version::to_bits) + 1;
                assert!(matches!(swap(&writer, expected, Some(&body(bits))).await, Swap::Swapped));
            }
        };
        timeout(PATIENCE, over).await.unwrap();
        assert!(load(&reader).await.is_some());
    }
}

#[tokio::test]
async fn who_listens_without_knowing_the_keys_learns_none() {
    let store = store(&shared(), "strange");
    let mut pubsub = Client::open(shared()).unwrap().get_async_pubsub().await.unwrap();
    pubsub.subscribe(stored("strange").replace("acme", "changes")).await.unwrap();
    write(&store, 1).await;
    let told = timeout(PATIENCE, pubsub.on_message().next()).await.unwrap().unwrap();
    let told: String = told.get_payload().unwrap();
    assert_eq!(told, format!("{:032x}", key().digest().to_bits()));
    assert!(matches!(swap(&store, version(1), None).await, Swap::Swapped));
}

#[tokio::test]
async fn the_telling_goes_on_after_a_restart_of_redis() {
    let mut redis = private();
    let store = store(&redis.url(), "told on");
    let mut told = store.changes().unwrap();
    assert_told(&mut told, &store).await;
    redis.kill().unwrap();
    // It notices, and asks in vain to be told.
    assert!(timeout(Duration::from_millis(100), told.next()).await.is_err());
    redis.start_again().unwrap();
    assert_told(&mut told, &store).await;
}

#[tokio::test]
async fn without_redis_it_says_so_soon_and_with_it_goes_on() {
    let mut redis = private();
    let store = store(&redis.url(), "stopped");
    write(&store, 1).await;
    for round in 1..4 {
        redis.kill().unwrap();
        let soon = timeout(Duration::from_secs(5), async {
            for _ in 0..10 {
                assert!(!store.load(&key()).await.unwrap_err().is_unreadable());
            }
            store.compare_and_swap(&key(), version(round), Some(&body(9))).await.unwrap_err()
        });
        let error = soon.await.unwrap();
        assert!(told(&error).contains("connection"), "{error:?}");

        redis.start_again().unwrap();
        // At once: no call pays for what others found out before.
        assert_eq!(loaded(&store).await, version(round), "what was answered is durable");
        assert!(matches!(swap(&store, version(round), Some(&body(round + 1))).await, Swap::Swapped));
    }
}

#[tokio::test]
async fn on_a_redis_that_forgot_everything_an_old_version_swaps_with_nothing() {
    let mut redis = private();
    let url = redis.url();
    let () = say(&url, &["CONFIG", "SET", "appendonly", "no"]).await;
    let store = store(&url, "forgot");
    write(&store, 1).await;
    redis.kill().unwrap();
    redis.start_again().unwrap();
    assert!(load(&store).await.is_none());
    assert_eq!(conflict(swap(&store, version(1), Some(&body(2))).await), None);
    assert_eq!(conflict(swap(&store, version(1), None).await), None);
    assert!(load(&store).await.is_none());
}

#[tokio::test]
async fn a_replica_answers_neither_loads_nor_swaps() {
    let redis = private();
    let url = redis.url();
    let store = store(&url, "replica");
    write(&store, 1).await;
    let () = say(&url, &["REPLICAOF", "127.0.0.1", "1"]).await;
    assert!(told(&store.load(&key()).await.unwrap_err()).contains("READONLY"));
    // Not even that it conflicts with what may be an old record.
    let error = store.compare_and_swap(&key(), None, Some(&body(2))).await.unwrap_err();
    assert!(told(&error).contains("READONLY"));
    let () = say(&url, &["REPLICAOF", "NO", "ONE"]).await;
    assert_eq!(loaded(&store).await, version(1));
}

#[tokio::test]
async fn a_write_that_too_few_replicas_hold_fails_and_stands() {
    let (redis, mut replica) = (private(), private());
    let url = redis.url();
    let () = say(&url, &["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).await;
    let store = store(&url, "wait").wait_replicas(1, Duration::from_millis(20));
    assert!(told(&store.load(&key()).await.unwrap_err()).contains("min-replicas-to-write"));
    let store = store.accept_stale_loads_after_failover();
    let error = store.compare_and_swap(&key(), None, Some(&body(1))).await.unwrap_err();
    assert!(told(&error).contains("0 of 1 replicas"), "{error:?}");
    assert_eq!(loaded(&store).await, version(1));
    assert_eq!(conflict(swap(&store, None, Some(&body(2))).await), version(1));

    let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
    let () = say(&replica.url(), &["REPLICAOF", "127.0.0.1", port]).await;
    let patient = store.wait_replicas(1, PATIENCE);
    assert!(matches!(swap(&patient, version(1), Some(&body(2))).await, Swap::Swapped));
    let on_replica: String = say(&replica.url(), &["HGET", &stored("wait"), "version"]).await;
    assert_eq!(on_replica, format!("{:032x}", 2));
    // Still rewriting its log for the new primary, it would not end when asked to.
    replica.kill().unwrap();
}

/// Follows the primary, up to its newest write.
async fn replicate(primary: &Redis, replica: &Redis) {
    let url = primary.url();
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
    let () = say(&url, &["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).await;
    let () = say(&replica.url(), &["REPLICAOF", "127.0.0.1", port]).await;
    let linked =
        async { while !say::<String>(&url, &["INFO", "replication"]).await.contains("state=online") {} };
    timeout(PATIENCE, linked).await.unwrap();
}

#[tokio::test]
async fn a_primary_with_replicas_must_refuse_to_be_without_them() {
    let (primary, mut replica) = (private(), private());
    let url = primary.url();
    replicate(&primary, &replica).await;
    let strict = store(&url, "fence");
    let error = strict.load(&key()).await.unwrap_err();
    assert!(!error.is_unreadable() && told(&error).contains("min-replicas-to-write"), "{error:?}");
    strict.compare_and_swap(&key(), None, Some(&body(1))).await.unwrap_err();
    assert!(load(&strict.clone().accept_stale_loads_after_failover()).await.is_none());

    let () = say(&url, &["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    write(&strict, 1).await;
    assert_eq!(loaded(&strict).await, version(1));
    replica.kill().unwrap();
}

#[tokio::test]
async fn after_a_failover_the_former_primary_answers_no_load() {
    let (primary, mut replica) = (private(), private());
    let url = primary.url();
    let () = say(&url, &["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    replicate(&primary, &replica).await;
    let idle = store(&url, "failover");
    write(&idle, 1).await;
    // What Sentinel does, except that nobody tells the former primary.
    let () = say(&replica.url(), &["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    let seen = async {
        while say::<i64>(&replica.url(), &["EXISTS", &stored("failover")]).await == 0 {}
        let () = say(&replica.url(), &["REPLICAOF", "NO", "ONE"]).await;
        while say::<String>(&url, &["INFO", "replication"]).await.contains("state=online") {}
    };
    timeout(PATIENCE, seen).await.unwrap();
    let promoted = store(&replica.url(), "failover");
    assert!(matches!(swap(&promoted, version(1), Some(&body(2))).await, Swap::Swapped));

    assert!(told(&idle.load(&key()).await.unwrap_err()).contains("NOREPLICAS"));
    idle.compare_and_swap(&key(), version(1), None).await.unwrap_err();
    replica.kill().unwrap();
}

#[tokio::test]
async fn who_may_not_ask_about_replicas_is_told_so() {
    let redis = private();
    let mut rights = RIGHTS.to_vec();
    rights.retain(|right| *right != "+info");
    let store = restricted(&redis, "mute about replicas", &[&rights[..], &["~*"]].concat()).await;
    assert!(told(&store.load(&key()).await.unwrap_err()).contains("INFO with NOPERM"));
    assert!(load(&store.accept_stale_loads_after_failover()).await.is_none());
}

#[tokio::test]
async fn a_swap_that_is_repeated_has_succeeded() {
    let store = store(&shared(), "repeated");
    write(&store, 1).await;
    for _ in 0..2 {
        assert!(matches!(swap(&store, version(1), Some(&body(2))).await, Swap::Swapped));
    }
    assert_eq!(load(&store).await.unwrap().body.bytes(), SECRET);
    assert_eq!(conflict(swap(&store, version(1), Some(&body(3))).await), version(2));
}

#[tokio::test]
async fn what_is_no_record_can_be_replaced_by_whoever_names_it() {
    let url = shared();
    let name = |key: &StoredKey| format!("test-{}-damaged:{key}", std::process::id());
    let damages: [&[&str]; 5] = [
        &["SET", "refresh-token"],
        &["RPUSH", "refresh-token"],
        &["HSET", "body", "refresh-token"],
        &["HSET", "version", "", "written", "1", "body", "refresh-token"],
        &["HSET", "written", "yesterday"],
    ];
    for (damage, whole) in damages.into_iter().zip([true, true, true, true, false]) {
        let spoil = async |key: &StoredKey| {
            let name = name(key);
            if whole {
                let _: i64 = say(&url, &["DEL", &name]).await;
            }
            let words = [&damage[..1], &[name.as_str()], &damage[1..]].concat();
            let _: redis::Value = say(&url, &words).await;
        };
        let open = async || store(&url, "damaged");
        assert_eq!(check_damaged(&open, &spoil).await, Ok(()), "{damage:?}");
    }
}

#[tokio::test]
async fn a_full_redis_takes_nothing_and_keeps_what_it_has() {
    let redis = private();
    let url = redis.url();
    let store = store(&url, "full");
    write(&store, 1).await;
    let () = say(&url, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = store.compare_and_swap(&key(), version(1), Some(&body(2))).await.unwrap_err();
    assert!(told(&error).contains("OOM"), "{error:?}");
    assert_eq!(loaded(&store).await, version(1));
    let () = say(&url, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(matches!(swap(&store, version(1), Some(&body(2))).await, Swap::Swapped));
}

#[tokio::test]
async fn what_is_no_record_is_unreadable_and_stays() {
    let (url, store) = (shared(), store(&shared(), "foreign"));
    let name = stored("foreign");
    let foreign: [&[&str]; 4] = [
        &["SET", &name, "refresh-token"],
        &["RPUSH", &name, "refresh-token"],
        &["HSET", &name, "body", "refresh-token"],
        &["HSET", &name, "version", "1", "written", "1", "body", "refresh-token"],
    ];
    for words in foreign {
        let _: redis::Value = say(&url, words).await;
        let before: Vec<u8> = say(&url, &["DUMP", &name]).await;
        let error = store.load(&key()).await.unwrap_err();
        assert!(error.is_unreadable());
        told(&error);
        for (expected, new) in [(None, Some(&body(1))), (version(1), Some(&body(1))), (None, None)] {
            let error = store.compare_and_swap(&key(), expected, new).await.unwrap_err();
            assert!(error.is_unreadable(), "{error:?}");
            told(&error);
        }
        assert_eq!(say::<Vec<u8>>(&url, &["DUMP", &name]).await, before);
        let _: i64 = say(&url, &["DEL", &name]).await;
    }
}

#[tokio::test]
async fn records_do_not_expire_whoever_said_so() {
    let (url, store) = (shared(), store(&shared(), "expiry"));
    write(&store, 1).await;
    let _: i64 = say(&url, &["EXPIRE", &stored("expiry"), "3600"]).await;
    load(&store).await.unwrap();
    assert_eq!(say::<i64>(&url, &["TTL", &stored("expiry")]).await, -1);
    assert!(matches!(swap(&store, version(1), None).await, Swap::Swapped));
}

#[tokio::test]
async fn a_server_that_forgot_the_script_is_told_again() {
    let redis = private();
    let store = store(&redis.url(), "script");
    write(&store, 1).await;
    let () = say(&redis.url(), &["SCRIPT", "FLUSH"]).await;
    assert_eq!(loaded(&store).await, version(1));
}

/// The store of a user with these rights only.
async fn restricted(redis: &Redis, name: &str, rights: &[&str]) -> RedisStore {
    let words = [&["ACL", "SETUSER", "restricted", "reset", "on", ">password"], rights].concat();
    let () = say(&redis.url(), &words).await;
    store(&redis.url().replace("redis://", "redis://restricted:password@"), name)
}

const RIGHTS: [&str; 10] =
    ["+eval", "+evalsha", "+persist", "+time", "+type", "+hmget", "+hset", "+del", "+dump", "+info"];

/// In a cluster this is what decides about the slot.
#[tokio::test]
async fn one_record_is_one_key_and_the_rights_that_are_documented_suffice() {
    let redis = private();
    let this_key = format!("~{}", stored("rights"));
    let channel = format!("&test-{}-rights:changes", std::process::id());
    let more = ["+publish", "+subscribe", &channel, &this_key];
    let store = restricted(&redis, "rights", &[&RIGHTS[..], &more[..]].concat()).await;
    let mut changes = store.changes().unwrap();
    assert_told(&mut changes, &store).await;
    let expected = loaded(&store).await;
    assert!(matches!(swap(&store, expected, None).await, Swap::Swapped));
    let refused = store.load(&"other".into()).await.unwrap_err();
    assert!(told(&refused).contains("NOPERM"), "{refused:?}");
}

#[tokio::test]
async fn who_may_not_publish_may_write() {
    let redis = private();
    let store = restricted(&redis, "mute", &[&RIGHTS[..], &["~*"]].concat()).await;
    write(&store, 1).await;
    assert_eq!(loaded(&store).await, version(1));
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_repeated() {
    let redis = private();
    let () = say(&redis.url(), &["CONFIG", "SET", "requirepass", "right"]).await;
    let store = store(&redis.url().replace("redis://", "redis://:refresh-token@"), "password");
    let error = store.load(&key()).await.unwrap_err();
    assert!(told(&error).contains("WRONGPASS"), "{error:?}");
    assert!(!format!("{store:?}").contains("refresh-token"));
}
