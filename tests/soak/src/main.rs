//! Real processes on real stores for as long as asked, through proxies that hurt what passes.
//!
//! One process has the servers, the proxies and the books, and starts the others, which are this very program
//! again as workers. It lets them work, looks at what they hold while they rest, hurts nothing for the last
//! request of each credential, and then says what came of it, in figures that the far side counted. The exit
//! code says whether every figure was allowed.
//!
//! `cargo xtask soak` starts it with the databases it needs. The same seed hurts the same exchanges by number;
//! which process sends the one of that number is up to the machine.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool of the tests, which fails by panicking and speaks on standard output"
)]

mod audit;
mod dice;
mod held;
mod protocol;
mod proxy;
mod run;
mod store;
mod story;
mod team;
mod worker;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use crate::run::Plan;

const USAGE: &str =
    "usage: soak [--minutes N] [--seed N], with DATABASE_URL and REDIS_URL; cargo xtask soak sees to it";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if words == ["worker"] {
        runtime.block_on(worker::run());
        return ExitCode::SUCCESS;
    }
    let Some(plan) = plan(&words) else {
        println!("{USAGE}");
        return ExitCode::FAILURE;
    };
    if runtime.block_on(run::run(&plan)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plan(words: &[&str]) -> Option<Plan> {
    let mut plan = Plan { work: Duration::from_secs(60), seed: 1 };
    for pair in words.chunks(2) {
        match pair {
            ["--minutes", minutes] => {
                plan.work = Duration::try_from_secs_f64(minutes.parse::<f64>().ok()? * 60.0).ok()?;
            }
            ["--seed", seed] => plan.seed = seed.parse().ok()?,
            _ => return None,
        }
    }
    Some(plan)
}
