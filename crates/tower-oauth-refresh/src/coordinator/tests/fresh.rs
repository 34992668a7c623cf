//! What is kept fresh, while its login ends, begins or is told of again.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

impl World {
    /// Until a look has read the record, and not yet heard what was read.
    async fn look(&self, every: Duration) {
        self.store.faults.late.store(true, Ordering::SeqCst);
        self.coordinator.keep_fresh("k", every).unwrap();
        tokio::time::timeout(every, self.store.faults.has_read.0.notified()).await.expect("no look");
    }

    async fn end_look(&self) {
        self.store.faults.may_answer.notify_one();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_was_under_way_during_a_logout_does_not_bring_the_login_back() {
    let world = World::new();
    world.install(DAY * 365).await;
    tokio::time::sleep(DAY * 30).await;
    world.look(DAY * 30).await;
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
    world.end_look().await;
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_eq!(world.server.submissions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_was_under_way_during_an_install_does_not_bring_the_former_login_back() {
    let world = World::new();
    world.install(DAY * 365).await;
    tokio::time::sleep(DAY * 30).await;
    world.look(DAY * 30).await;
    let refresh_token = world.server.login(HOUR).refresh_token.unwrap();
    world.coordinator.install("k", TokenSet::from_refresh_token(refresh_token)).await.unwrap();
    world.server.script([Reply::held()]);
    world.end_look().await;
    let caller = world.ask();
    world.server.arrived.notified().await;
    world.server.released.0.add_permits(1);
    assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "access-3");
}

#[tokio::test(start_paused = true)]
async fn a_look_forgets_no_verdict_that_the_store_did_not_take() {
    let world = World::new();
    world.install(DAY * 365).await;
    tokio::time::sleep(DAY * 30).await;
    let dead = Reply::Status(400, r#"{"error":"invalid_grant"}"#, None);
    world.server.script([Reply::Held(Box::new(dead))]);
    let (refused, ()) = tokio::join!(world.refuse(), async {
        world.server.arrived.notified().await;
        world.store.faults.full.store(usize::MAX, Ordering::SeqCst);
        world.server.released.0.add_permits(1);
    });
    assert!(refused.unwrap().unwrap_err().needs_login());
    world.coordinator.keep_fresh("k", DAY * 30).unwrap();
    for _ in 0..100 {
        tokio::time::sleep(HOUR).await;
        assert!(world.token().await.unwrap_err().needs_login());
    }
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_again_during_a_look_that_finds_no_login_is_kept_fresh() {
    let world = World::new();
    world.look(DAY * 30).await;
    world.install(DAY * 365).await;
    world.coordinator.keep_fresh("k", DAY * 30).unwrap();
    world.end_look().await;
    tokio::time::sleep(DAY * 30).await;
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_time_counts_from_when_it_is_told() {
    // While it sleeps, and in the middle of a look.
    for looking in [false, true] {
        let world = World::new();
        world.install(DAY * 365).await;
        world.look(DAY * 360).await;
        if !looking {
            world.end_look().await;
        }
        world.coordinator.keep_fresh("k", DAY * 30).unwrap();
        world.end_look().await;
        tokio::time::sleep(DAY * 29).await;
        assert_eq!(world.server.submissions(), 1, "{looking}");
        assert_eq!(world.coordinator.roster.looks(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_away_for_a_while_is_kept_fresh_when_it_is_back() {
    // Told of before the install, and restored later.
    for installed in [false, true] {
        let world = World::new();
        let stored = world.coordinator.stored_key("k");
        if installed {
            world.install(DAY).await;
        }
        world.coordinator.keep_fresh("k", HOUR * 6).unwrap();
        tokio::time::sleep(HOUR / 2).await;
        if installed {
            let record = world.store.records.load(&stored).await.unwrap().unwrap().body;
            let gone = world.store.records.compare_and_swap(&stored, Some(record.version()), None).await;
            assert!(matches!(gone.unwrap(), Swap::Swapped));
            tokio::time::sleep(HOUR * 4).await;
            let back = world.store.records.compare_and_swap(&stored, None, Some(&record)).await;
            assert!(matches!(back.unwrap(), Swap::Swapped));
        } else {
            world.install(DAY).await;
        }
        tokio::time::sleep(HOUR * 6).await;
        assert!(world.server.submissions() >= 1, "{installed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_let_go_of_is_said() {
    for logout in [false, true] {
        let world = World::new();
        let mut events = world.coordinator.events();
        if logout {
            world.install(DAY).await;
        }
        world.coordinator.keep_fresh("k", HOUR * 6).unwrap();
        tokio::time::sleep(HOUR / 2).await;
        if logout {
            world.coordinator.logout("k").await.unwrap();
        }
        let let_go = async { while !matches!(events.next().await.unwrap().kind, EventKind::LetGo) {} };
        tokio::time::timeout(HOUR * 15, let_go).await.unwrap();
        assert!(world.coordinator.roster.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn less_than_a_minute_is_refused_and_no_length_is_too_long() {
    let world = World::new();
    for every in [Duration::ZERO, SECOND * 59] {
        let error = world.coordinator.keep_fresh("k", every).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Configuration, Some("keep_fresh_too_often")));
    }
    assert!(world.coordinator.roster.is_empty());
    world.coordinator.keep_fresh("once a minute", SECOND * 60).unwrap();
    world.install(DAY).await;
    world.coordinator.keep_fresh("k", Duration::MAX).unwrap();
    tokio::time::sleep(DAY).await;
}

#[tokio::test(start_paused = true)]
async fn telling_another_time_leaves_one_look_for_each() {
    let world = World::new();
    let mut most = 0;
    for round in 0..5 {
        for number in 0..200 {
            let every = DAY * (30 + (number + round) % 7);
            world.coordinator.keep_fresh(format!("{number}"), every).unwrap();
            most = world.coordinator.roster.all_looks().max(most);
        }
    }
    assert_eq!(most, 2 * 200 + 16, "those that are no longer meant are not kept for ever");
    assert_eq!(world.coordinator.roster.looks(), 200);
}

/// Panics when it is told to.
#[derive(Debug)]
struct Panicky(Arc<StepClock>, AtomicBool);

impl Clock for Panicky {
    fn now(&self) -> Now {
        assert!(!self.1.swap(false, Ordering::SeqCst), "the clock panics");
        self.0.now()
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_panics_once_ends_no_care() {
    let world = World::new();
    let clock = Arc::new(Panicky(world.clock.clone(), AtomicBool::new(false)));
    let c = clock.clone();
    let coordinator = World::coordinator(&world.server, &world.store, &world.clock, |b| b.clock(c));
    coordinator.install("k", world.server.login(DAY * 365)).await.unwrap();
    coordinator.keep_fresh("k", DAY * 10).unwrap();
    tokio::time::sleep(SECOND).await;
    clock.1.store(true, Ordering::SeqCst);
    tokio::time::sleep(DAY * 30).await;
    assert!(!clock.1.load(Ordering::SeqCst), "it has panicked");
    assert!(world.server.submissions() >= 2, "{}", world.server.submissions());
}
