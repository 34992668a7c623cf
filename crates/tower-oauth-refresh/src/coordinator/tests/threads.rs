//! Several threads inside one step: of the short critical sections, whichever way they are entered.

use std::sync::Barrier;
use std::thread;

use futures_util::future::join_all;

use super::*;

/// How many times as long as by default.
fn rounds() -> usize {
    std::env::var("VERIFY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_meet_at_an_expired_or_refused_token_refresh_it_once() {
    let world = Arc::new(World::new());
    world.install(HOUR).await;
    let slot = world.coordinator.slot(&"k".into());
    for round in 1..=50 * rounds() {
        let used = slot.current.load_full().unwrap().id();
        world.clock.wall_ahead.fetch_add(7200, Ordering::SeqCst);
        let start = Arc::new(Barrier::new(4));
        let callers = (0..4).map(|caller| {
            let (coordinator, slot, start) = (world.coordinator.clone(), slot.clone(), start.clone());
            tokio::spawn(async move {
                tokio::task::block_in_place(|| start.wait());
                if caller % 2 == 0 {
                    return coordinator.token("k").await.unwrap().expose_secret().to_owned();
                }
                let current = match coordinator.refused(&slot, used, OriginId::default()) {
                    Refusal::Replay(current) => current,
                    Refusal::Wait(waiter) => waiter.wait().await.unwrap(),
                    other => panic!("{other:?}"),
                };
                current.access_token().expose_secret().to_owned()
            })
        });
        for token in join_all(callers).await {
            assert_eq!(token.unwrap(), format!("access-{}", round + 1));
        }
        assert_eq!(world.server.submissions(), round);
    }
}

#[test]
fn threads_that_hold_a_slot_hold_the_same_however_many_are_put_out() {
    let slots = Slots::new(128);
    let found = AtomicUsize::new(0);
    let slot = |name: usize| {
        let key = CredentialKey::from(format!("{name}"));
        slots.get(&key, || Slot::new(key.clone()))
    };
    thread::scope(|scope| {
        for first in 0..4 {
            let (slot, found) = (&slot, &found);
            scope.spawn(move || {
                for step in 0..5_000 * rounds() {
                    // Every name comes back, to each thread at another time.
                    let held = slot((first * 97 + step * 31) % 1000);
                    slot(1000 + step);
                    let again = slot((first * 97 + step * 31) % 1000);
                    found.fetch_add(usize::from(!Arc::ptr_eq(&held, &again)), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(found.into_inner(), 0, "slots of one key, while one of them was held");
}
