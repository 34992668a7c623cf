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
