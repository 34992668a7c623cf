//! `cargo xtask doc`: the documentation as its readers get it, warnings as errors.

use crate::step::{Outcome, cargo, run as step};

pub(crate) fn run() -> Outcome {
    step(cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}
