//! Real coordinators, layers and HTTP/1.1 connections on a network in one thread that comes again with its seed.
//!
//! Each seed is one history: two processes use two credentials over one store, an authorization server and an
//! API, each on a host of its own. Links are cut in both directions or one, held and released, processes are
//! killed and started again, and wall clocks jump. After that everything heals, and each process asks once more.
//! The books of the far side say whether what was promised held.
//!
//! Apart from the simulation of the machine, because here nothing is a model but the network and the time; and
//! apart from the soak, because here every history comes again: `cargo run -p turmoil-tests -- --seed 7`.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool of the tests, which fails by panicking, speaks on standard output and runs in runtimes"
)]

mod audit;
mod book;
mod dice;
mod faults;
mod network;
mod store;
#[cfg(test)]
mod tests;
mod worker;
mod world;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use tower_oauth_refresh::{Clock as _, SystemClock};

use crate::audit::Figures;

/// A seed, and what was broken in its history.
type Played = (u64, Result<(), String>);

const USAGE: &str = "usage: turmoil-tests [--seeds N] [--from S], or --seed S for one, with what happened";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut seeds, mut from, mut one) = (100, 1, None);
    for pair in arguments.chunks(2) {
        let number = pair.get(1).and_then(|number| number.parse::<u64>().ok());
        match (pair[0].as_str(), number) {
            ("--seeds", Some(number)) => seeds = number,
            ("--from", Some(number)) => from = number,
            ("--seed", Some(number)) => one = Some(number),
            _ => {
                println!("{USAGE}");
                return ExitCode::FAILURE;
            }
        }
    }
    if let Some(seed) = one {
        let (figures, verdict) = world::play(seed, true);
        println!("{figures}");
        return said(&[(seed, verdict)]);
    }
    let begun = SystemClock::default().now();
    let (figures, verdicts) = many(from, seeds);
    let took = SystemClock::default().now().since(begun).max(Duration::from_millis(1));
    let rate = seeds as f64 / took.as_secs_f64();
    println!("{seeds} seeds from {from} in {:.1} s: {rate:.1} a second\n{figures}", took.as_secs_f64());
    said(&verdicts)
}

/// Plays so many seeds on every core.
fn many(from: u64, seeds: u64) -> (Figures, Vec<Played>) {
    let next = AtomicU64::new(from);
    let played = Mutex::new((Figures::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let (figures, verdict) = catch_unwind(|| world::play(seed, false))
                        .unwrap_or_else(|_| (Figures::default(), Err("it panics".to_owned())));
                    let mut played = played.lock().unwrap();
                    played.0.add(&figures);
                    played.1.push((seed, verdict));
                }
            });
        }
    });
    played.into_inner().unwrap()
}

fn said(verdicts: &[Played]) -> ExitCode {
    let mut refused = 0;
    for (seed, verdict) in verdicts {
        if let Err(why) = verdict {
            refused += 1;
            println!("NOT ALLOWED: {why}: cargo run -p turmoil-tests -- --seed {seed}");
        }
    }
    println!("{}", if refused == 0 { "clean" } else { "not clean" });
    if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
