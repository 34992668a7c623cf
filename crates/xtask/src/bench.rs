//! `cargo xtask bench [--counted]`: the goals of performance, and what was measured of each.
//!
//! `--counted` leaves out what is timed, and fails where a count is worse than what is held.

use crate::step::{Outcome, cargo, run as step};

pub(crate) fn lints() -> Outcome {
    step(&mut cargo(["clippy", "--package", "bench", "--all-targets", "--", "-D", "warnings"]))
}

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    // Two programs: the one that is timed starts the one that counts allocations.
    step(&mut cargo(["build", "--quiet", "--release", "--package", "bench", "--bins"]))?;
    step(cargo(["run", "--quiet", "--release", "--package", "bench", "--bin", "bench", "--"]).args(arguments))
}
