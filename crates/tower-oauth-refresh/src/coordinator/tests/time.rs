//! Ahead of expiry, after it, and with clocks that lie.

use super::*;

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_refreshed_ahead_in_the_background_once_and_nobody_waits() {
    let world = World::new();
    world.install(HOUR).await;
    let loads = || world.store.faults.loads.load(Ordering::SeqCst);
    let before = loads();
    tokio::time::sleep(Duration::from_secs(3600 - 301)).await;
    assert_eq!(world.token().await.unwrap(), "access-1");
    settle().await;
    assert_eq!(loads(), before, "not before the last tenth of its life, and five minutes");
    tokio::time::sleep(Duration::from_secs(301 - 60)).await;
    world.server.script([Reply::held()]);
    let start = Instant::now();
    for _ in 0..1000 {
        assert_eq!(world.token().await.unwrap(), "access-1");
        tokio::task::yield_now().await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    world.server.released.0.add_permits(1);
    settle().await;
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!((world.server.submissions(), loads()), (1, before + 1), "one flight for all");
}

#[tokio::test(start_paused = true)]
async fn refreshing_ahead_can_be_turned_off() {
    let world = World::with(|builder| builder.refresh_ahead(false));
    world.install(HOUR).await;
    tokio::time::sleep(Duration::from_secs(3600 - 60)).await;
    world.token().await.unwrap();
    settle().await;
    assert_eq!(world.server.submissions(), 0);
    tokio::time::sleep(SECOND * 31).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn where_refreshing_ahead_is_off_a_failed_refresh_brings_no_other() {
    let world = World::with(|builder| builder.refresh_ahead(false).wait_limit(SECOND / 2));
    world.install(HOUR).await;
    world.server.always(Reply::Status(503, "", None));
    world.refuse().await.unwrap().unwrap_err();
    let before = world.server.submissions();
    for _ in 0..60 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.token().await.unwrap(), "access-1");
        settle().await;
    }
    assert_eq!(world.server.submissions(), before);
}

#[tokio::test(start_paused = true)]
async fn a_failed_early_refresh_keeps_the_valid_token_and_is_spaced() {
    let world = World::new();
    world.install(HOUR).await;
    tokio::time::sleep(Duration::from_secs(3600 - 120)).await;
    world.server.always(Reply::Status(503, "", None));
    for _ in 0..800 {
        assert_eq!(world.token().await.unwrap(), "access-1");
        tokio::time::sleep(SECOND / 10).await;
    }
    assert!((2..20).contains(&world.server.submissions()), "{}", world.server.submissions());
    tokio::time::sleep(SECOND * 30).await;
    assert!(world.token().await.unwrap_err().is_transient(), "expired by now: never an expired token");
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_hanging_delays_nobody_while_the_token_is_valid() {
    let world = World::new();
    world.install(HOUR).await;
    tokio::time::sleep(Duration::from_secs(3600 - 60)).await;
    world.server.always(Reply::Silent);
    let start = Instant::now();
    for _ in 0..100 {
        world.token().await.unwrap();
        settle().await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn tokens_shorter_than_every_margin_are_not_refreshed_for_every_request() {
    for life in [1, 2, 5, 30] {
        let world = World::new();
        world.install(SECOND * life).await;
        for _ in 0..100 {
            assert_eq!(world.token().await.unwrap(), "access-1", "{life} s");
        }
        assert_eq!(world.server.submissions(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_of_unknown_lifetime_is_used_until_it_is_refused() {
    let world = World::new();
    let mut set = world.server.login(HOUR);
    set.expires_in = None;
    world.coordinator.install("k", set).await.unwrap();
    tokio::time::sleep(HOUR * 1000).await;
    assert_eq!(world.token().await.unwrap(), "access-1");
    assert_eq!(world.refuse().await.unwrap().unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_forward_costs_one_refresh_and_no_loop() {
    let world = World::new();
    world.install(HOUR).await;
    world.clock.wall_ahead.store(86_400, Ordering::SeqCst);
    for _ in 0..100 {
        assert_eq!(world.token().await.unwrap(), "access-2");
    }
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_back_does_not_keep_a_dead_token_alive() {
    let world = World::new();
    world.install(HOUR).await;
    world.clock.wall_ahead.store(-86_400, Ordering::SeqCst);
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_requests_in_an_outage_cost_the_server_five_submissions_in_three_seconds() {
    for outage in [Reply::Status(503, "", None), Reply::Lost, Reply::Status(500, "oops", None)] {
        // For requests that do not wait: each is told of what holds now.
        let world = World::with(|builder| builder.wait_limit(Duration::ZERO));
        world.install(Duration::ZERO).await;
        // Lost without commit, or the strict server would end the login.
        world.server.newest.lock().unwrap().clear();
        let outage = if matches!(outage, Reply::Lost) { Reply::Status(200, "<html>", None) } else { outage };
        world.server.always(outage);
        for request in 0..10_000 {
            assert!(world.token().await.unwrap_err().is_transient());
            if request % 4 == 0 {
                tokio::time::sleep(SECOND / 1000).await;
            }
        }
        settle().await;
        assert!((3..=5).contains(&world.server.submissions()), "{}", world.server.submissions());
        // The outage lasts, and requests go on.
        for _ in 0..1200 {
            let _ = world.token().await;
            tokio::time::sleep(SECOND / 10).await;
        }
        let settled = world.server.submissions();
        for _ in 0..300 {
            let _ = world.token().await;
            tokio::time::sleep(SECOND / 10).await;
        }
        assert!(world.server.submissions() <= settled + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_reason_costs_five_submissions_in_ten_seconds_and_thirty_in_an_hour() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.always(Reply::Status(400, "", None));
    for second in 0..3600 {
        let error = world.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(second > 10 || world.server.submissions() <= 5);
        tokio::time::sleep(SECOND).await;
    }
    assert!(world.server.submissions() <= 30, "{}", world.server.submissions());
    world.server.always(Reply::Right);
    tokio::time::sleep(SECOND * 400).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_kept_in_both_forms() {
    // The second is half a minute after the clock's start.
    for form in ["30", "Fri, 15 Jan 2027 09:00:30 GMT"] {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Status(429, "", Some(form))]);
        world.token().await.unwrap_err();
        tokio::time::sleep(SECOND * 29).await;
        world.token().await.unwrap_err();
        assert_eq!(world.server.submissions(), 1, "{form}");
        tokio::time::sleep(SECOND * 2).await;
        assert_eq!(world.token().await.unwrap(), "access-2", "{form}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_retry_after_lasts_a_valid_token_is_served() {
    let world = World::new();
    world.install(HOUR).await;
    tokio::time::sleep(Duration::from_secs(3600 - 120)).await;
    world.server.always(Reply::Status(429, "", Some("30")));
    for _ in 0..290 {
        assert_eq!(world.token().await.unwrap(), "access-1");
        tokio::time::sleep(SECOND / 10).await;
    }
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_refuses_every_token_does_not_burn_refresh_tokens() {
    let world = World::new();
    world.install(HOUR).await;
    assert_eq!(world.refuse().await.unwrap().unwrap(), "access-2");
    for _ in 0..600 {
        let _ = world.refuse().await;
        tokio::time::sleep(SECOND / 10).await;
    }
    // After 5, 10 and 20 seconds, and so on.
    assert_eq!(world.server.submissions(), 4);
    for _ in 0..6000 {
        let _ = world.refuse().await;
        tokio::time::sleep(SECOND / 10).await;
    }
    assert_eq!(world.server.submissions(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_does_not_burn_the_storm_guard() {
    let world = World::with(|builder| builder.wait_limit(SECOND / 2));
    world.install(HOUR).await;
    world.server.script([Reply::Status(503, "", Some("1"))]);
    world.refuse().await.unwrap().unwrap_err();
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(world.refuse().await.unwrap().unwrap(), "access-2");
}

/// Is a refused token refreshed, so long after it was asked for?
async fn refreshes(world: &World, after: Duration) -> bool {
    tokio::time::sleep(after).await;
    match world.refuse().await {
        Some(told) => told.map(|_| true).unwrap(),
        None => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_refreshed_five_seconds_after_its_own_refresh_and_not_before() {
    let young = Duration::from_millis(4999);
    for (after, refreshed) in [(Duration::ZERO, false), (young, false), (SECOND * 5, true), (HOUR / 2, true)]
    {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.token().await.unwrap();
        assert_eq!(refreshes(&world, after).await, refreshed, "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_token_is_fresh_for_half_its_life() {
    for (after, refreshed) in [(Duration::from_millis(1999), false), (SECOND * 2, true)] {
        let world = World::with(|builder| builder.refresh_ahead(false));
        world.install(Duration::ZERO).await;
        let short = r#"{"access_token":"short","expires_in":4,"refresh_token":"refresh-1"}"#;
        world.server.script([Reply::Status(200, short, None)]);
        assert_eq!(world.token().await.unwrap(), "short");
        assert_eq!(refreshes(&world, after).await, refreshed, "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_further_token_that_was_never_accepted_is_left_alone_for_twice_as_long() {
    let world = World::new();
    world.install(HOUR).await;
    assert!(refreshes(&world, Duration::ZERO).await, "whoever installed it may not know that it is bad");
    for rest in [5, 10, 20, 40, 80, 160, 300, 300] {
        assert!(!refreshes(&world, Duration::ZERO).await, "it is new");
        assert!(!refreshes(&world, SECOND * (rest - 1)).await, "{rest}");
        assert!(refreshes(&world, SECOND).await, "{rest}");
    }
    // Where none was refused for ten minutes, the series begins anew.
    assert!(refreshes(&world, SECOND * 600).await);
    assert!(!refreshes(&world, SECOND * 4).await);
    assert!(refreshes(&world, SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_api_has_accepted_is_refreshed_at_once_however_new() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    for _ in 0..5 {
        world.token().await.unwrap();
        world.accept();
        assert!(refreshes(&world, Duration::ZERO).await);
    }
    world.accept();
    assert!(!refreshes(&world, Duration::ZERO).await, "five at once are the most");
    assert!(!refreshes(&world, SECOND * 59).await);
    assert!(refreshes(&world, SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn what_an_api_accepts_after_its_first_refusal_does_not_count() {
    let world = World::new();
    world.install(HOUR).await;
    assert!(refreshes(&world, Duration::ZERO).await);
    let slot = world.coordinator.slot(&"k".into());
    let refreshed = slot.current.load_full().unwrap();
    world.coordinator.refused_again(&slot, refreshed.id(), OriginId::default());
    world.accept();
    assert!(!refreshes(&world, SECOND * 4).await);
    assert!(refreshes(&world, SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_a_refresh_returned_unchanged_is_as_good_as_it_was() {
    for refused in [false, true] {
        let world = World::new();
        world.install(HOUR).await;
        world.accept();
        let same = r#"{"access_token":"access-1","expires_in":3600,"refresh_token":"refresh-1"}"#;
        world.server.script([Reply::Status(200, same, None)]);
        if refused {
            assert!(refreshes(&world, Duration::ZERO).await);
        } else {
            // Ahead of its expiry.
            tokio::time::sleep(SECOND * 3450).await;
            world.token().await.unwrap();
            tokio::time::sleep(SECOND).await;
        }
        assert_eq!((world.token().await.unwrap(), world.server.submissions()), ("access-1".to_owned(), 1));
        assert_eq!(refreshes(&world, Duration::ZERO).await, !refused);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_that_is_left_alone_is_replaced_as_soon_as_the_store_has_another() {
    let world = World::new();
    world.install(HOUR).await;
    assert!(refreshes(&world, Duration::ZERO).await);
    assert!(!refreshes(&world, Duration::ZERO).await);
    // A failover that lost a write: the same generation, and another token.
    let mut record = world.stored().await.unwrap();
    record.tokens.as_mut().unwrap().access_token = Some("another".into());
    let key = world.coordinator.stored_key("k");
    let found = world.store.records.load(&key).await.unwrap().unwrap().body.version();
    let body = record.encode(Version::from_bits(7));
    world.store.records.compare_and_swap(&key, Some(found), Some(&body)).await.unwrap();
    assert!(world.refuse().await.is_none(), "once a second");
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.refuse().await.unwrap().unwrap(), "another");
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_a_refused_token_is_left_alone_the_store_is_looked_at_once_a_second() {
    let world = World::new();
    world.install(HOUR).await;
    for _ in 0..7 {
        assert!(refreshes(&world, SECOND * 300).await);
    }
    let loads = || world.store.faults.loads.load(Ordering::SeqCst);
    let before = loads();
    for _ in 0..1000 {
        assert!(!refreshes(&world, SECOND / 100).await);
    }
    assert!((9..=11).contains(&(loads() - before)), "{}", loads() - before);
}

#[tokio::test(start_paused = true)]
async fn an_early_refresh_is_not_kept_back_by_a_refusal() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.token().await.unwrap();
    tokio::time::sleep(SECOND * 3500).await;
    world.refuse().await.unwrap().unwrap();
    assert!(world.refuse().await.is_none());
    tokio::time::sleep(SECOND * 3500).await;
    world.store.faults.late.store(true, Ordering::SeqCst);
    let mut events = world.coordinator.events();
    let refused = world.refuse();
    tokio::pin!(refused);
    assert!(futures_util::FutureExt::now_or_never(refused.as_mut()).is_none());
    world.store.faults.has_read.notified().await;
    assert_eq!(world.token().await.unwrap(), "access-3", "in the background");
    world.store.faults.may_answer.notify_one();
    assert_eq!(refused.await.unwrap().unwrap(), "access-4");
    assert!(matches!(within(events.next()).await.unwrap().kind, EventKind::RefreshStarted));
}

#[tokio::test(start_paused = true)]
async fn jitter_is_drawn_once_for_a_generation() {
    let unit = |coordinator, generation| jitter(coordinator, "k", Generation::new(generation));
    assert_eq!(unit(1, 1).to_bits(), unit(1, 1).to_bits());
    assert_ne!(unit(1, 1).to_bits(), unit(1, 2).to_bits());
    assert_ne!(unit(1, 1).to_bits(), unit(2, 1).to_bits());
    let mean = (0..1000).map(|generation| unit(1, generation)).sum::<f64>() / 1000.0;
    assert!((0.45..0.55).contains(&mean), "{mean}");
}

#[tokio::test(start_paused = true)]
async fn the_early_refresh_is_due_from_one_moment_on_for_all_requests() {
    let world = World::new();
    world.install(HOUR).await;
    let slot = world.coordinator.slot(&"k".into());
    let current = slot.current.load_full().unwrap();
    let now = world.coordinator.clock.now();
    let due = |second| current.is_ahead_due(now.after(Duration::from_secs(second)));
    let first = (0..3600).find(|second| due(*second)).unwrap();
    for second in 0..3600 {
        for _ in 0..10 {
            assert_eq!(due(second), second >= first, "{second}, and {first} is the first");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_expires_in_whatsoever_makes_a_refresh_loop() {
    for expires_in in [
        "0",
        "-1",
        "null",
        "\"\"",
        "0.5",
        "99999999999999999999",
        "true",
        "\"never\"",
        "1764633600",
        "1e300",
        "[]",
    ] {
        let world = World::new();
        world.install(Duration::ZERO).await;
        let body = format!(r#"{{"access_token":"odd","expires_in":{expires_in},"refresh_token":"again"}}"#);
        world.server.always(Reply::Status(200, Box::leak(body.into_boxed_str()), None));
        for _ in 0..600 {
            assert_eq!(world.token().await.unwrap(), "odd", "{expires_in}");
            tokio::time::sleep(SECOND / 10).await;
        }
        assert_eq!(world.server.submissions(), 1, "{expires_in}");
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_that_jump_to_and_fro_cost_at_most_two_refreshes_in_five_seconds() {
    let world = World::new();
    world.install(HOUR).await;
    for step in 0..600 {
        let day = if step % 2 == 0 { 86_400 } else { -86_400 };
        world.clock.wall_ahead.store(if step % 7 == 0 { 7 * day } else { day }, Ordering::SeqCst);
        let _ = world.token().await;
        let _ = world.refuse().await;
        tokio::time::sleep(SECOND / 10).await;
    }
    // One for a token that is refused, and one for a token that has expired by the wall clock.
    assert!(world.server.submissions() <= 24, "{}", world.server.submissions());
}

#[test]
fn rests_saturate_after_any_number_of_failures() {
    for failures in [0, 1, 100, u32::MAX] {
        let unavailable = Policy::unavailable_rest(failures, &[], 1.0);
        assert!(unavailable >= SECOND / 2 && unavailable <= SECOND * 38, "{unavailable:?}");
        let (outage, refused) = (Policy::outage_rest(failures, 1.0), Policy::refused_rest(failures, 1.0));
        assert!(outage >= SECOND && outage <= SECOND * 38, "{outage:?}");
        assert!(refused >= SECOND && refused <= SECOND * 375, "{refused:?}");
    }
}

/// A log that takes twenty seconds for the first refresh that is said to it, by a clock that tokio's timers do not see.
struct SlowLog {
    clock: Arc<StepClock>,
    started: Arc<AtomicUsize>,
}

impl tracing::Subscriber for SlowLog {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn fmt::Debug) {
                self.0.push_str(&format!("{value:?} "));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        if text.0.contains("refresh started") && self.started.fetch_add(1, Ordering::SeqCst) == 0 {
            self.clock.wall_ahead.fetch_add(20, Ordering::SeqCst);
        }
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_a_log_outlasted_the_lease() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let started = Arc::<AtomicUsize>::default();
    let log = SlowLog { clock: world.clock.clone(), started: started.clone() };
    let _log = tracing::subscriber::set_default(log);
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(started.load(Ordering::SeqCst), 1, "the request was sent before it was logged");
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_limit_with_which_nothing_can_go_right_is_a_build_error() {
    let build = |limit| {
        let uri = http::Uri::from_static("https://as.example/token");
        let builder = RefreshCoordinator::builder(uri, ClientAuth::none("c")).exchange_limit(limit);
        builder.build(Arc::<Server>::default().service()).map(drop)
    };
    let millisecond = Duration::from_millis(1);
    for wrong in
        [Duration::ZERO, millisecond * 10, SECOND - millisecond, SECOND * 300 + millisecond, Duration::MAX]
    {
        let error = build(wrong).unwrap_err();
        assert_eq!(error.to_string(), "exchange_limit must be from 1s to 300s");
    }
    assert_eq!(build(SECOND), Ok(()));
    assert_eq!(build(SECOND * 300), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn no_duration_makes_a_coordinator_panic() {
    for any in [Duration::ZERO, Duration::MAX] {
        let world = World::with(|builder| builder.wait_limit(any).hold_limit(any).challenge_min_age(any));
        world.install(Duration::ZERO).await;
        let _ = world.token().await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.token().await.unwrap(), "access-2", "the refresh went on");
        let _ = world.refuse().await;
    }
}
