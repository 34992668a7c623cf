//! A store that says no, an endpoint that is silent, an answer that is lost.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_store_is_down_and_all_is_well_when_it_returns() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.store.faults.down.store(true, Ordering::SeqCst);
    for _ in 0..100 {
        let error = world.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.is_transient() && std::error::Error::source(&error).is_some());
    }
    assert_eq!(world.server.submissions(), 0);
    world.store.faults.down.store(false, Ordering::SeqCst);
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_a_store_that_failed() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.store.faults.silent.store(true, Ordering::SeqCst);
    let asked = Instant::now();
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::Store);
    assert!(asked.elapsed() <= SECOND * 6, "{:?}", asked.elapsed());
    world.store.faults.silent.store(false, Ordering::SeqCst);
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

// FAPI-01
#[tokio::test(start_paused = true)]
async fn a_set_that_cannot_be_stored_is_kept_and_written_when_the_store_returns() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    world.store.faults.down.store(true, Ordering::SeqCst);
    world.server.released.0.add_permits(1);
    assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Unpersisted);
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::Unpersisted);
    tokio::time::sleep(HOUR).await;
    assert!(!world.coordinator.shutdown(SECOND).await, "a shutdown waits for the write");
    world.store.faults.down.store(false, Ordering::SeqCst);
    assert!(world.coordinator.shutdown(SECOND * 2).await);
    assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-2"));
    assert_eq!(world.server.submissions(), 1, "the endpoint is never asked again");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_writes_and_then_fails_loses_nothing() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    world.store.faults.deaf.store(true, Ordering::SeqCst);
    world.server.released.0.add_permits(1);
    assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "access-2");
    assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-2"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_on_a_strict_server_is_reported_as_a_lost_rotation() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Lost]);
    let error = world.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LostRotation);
    assert!(error.needs_login());
    assert_eq!(world.server.submissions(), 2);
    let status = world.coordinator.status("k").await.unwrap().unwrap();
    assert_eq!(status.error.unwrap().kind(), ErrorKind::LostRotation);
    assert_eq!(status.in_doubt.unwrap().pid, std::process::id(), "who sent it, and when");
}

#[tokio::test(start_paused = true)]
async fn a_silent_endpoint_ends_with_the_time_limits_and_heals_when_it_speaks_again() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Silent, Reply::Silent]);
    let start = Instant::now();
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::InDoubt);
    assert_eq!(start.elapsed(), SECOND * 20);
    tokio::time::sleep(SECOND * 3).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert!(world.stored().await.unwrap().doubt.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_misconfigured_client_fails_fast_and_erases_nothing() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Status(401, r#"{"error":"invalid_client"}"#, None)]);
    for _ in 0..100 {
        let error = world.token().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Configuration, Some("invalid_client")));
        assert!(!error.is_transient() && !error.needs_login());
    }
    assert_eq!(world.server.submissions(), 1);
    assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-1"));
    tokio::time::sleep(SECOND * 61).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_dead_refresh_token_is_not_sent_again_though_the_store_did_not_take_the_verdict() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let dead = Reply::Status(400, r#"{"error":"invalid_grant"}"#, None);
    world.server.script([Reply::Held(Box::new(dead))]);
    let asking = world.ask();
    world.server.arrived.notified().await;
    world.store.faults.full.store(1, Ordering::SeqCst);
    world.server.released.0.add_permits(1);
    assert_eq!(asking.await.unwrap().unwrap_err().kind(), ErrorKind::InvalidGrant);
    assert_eq!(world.stored().await.unwrap().life, Life::Live);
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::InvalidGrant);
    assert_eq!(world.server.submissions(), 1);
    world.install(HOUR).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_an_error_and_is_left_alone() {
    let world = World::new();
    let stored = world.coordinator.stored_key("k");
    let damaged = RecordBody::new(Version::from_bits(1), b"{\"format\":99".to_vec());
    world.store.records.compare_and_swap(&stored, None, Some(&damaged)).await.unwrap();
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::Unreadable);
    let left = world.store.records.load(&stored).await.unwrap().unwrap();
    assert_eq!(left.body.bytes(), damaged.bytes());
}

#[tokio::test(start_paused = true)]
async fn a_new_login_replaces_a_record_that_cannot_be_read() {
    let world = World::new();
    let stored = world.coordinator.stored_key("k");
    let damaged = RecordBody::new(Version::from_bits(1), b"{".to_vec());
    world.store.records.compare_and_swap(&stored, None, Some(&damaged)).await.unwrap();
    world.install(HOUR).await;
    assert_eq!(world.token().await.unwrap(), "access-1");
}

#[tokio::test(start_paused = true)]
async fn a_logout_whose_write_was_not_answered_still_revokes_the_token() {
    let world = World::new();
    world.install(HOUR).await;
    world.store.faults.deaf_once.store(true, Ordering::SeqCst);
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
    assert_eq!(*world.server.revoked.lock().unwrap(), ["refresh-1"]);
}

/// An error of the store that asks for a token as it goes.
#[derive(Debug)]
struct Last(std::sync::Weak<RefreshCoordinator>);

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the last one")
    }
}

impl std::error::Error for Last {}

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(coordinator) = self.0.upgrade() {
            drop(coordinator.token_for(&coordinator.slot(&"k".into())));
        }
    }
}

#[test]
fn no_error_of_the_store_goes_while_a_lock_is_held() {
    let ends = |ending: &&str| {
        let (ended, end) = std::sync::mpsc::channel();
        let ending = ending.to_string();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(async {
                let world = World::new();
                world.install(Duration::ZERO).await;
                let error = Last(Arc::downgrade(&world.coordinator));
                *world.store.faults.error.lock().unwrap() = Some(Box::new(error));
                assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::Store);
                tokio::time::sleep(SECOND).await;
                world.store.faults.down.store(ending == "failure", Ordering::SeqCst);
                match ending.as_str() {
                    "install" => world.install(HOUR).await,
                    "logout" => drop(world.coordinator.logout("k").await),
                    _ => drop(world.token().await),
                }
                ended.send(()).unwrap();
            });
        });
        end.recv_timeout(SECOND * 10).is_ok()
    };
    let hang: Vec<_> = ["failure", "install", "logout"].into_iter().filter(|ending| !ends(ending)).collect();
    assert!(hang.is_empty(), "{hang:?}");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_the_version_just_written_is_a_write_that_succeeded() {
    let world = World::new();
    world.store.faults.repeats.store(true, Ordering::SeqCst);
    world.install(Duration::ZERO).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(world.server.submissions(), 1);
    assert_eq!(world.stored().await.unwrap().doubt, None);
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
    assert_eq!(*world.server.revoked.lock().unwrap(), ["refresh-2"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_flight_after_a_crash_succeeds_with_any_exchange_limit() {
    for limit in [SECOND * 10, SECOND * 28, SECOND * 60, SECOND * 300] {
        let world = World::with(|builder| builder.exchange_limit(limit).wait_limit(HOUR));
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Silent]);
        // It ends under its mark: nothing of it reaches the store any more.
        let cut_off = Flaky { records: world.store.records.clone(), faults: Arc::default() };
        let neighbour = World::coordinator(&world.server, &cut_off, &world.clock, |builder| builder);
        drop(tokio::spawn(async move { neighbour.token("k").await }));
        world.server.arrived.notified().await;
        cut_off.faults.down.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        assert_eq!(world.token().await.unwrap(), "access-2", "{limit:?}");
        assert!(begun.elapsed() > limit, "{limit:?}");
        assert_eq!(world.server.submissions(), 2, "{limit:?}");
    }
}

/// Loads give a copy that is late.
#[derive(Clone)]
struct Stale {
    records: Flaky,
    old: Arc<Mutex<Option<Record>>>,
    loads: Arc<AtomicUsize>,
}

impl TokenStore for Stale {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.loads.fetch_add(1, Ordering::SeqCst);
            if let Some(old) = self.old.lock().unwrap().clone() {
                return Ok(Some(old));
            }
            self.records.load(key).await
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.records.compare_and_swap(key, expected, new)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_loads_are_late_is_not_asked_without_end() {
    let world = World::new();
    let stale = Stale { records: world.store.clone(), old: Arc::default(), loads: Arc::default() };
    let s = stale.clone();
    let coordinator = World::coordinator(&world.server, &world.store, &world.clock, |b| b.store(s));
    coordinator.install("k", world.server.login(Duration::ZERO)).await.unwrap();
    let old = stale.load(&coordinator.stored_key("k")).await.unwrap();
    coordinator.token("k").await.unwrap();
    *stale.old.lock().unwrap() = old;
    tokio::time::sleep(HOUR).await;
    let before = stale.loads.load(Ordering::SeqCst);
    let told = coordinator.token("k").await;
    let loads = stale.loads.load(Ordering::SeqCst) - before;
    assert!(loads < 100, "{loads} {told:?}");
    assert!(told.is_ok(), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_which_the_store_fails_is_neither_sent_again_nor_in_doubt() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let dead = Reply::Status(400, r#"{"error":"invalid_grant"}"#, None);
    world.server.always(Reply::Held(Box::new(dead)));
    let caller = world.ask();
    world.server.arrived.notified().await;
    world.store.faults.down.store(true, Ordering::SeqCst);
    world.server.released.0.add_permits(100);
    let first = caller.await.unwrap().unwrap_err();
    world.store.faults.down.store(false, Ordering::SeqCst);
    tokio::time::sleep(SECOND * 60).await;
    let second = world.token().await.unwrap_err();
    assert_eq!(
        (first.kind(), second.kind(), world.server.submissions()),
        (ErrorKind::Store, ErrorKind::InvalidGrant, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_left_alone_makes_no_mark_of_ours_a_foreign_one() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.token().await.unwrap();
    world.accept();
    // In doubt: the mark stays.
    world.server.always(Reply::Lost);
    let error = world.refuse().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InDoubt);
    *world.server.always.lock().unwrap() = None;
    // The server keeps the newest.
    let newest = world.stored_refresh_token().await.unwrap();
    *world.server.newest.lock().unwrap() = newest;
    tokio::time::sleep(Duration::from_millis(1300)).await;
    let slot = world.coordinator.slot(&"k".into());
    let used = slot.current.load_full().unwrap();
    let other = OriginId { name: 1, place: 1 };
    match world.coordinator.refused(&slot, used.id(), other) {
        Refusal::Wait(waiter) => {
            let told = waiter.wait().await.unwrap();
            assert_eq!(told.id(), used.id(), "left alone");
        }
        other => panic!("{other:?}"),
    }
    let before = world.clock.now();
    world.refuse().await.unwrap().unwrap();
    assert!(world.clock.now().since(before) < SECOND, "{:?}", world.clock.now().since(before));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_served_before_it_is_stored_is_said_once() {
    let world = World::with(|builder| builder.serve_unpersisted(true));
    world.install(Duration::ZERO).await;
    let mut events = world.coordinator.events();
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    world.store.faults.down.store(true, Ordering::SeqCst);
    world.server.released.0.add_permits(1);
    assert!(caller.await.unwrap().is_ok());
    tokio::time::sleep(SECOND * 60).await;
    world.store.faults.down.store(false, Ordering::SeqCst);
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-2"));
    let mut refreshed = 0;
    while let Some(Some(event)) = events.next().now_or_never() {
        refreshed += usize::from(matches!(event.kind, EventKind::Refreshed(_)));
    }
    assert_eq!(refreshed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_asked_more_rarely_the_longer_it_is() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let loads = || world.store.faults.loads.load(Ordering::SeqCst);
    let ask_for_a_minute = async || {
        let before = loads();
        for _ in 0..600 {
            assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::Store);
            tokio::time::sleep(SECOND / 10).await;
        }
        loads() - before
    };
    world.store.faults.down.store(true, Ordering::SeqCst);
    let asked = ask_for_a_minute().await;
    assert!((10..=16).contains(&asked), "{asked}");
    let asked = ask_for_a_minute().await;
    assert!((11..=12).contains(&asked), "{asked}");
    // It was repaired and failed again, unseen: half a second, as for the first failure.
    tokio::time::sleep(HOUR).await;
    world.token().await.unwrap_err();
    world.store.faults.down.store(false, Ordering::SeqCst);
    tokio::time::sleep(SECOND * 6 / 10).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_tells_of_a_change_whenever_asked_is_not_read_without_end() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let key = world.coordinator.stored_key("k").digest();
    *world.store.faults.tells_at_once.lock().unwrap() = Some((key, 1000));
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    let other = world.neighbour();
    let waiting = tokio::spawn(async move { other.token("k").await });
    let before = world.store.faults.loads.load(Ordering::SeqCst);
    tokio::time::sleep(SECOND * 5).await;
    let loads = world.store.faults.loads.load(Ordering::SeqCst) - before;
    assert!(loads <= 120, "{loads} in five seconds");
    world.server.released.0.add_permits(1);
    assert!(caller.await.unwrap().is_ok() && waiting.await.unwrap().is_ok());
}
