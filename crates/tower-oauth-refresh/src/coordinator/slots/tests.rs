//! Room for some, and nobody who is held is put out.

use std::sync::atomic::AtomicUsize;

use super::*;

fn slot(slots: &Slots, name: usize) -> Arc<Slot> {
    let key = CredentialKey::from(format!("{name}"));
    slots.get(&key, || Slot::new(key.clone()))
}

#[test]
fn the_same_key_finds_the_same_slot() {
    let slots = Slots::new(10_000);
    for name in 0..1000 {
        let first = slot(&slots, name);
        assert!(Arc::ptr_eq(&first, &slot(&slots, name)));
    }
    assert_eq!(slots.len(), 1000);
}

#[test]
fn there_are_never_more_idle_slots_than_there_is_room_for() {
    let slots = Slots::new(640);
    for name in 0..20_000 {
        slot(&slots, name);
        assert!(slots.len() <= 640);
    }
    assert!(slots.len() > 500, "only {} are left", slots.len());
}

#[test]
fn a_slot_that_somebody_holds_stays() {
    let slots = Slots::new(640);
    let held: Vec<_> = (0..2000).map(|name| slot(&slots, name)).collect();
    for name in 2000..20_000 {
        slot(&slots, name);
    }
    for (name, held) in held.iter().enumerate() {
        assert!(Arc::ptr_eq(held, &slot(&slots, name)));
    }
    drop(held);
    for name in 20_000..40_000 {
        slot(&slots, name);
    }
    assert!(slots.len() <= 640, "{} are left", slots.len());
}

#[test]
fn a_slot_that_is_asked_for_outlives_those_that_are_not() {
    let slots = Slots::new(6400);
    let made = AtomicUsize::new(0);
    let ask = |name: usize| {
        let key = CredentialKey::from(format!("{name}"));
        slots.get(&key, || {
            made.fetch_add(1, Ordering::Relaxed);
            Slot::new(key.clone())
        });
    };
    for name in 0..100_000 {
        ask(1_000_000 + name % 100);
        ask(name);
    }
    let again = made.load(Ordering::Relaxed) - 100_000 - 100;
    assert!(again < 10, "{again} of those that are always asked for were made again");
}

#[test]
fn of_threads_that_ask_at_the_same_time_all_get_one_slot() {
    let slots = Slots::new(100);
    let first = slot(&slots, 1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for name in 0..5000 {
                    assert_eq!(slot(&slots, name % 300).key.as_str(), format!("{}", name % 300));
                    assert!(Arc::ptr_eq(&first, &slot(&slots, 1)));
                }
            });
        }
    });
}
