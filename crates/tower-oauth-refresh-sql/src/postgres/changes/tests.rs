use std::sync::mpsc;

use tokio::runtime::{Builder, Runtime};
use tower_oauth_refresh::StoredKey;

use super::*;

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Leads nowhere, and never needs to.
fn pool() -> PgPool {
    PgPoolOptions::new().connect_lazy("postgres://127.0.0.1:1/").unwrap()
}

#[test]
fn on_a_runtime_that_has_ended_nothing_hangs_and_the_next_one_tells_and_listens() {
    let runtime = current_thread();
    let (pool, changes) = runtime.block_on(async { (pool(), Arc::new(Changes::default())) });
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let ((over, ended), ours) = (mpsc::channel(), changes.clone());
    let theirs = pool.clone();
    std::thread::spawn(move || {
        let _entered = handle.enter();
        ours.tell(&theirs, [StoredKey::from("a").digest()]);
        ours.tell(&theirs, [StoredKey::from("b").digest()]);
        drop(ours.subscribe(&theirs));
        let _ = over.send(());
    });
    ended.recv_timeout(ANSWER).expect("it hangs");

    current_thread().block_on(async {
        assert!(changes.subscribe(&pool).is_some());
        assert!(locked(&changes.listener).as_ref().is_some_and(|listener| !listener.is_finished()));
        changes.tell(&pool, [StoredKey::from("c").digest()]);
        assert!(locked(&changes.outbox).is_told, "there is a task again");
        // It takes all there is, for itself.
        while !locked(&changes.outbox).digests.is_empty() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_payload_that_is_no_digest_is_left_alone() {
    let digest = StoredKey::from("acme").digest();
    assert_eq!(read(&payload(digest)), Some(digest));
    // From somebody else.
    for other in ["", "acme", "https://as.example/token us / acme", "+0", &payload(digest)[1..]] {
        assert_eq!(read(other), None, "{other}");
    }
}

#[test]
fn the_outbox_is_emptied_and_given_back_however_its_task_ends() {
    let outbox = Arc::new(Mutex::new(Outbox::default()));
    let begin = || {
        locked(&outbox).is_told = true;
        Telling { outbox: outbox.clone(), is_given_back: false }
    };
    let digest = KeyDigest::from_bits(1);
    let mut telling = begin();
    locked(&outbox).digests.push(digest);
    assert_eq!(telling.take(), Some(vec![digest]));
    assert!(locked(&outbox).is_told && locked(&outbox).digests.is_empty());
    drop(telling);
    assert!(!locked(&outbox).is_told, "its runtime ended");
    let mut telling = begin();
    assert_eq!(telling.take(), None);
    assert!(!locked(&outbox).is_told);
    let another = begin();
    drop(telling);
    assert!(locked(&outbox).is_told, "it has given the outbox back before");
    drop(another);
}

#[tokio::test]
async fn a_listener_that_nobody_waits_for_ends_with_what_it_hears() {
    let task = tokio::task::spawn_blocking(|| {});
    let listener = Arc::new(Mutex::new(Some(task.abort_handle())));
    let ear = Ear { heard: broadcast::channel(4).0, listener: listener.clone() };
    let mut waits = ear.heard.subscribe();
    assert!(ear.hear("nothing that was told here"));
    assert!(ear.hear(&payload(KeyDigest::from_bits(1))));
    assert_eq!(waits.try_recv().unwrap(), KeyDigest::from_bits(1));
    drop(waits);
    assert!(!ear.hear(&payload(KeyDigest::from_bits(2))));
    assert!(locked(&listener).is_none(), "whoever waits next starts another");
}
