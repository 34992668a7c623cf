//! Any caller may go at any moment; so may the task that flies, and its runtime.

use std::pin::pin;

use futures_util::FutureExt as _;

use super::*;

#[tokio::test(start_paused = true)]
async fn dropping_the_first_caller_changes_nothing_for_the_others() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    {
        let mut first = pin!(world.token());
        assert!(first.as_mut().now_or_never().is_none());
        world.server.arrived.notified().await;
    }
    // Nobody waits.
    tokio::time::sleep(SECOND).await;
    let second = world.ask();
    tokio::task::yield_now().await;
    world.server.released.0.add_permits(1);
    assert_eq!(second.await.unwrap().unwrap().expose_secret(), "access-2");
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_every_caller_still_stores_the_new_token() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    {
        let mut only = pin!(world.token());
        assert!(only.as_mut().now_or_never().is_none());
        world.server.arrived.notified().await;
    }
    tokio::time::sleep(SECOND).await;
    world.server.released.0.add_permits(1);
    assert!(world.coordinator.shutdown(SECOND).await);
    assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-2"));
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_dropped_after_any_number_of_polls_loses_nothing() {
    // The next one comes at once, or after the flight.
    for (polls, later) in (0..50).flat_map(|polls| [(polls, Duration::ZERO), (polls, SECOND)]) {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Slow]);
        let mut ended = false;
        {
            let mut caller = pin!(world.token());
            for _ in 0..polls {
                if caller.as_mut().now_or_never().is_some() {
                    ended = true;
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        tokio::time::sleep(later).await;
        assert_eq!(world.token().await.unwrap(), "access-2");
        assert_eq!(world.server.submissions(), 1, "after {polls} polls");
        assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-2"));
        if ended {
            return;
        }
    }
    panic!("the caller never ended");
}

#[tokio::test(start_paused = true)]
async fn a_login_dropped_after_any_number_of_polls_is_whole_or_goes_on() {
    for polls in 1..20 {
        let world = World::new();
        let set = world.server.login(HOUR);
        {
            let mut install = pin!(world.coordinator.install("k", set));
            for _ in 0..polls {
                if install.as_mut().now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.token().await.unwrap(), "access-1", "after {polls} polls");
        assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_is_an_answer_that_was_lost() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Panic, Reply::Panic]);
    for told in futures_util::future::join_all((0..10).map(|_| world.token())).await {
        assert_eq!(told.unwrap_err().kind(), ErrorKind::InDoubt);
    }
    assert_eq!(world.server.submissions(), 2);
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(world.server.submissions(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_a_store_that_failed_and_the_next_refresh_succeeds() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.store.faults.panics.store(true, Ordering::SeqCst);
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::Store);
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_when_it_is_given_the_new_tokens_is_given_them_again() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let waiting = world.ask();
    world.server.arrived.notified().await;
    world.store.faults.panics.store(true, Ordering::SeqCst);
    world.server.released.0.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().expose_secret(), "access-2");
    assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-2"));
    assert_eq!(world.server.submissions(), 1);
}

#[test]
fn outside_a_runtime_there_is_an_error_and_no_panic() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime().block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world
    });
    let slot = world.coordinator.slot(&"k".into());
    let Token::Fail(error) = world.coordinator.token_for(&slot) else {
        panic!("a token out of nowhere");
    };
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    assert_eq!(runtime().block_on(world.token()).unwrap(), "access-2");
}

#[test]
fn outside_a_runtime_nobody_waits_for_a_flight_either() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Silent]);
        assert!(world.token().now_or_never().is_none());
        world
    });
    let error = world.token().now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
}

#[test]
fn on_a_runtime_that_has_ended_there_is_an_error_and_no_hang() {
    for mut builder in
        [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()]
    {
        let runtime = builder.enable_all().build().unwrap();
        let world = runtime.block_on(async {
            let world = World::new();
            world.install(Duration::ZERO).await;
            world
        });
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        let (coordinator, told) = (world.coordinator.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            let _entered = handle.enter();
            let mut waiting = pin!(coordinator.token("k"));
            // One with threads of its own may still be ending, and drops what it was given a moment later.
            let ended = loop {
                match waiting.as_mut().now_or_never() {
                    Some(ended) => break ended,
                    None => std::thread::yield_now(),
                }
            };
            let _ = told.0.send(ended);
        });
        let ended = told.1.recv_timeout(SECOND * 10).expect("it hangs");
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Aborted);
    }
}

#[test]
fn an_early_refresh_is_not_forgotten_where_there_was_no_runtime_or_none_any_more() {
    let paused =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for ended in [None, Some(paused())] {
        let world = paused().block_on(async {
            let world = World::new();
            let mut login = world.server.login(HOUR);
            login.refresh_in = Some(Duration::ZERO);
            world.coordinator.install("k", login).await.unwrap();
            world
        });
        let ended = ended.map(|runtime| runtime.handle().clone());
        let entered = ended.as_ref().map(|handle| handle.enter());
        assert_eq!(world.token().now_or_never().unwrap().unwrap(), "access-1");
        drop(entered);
        assert_eq!(world.server.submissions(), 0);
        paused().block_on(async {
            tokio::time::advance(HOUR / 10).await;
            assert_eq!(world.token().await.unwrap(), "access-1");
            tokio::time::timeout(SECOND, world.server.arrived.notified()).await.expect("no refresh begins");
        });
    }
}

#[test]
fn a_runtime_that_goes_away_takes_no_waiter_with_it_and_the_record_says_in_doubt() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let world = first.block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Silent]);
        assert!(world.token().now_or_never().is_none());
        world.server.arrived.notified().await;
        world
    });
    let _entered = second.enter();
    let slot = world.coordinator.slot(&"k".into());
    let Token::Wait(waiter) = world.coordinator.token_for(&slot) else {
        panic!("no flight to join");
    };
    drop(first);
    assert_eq!(second.block_on(waiter.wait()).unwrap_err().kind(), ErrorKind::Aborted);
    let stored = second.block_on(world.stored()).unwrap();
    assert!(stored.mark.is_some(), "whoever comes next knows that a request was on its way");
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_behind_its_own_layer_is_an_error_and_no_deadlock() {
    let world = World::new();
    let inner: Arc<std::sync::OnceLock<Arc<RefreshCoordinator>>> = Arc::default();
    let wrapped = tower::service_fn({
        let inner = inner.clone();
        move |_: Request<Full<Bytes>>| {
            let coordinator = inner.get().unwrap().clone();
            async move {
                let told = coordinator.token("k").await.unwrap_err();
                assert_eq!(told.kind(), ErrorKind::Reentrant);
                Err::<Response<Full<Bytes>>, _>(crate::NotSent::new(told))
            }
        }
    });
    let uri = http::Uri::from_static("https://as.example/token");
    let builder = RefreshCoordinator::builder(uri, ClientAuth::none("c")).clock(world.clock.clone());
    let coordinator = builder.build(wrapped).unwrap();
    inner.set(coordinator.clone()).unwrap();
    coordinator.install("k", world.server.login(Duration::ZERO)).await.unwrap();
    let start = Instant::now();
    assert_eq!(coordinator.token("k").await.unwrap_err().kind(), ErrorKind::Reentrant);
    assert_eq!(
        coordinator.token("k").await.unwrap_err().kind(),
        ErrorKind::Reentrant,
        "as long as it stands"
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_through_its_own_layer_is_named_as_the_cause() {
    let world = World::new();
    let inner: Arc<std::sync::OnceLock<Arc<RefreshCoordinator>>> = Arc::default();
    let sent = Arc::new(AtomicUsize::new(0));
    let wrapped = tower::service_fn({
        let (inner, sent) = (inner.clone(), sent.clone());
        move |request: Request<Full<Bytes>>| {
            let sent = sent.clone();
            let http = tower::service_fn(move |_: Request<crate::ReplayBody<Full<Bytes>>>| {
                sent.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
            });
            let layer = crate::RefreshLayer::new(inner.get().unwrap().clone(), "k");
            let layer = layer.origin("https://as.example".parse().unwrap());
            tower::ServiceExt::oneshot(tower::Layer::layer(&layer, http), request)
        }
    });
    let uri = http::Uri::from_static("https://as.example/token");
    let builder = RefreshCoordinator::builder(uri, ClientAuth::none("c")).clock(world.clock.clone());
    let coordinator = builder.build(wrapped).unwrap();
    inner.set(coordinator.clone()).unwrap();
    coordinator.install("k", world.server.login(Duration::ZERO)).await.unwrap();
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(coordinator.token("k").await.unwrap_err().kind(), ErrorKind::Reentrant);
        tokio::time::sleep(SECOND / 10).await;
    }
    assert_eq!((start.elapsed(), sent.load(Ordering::SeqCst)), (SECOND * 10, 0));
    assert!(coordinator.status("k").await.unwrap().unwrap().in_doubt.is_none());
}

#[test]
fn a_runtime_dropped_after_any_number_of_turns_leaves_the_new_token_or_a_mark() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut stored, mut marked) = (0, 0);
    for turns in 0..40 {
        let first = runtime();
        let world = first.block_on(async {
            let world = World::new();
            world.install(Duration::ZERO).await;
            world.server.script([Reply::Slow]);
            assert!(world.token().now_or_never().is_none());
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            world
        });
        drop(first);
        runtime().block_on(async {
            let record = world.stored().await.unwrap();
            match (world.server.submissions(), record.generation.get()) {
                (0, 1) => {}
                (1, 2) => stored += 1,
                (1, 1) => {
                    marked += 1;
                    assert!(record.mark.is_some(), "sent, not stored, and no mark: after {turns} turns");
                }
                other => panic!("{other:?} after {turns} turns"),
            }
        });
    }
    assert!(stored > 0 && marked > 5, "{stored} {marked}");
}

#[test]
fn a_hundred_thousand_waiters_cost_one_exchange_and_at_most_a_kilobyte_each() {
    const WAITERS: usize = 100_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::held()]);
        world
    });
    let used = allocation_counter::measure(|| {
        runtime.block_on(async {
            let mut waiters: Vec<_> = (0..WAITERS).map(|_| Box::pin(world.coordinator.token("k"))).collect();
            for waiter in &mut waiters {
                assert!(waiter.as_mut().now_or_never().is_none());
            }
            world.server.arrived.notified().await;
            world.server.released.0.add_permits(1);
            for waiter in waiters {
                assert_eq!(waiter.await.unwrap().expose_secret(), "access-2");
            }
        });
    });
    assert_eq!(world.server.submissions(), 1);
    let each = used.bytes_max / WAITERS as u64;
    assert!(each <= 1024, "{each} bytes a waiter");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_after_every_caller_has_gone_is_told_all_the_same() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let mut events = world.coordinator.events();
    let logged = Arc::new(AtomicUsize::new(0));
    let _log = tracing::subscriber::set_default(Log({
        let logged = logged.clone();
        move |event: &tracing::Event<'_>| {
            logged
                .fetch_add(usize::from(*event.metadata().level() == tracing::Level::ERROR), Ordering::SeqCst);
        }
    }));
    world.server.script([Reply::Status(401, r#"{"error":"invalid_client"}"#, None)]);
    assert!(world.token().now_or_never().is_none());
    let failed = async {
        loop {
            if let EventKind::Failed(error) = events.next().await.unwrap().kind {
                break error;
            }
        }
    };
    let failed = tokio::time::timeout(SECOND, failed).await.expect("nobody is told");
    assert_eq!((failed.kind(), logged.load(Ordering::SeqCst)), (ErrorKind::Configuration, 1));
}
