//! A shutdown lets nothing start, and waits for what has.

use futures_util::FutureExt as _;

use super::*;

/// Ends within a few turns: nothing waits for anything.
async fn at_once<T>(call: tokio::task::JoinHandle<T>) -> T {
    tokio::time::timeout(SECOND / 100, call).await.expect("it goes on").unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_queues_for_the_endpoint_ends_with_the_shutdown() {
    let world = World::with(|builder| builder.concurrency_limit(1));
    world.install(Duration::ZERO).await;
    let other = world.server.login(Duration::ZERO);
    world.coordinator.install("other", other).await.unwrap();
    world.server.script([Reply::held()]);
    let first = world.ask();
    world.server.arrived.notified().await;
    let coordinator = world.coordinator.clone();
    let queued = tokio::spawn(async move { coordinator.token("other").await });
    tokio::time::sleep(SECOND).await;
    assert!(world.coordinator.shutdown(SECOND).now_or_never().is_none());
    assert_eq!(at_once(queued).await.unwrap_err().kind(), ErrorKind::ShutDown);
    world.server.released.0.add_permits(1);
    drop(first.await.unwrap());
    assert!(world.coordinator.shutdown(SECOND).await);
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_waits_for_another_process_ends_with_the_shutdown() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let neighbour = world.neighbour();
    let theirs = tokio::spawn(async move { neighbour.token("k").await });
    world.server.arrived.notified().await;
    let ours = world.ask();
    tokio::time::sleep(SECOND).await;
    assert!(world.coordinator.shutdown(SECOND).now_or_never().is_none());
    assert_eq!(at_once(ours).await.unwrap_err().kind(), ErrorKind::ShutDown);
    world.server.released.0.add_permits(1);
    assert!(theirs.await.unwrap().is_ok());
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_any_number_of_turns_a_shutdown_lets_nothing_be_sent_and_leaves_no_trace() {
    let (mut unsent, mut sent) = (0, 0);
    for turns in 0..60 {
        let world = World::new();
        world.install(Duration::ZERO).await;
        // So that there are turns between its steps.
        world.store.faults.slow.store(true, Ordering::SeqCst);
        // The second is a retry, after a pause.
        world.server.script([Reply::Status(503, "", None), Reply::Right]);
        let caller = world.ask();
        for _ in 0..turns.min(30) {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(SECOND / 50 * (turns - turns.min(30))).await;
        let before = world.server.submissions();
        assert!(world.coordinator.shutdown(SECOND * 60).await, "after {turns} turns");
        assert_eq!(world.server.submissions(), before, "after {turns} turns");
        let told = caller.await.unwrap().map(drop).map_err(|error| error.kind());
        assert_eq!(told, if before < 2 { Err(ErrorKind::ShutDown) } else { Ok(()) }, "after {turns} turns");
        let left = world.stored().await.unwrap();
        assert!(left.mark.is_none() && (left.doubt.is_none() || before == 1), "after {turns} turns");
        world.server.script.lock().unwrap().clear();
        assert!(world.neighbour().token("k").await.is_ok(), "after {turns} turns");
        *(if before == 0 { &mut unsent } else { &mut sent }) += 1;
    }
    assert!(unsent > 0 && sent > 10, "{unsent} {sent}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_a_login_and_a_logout() {
    for logout in [true, false] {
        let world = World::new();
        world.install(HOUR).await;
        world.store.faults.late.store(true, Ordering::SeqCst);
        let (coordinator, set) = (world.coordinator.clone(), world.server.login(HOUR));
        let under_way = tokio::spawn(async move {
            if logout {
                coordinator.logout("k").await.map(drop)
            } else {
                coordinator.install("k", set).await.map(drop)
            }
        });
        world.store.faults.has_read.notified().await;
        assert!(!world.coordinator.shutdown(SECOND).await, "it is still under way");
        world.store.faults.may_answer.notify_one();
        assert!(world.coordinator.shutdown(SECOND * 60).await);
        under_way.now_or_never().expect("it has ended").unwrap().unwrap();
    }
}

#[test]
fn a_shutdown_needs_no_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let world = runtime.block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Silent]);
        drop(world.ask());
        world.server.arrived.notified().await;
        world
    });
    assert_eq!(world.coordinator.shutdown(SECOND).now_or_never(), Some(false));
    let told = world.coordinator.status("k").now_or_never().unwrap();
    assert_eq!(told.unwrap_err().kind(), ErrorKind::NoRuntime);
    drop(runtime);
    assert_eq!(world.coordinator.shutdown(SECOND).now_or_never(), Some(true));
}
