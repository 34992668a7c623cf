//! Watch a credential being kept alive.
//!
//! `cargo run -p quickstart` starts an authorization server and an API inside this process, the first with
//! rotating refresh tokens and no mercy for one that comes twice, and sends some hundreds of requests at
//! bad moments: when the token expires, when it is revoked, when the caller that set off the refresh goes
//! away. Run it again, and it goes on from its file where it stopped. `--help` tells how to try it on a
//! real server.
//!
//! What to copy is in `client.rs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program to watch")]

mod burst;
mod client;
mod demo;
mod options;
mod real;
mod servers;
mod timeline;

use std::process::ExitCode;

use self::options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    let kept = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Options::Help) => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Options::Demo { dir, lifetime }) => demo::run(&dir, lifetime).await,
        Ok(Options::Real(real)) => real::run(*real).await,
        Err(error) => Err(error),
    };
    match kept {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("not everything went as promised");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("quickstart: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprintln!("  because: {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
