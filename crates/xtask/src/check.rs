//! `cargo xtask check`: under a minute when warm, nothing to install, no network.

use crate::step::{Outcome, cargo, run as step};

pub(crate) fn lints() -> Outcome {
    step(&mut cargo(["fmt", "--all", "--check"]))?;
    // The benchmarks are linted where they are run.
    step(&mut cargo(["clippy", "--workspace", "--exclude", "bench", "--all-targets", "--", "-D", "warnings"]))
}

pub(crate) fn run() -> Outcome {
    lints()?;
    step(&mut cargo(["test", "--lib", "--bins"]))?;
    // The rules about the source tree itself; the rest of that binary needs what `test` prepares.
    step(&mut cargo(["test", "--package", "workspace-tests", "--test", "it", "--", "tidy::"]))
}
