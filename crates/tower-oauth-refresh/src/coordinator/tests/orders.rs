//! Every order of what can happen around one flight, up to a bound, by trying them all.
//!
//! A history begins with a request that starts a flight, and left alone it takes its course: each call of the
//! store and each exchange is let through when it comes. At every point of it something may come in between:
//! another request, a waiter that goes, a failure, a login, the end of the runtime. All histories with up to so
//! many of these disturbances are played, each in a world of its own, on one thread and on time that stands
//! still unless a history moves it. What must hold is looked at after every step and again at the end.
//!
//! `ORDERS_DISTURBANCES` sets the bound; a history that fails is printed as the `ORDERS_HISTORY` that repeats it.

mod room;

use std::sync::atomic::{AtomicU64, Ordering};

use self::room::{Act, Begin, Room};

/// Disturbances of a history, where nothing else is said: seconds.
const DISTURBANCES: usize = 2;

#[test]
fn no_order_of_up_to_so_many_disturbances_breaks_a_flight() {
    if let Ok(history) = std::env::var("ORDERS_HISTORY") {
        let mut numbers = history.split(',').map(|number| number.parse().unwrap());
        let begin = Begin::ALL[numbers.next().unwrap()];
        let path: Vec<usize> = numbers.collect();
        let (played, _) = play(begin, path.len(), &path);
        return println!("{begin:?}: {:?}", played.story);
    }
    let bound = std::env::var("ORDERS_DISTURBANCES").map_or(DISTURBANCES, |bound| bound.parse().unwrap());
    let (histories, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for begin in Begin::ALL {
            let (histories, steps) = (&histories, &steps);
            scope.spawn(move || explore(begin, bound, histories, steps));
        }
    });
    let (histories, steps) = (histories.into_inner(), steps.into_inner());
    println!("{histories} histories of up to {bound} disturbances, {steps} steps, none breaks a flight");
    assert!(histories > 1000, "{histories}");
}

/// Depth first: the last choice that has another one is taken anew.
fn explore(begin: Begin, bound: usize, histories: &AtomicU64, steps: &AtomicU64) {
    let mut path = Vec::new();
    loop {
        let (_, mut choices) = play(begin, bound, &path);
        histories.fetch_add(1, Ordering::Relaxed);
        steps.fetch_add(choices.len() as u64, Ordering::Relaxed);
        loop {
            let Some((choice, options)) = choices.pop() else { return };
            if choice + 1 < options {
                path = choices.iter().map(|(choice, _)| *choice).collect();
                path.push(choice + 1);
                break;
            }
        }
    }
}

/// One history: along the path, and then undisturbed. What was chosen, of how many.
fn play(begin: Begin, bound: usize, path: &[usize]) -> (Room, Vec<(usize, usize)>) {
    let mut room = Room::new(begin);
    let mut choices = Vec::new();
    let mut left = bound;
    loop {
        let options = room.options(left > 0);
        let choice = path.get(choices.len()).copied().unwrap_or(0);
        choices.push((choice, options.len()));
        left -= usize::from(choice > 0);
        room.history.push(choice);
        match options[choice] {
            Act::End => break,
            act => room.play(act),
        }
    }
    room.end();
    (room, choices)
}
