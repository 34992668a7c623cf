//! A million credentials in one process: `cargo xtask million [--credentials N] [--plots FOLDER]`.
//!
//! Three hours in which every credential is asked for every two minutes. Tokens live for an hour; the logins come
//! evenly in the first one. The token endpoint takes half as many refreshes again as are needed, then answers 429;
//! it is gone for ten minutes, and the process is started anew later. Time is tokio's own, paused: it moves when
//! nothing is left to do.
#![expect(clippy::print_stdout, reason = "a report")]

mod endpoint;
mod plot;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::run::{Figures, Scale};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut credentials, mut plots) = (1_000_000, None);
    while let Some(argument) = arguments.next() {
        let value = arguments.next();
        match (argument.as_str(), value) {
            ("--credentials", Some(value)) => match value.replace('_', "").parse() {
                Ok(count) => credentials = count,
                Err(_) => return usage(),
            },
            ("--plots", Some(value)) => plots = Some(PathBuf::from(value)),
            _ => return usage(),
        }
    }
    let scale = Scale::of(credentials);
    println!("{credentials} credentials, {} refreshes a second at most, tokens of an hour\n", scale.limit);
    // Each on a thread of its own: memory is counted by thread.
    let (with, without) = std::thread::scope(|scope| {
        let with = scope.spawn(|| run::run(&scale, true));
        let without = scope.spawn(|| run::run(&scale, false));
        (with.join().ok(), without.join().ok())
    });
    let (Some(with), Some(without)) = (with, without) else { return ExitCode::FAILURE };
    print(&with, &without);
    if let Some(folder) = plots
        && let Err(error) = plot::write(&folder, &scale, &with, &without)
    {
        println!("no plots: {error}");
        return ExitCode::FAILURE;
    }
    if with.starved + with.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    println!("usage: million [--credentials N] [--plots FOLDER]");
    ExitCode::FAILURE
}

type Row = (&'static str, fn(&Figures) -> String);

fn print(with: &Figures, without: &Figures) {
    let rows: &[Row] = &[
        ("bytes of an idle credential", |f| f.idle_bytes.to_string()),
        ("bytes of its record in the store in memory", |f| f.stored_bytes.to_string()),
        ("most memory at a time, with the store in memory, MB", |f| (f.most_bytes / 1_000_000).to_string()),
        ("refreshes", |f| f.refreshes().to_string()),
        ("refreshes of one credential, fewest", |f| f.fewest.to_string()),
        ("refreshes of one credential, most", |f| f.most.to_string()),
        ("refreshes a second, median", |f| f.percentile(50).to_string()),
        ("refreshes a second, p99", |f| f.percentile(99).to_string()),
        ("refreshes a second, most", |f| f.percentile(100).to_string()),
        ("requests a second at the endpoint, most", |f| f.most_asked().to_string()),
        ("requests at the endpoint for each refresh", |f| format!("{:.2}", f.asked_per_refresh())),
        ("store reads for each refresh", |f| format!("{:.2}", f.per_refresh(f.loads))),
        ("store writes for each refresh", |f| format!("{:.2}", f.per_refresh(f.swaps))),
        ("longest time without a token, s", |f| f.longest.to_string()),
        ("credentials without a token in the last half hour", |f| f.starved.to_string()),
        ("logins lost", |f| f.lost.to_string()),
    ];
    println!("| | with jitter | without |\n| --- | ---: | ---: |");
    for (name, figure) in rows {
        println!("| {name} | {} | {} |", figure(with), figure(without));
    }
}
