//! `cargo xtask million [--credentials N] [--plots FOLDER]`: a million credentials in one process, in figures and
//! pictures. Minutes, and some gigabytes of memory; CI runs a small form of it as a test.

use crate::step::{Outcome, cargo, run as step};

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    step(cargo(["run", "--quiet", "--release", "--package", "million", "--"]).args(arguments))
}
