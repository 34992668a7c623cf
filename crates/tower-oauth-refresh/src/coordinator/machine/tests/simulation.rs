//! Histories of several processes on one credential: the machine itself, not a copy of it, against a model
//! store, a model authorization server, and a scheduler that does its worst.
//!
//! A history is a list of choices. A seed draws them; a failing list is cut down to a short one and told
//! as a story. Time is the world's own. Processes act promptly unless the history freezes them, and the
//! store answers within [`STORE_LATENCY`] or fails, so that what goes wrong is the protocol's fault or one
//! of the causes that it cannot help, which [`check`] knows by name.

mod check;
mod choices;
mod explore;
mod process;
mod rows;
mod server;
mod world;

use std::collections::BTreeMap;

use self::check::Checked;
use self::choices::Choices;
use self::world::World;

/// The store answers within this time, in milliseconds.
const STORE_LATENCY: u64 = 300;
/// Steps of a history before everything is made well again.
const STEPS: usize = 120;

/// What was looked at, how often there was something to see, and which faults were at work.
#[derive(Debug, Default)]
struct Tally {
    histories: u64,
    exercised: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
    rows: BTreeMap<(&'static str, &'static str), u64>,
}

impl Tally {
    fn add(
        &mut self,
        exercised: Counts<'_>,
        faults: Counts<'_>,
        rows: &BTreeMap<(&'static str, &'static str), u64>,
    ) {
        exercised.iter().for_each(|(what, times)| *self.exercised.entry(what).or_default() += times);
        faults.iter().for_each(|(what, times)| *self.faults.entry(what).or_default() += times);
        rows.iter().for_each(|(row, times)| *self.rows.entry(*row).or_default() += times);
    }

    /// Prints everything; something that never happened is a run that says nothing.
    fn judge(&self) {
        println!("{} histories, none broken", self.histories);
        for what in check::PROMISES {
            let times = self.exercised.get(what).copied().unwrap_or(0);
            println!("  {times:>12} x {what}");
            assert!(times > 0, "never exercised: {what}");
        }
        println!("faults injected");
        for (fault, times) in &self.faults {
            println!("  {times:>12} x {fault}");
        }
        println!("rows of the machine's table");
        for (phase, events) in rows::ROWS {
            let times = |event: &&str| self.rows.get(&(*phase, *event)).copied().unwrap_or(0);
            let all: Vec<_> = events.iter().map(|event| format!("{event} {}", times(event))).collect();
            println!("  {phase:<11} {}", all.join(", "));
            assert!(self.histories < MANY || events.iter().all(|event| times(event) > 0), "a row never met");
        }
        let known = |(phase, event): &(&str, &str)| {
            rows::ROWS.iter().any(|(one, events)| one == phase && events.contains(event))
        };
        assert!(self.rows.keys().all(known), "a row that is not in the table: {:?}", self.rows);
    }
}

type Counts<'a> = &'a BTreeMap<&'static str, u64>;

/// So many histories meet every row.
const MANY: u64 = 500_000;

/// Plays one history. `Err`: what was broken.
fn play(choices: Choices, told: bool, tally: &mut Tally) -> (Choices, Checked, Vec<String>) {
    let mut world = World::new(choices, told);
    let mut ended = Ok(());
    for _ in 0..STEPS {
        ended = world.step();
        if ended.is_err() {
            break;
        }
    }
    if ended.is_ok() {
        ended = world.heal();
    }
    tally.histories += 1;
    tally.add(&world.exercised, &world.faults, &world.rows);
    (world.choices, ended, world.story)
}

/// Cuts a failing list of choices down while it still fails, and tells what is left.
fn shrink(mut failing: Vec<u32>) -> (Vec<u32>, String, Vec<String>) {
    let fails = |list: &[u32]| {
        let (_, ended, story) = play(Choices::given(list.to_vec()), true, &mut Tally::default());
        ended.err().map(|broken| (broken, story))
    };
    let mut chunk = failing.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < failing.len() {
            let end = (at + chunk).min(failing.len());
            let cut: Vec<u32> = failing[..at].iter().chain(&failing[end..]).copied().collect();
            if fails(&cut).is_some() {
                failing = cut;
                continue;
            }
            let mut calm = failing.clone();
            calm[at..end].fill(0);
            if calm != failing && fails(&calm).is_some() {
                failing = calm;
            }
            at = end;
        }
        chunk /= 2;
    }
    let (broken, story) = fails(&failing).unwrap();
    (failing, broken, story)
}

fn check_seed(seed: u64, tally: &mut Tally) {
    let (choices, ended, _) = play(Choices::seeded(seed), false, tally);
    if ended.is_err() {
        let (list, broken, story) = shrink(choices.taken());
        panic!(
            "seed {seed}: {broken}\n  {}\nagain: SIMULATE_SEED={seed} cargo xtask simulate\nchoices: {list:?}",
            story.join("\n  ")
        );
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Run by `cargo xtask simulate`, which sets the number of histories; a small slice otherwise.
#[test]
fn no_history_loses_a_login_that_could_be_kept() {
    let mut tally = Tally::default();
    if let Some(seed) = number("SIMULATE_SEED") {
        return check_seed(seed, &mut tally);
    }
    let histories = number("SIMULATE_HISTORIES").unwrap_or(2_000);
    let first = number("SIMULATE_FIRST").unwrap_or(0);
    let threads: Vec<_> = (0..2)
        .map(|half| {
            std::thread::spawn(move || {
                let mut tally = Tally::default();
                (first..first + histories)
                    .filter(|seed| seed % 2 == half)
                    .for_each(|seed| check_seed(seed, &mut tally));
                tally
            })
        })
        .collect();
    for thread in threads {
        let part = match thread.join() {
            Ok(part) => part,
            Err(broken) => std::panic::resume_unwind(broken),
        };
        tally.histories += part.histories;
        tally.add(&part.exercised, &part.faults, &part.rows);
    }
    tally.judge();
}
