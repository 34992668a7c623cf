//! The stores that are files, in the hands of real processes: what the kernel is asked to do for a write, and what
//! others do to the file meanwhile.
//!
//! Each test starts this very binary again as [`process`], which does what it is told line by line. A store holds one
//! number; every write that is acknowledged counts it up, so that a write that was lost is seen by the next one.

mod hands;
mod process;
mod syscalls;

/// How many times as long as usual the tests take, where they can.
fn rounds() -> u64 {
    std::env::var("VERIFY_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}
