//! Many credentials in one process.

use super::*;

impl World {
    fn ask_for(&self, number: usize) -> tokio::task::JoinHandle<Result<AccessToken, RefreshError>> {
        let coordinator = self.coordinator.clone();
        tokio::spawn(async move { coordinator.token(format!("{number}")).await })
    }

    async fn install_many(&self, count: usize, lifetime: Duration) {
        for number in 0..count {
            let set = TokenSet::new(format!("access-of-{number}"))
                .with_refresh_token(format!("refresh-of-{number}"))
                .with_expires_in(lifetime);
            self.coordinator.install(format!("{number}"), set).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_was_put_out_of_memory_comes_back_from_the_store_without_a_refresh() {
    let world = World::with(|builder| builder.room(64));
    world.install_many(1000, HOUR).await;
    assert!(world.coordinator.slots.len() <= 64);
    for number in 0..1000 {
        let token = world.coordinator.token(format!("{number}")).await.unwrap();
        assert_eq!(token.expose_secret(), format!("access-of-{number}"));
        assert!(world.coordinator.slots.len() <= 64 + 1);
    }
    assert_eq!(world.server.submissions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_credential_in_flight_is_not_lost_however_many_others_come() {
    let world = World::with(|builder| builder.room(64));
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    caller.abort();
    world.install_many(1000, HOUR).await;
    let others: Vec<_> = (0..10).map(|_| world.ask()).collect();
    world.server.released.0.add_permits(1);
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().expose_secret(), "access-2");
    }
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_exchanges_are_under_way_than_allowed_and_all_have_their_turn_in_order() {
    let world = World::with(|builder| builder.concurrency_limit(3));
    world.install_many(10, Duration::ZERO).await;
    world.server.always(Reply::held());
    let callers: Vec<_> = (0..10).map(|number| world.ask_for(number)).collect();
    for sent in 3..=10 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.server.submissions(), sent);
        world.server.released.0.add_permits(1);
    }
    world.server.released.0.add_permits(10);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::InvalidGrant);
    }
    let in_turn: Vec<_> = (0..10).map(|number| format!("refresh-of-{number}")).collect();
    assert_eq!(*world.server.submitted.lock().unwrap(), in_turn);
}

#[tokio::test(start_paused = true)]
async fn whoever_queues_for_the_endpoint_has_no_mark_in_the_store_and_reads_the_record_after() {
    let world = World::with(|builder| builder.concurrency_limit(1));
    world.install_many(2, Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let _first = world.ask_for(0);
    world.server.arrived.notified().await;
    let swaps = world.store.faults.swaps.load(Ordering::SeqCst);
    let second = world.ask_for(1);
    tokio::time::sleep(SECOND * 5).await;
    assert_eq!(world.store.faults.swaps.load(Ordering::SeqCst), swaps);
    // Somebody else logs in meanwhile: what was read before the queue is old.
    let tokens = TokenSet::new("another").with_expires_in(HOUR).with_refresh_token("other");
    world.neighbour().install("1", tokens).await.unwrap();
    world.server.released.0.add_permits(1);
    assert_eq!(second.await.unwrap().unwrap().expose_secret(), "another");
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_longer_than_a_flight_may_take_still_ends_in_refreshes() {
    let world = World::with(|builder| builder.concurrency_limit(1));
    world.install_many(5, Duration::ZERO).await;
    let silent = Reply::Silent;
    world.server.script([
        silent.clone(),
        silent.clone(),
        silent.clone(),
        silent.clone(),
        silent.clone(),
        silent,
    ]);
    let callers: Vec<_> = (0..5).map(|number| world.ask_for(number)).collect();
    for caller in callers {
        let _ = caller.await;
    }
    tokio::time::sleep(SECOND * 60).await;
    // Three used up the silence; the last two waited for a minute, and were served.
    let submitted = world.server.submitted.lock().unwrap().clone();
    assert!(submitted.iter().any(|token| token == "refresh-of-4"), "{submitted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_credential_whose_store_or_foreign_mark_makes_it_wait_takes_no_place_at_the_endpoint() {
    let world = World::with(|builder| builder.concurrency_limit(1));
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let neighbour = world.neighbour();
    let elsewhere = tokio::spawn(async move { neighbour.token("k").await });
    world.server.arrived.notified().await;
    let _watching = world.ask();
    tokio::time::sleep(SECOND).await;
    world.install_many(1, Duration::ZERO).await;
    let other = world.coordinator.token("0").await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::InvalidGrant, "it was asked at once");
    elsewhere.abort();
}

#[tokio::test(start_paused = true)]
async fn when_the_endpoint_says_when_to_come_back_no_credential_comes_earlier() {
    let world = World::new();
    world.install_many(20, Duration::ZERO).await;
    world.server.script([Reply::Status(503, "", Some("30"))]);
    assert_eq!(world.coordinator.token("0").await.unwrap_err().kind(), ErrorKind::Unavailable);
    for number in 1..20 {
        let error = world.coordinator.token(format!("{number}")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_at().is_some());
    }
    assert_eq!(world.server.submissions(), 1);
    tokio::time::sleep(SECOND * 31).await;
    let _ = world.coordinator.token("1").await;
    assert_eq!(world.server.submissions(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_accounts_long_rate_limit_silences_no_other_and_that_of_two_accounts_all() {
    let world = World::new();
    world.install_many(4, Duration::ZERO).await;
    let limited = || Reply::Status(429, "", Some("3600"));
    world.server.script([limited(), Reply::Right, limited()]);
    assert_eq!(world.coordinator.token("0").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(
        world.coordinator.token("1").await.unwrap_err().kind(),
        ErrorKind::InvalidGrant,
        "it was asked"
    );
    assert_eq!(world.coordinator.token("2").await.unwrap_err().kind(), ErrorKind::Unavailable);
    let error = world.coordinator.token("3").await.unwrap_err();
    assert_eq!((error.kind(), world.server.submissions()), (ErrorKind::Unavailable, 3), "nobody asks");
    // Whoever logs in again has another account's tokens, for all that is known.
    world.install_many(1, Duration::ZERO).await;
    assert_eq!(world.coordinator.token("0").await.unwrap_err().kind(), ErrorKind::InvalidGrant);
    assert_eq!(world.server.submissions(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_succeeds_ends_the_rest_that_all_were_asked_for() {
    let world = World::new();
    world.install_many(1, Duration::ZERO).await;
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let under_way = world.ask();
    world.server.arrived.notified().await;
    world.server.script([Reply::Status(503, "", Some("3600"))]);
    assert_eq!(world.coordinator.token("0").await.unwrap_err().kind(), ErrorKind::Unavailable);
    world.install_many(2, Duration::ZERO).await;
    assert_eq!(world.coordinator.token("1").await.unwrap_err().kind(), ErrorKind::Unavailable);
    world.server.released.0.add_permits(1);
    under_way.await.unwrap().unwrap();
    let _ = world.coordinator.token("0").await;
    assert_eq!(world.server.submissions(), 3, "it was asked again");
}

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(start_paused = true)]
async fn a_credential_that_nobody_uses_is_refreshed_before_its_refresh_token_grows_too_old() {
    let world = World::new();
    world.install(HOUR).await;
    world.coordinator.keep_fresh("k", DAY * 30).unwrap();
    world.coordinator.keep_fresh("k", DAY * 30).unwrap();
    let mut oldest = 0;
    let mut age = 0;
    for _ in 0..300 {
        let before = world.server.submissions();
        tokio::time::sleep(DAY).await;
        age = if world.server.submissions() > before { 0 } else { age + 1 };
        oldest = oldest.max(age);
    }
    assert!(oldest <= 30, "{oldest} days");
    let refreshes = world.server.submissions();
    assert!((10..=20).contains(&refreshes), "{refreshes} refreshes in 300 days");
}

#[tokio::test(start_paused = true)]
async fn what_grew_old_while_no_process_ran_is_refreshed_soon_after_a_start() {
    let world = World::new();
    world.install(HOUR).await;
    tokio::time::sleep(DAY * 64).await;
    let started = world.neighbour();
    started.keep_fresh("k", DAY * 64).unwrap();
    tokio::time::sleep(DAY).await;
    assert_eq!(world.server.submissions(), 1);
    assert_eq!(started.token("k").await.unwrap().expose_secret(), "access-3");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_in_use_is_not_refreshed_for_its_age() {
    let world = World::new();
    world.install(HOUR).await;
    world.coordinator.keep_fresh("k", DAY).unwrap();
    for _ in 0..48 {
        tokio::time::sleep(HOUR).await;
        world.token().await.unwrap();
    }
    let refreshes = world.server.submissions();
    assert!((47..=48).contains(&refreshes), "{refreshes}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_can_still_be_used_for_years_is_refreshed_all_the_same() {
    let world = World::new();
    world.install(DAY * 3000).await;
    world.coordinator.keep_fresh("k", DAY * 30).unwrap();
    tokio::time::sleep(DAY * 30).await;
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_installed_together_is_not_refreshed_together() {
    let world = World::new();
    world.install_many(100, HOUR).await;
    for number in 0..100 {
        world.coordinator.keep_fresh(format!("{number}"), DAY * 32).unwrap();
    }
    let mut most = 0;
    for _ in 0..32 {
        let before = world.server.submissions();
        tokio::time::sleep(DAY).await;
        most = most.max(world.server.submissions() - before);
    }
    tokio::time::sleep(DAY * 3).await;
    // This server knows none of them, so that each is refused for good after one submission.
    assert_eq!(world.server.submissions(), 100);
    assert!(most <= 20, "{most} in one day");
    assert!(world.coordinator.roster.is_empty(), "their logins have ended");
}

#[tokio::test(start_paused = true)]
async fn keeping_fresh_ends_with_a_shutdown_and_with_the_coordinator() {
    for shut_down in [true, false] {
        let world = World::new();
        world.install(HOUR).await;
        world.coordinator.keep_fresh("k", DAY).unwrap();
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        tokio::time::sleep(SECOND).await;
        assert_eq!(tasks(), 1);
        if shut_down {
            world.coordinator.shutdown(SECOND).await;
            assert_eq!(world.coordinator.keep_fresh("k", DAY).unwrap_err().kind(), ErrorKind::ShutDown);
        }
        let World { coordinator, server, .. } = world;
        let kept = shut_down.then_some(coordinator);
        tokio::task::yield_now().await;
        assert_eq!(tasks(), 0);
        tokio::time::sleep(DAY * 3).await;
        assert_eq!(server.submissions(), 0);
        drop(kept);
    }
}

#[test]
fn what_is_kept_fresh_goes_on_where_it_is_said_again_after_its_runtime_has_ended() {
    let paused =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // Ended while it sleeps, and in the middle of a look.
    for silent in [false, true] {
        let world = paused().block_on(async {
            let world = World::new();
            world.install(DAY * 365).await;
            world.store.faults.silent.store(silent, Ordering::SeqCst);
            world.coordinator.keep_fresh("k", DAY * 30).unwrap();
            let looks = || world.store.faults.loads.load(Ordering::SeqCst);
            let before = looks();
            while looks() == before {
                tokio::time::sleep(SECOND).await;
            }
            world
        });
        world.store.faults.silent.store(false, Ordering::SeqCst);
        paused().block_on(async {
            tokio::time::sleep(DAY * 30).await;
            assert_eq!(world.server.submissions(), 0, "nobody looks");
            world.coordinator.keep_fresh("k", DAY * 30).unwrap();
            tokio::time::sleep(DAY * 30).await;
            assert!(world.server.submissions() > 0, "in the middle of a look: {silent}");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_rest_of_the_endpoint_is_waited_for_in_turn() {
    let world = World::new();
    world.install_many(2, Duration::ZERO).await;
    world.server.script([Reply::Status(429, "", Some("2"))]);
    let start = Instant::now();
    // Gone before the rest is over, or it would be served by another request.
    let first = tokio::time::timeout(SECOND / 10, world.coordinator.token("0")).await;
    assert!(first.is_err(), "{first:?}");
    assert_eq!(
        world.coordinator.token("1").await.unwrap_err().kind(),
        ErrorKind::InvalidGrant,
        "it was asked"
    );
    assert!(start.elapsed() >= SECOND * 2);
    assert_eq!(world.server.submissions(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_asks_nothing_of_the_store_and_a_refresh_reads_once_and_writes_twice() {
    let world = World::new();
    let faults = world.store.faults.clone();
    let calls = || (faults.loads.load(Ordering::SeqCst), faults.swaps.load(Ordering::SeqCst));
    world.install(HOUR).await;
    let installed = calls();
    for _ in 0..1000 {
        world.token().await.unwrap();
    }
    assert_eq!(calls(), installed);
    tokio::time::sleep(HOUR).await;
    world.token().await.unwrap();
    // The mark, which must be durable before the refresh token is spent, and the new token set.
    assert_eq!(calls(), (installed.0 + 1, installed.1 + 2));
}
