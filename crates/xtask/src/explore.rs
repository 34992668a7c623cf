//! `cargo xtask explore [STEPS:FAULTS…]`: every history up to a length, with the machine itself.

use crate::step::{Outcome, cargo, run as step};

/// A few minutes on two cores.
const BOUNDS: &[&str] = &["21:0", "14:1", "10:2", "8:3"];

pub(crate) fn run(bounds: &[&str]) -> Outcome {
    let bounds = if bounds.is_empty() { BOUNDS } else { bounds };
    step(
        cargo([
            "test",
            "--profile",
            "fuzz",
            "-p",
            "tower-oauth-refresh",
            "--lib",
            "explore",
            "--",
            "--nocapture",
        ])
        .env("EXPLORE", bounds.join(" ")),
    )
}

/// Seconds.
pub(crate) fn slice() -> Outcome {
    run(&["15:0", "10:1", "7:2"])
}
