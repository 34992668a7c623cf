//! `providers.json` is valid, what is written from it agrees with it, and each row does what it says.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "tests, which also print what could not be replayed"
)]

mod applied;
mod facts;
mod replayed;
mod written;
