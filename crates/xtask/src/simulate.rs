//! `cargo xtask simulate [--histories N] [--fresh]`: the machine of several processes against a model of the
//! world, a history a seed.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::step::{Outcome, Stop, cargo, run as step};

/// About two minutes on two cores.
const HISTORIES: u64 = 10_000_000;

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let mut histories = HISTORIES;
    let mut first = 0;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--histories" => {
                let number = words.next().and_then(|number| number.replace('_', "").parse().ok());
                histories = number.ok_or_else(|| Stop::Because("--histories takes a number".to_owned()))?;
            }
            "--fresh" => first = fresh_seed(),
            _ => {
                return Err(Stop::Because(
                    "usage: cargo xtask simulate [--histories N] [--fresh]".to_owned(),
                ));
            }
        }
    }
    step(
        cargo(["test", "--profile", "fuzz", "-p", "tower-oauth-refresh", "--lib", "no_history"])
            .args(["--", "--nocapture"])
            .env("SIMULATE_HISTORIES", histories.to_string())
            .env("SIMULATE_FIRST", first.to_string()),
    )
}

/// Seeds that nobody has tried. A failing one is printed with the command that repeats it.
#[expect(clippy::disallowed_methods, reason = "a tool, which wants another number every time")]
fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() << 24)
}
