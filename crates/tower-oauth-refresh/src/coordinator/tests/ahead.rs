//! A refresh ahead of time that fails, or is not needed any more.

use std::sync::{OnceLock, Weak};

use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use super::*;

/// A world whose token is to be refreshed at once, and can be used for an hour.
async fn due() -> World {
    let world = World::new();
    let mut login = world.server.login(HOUR);
    login.refresh_in = Some(Duration::ZERO);
    world.coordinator.install("k", login).await.unwrap();
    world
}

fn paused() -> Runtime {
    RuntimeBuilder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_in_the_last_millisecond_of_a_failure_does_not_end_all_further_tries() {
    let world = due().await;
    world.store.faults.down.store(true, Ordering::SeqCst);
    tokio::time::advance(Duration::from_micros(300)).await;
    world.token().await.unwrap();
    settle().await;
    // It stands for half a second.
    tokio::time::advance(Duration::from_micros(499_900)).await;
    world.token().await.unwrap();
    settle().await;
    world.store.faults.down.store(false, Ordering::SeqCst);
    tokio::time::advance(SECOND).await;
    world.token().await.unwrap();
    settle().await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_refreshed_ahead_after_a_failure_where_that_is_turned_off() {
    let world = World::with(|builder| builder.refresh_ahead(false).wait_limit(SECOND / 2));
    world.install(HOUR).await;
    world.server.script([Reply::Status(503, "", None), Reply::Status(503, "", None)]);
    world.refuse().await.unwrap().unwrap_err();
    let submissions = world.server.submissions();
    for _ in 0..60 {
        assert_eq!(world.token().await.unwrap(), "access-1");
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(world.server.submissions(), submissions);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nothing_can_refresh_is_not_tried_again_and_again() {
    for lifetime in [Some(HOUR), None] {
        let world = World::new();
        let mut alone = TokenSet::new("alone");
        alone.expires_in = lifetime;
        world.coordinator.install("k", alone).await.unwrap();
        assert_eq!(world.refuse().await.unwrap().unwrap_err().kind(), ErrorKind::NoRefreshToken);
        let loads = || world.store.faults.loads.load(Ordering::SeqCst);
        let before = loads();
        for _ in 0..3400 {
            assert_eq!(world.token().await.unwrap(), "alone");
            tokio::time::sleep(SECOND).await;
        }
        assert!(loads() - before <= 1, "{} looks", loads() - before);
    }
}

#[test]
fn a_token_that_was_replaced_meanwhile_is_not_refreshed_for_its_age() {
    let runtime = paused();
    let world = runtime.block_on(due());
    let slot = world.coordinator.slot(&"k".into());
    let old = slot.current.load_full().unwrap();
    let mut state = slot.state();
    std::thread::scope(|scope| {
        let held = Arc::strong_count(&old);
        let asking = scope.spawn(|| {
            let _entered = runtime.enter();
            assert!(matches!(world.coordinator.token_for(&slot), Token::Ready(_)));
        });
        // Until it has read the old one; then it waits for the lock.
        while Arc::strong_count(&old) == held && !asking.is_finished() {
            std::thread::yield_now();
        }
        let mut held = old.held();
        (held.generation, held.tokens.refresh_in) = (held.generation.next(), None);
        let fresh = world.coordinator.current(&slot, held).unwrap();
        slot.publish(&mut state, Arc::new(fresh));
        drop(state);
    });
    assert!(slot.state().flight.is_none(), "the new one is refreshed for the age of the old one");
}

/// Asks for a token when it is asked for the time, once, the given number of times later.
#[derive(Debug)]
struct Asking {
    clock: StepClock,
    left: AtomicUsize,
    coordinator: OnceLock<Weak<RefreshCoordinator>>,
}

impl Clock for Asking {
    fn now(&self) -> Now {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1)
            && let Some(coordinator) = self.coordinator.get().and_then(Weak::upgrade)
        {
            let _ = coordinator.token_for(&coordinator.slot(&"k".into()));
            let _ = coordinator.keep_fresh("k", HOUR);
        }
        self.clock.now()
    }
}

#[test]
fn a_clock_that_asks_for_a_token_itself_finds_no_lock_held() {
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for number in 1..80 {
            paused().block_on(async {
                let clock = StepClock::new();
                let asking = Asking { clock, left: AtomicUsize::new(0), coordinator: OnceLock::new() };
                let asking = Arc::new(asking);
                let world = World::with(|builder| builder.clock(asking.clone()));
                asking.coordinator.set(Arc::downgrade(&world.coordinator)).unwrap();
                asking.left.store(number, Ordering::SeqCst);
                world.install(Duration::ZERO).await;
                let _ = world.token().await;
                let _ = world.refuse().await;
                let _ = world.coordinator.keep_fresh("k", HOUR);
                let _ = world.coordinator.logout("k").await;
            });
            ended.send(number).unwrap();
        }
    });
    for number in 1..80 {
        let told = end.recv_timeout(SECOND * 20);
        assert_eq!(told.ok(), Some(number), "it hangs where the clock was asked the {number}th time");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_an_access_token_displaces_no_valid_one() {
    let world = World::new();
    world.install(HOUR).await;
    // In the last tenth: refreshed ahead, while the token is valid for two minutes more.
    tokio::time::sleep(HOUR - SECOND * 160).await;
    world.server.script([Reply::Status(200, r#"{"access_token":"","refresh_token":"refresh-2"}"#, None)]);
    world.server.always(Reply::Status(503, "", None));
    assert_eq!(world.token().await.unwrap(), "access-1");
    tokio::time::sleep(SECOND / 10).await;
    assert_eq!(world.server.submissions(), 1, "refreshed ahead");
    assert_eq!(world.token().await.unwrap(), "access-1", "here it is kept");
    assert_eq!(world.stored_refresh_token().await.unwrap(), "refresh-2");
    // Another process, or this one after a restart.
    let restarted = world.neighbour();
    let told = restarted.token("k").await.map(|token| token.expose_secret().to_owned());
    eprintln!("ATTACK restarted: {told:?}; here: {:?}", world.token().await);
    assert_eq!(told.unwrap(), "access-1");
}
