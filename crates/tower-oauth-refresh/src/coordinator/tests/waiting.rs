//! Nobody waits longer than he wants to, whatever becomes of the flight.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use super::*;

/// A world whose server holds the refresh back, and whose callers wait a second.
async fn held() -> World {
    let world = World::with(|builder| builder.wait_limit(SECOND));
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    world
}

/// What must end. A failure shows as one, and not as a test that hangs.
async fn ends<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(SECOND * 20, waiting).await.expect("it hangs")
}

fn paused() -> Runtime {
    RuntimeBuilder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_caller_ends_by_his_own_deadline_whenever_he_came() {
    let world = held().await;
    let start = Instant::now();
    // Before the first one's time is over, as it ends, and after.
    let callers = [0, 400, 999, 1000, 1001, 1400].map(|came| {
        let world = &world;
        async move {
            tokio::time::sleep(Duration::from_millis(came)).await;
            let error = ends(world.token()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert_eq!(start.elapsed(), Duration::from_millis(came) + SECOND);
        }
    });
    futures_util::future::join_all(callers).await;
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_still_waits_when_the_first_one_gives_up_gets_the_token() {
    let world = held().await;
    let first = world.ask();
    world.server.arrived.notified().await;
    tokio::time::sleep(SECOND / 2).await;
    let second = world.ask();
    assert_eq!(ends(first).await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    world.server.released.0.add_permits(1);
    assert_eq!(second.await.unwrap().unwrap().expose_secret(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_not_polled_while_others_give_up_still_gets_the_token() {
    let world = held().await;
    let slot = world.coordinator.slot(&"k".into());
    let Token::Wait(waiter) = world.coordinator.token_for(&slot) else { panic!("nothing to wait for") };
    let mut waiting = Box::pin(waiter.wait());
    assert!(waiting.as_mut().now_or_never().is_none());
    tokio::time::sleep(SECOND / 2).await;
    let late = world.ask();
    tokio::time::sleep(SECOND * 7 / 10).await;
    world.server.released.0.add_permits(1);
    assert_eq!(late.await.unwrap().unwrap().expose_secret(), "access-2");
    assert_eq!(waiting.await.unwrap().access_token().expose_secret(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_not_polled_before_his_time_is_over_still_hears_what_he_was_told_before() {
    let limit = SECOND * 41 / 4;
    let world = World::with(|builder| builder.wait_limit(limit).serve_unpersisted(true));
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let slot = world.coordinator.slot(&"k".into());
    let Token::Wait(waiter) = world.coordinator.token_for(&slot) else { panic!("nothing to wait for") };
    let mut waiting = Box::pin(waiter.wait());
    assert!(waiting.as_mut().now_or_never().is_none());
    world.server.arrived.notified().await;
    world.store.faults.down.store(true, Ordering::SeqCst);
    world.server.released.0.add_permits(1);
    tokio::time::sleep(limit + SECOND / 10).await;
    let told = waiting.now_or_never().expect("he was told").unwrap();
    assert_eq!(told.access_token().expose_secret(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn no_time_to_wait_and_all_of_it_are_time_limits_too() {
    for (limit, told) in [(Duration::ZERO, Err(ErrorKind::TimedOut)), (Duration::MAX, Ok(()))] {
        let world = World::with(|builder| builder.wait_limit(limit));
        world.install(Duration::ZERO).await;
        world.server.script([Reply::held()]);
        let caller = world.ask();
        world.server.arrived.notified().await;
        tokio::time::sleep(SECOND).await;
        world.server.released.0.add_permits(1);
        assert_eq!(ends(caller).await.unwrap().map(drop).map_err(|error| error.kind()), told);
        assert!(world.coordinator.shutdown(SECOND).await);
        assert_eq!(world.token().await.unwrap(), "access-2");
    }
}

#[test]
fn a_caller_on_another_runtime_ends_by_his_own_deadline_though_that_of_the_flight_stands_still() {
    let (stands_still, ours) = (paused(), paused());
    let world = stands_still.block_on(async {
        let world = held().await;
        drop(world.ask());
        world.server.arrived.notified().await;
        world
    });
    let (told, waited) = ours.block_on(async {
        let start = Instant::now();
        (ends(world.token()).await, start.elapsed())
    });
    assert_eq!(told.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(waited, SECOND);
    assert_eq!(world.server.submissions(), 1);
}

#[test]
fn a_transport_that_blocks_its_thread_holds_nobody_beyond_his_deadline() {
    let runtime = RuntimeBuilder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let transport = tower::service_fn(move |_: Request<Full<Bytes>>| {
        // Until the test is over.
        let _ = released.lock().unwrap().recv();
        async { Err::<Response<Full<Bytes>>, _>("blocked") }
    });
    let endpoint = http::Uri::from_static("https://as.example/token");
    let coordinator = RefreshCoordinator::builder(endpoint, ClientAuth::none("c"))
        .wait_limit(SECOND / 50)
        .build(transport)
        .unwrap();
    let told = runtime.block_on(async {
        let login = TokenSet::new("a").with_refresh_token("r").with_expires_in(Duration::ZERO);
        coordinator.install("k", login).await.unwrap();
        ends(coordinator.token("k")).await
    });
    assert_eq!(told.unwrap_err().kind(), ErrorKind::TimedOut);
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn no_task_is_left_when_the_flight_is_over() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks(), 0);
    world.token().await.unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks(), 0);
}

#[test]
fn a_caller_who_moves_to_another_runtime_ends_by_his_own_deadline() {
    let (stands_still, ours) = (paused(), paused());
    let (world, mut caller) = stands_still.block_on(async {
        let world = held().await;
        let coordinator = world.coordinator.clone();
        let mut caller = Box::pin(async move { coordinator.token("k").await });
        assert!(caller.as_mut().now_or_never().is_none());
        world.server.arrived.notified().await;
        (world, caller)
    });
    let told = ours.block_on(async { ends(&mut caller).await });
    assert_eq!(told.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(world.server.submissions(), 1);
}

#[test]
fn a_runtime_that_stands_still_keeps_no_place_from_other_credentials() {
    let (stands_still, ours) = (paused(), paused());
    let world = stands_still.block_on(async {
        let world = World::with(|builder| builder.concurrency_limit(1));
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Silent]);
        drop(world.ask());
        world.server.arrived.notified().await;
        world
    });
    ours.block_on(async {
        let other = world.server.login(Duration::ZERO);
        world.coordinator.install("other", other).await.unwrap();
        assert!(world.coordinator.token("other").await.is_ok());
    });
}

#[test]
fn a_login_that_stands_still_keeps_no_other_waiting_without_limit() {
    let (stands_still, ours) = (paused(), paused());
    let world = stands_still.block_on(async {
        let world = World::new();
        world.install(HOUR).await;
        world.store.faults.late.store(true, Ordering::SeqCst);
        let (coordinator, set) = (world.coordinator.clone(), world.server.login(HOUR));
        tokio::spawn(async move { coordinator.install("k", set).await });
        world.store.faults.has_read.notified().await;
        world
    });
    let told = ours.block_on(async {
        let set = world.server.login(HOUR);
        // A minute each.
        let all = async {
            [
                world.coordinator.install("k", set).await.map(drop),
                world.coordinator.logout("k").await.map(drop),
                world.coordinator.forget("k").await,
            ]
        };
        tokio::time::timeout(SECOND * 181, all).await.expect("it hangs")
    });
    for told in told {
        assert_eq!(told.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}

/// Read more often than by a few who look, it fails.
#[derive(Debug)]
struct Counting(StepClock, AtomicUsize);

impl Clock for Counting {
    fn now(&self) -> Now {
        assert!(self.1.fetch_add(1, Ordering::SeqCst) < 200, "somebody looks again and again");
        self.0.now()
    }
}

#[test]
fn where_no_timer_runs_a_rest_is_not_waited_for_in_a_circle() {
    for ended in [true, false] {
        let runtime = paused();
        let world = runtime.block_on(async {
            let clock = Arc::new(Counting(StepClock::new(), AtomicUsize::new(0)));
            let world = World::with(|builder| builder.clock(clock));
            world.install(Duration::ZERO).await;
            world
        });
        world.server.script([Reply::Status(429, "", Some("4"))]);
        let mut waiting = Box::pin(world.token());
        let rests = runtime.block_on(async { tokio::time::timeout(SECOND, &mut waiting).await.is_err() });
        assert!(rests);
        let told = if ended {
            drop(runtime);
            waiting.as_mut().now_or_never().expect("nothing would wake it")
        } else {
            RuntimeBuilder::new_current_thread().build().unwrap().block_on(waiting)
        };
        assert_eq!(told.unwrap_err().kind(), ErrorKind::Aborted, "{ended}");
    }
}
