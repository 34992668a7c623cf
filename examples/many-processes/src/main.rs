//! Watch several processes share one credential while some of them are killed.
//!
//! `cargo run -p many-processes` starts an authorization server that ends a login when a refresh token comes
//! twice, and processes that all send requests with one credential, kept in SQLite. Tokens live for two
//! seconds. Each time, one process refreshes and the others take over what it stored. Some are killed: right
//! after a refresh, which nobody notices, and in the middle of one, which the next one finishes. In the end
//! the server tells what it saw. `--help` has the options, PostgreSQL and Redis among them.
//!
//! What to copy is in `worker.rs` and `store.rs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program to watch")]

mod crew;
mod options;
mod protocol;
mod show;
mod store;
mod timeline;
mod worker;

use std::process::ExitCode;

use self::options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    let kept = match Options::parse(std::env::args().skip(1)) {
        Ok(Options::Help) => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Options::Worker) => worker::run().await.map(|()| true),
        Ok(Options::Show(plan)) => show::run(plan).await,
        Err(error) => Err(error),
    };
    match kept {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("not everything went as promised");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("many-processes: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprintln!("  because: {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
