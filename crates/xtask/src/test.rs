//! `cargo xtask test`: every test there is, documentation examples and foreign servers included.

use crate::prepare;
use crate::step::{Outcome, cargo, run as step};

/// Arguments go to `cargo test`: a filter, `--package x`, `-- --nocapture`.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let services = prepare::everything()?;
    let narrowed = arguments.iter().any(|argument| matches!(*argument, "-p" | "--package"));
    let scope: &[&str] = if narrowed { &[] } else { &["--workspace"] };
    step(cargo(["test"]).args(scope).args(arguments).envs(services.variables()))
}
