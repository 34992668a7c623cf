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

/// So many slots of one shard; `asked_for` of them since they were made.
fn crowd(count: usize, asked_for: usize) -> Held {
    let mut held = Held::default();
    for name in 0..count {
        let slot = Arc::new(Slot::new(CredentialKey::from(format!("{name}"))));
        slot.asked_for.store(name < asked_for, Ordering::Relaxed);
        held.slots.insert_unique(name as u64, slot, |slot| slot.key.as_str().parse().unwrap());
    }
    held
}

#[test]
fn a_full_shard_is_left_with_an_eighth_of_its_room_free() {
    for (count, room, put_out) in [(80, 80, 10), (100, 80, 30), (4, 4, 1), (1, 1, 1), (17, 16, 3)] {
        for asked_for in [0, count / 2, count] {
            let mut held = crowd(count, asked_for);
            assert_eq!(held.sweep(room).len(), put_out, "{count} {room}");
            assert_eq!((held.slots.len(), held.full), (count - put_out, room));
        }
    }
}

#[test]
fn whoever_was_not_asked_for_goes_first_and_the_others_only_where_that_is_not_enough() {
    let named = |slots: Vec<Arc<Slot>>| -> Vec<usize> {
        let mut names: Vec<_> = slots.iter().map(|slot| slot.key.as_str().parse().unwrap()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(named(crowd(80, 70).sweep(80)), (70..80).collect::<Vec<_>>());
    let out = named(crowd(80, 75).sweep(80));
    assert_eq!((out.len(), &out[5..]), (10, [75, 76, 77, 78, 79].as_slice()));
}

#[test]
fn where_all_are_held_a_shard_is_looked_through_again_when_an_eighth_has_come() {
    let mut all = crowd(80, 0);
    let holders: Vec<_> = all.slots.iter().cloned().collect();
    assert!(all.sweep(80).is_empty());
    assert_eq!((all.slots.len(), all.full), (80, 90));
    drop(holders);
    assert_eq!(all.sweep(80).len(), 10);
}
