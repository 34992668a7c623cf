//! `cargo xtask bench [--counted | --peers]`: the goals of performance, and what was measured of each.
//!
//! `--counted` leaves out what is timed, and fails where a count is worse than what is held. `--peers` builds other
//! clients for OAuth, and measures them beside ours instead.

use crate::prepare;
use crate::step::{Outcome, cargo, run as step};

pub(crate) fn lints() -> Outcome {
    step(&mut cargo(["clippy", "--package", "bench", "--all-targets", "--", "-D", "warnings"]))
}

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let mut build = vec!["--quiet", "--release", "--package", "bench"];
    if arguments.contains(&"--peers") {
        build.extend(["--features", "peers"]);
    }
    prepare::valgrind()?;
    // Two programs: the one that is timed starts the one that counts allocations.
    step(cargo(["build"]).args(&build).arg("--bins"))?;
    step(cargo(["run"]).args(&build).args(["--bin", "bench", "--"]).args(arguments))
}
