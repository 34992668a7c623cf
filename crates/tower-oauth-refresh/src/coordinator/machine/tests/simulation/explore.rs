//! Every history up to a length, breadth first: two processes, and as many faults as the bound allows.
//!
//! It is the world of the seeds, and the machine itself; only the choices are not drawn but all taken, and a
//! world that was met before is not entered again. What is found has the shortest story there is.

use std::collections::HashSet;
use std::sync::Arc;

use super::check::Checked;
use super::choices::Choices;
use super::world::World;

/// The way to a world: it is gone again each time, for a world takes more room than its story.
struct Trail {
    before: Option<Arc<Self>>,
    choices: Box<[u32]>,
}

/// The two rotations that end a login, each on one host and on two; and two exchange limits.
const WORLDS: [[u32; 4]; 5] = [[0, 0, 0, 0], [0, 0, 1, 0], [2, 0, 0, 0], [2, 0, 1, 0], [0, 0, 0, 1]];

/// Run by `cargo xtask explore`, which sets the bounds, `steps:faults`; not far otherwise.
#[test]
fn no_short_history_breaks_a_promise() {
    let bounds = std::env::var("EXPLORE").unwrap_or_else(|_| "9:0 4:1".to_owned());
    for bound in bounds.split_whitespace() {
        let (steps, faults) = bound.split_once(':').unwrap();
        assert!(explore(steps.parse().unwrap(), faults.parse().unwrap()) > 1_000);
    }
}

/// How many states there are.
fn explore(steps: u64, faults: u64) -> usize {
    let mut known = HashSet::new();
    let start = |world: &[u32; 4]| Arc::new(Trail { before: None, choices: Box::new(*world) });
    let mut frontier: Vec<_> = WORLDS.iter().map(start).collect();
    let mut transitions = 0;
    for step in 1..=steps {
        let (next, taken) = level(&frontier, faults, &mut known);
        (frontier, transitions) = (next, transitions + taken);
        println!("step {step:>2}: {:>9} new states, {:>9} in all", frontier.len(), known.len());
    }
    println!(
        "{} states, {transitions} transitions, 0 violations: {steps} steps, up to {faults} faults\n",
        known.len()
    );
    known.len()
}

/// All worlds that are one step from these and were not known, and how many steps were taken.
fn level(frontier: &[Arc<Trail>], faults: u64, known: &mut HashSet<u128>) -> (Vec<Arc<Trail>>, u64) {
    let parts: Vec<Part> = std::thread::scope(|scope| {
        let known = &*known;
        let threads: Vec<_> = frontier
            .chunks(frontier.len().div_ceil(2).max(1))
            .map(|half| {
                scope.spawn(move || half.iter().map(|from| successors(from, faults, known)).collect())
            })
            .collect();
        let parts = threads.into_iter().map(|thread| thread.join());
        parts
            .flat_map(|part: Result<Vec<_>, _>| part.unwrap_or_else(|e| std::panic::resume_unwind(e)))
            .collect()
    });
    let mut next = Vec::new();
    let mut transitions = 0;
    for part in parts {
        transitions += part.transitions;
        next.extend(part.found.into_iter().filter(|(state, _)| known.insert(*state)).map(|(_, trail)| trail));
    }
    (next, transitions)
}

struct Part {
    found: Vec<(u128, Arc<Trail>)>,
    transitions: u64,
}

fn successors(from: &Arc<Trail>, faults: u64, known: &HashSet<u128>) -> Part {
    let mut part = Part { found: Vec::new(), transitions: 0 };
    let (here, _) = go(from, faults, false);
    let mut next = Some(Vec::new());
    while let Some(list) = next {
        let mut world = here.clone();
        world.choices = Choices::every(list);
        let stepped = world.step();
        let choices = world.choices.clone();
        let trail = Trail { before: Some(from.clone()), choices: choices.clone().taken().into() };
        part.transitions += 1;
        if stepped.is_err() {
            tell(trail, faults);
        }
        let state = world.state();
        if !known.contains(&state) {
            if world.heal().is_err() {
                tell(trail, faults);
            }
            part.found.push((state, Arc::new(trail)));
        }
        next = choices.next();
    }
    part
}

/// The world at the end of a trail, or as far as it goes.
fn go(trail: &Trail, faults: u64, told: bool) -> (World, Checked) {
    let mut parts = vec![&trail.choices];
    let mut at = trail;
    while let Some(before) = &at.before {
        parts.push(&before.choices);
        at = before;
    }
    let steps = parts.len() - 1;
    let choices = parts.into_iter().rev().flatten().copied().collect();
    let mut world = World::new(Choices::every(choices), told);
    world.most = faults;
    let ended = (0..steps).try_for_each(|_| world.step());
    (world, ended)
}

fn tell(trail: Trail, faults: u64) -> ! {
    let (mut world, ended) = go(&trail, faults, true);
    let broken = ended.and_then(|()| world.heal()).expect_err("it happens every time");
    panic!("explore: {broken}\n  {}", world.story.join("\n  "));
}
